"""`python -m search crowd`: draw people who do not exist."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from autoreid_deploy.cli.common import Stopped, plural


@click.command(
    epilog="""\b
Examples:
  python -m search crowd search/configs/crowd.toml -o crowd
  python -m search crowd search/configs/crowd.toml -o crowd --people 100 --crops 8 --seed 1
  python -m search crowd search/configs/crowd.toml -o crowd --resume
Ctrl-C keeps who is done; --resume goes on from there, also with more --people."""
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the crowd.")
@click.option("--people", type=click.IntRange(min=1), help="How many, instead of the configuration's.")
@click.option("--crops", type=click.IntRange(min=1), help="Crops a person, instead of the configuration's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("--resume", is_flag=True, help="Go on with the crowd in the folder.")
def crowd(
    config: Path,
    out: Path,
    people: int | None,
    crops: int | None,
    seed: int,
    workers: int | None,
    resume: bool,
) -> None:
    """Render the crowd that CONFIG describes: crops with Market names, a CSV of what they show, a contact sheet."""
    from search import monitor
    from search.crowd.config import CrowdConfig
    from search.crowd.folder import check_folder, finished
    from search.crowd.generate import generate, prepare

    settings = CrowdConfig.load(config)
    settings = replace(settings, people=people or settings.people, crops=crops or settings.crops)
    check_folder(out, settings, seed, resume)
    prepare()
    done = len(finished(out, settings.people)) * settings.crops
    total = settings.people * settings.crops
    with monitor.progress(total, done, "crop", "draw") as bar:
        try:
            rows = generate(
                out,
                settings,
                seed=seed,
                workers=workers or os.cpu_count() or 1,
                resume=resume,
                tick=bar.update,
            )
        except KeyboardInterrupt:
            ready = len(finished(out, settings.people))
            raise Stopped(
                f"stopped after {plural(ready, 'person', 'people')} of {settings.people:,}; nothing is lost, "
                "go on with --resume"
            ) from None
    click.echo(
        f"{plural(len(rows), 'crop')} of {plural(settings.people, 'person', 'people')}: {out / 'crops'}"
    )
    click.echo(f"what they show: {out / 'crowd.csv'}\nto look at: {out / 'sheet.jpg'}")
