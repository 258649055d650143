"""The folder of a crowd.

FOLDER/crowd.json          what was asked for; written first
FOLDER/crops/00001/        one person: 00001_c17s1_000000_00.jpg and so on, and rows.csv
FOLDER/unfinished/         people at whom somebody draws; gone in the end
FOLDER/crowd.csv           all rows, in order; written last, as is
FOLDER/sheet.jpg           some people to look at
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoreid_deploy.errors import InputError
from search.crowd.palette import nearest_group
from search.crowd.wardrobe import Person
from search.files import replacing

if TYPE_CHECKING:
    from search.crowd.config import CrowdConfig
    from search.crowd.scene import Crop

COLUMNS = (
    "path", "person", "camera", "time", "pose", "view", "garments", "box", "occlusion", "like",
)  # fmt: skip
Row = dict[str, str]


def check_folder(folder: Path, settings: CrowdConfig, seed: int, resume: bool) -> None:
    """Make sure that a folder can take a crowd.

    Raises:
        InputError: it holds one, and nobody said to go on, or it is another one.
    """
    note = folder / "crowd.json"
    if not note.exists():
        if (folder / "crops").exists():
            raise InputError(
                f"{folder} has crops, but no crowd.json that says of which crowd; choose another folder"
            )
        return
    if not resume:
        raise InputError(
            f"{folder} holds a crowd already; add --resume to go on with it, or choose another folder"
        )
    try:
        before: Mapping[str, Any] = dict(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{note}: cannot be read ({error}); choose another folder") from error
    now = {"seed": seed, **settings.to_dict()}
    for key, value in now.items():
        if key == "people" and before.get(key, 0) <= value:
            continue  # a crowd can grow: nobody in it changes
        if before.get(key) != value:
            raise InputError(
                f"{folder} holds a crowd with {key} = {before.get(key)}, and now {key} is {value}; "
                "go on with the same, or choose another folder"
            )


def note_down(folder: Path, settings: CrowdConfig, seed: int) -> None:
    """Write down of which crowd a folder is."""
    with replacing(folder / "crowd.json") as file:
        file.write_text(json.dumps({"seed": seed, **settings.to_dict()}, indent=1) + "\n", encoding="utf-8")


def finished(folder: Path, people: int) -> set[int]:
    """Who is done."""
    return {number for number in range(1, people + 1) if home_of(folder, number).is_dir()}


def row_of(path: str, who: Person, crop: Crop) -> Row:
    """What is known of a crop."""
    return {
        "path": path,
        "person": f"{who.number:05d}",
        "camera": str(crop.camera),
        "time": crop.time,
        "pose": crop.pose,
        "view": crop.view,
        "garments": described(who),
        "box": " ".join(str(edge) for edge in crop.box),
        "occlusion": f"{crop.occlusion:.3f}",
        "like": "" if who.like is None else f"{who.like:05d}",
    }


def described(who: Person) -> str:
    """A person's clothes and things in words, the clothes from the inside out."""
    clothes = [
        f"{nearest_group(g.colours[0])} {'' if g.pattern == 'plain' else g.pattern + ' '}{g.kind}{', open' * g.open}"
        for g in who.garments
    ]
    things = [f"{nearest_group(extra.colours[0])} {extra.kind}" for extra in (who.shoes, *who.extras)]
    return "; ".join([*clothes, *things])


def gather(folder: Path, people: int) -> list[Row]:
    """Join the rows of all people."""
    rows: list[Row] = []
    for number in range(1, people + 1):
        with (home_of(folder, number) / "rows.csv").open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    with replacing(folder / "crowd.csv") as path:
        write_rows(path, rows)
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a CSV of `COLUMNS`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def home_of(folder: Path, number: int) -> Path:
    """Where a person's crops go."""
    return folder / "crops" / f"{number:05d}"
