"""`python -m export CHECKPOINT -o MODEL.onnx`."""

from __future__ import annotations

import json
import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from autoreid_deploy.cli.common import entry_point
from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.model import ModelSpec, model_id

CROPS = 64


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  python -m export runs/autoreid-s/last.pt -o autoreid-s.onnx\n"
    "  python -m export runs/autoreid-s/last.pt -o autoreid-s.onnx --crops gallery/ --metrics measured.json\n"
    "  python -m export runs/autoreid-s/last.pt -o autoreid-s.onnx --calibrate crops/ --split val_ids.txt",
)
@click.argument("checkpoint", type=click.Path(dir_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--crops", type=click.Path(), help="Folder of real crops to compare torch and ONNX Runtime on.")
@click.option(
    "--metrics", type=click.Path(dir_okay=False), help='JSON: {"data set": {"rank1": ..., "protocol": ...}}.'
)
@click.option(
    "--calibrate", "labelled", type=click.Path(), help="Labelled crops of people it was not trained on."
)
@click.option("--split", type=click.Path(), help="File of person ids; only these calibrate.")
@click.option(
    "--halfway",
    "other",
    metavar="CHECKPOINT",
    type=click.Path(dir_okay=False),
    help="Take the weights halfway to another's: where one was trained on from the other, they keep of both.",
)
@click.option(
    "--mirrored", is_flag=True, help="Embed each crop and its mirror image: better rows in twice the time."
)
def cli(
    checkpoint: str,
    output: Path,
    crops: str | None,
    metrics: str | None,
    labelled: str | None,
    split: str | None,
    other: str | None,
    mirrored: bool,
) -> None:
    """Write CHECKPOINT as one self-describing ONNX file, and a report on its parity with torch.

    The file is written only if torch and ONNX Runtime agree on it at batch sizes 1, 2, 7 and 32.
    """
    for package in ("torch", "onnx", "onnxscript", "onnxslim"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "search")
    if labelled is not None and find_spec("sklearn") is None:
        raise MissingExtraError("scikit-learn", "calibrate")
    if split is not None and labelled is None:
        raise click.UsageError("--split is for --calibrate; name its crops too")
    from export import parity
    from export.calibrate import calibrate
    from export.to_onnx import halfway, read_checkpoint, write_onnx

    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder to write {output.name} into")
    # The exporter warns that torchvision is not there, which nobody needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    figures = _read_metrics(metrics)
    trained = read_checkpoint(checkpoint, figures, mirrored)
    if other is not None:
        trained = halfway(trained, read_checkpoint(other), figures)
    size = (trained.spec.height, trained.spec.width)
    sets = {"random": parity.random_crops(CROPS, *size)}
    if crops is not None:
        sets["real"] = parity.real_crops(crops, CROPS, *size)
    # The suffix stays, so that ONNX Runtime takes the file; nothing half-written is ever called by the real name.
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.onnx")
    try:
        write_onnx(trained, temporary)
        results = parity.compare(trained.network, temporary, sets, mirrored)
        click.echo(parity.table(results))
        parity.require(results)
        if labelled is not None:
            calibrate(temporary, labelled, split)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    report = output.with_suffix(".parity.md")
    limits = f"difference of unit rows {parity.MAX_DIFFERENCE:.0e}, cosine {parity.MIN_COSINE}"
    report.write_text(_report(trained.spec, output, limits, parity.table(results)), encoding="utf-8")
    click.echo(
        f"{output}: {model_id(trained.spec.name, output)}, {output.stat().st_size / 1e6:.2f} MB; see {report}"
    )


def _read_metrics(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        metrics = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a JSON object of figures by data set; {error}") from error
    if not isinstance(metrics, dict):
        raise InputError(
            f"{path}: expected a JSON object of figures by data set, got {type(metrics).__name__}"
        )
    return metrics


def _report(spec: ModelSpec, output: Path, limits: str, table: str) -> str:
    return (
        f"# Parity of {spec.name}\n\n`{model_id(spec.name, output)}`, input {spec.height}x{spec.width}, "
        f"{spec.dim} dimensions. Torch in float32 with BN as trained, against ONNX Runtime on the CPU with BN "
        f"folded; limits: {limits}.\n\n{table}\n"
    )


if __name__ == "__main__":
    entry_point(cli)()
