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
from search.scoring import embed, validate
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
        theirs; `crops` and `crop`, the same of single crops, each of which asks alone; `crop_by_person`, where those
        of each return weigh the same.
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
        "crop_by_person": float(np.mean([some.mean() for some in single])),
    }


def _unit(row: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = row / np.linalg.norm(row)
    return unit


def arms(told: RunConfig) -> dict[str, RunConfig]:
    """The three ways to know who is who."""
    named = replace(told, train=(Source(path="people.csv"),))
    timeless = replace(told, train=(replace(told.train[0], path="timeless.csv"),))
    return {"tracklets": told, "tracklets, no times": timeless, "people by name": named}


@dataclass(frozen=True)
class Bench:
    """What every row has in common.

    Attributes:
        start: the trained network.
        folder: the crops of the clip.
        work: where runs go.
        split: the last frame to learn from.
        every: all crops.
        elsewhere: people of other cameras, who show what is forgotten; None: not asked.
    """

    start: Start
    folder: Path
    work: Path
    split: int
    every: Crops
    elsewhere: Crops | None

    def row(self, name: str, config: RunConfig, learn: bool) -> dict[str, Any]:
        """Fine-tune, or leave it, and measure."""
        train = crops_of(self.start, config.train, self.folder)
        run = self.work / f"{name} {config.recipe.seed}"
        run.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(
            config=config,
            genotype=self.start.genotype,
            train=train,
            val=None,
            folder=run,
            device=CPU,
            start=self.start,
        )
        began = time.process_time()
        if learn and not trainer.run():
            raise SystemExit("stopped")
        found = {
            "row": name,
            "seed": config.recipe.seed,
            "identities": train.people,
            "learnt": len(train.records),
        }
        found["cpu_seconds"] = round(time.process_time() - began, 1)
        rows = embed(trainer.average, self.every.images, CPU)
        found |= reassociate(tracklets_of(self.every, rows), self.split)
        if self.elsewhere is not None:
            found["elsewhere_mAP"] = validate(trainer.average, self.elsewhere, CPU).mAP
        return found


def crops_of(start: Start, sources: Sequence[Source], root: Path) -> Crops:
    """Read crops at the size of a network."""
    return load_crops(list_crops(sources, root, root), (start.config.height, start.config.width))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where crops and runs go")
    parser.add_argument("--model", default="autoreid-s")
    parser.add_argument("--split", type=int, default=420, help="the last frame to learn from")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--market", type=Path, help="Market-1501's bounding_box_train: what is forgotten")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.work / "crops"
    if not folder.is_dir():
        cut(options.clip, options.truth, folder)
    write_lists(folder, options.split)
    start = Start.load(options.model)
    told = load_config(CONFIG, start.told)
    others = None
    if options.market:
        source = Source(path=options.market.name, names="market", ids="market1501_val_ids.txt")
        others = crops_of(start, (source,), options.market.parent)
    every = crops_of(start, (Source(path="all.csv"),), folder)
    bench = Bench(start, folder, options.work, options.split, every, others)
    found = [bench.row("before", told, learn=False)]
    for name, config in arms(told).items():
        for seed in range(options.seeds):
            found.append(
                bench.row(name, replace(config, recipe=replace(config.recipe, seed=seed)), learn=True)
            )
    for row in found:
        print(json.dumps(row))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
