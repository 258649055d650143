"""`python -m search random`: what chance finds for the same money."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.cli.common import Stopped
from search.commands.common import choose_device, data_option, latency_options, read_crops, read_table

if TYPE_CHECKING:
    import torch

    from search.config import RunConfig
    from search.data import Crops
    from search.genotype import Genotype


@click.command(
    epilog="""\b
Examples:
  python -m search random search/configs/proxy.toml --data data/ --cells 8
  python -m search random search/configs/proxy.toml --data data/ --cells 100 --minutes 45
Run it again to go on: cells that are trained are not trained again."""
)
@click.argument("config", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the runs.  [default: runs/NAME-random]"
)
@click.option(
    "--cells", type=click.IntRange(min=1), default=8, show_default=True, help="Pairs to draw at most."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Start no further pair once so much was spent: the minutes of a search and its retraining.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@latency_options
def random(
    config: Path,
    data: Path,
    out: Path | None,
    cells: int,
    minutes: float | None,
    seed: int,
    latency_table: Path | None,
    latency_budget: float | None,
) -> None:
    """Draw random cells, train each with CONFIG's recipe, and keep the best by validation."""
    from search.config import load_config
    from search.data import list_crops, refuse_known_people
    from search.genotype import save_genotype

    told = load_config(config)
    drawn = _draw(told, cells, seed, latency_table, latency_budget or 0.0)
    train, val = (list_crops(side, data, config.parent) for side in (told.train, told.val))
    if not val:
        raise click.UsageError(
            f"{config}: random search chooses by validation; give one or more [[val]] tables"
        )
    refuse_known_people(train, val)
    folder = out or Path("runs") / f"{told.name}-random"
    size = (told.network.height, told.network.width)
    crops = read_crops("training", train, size, False), read_crops("validation", val, size, False)
    device = choose_device("auto")
    found: list[dict[str, Any]] = []
    for genotype in drawn:
        if minutes is not None and sum(row["minutes"] for row in found) >= minutes:
            break
        found.append(_train(told, genotype, folder / genotype.name, crops, device))
        row = found[-1]
        click.echo(f"{genotype.name}: mAP {100 * row['mAP']:.1f} %, {row['minutes']:.1f} minutes")
    click.echo(_summary(found))
    best = max(range(len(found)), key=lambda i: found[i]["mAP"])
    save_genotype(drawn[best], folder / "best.json")
    click.echo(f"best by validation: {drawn[best].name}; wrote {folder / 'best.json'}")


def _draw(told: RunConfig, cells: int, seed: int, path: Path | None, budget: float) -> list[Genotype]:
    import numpy as np

    from search.genotype import random_genotype
    from search.latency import predict

    table = read_table(path, told, budget)

    def fits(genotype: Genotype) -> bool:
        return table is None or not budget or predict(table, genotype) <= budget

    rng = np.random.default_rng([seed, 6])
    return [random_genotype(rng, f"random-{seed}-{i}", fits) for i in range(cells)]


def _train(
    told: RunConfig, genotype: Genotype, folder: Path, crops: tuple[Crops, Crops], device: torch.device
) -> dict[str, Any]:
    """Train a pair, or what is left of it; the time of a stretch that was killed is lost."""
    from search import checkpoint
    from search.trainer import Trainer

    result = folder / "result.json"
    if result.exists():
        done: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return done
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(
        config=replace(told, name=genotype.name),
        genotype=genotype,
        train=crops[0],
        val=crops[1],
        folder=folder,
        device=device,
    )
    if trainer.checkpoint_path.exists():
        trainer.restore(checkpoint.load(trainer.checkpoint_path))
    start = time.monotonic()
    if not trainer.run():
        raise Stopped(f"stopped in {genotype.name}; nothing is lost, run the same command again to go on")
    last = trainer.history[-1]
    row = {"mAP": last["mAP"], "rank1": last["rank1"], "minutes": (time.monotonic() - start) / 60}
    result.write_text(json.dumps({**row, "genotype": genotype.to_dict()}, indent=1), encoding="utf-8")
    return row


def _summary(found: list[dict[str, Any]]) -> str:
    import numpy as np

    scores = 100 * np.array([row["mAP"] for row in found])
    spread = f", sd {scores.std(ddof=1):.1f}" if len(scores) > 1 else ""
    spent = sum(row["minutes"] for row in found)
    mean = f"mAP mean {scores.mean():.1f} %{spread}, best {scores.max():.1f} %"
    return f"{len(found)} random pairs: {mean}; {spent:.0f} minutes"
