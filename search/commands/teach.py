"""`python -m search teach`: ask a teacher about every training crop, once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import Stopped
from autoreid_deploy.errors import CropError, InputError
from search.commands.common import data_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 64


@click.command(
    epilog="""\b
Examples:
  python -m search teach CONFIG --data data/ --teacher person-reidentification-retail-0277.xml -o rows.npz
  python -m search teach CONFIG --data data/ --teacher larger.onnx -o rows.npz
Ctrl-C keeps what is done; the same command goes on from there. Then, in CONFIG:
  [teacher]
  rows = ["rows.npz"]"""
)
@click.argument("config", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--teacher",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An OpenVINO IR (.xml) that takes BGR, 0 to 255, or an .onnx file of python -m export.",
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The .npz file of rows.")
@click.option("--save-every", type=click.FloatRange(min=0), default=60, show_default=True, metavar="SECONDS")
def teach(config: Path, data: Path, teacher: Path, out: Path, save_every: float) -> None:
    """Write the rows that a teacher gives to the training crops of CONFIG."""
    import numpy as np

    from search import monitor
    from search.config import load_config
    from search.data import list_crops
    from search.teacher import TeacherRows, crop_name, judge
    from search.teachers import find_teacher, teacher_id

    listed = list_crops(load_config(config).train, data, config.parent)
    paths = {crop_name(crop.record.path, data): crop.record.path for crop in listed}
    told = teacher_id(teacher)
    before = TeacherRows.load(out) if out.exists() else None
    if before is not None and before.teacher != told:
        raise InputError(
            f"{out}: holds rows of {before.teacher}, this teacher is {told}; choose another file"
        )
    known = set(before.crops) if before else set()
    left = [name for name in paths if name not in known]
    names, parts = list(before.crops) if before else [], [before.rows] if before else []

    def save() -> TeacherRows | None:
        if not parts:
            return None
        rows = TeacherRows(told, tuple(names), np.concatenate(parts))
        out.parent.mkdir(parents=True, exist_ok=True)
        rows.save(out)
        return rows

    ask, saved = find_teacher(teacher), time.monotonic()
    with monitor.progress(len(paths), len(known), "crop", told) as bar:
        try:
            for some, images in _batches([(name, paths[name]) for name in left], ask.size):
                parts.append(ask(images))
                names += some
                bar.update(len(some))
                if time.monotonic() - saved > save_every:
                    save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            save()
            raise Stopped(f"stopped; {len(names)} of {len(paths)} rows are safe in {out}") from None
    rows = save()
    click.echo(f"{out}: {len(names)} rows of {told}")
    if judgements := judge(listed, rows, data) if rows else []:
        click.echo("what it makes of people before two cameras or more:")
    for judgement in judgements:
        click.echo(f"  {judgement}")


def _batches(
    crops: Sequence[tuple[str, Path]], size: tuple[int, int]
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Read crops in batches; those that can't be read are left out, as training leaves them out."""
    import numpy as np

    from autoreid_deploy.crops import read_crop, resize_crop

    def read(path: Path) -> NDArray[np.uint8] | None:
        try:
            return resize_crop(read_crop(path), *size)
        except CropError as error:
            click.echo(f"left out: {error}", err=True)
            return None

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(crops), BATCH):
            some = crops[start : start + BATCH]
            images = list(pool.map(read, [path for _, path in some]))
            good = [(name, image) for (name, _), image in zip(some, images, strict=True) if image is not None]
            if good:
                yield [name for name, _ in good], np.stack([image for _, image in good])
