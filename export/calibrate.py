"""Write what a model's distances mean into its file: `python -m export.calibrate MODEL.onnx CROPS`.

Only the metadata's `calibration` changes; graph and weights stay as they are, byte for byte. The people must be ones
that the model was not trained on, or it will seem surer than it is.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from autoreid_deploy.calibration import Calibration
from autoreid_deploy.cli.common import entry_point, plural
from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import InputError
from autoreid_deploy.fitting import fit
from autoreid_deploy.model import model_id
from autoreid_deploy.records import read_ids, scan


def calibrate(model: Path, crops: str | Path, split: str | Path | None = None) -> Calibration:
    """Fit a calibration on labelled crops and write it into a model file.

    Args:
        model: the ONNX file.
        crops: a folder or CSV, as `records.scan` reads it.
        split: a file of person ids, one a line; only these take part.

    Raises:
        InputError: the crops can't be read, or show too few people.
        MissingExtraError: scikit-learn is not installed.
    """
    records, source = scan(crops), Path(crops).resolve().name
    if split is not None:
        ids, source = read_ids(split), f"{source}, the people of {Path(split).name}"
        records = [record for record in records if record.pid in ids]
        if not records:
            raise InputError(f"{split}: none of its {len(ids)} people are in {crops}")
    with Embedder.load(model) as embedder:
        rows = embedder.embed([record.path for record in records])
    table = fit(rows, [record.pid for record in records], [record.camid for record in records], source=source)
    write(model, table)
    return table


def write(model: Path, table: Calibration) -> None:
    """Replace the calibration in a model file's metadata."""
    import onnx

    proto = onnx.load(model)
    props = {prop.key: prop.value for prop in proto.metadata_props}
    onnx.helper.set_model_props(proto, {**props, "calibration": json.dumps(table.to_dict(), sort_keys=True)})
    temporary = model.with_name(f".{model.name}.new")
    try:
        onnx.save(proto, temporary)
        temporary.replace(model)
    finally:
        temporary.unlink(missing_ok=True)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  python -m export.calibrate model.onnx crops/ --split val_ids.txt",
)
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("crops", type=click.Path(path_type=Path))
@click.option("--split", type=click.Path(path_type=Path), help="File of person ids; only these take part.")
def cli(model: Path, crops: Path, split: Path | None) -> None:
    """Fit a calibration on the CROPS of people MODEL was not trained on, and write it into the file."""
    table = calibrate(model, crops, split)
    with Embedder.load(model) as embedder:
        name = embedder.spec.name
    click.echo(
        f"{model}: {model_id(name, model)}, calibrated on {plural(table.people, 'person', 'people')}: "
        f"{plural(table.genuine, 'pair')} of one person, {plural(table.impostors, 'pair')} of two"
    )


if __name__ == "__main__":
    entry_point(cli)()
