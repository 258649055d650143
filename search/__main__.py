"""`python -m search`: describe a genotype, retrain a network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import Stopped, entry_point
from autoreid_deploy.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from search.data import Crops, Labelled
    from search.engine import Trainer


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Find a part-aware network for person retrieval and retrain it."""
    for package in ("torch", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "search")


@cli.command(
    epilog="""\b
Examples:
  python -m search describe auto_reid_2019
  python -m search describe auto_reid_2019 --draw cells.svg
  python -m search describe auto_reid_2019 --config search/configs/autoreid-s.toml"""
)
@click.argument("genotype")
@click.option("--config", type=click.Path(path_type=Path), help="Count this run's network too.")
@click.option("--draw", type=click.Path(path_type=Path), help="Draw both cells to a .png or .svg file.")
@click.option("--people", default=751, show_default=True, help="Size of the classifier to count.")
def describe(genotype: str, config: Path | None, draw: Path | None, people: int) -> None:
    """Print a GENOTYPE's ops, parameters and multiply-accumulates (a bundled name or a JSON file)."""
    from search.complexity import table
    from search.config import load_config
    from search.drawing import draw_cells
    from search.genotype import load_genotype

    found = load_genotype(genotype)
    click.echo(f"{found}\n")
    click.echo(table(found, load_config(config) if config else None, people))
    if draw:
        draw_cells(found, draw)
        click.echo(f"\ncells drawn to {draw}")


@cli.command(
    epilog="""\b
Examples:
  python -m search retrain search/configs/autoreid-s.toml --data data/
  python -m search retrain search/configs/autoreid-s.toml --data data/ --resume
  torchrun --nproc-per-node 2 -m search retrain search/configs/autoreid-s.toml --data data/
Ctrl-C keeps what is done; --resume goes on from there."""
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Where the sources' paths start."
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on from the run folder's last checkpoint.")
@click.option("--strict", is_flag=True, help="Refuse unreadable crops instead of leaving them out.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--save-every",
    type=click.FloatRange(min=0),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="Time between checkpoints within an epoch.",
)
def retrain(
    config: Path, data: Path, out: Path | None, resume: bool, strict: bool, device: str, save_every: float
) -> None:
    """Train the network that CONFIG describes on labelled crops."""
    import torch

    from search import checkpoint, distributed
    from search.config import load_config
    from search.data import list_crops, refuse_known_people
    from search.engine import Trainer
    from search.genotype import load_genotype
    from search.memory import keep_freed_memory

    run = load_config(config)
    genotype = load_genotype(run.genotype)
    folder = out or Path("runs") / run.name
    last = folder / "last.pt"
    if last.exists() and not resume:
        raise InputError(
            f"{folder} holds a run already; add --resume to go on with it, or choose another --out"
        )
    state = checkpoint.load(last) if resume else None
    train = list_crops(run.train, data, config.parent)
    val = list_crops(run.val, data, config.parent)
    refuse_known_people(train, val)
    folder.mkdir(parents=True, exist_ok=True)

    keep_freed_memory()
    wanted = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    home = distributed.start(wanted)
    try:
        size = (run.network.height, run.network.width)
        crops = _load("training", train, size, strict)
        held_out = _load("validation", val, size, strict) if val else None
        trainer = Trainer(run, genotype, crops, held_out, folder, home, save_every)
        if state is not None:
            trainer.restore(state)
        if not trainer.run():
            raise Stopped(
                f"stopped in epoch {trainer.epoch + 1} of {run.recipe.epochs}; nothing is lost, "
                "go on with --resume"
            )
        if distributed.rank() == 0:
            _report(trainer)
    finally:
        distributed.stop()


def _load(what: str, listed: list[Labelled], size: tuple[int, int], strict: bool) -> Crops:
    from search import distributed, monitor
    from search.data import load_crops

    lead = distributed.rank() == 0
    with monitor.progress(len(listed), 0, "crop", f"read {what}", shown=lead) as bar:
        crops = load_crops(listed, size, strict=strict, tick=bar.update)
    if lead:
        for failure in crops.failures:
            click.echo(f"left out: {failure}", err=True)
        click.echo(f"{what}: {len(crops.records)} crops of {crops.people} people", err=True)
    return crops


def _report(trainer: Trainer) -> None:
    name, last = trainer.config.name, trainer.history[-1]
    click.echo(f"{name}: {last['epoch']} epochs done")
    if "mAP" in last:
        click.echo(f"validation: rank-1 {100 * last['rank1']:.1f} %, mAP {100 * last['mAP']:.1f} %")
    click.echo(f"next: python -m export {trainer.checkpoint_path} -o {name}.onnx")


if __name__ == "__main__":
    entry_point(cli)()
