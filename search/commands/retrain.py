"""`python -m search retrain`: train the network of a genotype."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import Stopped
from search.commands.common import choose_device, read_crops, run_folder, run_options

if TYPE_CHECKING:
    from autoreid_deploy.metrics import Evaluation
    from search.trainer import Trainer


@click.command(
    epilog="""\b
Examples:
  python -m search retrain search/configs/autoreid-s.toml --data data/
  python -m search retrain search/configs/autoreid-s.toml --data data/ --resume
  python -m search retrain search/configs/autoreid-s.toml --data data/ --genotype found.json --out runs/found
  python -m search retrain search/configs/own-cameras.toml --data mine/ --init autoreid-s
  torchrun --nproc-per-node 2 -m search retrain search/configs/autoreid-s.toml --data data/
Ctrl-C keeps what is done; --resume goes on from there."""
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--genotype", help="Cells to take instead of the configuration's: a bundled name or a JSON file."
)
@click.option(
    "--init",
    metavar="MODEL",
    help="Start from a trained network: a checkpoint (.pt), a bundled model's name or an exported .onnx file.",
)
@run_options
def retrain(
    config: Path,
    genotype: str | None,
    init: str | None,
    data: Path,
    out: Path | None,
    resume: bool,
    strict: bool,
    cache: Path | None,
    device: str,
    save_every: float,
) -> None:
    """Train the network that CONFIG describes on labelled crops."""
    from search import checkpoint, distributed
    from search.config import load_config, run_name
    from search.data import list_crops, refuse_known_people
    from search.genotype import load_genotype
    from search.scoring import validate
    from search.start import Start
    from search.teacher import taught
    from search.trainer import Trainer

    start = Start.load(init) if init else None
    folder = run_folder(out, run_name(config), resume)
    last = folder / "last.pt"
    state = checkpoint.load(last) if resume else None
    # A run goes on in the shape that it has, also where --init is not given again.
    shape = start if state is None or not state.get("init") else Start.of_state(state, last)
    run = load_config(config, shape.told if shape else None)
    run = replace(run, genotype=genotype or run.genotype)
    known = {shape.genotype.name: shape.genotype} if shape else {}
    cells = known.get(run.genotype) or load_genotype(run.genotype)
    if shape is not None:
        shape.require(cells, run.network)
    train = list_crops(run.train, data, config.parent)
    val = list_crops(run.val, data, config.parent)
    refuse_known_people(train, val)
    folder.mkdir(parents=True, exist_ok=True)

    home = choose_device(device)
    try:
        size = (run.network.height, run.network.width)
        crops = read_crops("training", train, size, strict, cache)
        trainer = Trainer(
            config=run,
            genotype=cells,
            train=crops,
            val=read_crops("validation", val, size, strict, cache) if val else None,
            taught=taught(run.teacher, crops, data),
            start=start,
            folder=folder,
            device=home,
            save_seconds=save_every,
        )
        if state is not None:
            trainer.restore(state)
        elif (
            start is not None
            and start.whole_in(run.network)
            and trainer.val is not None
            and distributed.rank() == 0
        ):
            _say(f"{start.origin['name']} as it is", validate(trainer.average, trainer.val, home))
        if not trainer.run():
            raise Stopped(
                f"stopped in epoch {trainer.epoch + 1} of {run.recipe.epochs}; nothing is lost, "
                "go on with --resume"
            )
        if distributed.rank() == 0:
            _report(trainer)
    finally:
        distributed.stop()


def _say(what: str, found: Evaluation) -> None:
    click.echo(f"{what}: rank-1 {100 * found.rank(1):.1f} %, mAP {100 * found.mAP:.1f} %")


def _report(trainer: Trainer) -> None:
    name, last = trainer.config.name, trainer.history[-1]
    click.echo(f"{name}: {last['epoch']} epochs done")
    if "mAP" in last:
        click.echo(f"validation: rank-1 {100 * last['rank1']:.1f} %, mAP {100 * last['mAP']:.1f} %")
    click.echo(f"next: python -m export {trainer.checkpoint_path} -o {name}.onnx")
