"""What fine-tuning on one's own camera is worth: docs/own-cameras.md, from the clip vtest.avi and its ground truth.

    python -m benchmarks.own_cameras --clip vtest.avi --truth vtest_gt.txt --work work/ --json own_cameras.json

The first part of the clip is learnt from, in three ways: its tracklets with their times, its tracklets without
times, and its people by name. In the rest, everybody who comes back is looked for among the tracklets that had ended
before: by the mean row of the whole new tracklet, and by each of its crops alone. The annotation gives a person who
comes back a new number; whose tracklets are one person's was told by eye, from their clothes (`PEOPLE`).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from search.config import RunConfig, Source, load_config
from search.data import Crops, list_crops, load_crops
from search.scoring import embed
from search.start import Start
from search.trainer import Trainer

CONFIG = Path(__file__).parents[1] / "search" / "configs" / "own-tracklets.toml"
# The tracklets of each of the ten people.
PEOPLE = ((1, 19), (2, 13), (3, 11), (4, 12), (5, 9), (6, 10), (8, 14, 15, 18), (7,), (16,), (17,))
PERSON = {tracklet: person for person, own in enumerate(PEOPLE, start=1) for tracklet in own}
RATE = 7  # frames a second
EVERY = 3  # frames from crop to crop
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Tracklet:
    """One pass of a person.

    Attributes:
        name: its number in the annotation.
        start: its first frame.
        end: its last.
        rows: (n, D) unit rows of its crops.
    """

    name: int
    start: int
    end: int
    rows: NDArray[np.float32]


def read_truth(path: Path) -> dict[int, list[tuple[int, int, int, int, int]]]:
    """Read MOT rows: frame -> (tracklet, left, top, width, height)."""
    boxes: dict[int, list[tuple[int, int, int, int, int]]] = {}
    for frame, *box in np.loadtxt(path, delimiter=",")[:, :6].round().astype(int).tolist():
        boxes.setdefault(frame, []).append((box[0], box[1], box[2], box[3], box[4]))
    return boxes


def cut(clip: Path, truth: Path, folder: Path) -> None:
    """Write the crops of every third frame, TRACKLET/FRAME.png."""
    boxes, video, frame = read_truth(truth), cv2.VideoCapture(str(clip)), 0
    while True:
        there, image = video.read()
        if not there:
            return
        frame += 1
        for tracklet, left, top, width, height in boxes.get(frame, []) if frame % EVERY == 0 else []:
            crop = image[max(top, 0) : top + height, max(left, 0) : left + width]
            if crop.size:
                (folder / str(tracklet)).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / str(tracklet) / f"{frame:06d}.png"), crop)


def write_lists(folder: Path, split: int) -> None:
    """Write what is known of the crops up to a frame, in three ways, and of all of them."""
    crops = sorted(folder.glob("*/*.png"))
    early = [crop for crop in crops if int(crop.stem) <= split]
    known = ["path", "camid", "time", "tracklet"]
    for name, some, columns in (
        ("tracklets.csv", early, known),
        ("timeless.csv", early, ["path", "camid", "tracklet"]),
        ("people.csv", early, ["path", "camid", "pid"]),
        ("all.csv", crops, [*known, "pid"]),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(_cells(crop) for crop in some)


def _cells(crop: Path) -> dict[str, Any]:
    tracklet = crop.parent.name
    return {
        "path": f"{tracklet}/{crop.name}",
        "camid": 1,
        "time": round(int(crop.stem) / RATE, 3),
        "tracklet": tracklet,
        "pid": PERSON[int(tracklet)],
    }


def tracklets_of(crops: Crops, rows: NDArray[np.float32]) -> list[Tracklet]:
    """Group the rows of crops by tracklet."""
    names = np.array([int(record.tracklet or 0) for record in crops.records])
    frames = np.array([round((record.time or 0) * RATE) for record in crops.records])
    return [
        Tracklet(
            name, int(frames[names == name].min()), int(frames[names == name].max()), rows[names == name]
        )
        for name in np.unique(names).tolist()
    ]


def reassociate(
    tracklets: Sequence[Tracklet], split: int, person: Mapping[int, int] = PERSON
) -> dict[str, Any]:
    """Look for everybody who comes back after a frame among the tracklets that had ended before.

    Returns:
        `returns`, how many come back; `tracklet`, the share of those whose nearest tracklet by mean row is one of
        theirs; `crops` and `crop`, the same of single crops, each of which asks alone.
    """
    right, single = [], []
    for asked in tracklets:
        gallery = [other for other in tracklets if other.end < asked.start]
        if asked.start <= split or person[asked.name] not in {person[other.name] for other in gallery}:
            continue
        means = np.stack([_unit(other.rows.mean(0)) for other in gallery])
        own = np.array([person[other.name] == person[asked.name] for other in gallery])
        right.append(own[int(np.argmax(means @ asked.rows.mean(0)))])
        single.append(own[np.argmax(asked.rows @ means.T, axis=1)])
    every = np.concatenate(single)
    return {
        "returns": len(right),
        "tracklet": float(np.mean(right)),
        "crops": len(every),
        "crop": float(np.mean(every)),
        "crop, each person alike": float(np.mean([some.mean() for some in single])),
    }


def _unit(row: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = row / np.linalg.norm(row)
    return unit


def arms(told: RunConfig) -> dict[str, RunConfig]:
    """The three ways to know who is who."""
    named = replace(told, train=(Source(path="people.csv"),))
    timeless = replace(told, train=(replace(told.train[0], path="timeless.csv"),))
    return {"tracklets": told, "tracklets, no times": timeless, "people by name": named}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where crops and checkpoints go")
    parser.add_argument("--model", default="autoreid-s")
    parser.add_argument("--split", type=int, default=420, help="the last frame to learn from")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", nargs="*")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=NUMBER", help="of the recipe")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    crops = options.work / "crops"
    if not crops.is_dir():
        cut(options.clip, options.truth, crops)
    write_lists(crops, options.split)
    start = Start.load(options.model)
    told = load_config(CONFIG, start.told)
    size = (told.network.height, told.network.width)
    every = load_crops(list_crops([Source(path="all.csv")], crops, crops), size)
    found: list[dict[str, Any]] = []
    for name, config in ({"before": told} | arms(told)).items():
        for seed in range(options.seeds if name != "before" else 1):
            if options.arms and name not in (*options.arms, "before"):
                continue
            recipe = replace(
                config.recipe, seed=seed, **{k: float(v) for k, v in (i.split("=") for i in options.set)}
            )
            recipe = replace(recipe, epochs=int(recipe.epochs), people=int(recipe.people))
            train = load_crops(list_crops(config.train, crops, crops), size)
            trainer = Trainer(
                config=replace(config, recipe=recipe),
                genotype=start.genotype,
                train=train,
                val=None,
                folder=options.work,
                device=CPU,
                start=start,
            )
            began = time.process_time()
            if name != "before":
                trainer.run()
            spent = time.process_time() - began
            figures = reassociate(
                tracklets_of(every, embed(trainer.average, every.images, CPU)), options.split
            )
            row = {
                "row": name,
                "seed": seed,
                "identities": train.people,
                "learnt": len(train.records),
                "cpu s": spent,
            }
            found.append(row | figures)
            print(json.dumps(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
