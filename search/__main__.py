"""`python -m search`: describe a genotype, retrain a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import torch

from autoreid_deploy.cli.common import entry_point
from autoreid_deploy.errors import DeviceError, InputError
from search import checkpoint, distributed, monitor
from search.complexity import RESNET50_MACS, RESNET50_PARAMETERS, measure
from search.config import RunConfig, Source, load_config
from search.data import Crops, list_people, load_crops
from search.engine import Trainer
from search.genotype import load_genotype
from search.memory import keep_freed_memory
from search.network import NetworkConfig

PAPER = (NetworkConfig(channels=64), NetworkConfig(channels=32))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Find a part-aware network for person retrieval and retrain it."""


@cli.command(epilog="\b\nExamples:\n  python -m search describe auto_reid_2019\n"
             "  python -m search describe auto_reid_2019 --draw cells.svg\n"
             "  python -m search describe auto_reid_2019 --config search/configs/autoreid-s.toml")
@click.argument("genotype")
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="Count this run's network too.")
@click.option("--draw", type=click.Path(dir_okay=False), help="Draw both cells to a .png or .svg file.")
@click.option("--people", default=751, show_default=True, help="Size of the classifier to count.")
def describe(genotype: str, config: str | None, draw: str | None, people: int) -> None:
    """Print a GENOTYPE's ops, parameters and multiply-accumulates (a bundled name or a JSON file)."""
    found = load_genotype(genotype)
    for kind, cell in (("normal", found.normal), ("reduce", found.reduce)):
        click.echo(f"{kind}:")
        for i, node in enumerate(cell.nodes):
            click.echo(f"  node {i + 2} = " + " + ".join(f"{edge.op}({edge.source})" for edge in node))
    click.echo(f"\n{'network':<26}{'parameters':>12}{f'with {people}-way':>14}{'MACs':>10}")
    networks = [(f"C = {c.channels}, {c.height}x{c.width}", c) for c in PAPER]
    if config:
        run = load_config(config)
        networks.append((f"{run.name}, {run.network.height}x{run.network.width}", run.network))
    for label, network in networks:
        size = measure(found, network)
        total = size.with_classifier(people)
        click.echo(f"{label:<26}{size.parameters / 1e6:>10.2f} M{total / 1e6:>12.2f} M{size.macs / 1e9:>8.3f} G")
    click.echo(f"{'ResNet-50, 384x128':<26}{'':>12}{RESNET50_PARAMETERS / 1e6:>12.2f} M{RESNET50_MACS / 1e9:>8.3f} G")
    paper = measure(found, PAPER[0])
    click.echo(
        f"\nC = 64 beside ResNet-50: {100 * (paper.with_classifier(751) / RESNET50_PARAMETERS - 1):+.1f} % parameters, "
        f"{100 * (paper.macs / RESNET50_MACS - 1):+.1f} % MACs"
    )
    if draw:
        from search.drawing import draw_cells

        draw_cells(found, Path(draw))
        click.echo(f"cells drawn to {draw}")


@cli.command(epilog="\b\nExamples:\n  python -m search retrain search/configs/autoreid-s.toml --data data/\n"
             "  python -m search retrain search/configs/autoreid-s.toml --data data/ --resume\n"
             "  torchrun --nproc-per-node 2 -m search retrain search/configs/autoreid-s.toml --data data/")
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option("--data", required=True, type=click.Path(exists=True), help="Where the sources' paths start.")
@click.option("--out", type=click.Path(file_okay=False), help="Run folder.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on from the run folder's last checkpoint.")
@click.option("--strict", is_flag=True, help="Refuse unreadable crops instead of leaving them out.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def retrain(config: str, data: str, out: str | None, resume: bool, strict: bool, device: str) -> None:
    """Train the network that CONFIG describes on labelled crops."""
    keep_freed_memory()
    run = load_config(config)
    folder = Path(out) if out else Path("runs") / run.name
    if (folder / "last.pt").exists() and not resume:
        raise InputError(f"{folder} holds a run already; add --resume to go on with it, or choose another --out")
    home = distributed.start(_device(device))
    try:
        size = (run.network.height, run.network.width)
        beside = Path(config).parent
        train = _load("training", run.train, Path(data), beside, size, strict)
        val = _load("validation", run.val, Path(data), beside, size, strict) if run.val else None
        folder.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(run, load_genotype(run.genotype), train, val, folder, home)
        if resume:
            trainer.restore(checkpoint.load(trainer.checkpoint_path))
        try:
            trainer.run()
        except KeyboardInterrupt:
            raise InputError(
                f"stopped in epoch {trainer.epoch + 1} of {run.recipe.epochs}; nothing is lost, go on with --resume"
            ) from None
        _report(trainer, run)
    finally:
        distributed.stop()


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError("--device cuda: torch finds no CUDA device here; use --device cpu or a CUDA build of torch")
    return wanted


def _load(
    what: str, sources: Sequence[Source], data: Path, beside: Path, size: tuple[int, int], strict: bool
) -> Crops:
    total = sum(len(list_people(source, data, beside)) for source in sources)
    lead = distributed.rank() == 0
    bar = monitor.progress(total, 0, "crop", f"read {what}") if lead else None
    crops = load_crops(sources, data, beside, size, strict=strict, tick=bar.update if bar is not None else lambda: None)
    if bar is not None:
        bar.close()
        for failure in crops.failures:
            click.echo(f"left out: {failure}", err=True)
        click.echo(f"{what}: {len(crops.records)} crops of {crops.people} people", err=True)
    return crops


def _report(trainer: Trainer, run: RunConfig) -> None:
    if distributed.rank() == 0:
        last = trainer.history[-1]
        score = f": val rank-1 {100 * last['rank1']:.1f}, mAP {100 * last['mAP']:.1f}" if "mAP" in last else ""
        click.echo(f"{run.name}: {run.recipe.epochs} epochs done{score}")
        click.echo(f"next: python -m export {trainer.checkpoint_path} -o {run.name}.onnx")


if __name__ == "__main__":
    entry_point(cli)()
