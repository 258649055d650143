"""What each step of the training recipe gives: short trainings that differ by one thing. The rows of docs/recipe.md.

    python -m benchmarks.recipe list
    python -m benchmarks.recipe run ROW... --data data/ --work runs/recipe
    python -m benchmarks.recipe table --work runs/recipe

Every row takes search/configs/recipe-proxy.toml, one thread and the same number of steps and crops. It learns from one
set of real people, Market-1501's, so that two sets can choose: `val` of market-heldout (other people, cameras that the
row has seen) and the 100 people of CUHK03's `val` (other people under cameras that nobody has seen). No row sees
CUHK01 or market-heldout's `test`. A row that is there is left alone, a killed one goes on. DATA holds market/, cuhk/,
crowd/ (the crops of `python -m search crowd`) and the rows of the teacher (`python -m search teach`). `table` prints
Markdown and adds the finished rows to benchmarks/recipe.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import ledger
from benchmarks.ledger import read, train, write
from search.commands.common import read_crops
from search.config import RunConfig, Source, Teacher, load_config
from search.data import Crops, Labelled, list_crops, refuse_known_people
from search.genotype import load_genotype
from search.memory import keep_freed_memory
from search.scoring import validate
from search.teacher import rows_of
from search.trainer import Trainer

CONFIG = Path("search/configs/recipe-proxy.toml")
STRANGERS = Source(path="cuhk/detected/val", names="cuhk03")
CROWD = Source(path="crowd", names="market", name="synthetic crowd")
RESULTS = Path(__file__).with_suffix(".json")

_CAMERA = {"hue": 8.0, "gamma": 0.2, "grey": 0.05, "low": 0.2, "blur": 0.1, "jpeg": 0.2}
_DAMAGE = {"dark": 0.1, "cover": 0.2}


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        title: what the table calls it.
        recipe: what the recipe says otherwise.
        network: what the network says otherwise.
        crowd: share of the crowd in a batch; 0 leaves it out.
        teacher: weight of both losses of the teacher; 0 leaves it out.
        seed: of the training.
    """

    title: str
    recipe: Mapping[str, Any]
    network: Mapping[str, Any]
    crowd: float = 0.0
    teacher: float = 0.0
    seed: int = 0


def rows() -> dict[str, Row]:
    """Every row by name: steps that are added up, then what else was tried beside the last of them."""
    last = Row("and dark and hidden crops", _CAMERA | _DAMAGE, {}, crowd=0.3, teacher=10)

    def but(title: str, **recipe: Any) -> Row:
        return replace(last, title=title, recipe={**last.recipe, **recipe})

    return {
        "labels": Row("labels alone", {}, {}),
        "cameras": Row("and what cameras do", _CAMERA, {}),
        "crowd": Row("and the crowd, three tenths", _CAMERA, {}, crowd=0.3),
        "teacher": Row("and the teacher, weight 10", _CAMERA, {}, crowd=0.3, teacher=10),
        "damage": last,
        "no-crowd": replace(last, title="without the crowd", crowd=0.0),
        "crowd-60": replace(last, title="six tenths of the crowd", crowd=0.6),
        "one-head": but("one softmax over everybody", heads="one"),
        "teacher-1": replace(last, title="teacher's weight 1", teacher=1),
        "teacher-30": replace(last, title="teacher's weight 30", teacher=30),
        "contrastive": but("contrastive loss, no triplet", triplet_weight=0.0, contrastive_weight=1.0),
        "no-triplet": but("no triplet loss", triplet_weight=0.0),
        "grey": but("grey crops 0.2, grey patches 0.3", grey=0.2, grey_patch=0.3),
        "erase-60": but("erasing 0.6", erase=0.6),
        "ibn": replace(last, title="instance norm in the first block", network={"ibn": True}),
        # As many steps as take the same time.
        "160x80": replace(but("160x80", steps=190), network={"height": 160, "width": 80}),
        "fine": replace(
            but("stem stride 2, C = 32, three blocks", steps=180),
            network={"stem_stride": 2, "channels": 32, "cells": (2, 2, 2)},
        ),
    }


@dataclass(frozen=True)
class Bench:
    """Where the rows live and what they are made of.

    Attributes:
        told: recipe, network, real people and `val`.
        data: where their paths start.
        work: a folder a row, and the decoded crops.
        taught: file of the teacher's rows, from `data`.
    """

    told: RunConfig
    data: Path
    work: Path
    taught: str = "rows-0286.npz"

    def config(self, name: str, row: Row) -> RunConfig:
        """The configuration of a row."""
        crowd = (replace(CROWD, share=row.crowd),) if row.crowd else ()
        rows = (self.taught,) if row.teacher else ()
        return replace(
            self.told,
            name=name,
            recipe=replace(self.told.recipe, seed=row.seed, **row.recipe),
            network=replace(self.told.network, **row.network),
            teacher=Teacher(rows=rows, cosine=row.teacher, similarity=row.teacher),
            train=(*self.told.train, *crowd),
        )

    def run(self, name: str, row: Row) -> dict[str, Any]:
        """Train a row, unless it is there already."""
        folder = self.work / (f"{name}.{row.seed}" if row.seed else name)
        result = folder / "row.json"
        if result.exists():
            return read(result)
        folder.mkdir(parents=True, exist_ok=True)
        trainer, strangers = self.trainer(name, row, folder)
        recipe = trainer.config.recipe
        found: dict[str, Any] = {
            "row": name,
            "title": row.title,
            "seed": row.seed,
            "crops": recipe.epochs * len(trainer.sampler) * recipe.people * recipe.shots,
        }
        found |= train(trainer)
        score = validate(trainer.average, strangers, trainer.device)
        found |= {"strangers_rank1": score.rank(1), "strangers_mAP": score.mAP}
        write(found, result)
        return found

    def trainer(self, name: str, row: Row, folder: Path) -> tuple[Trainer, Crops]:
        """A row's trainer, and the people of the other set to score it by."""
        config = self.config(name, row)
        size = (config.network.height, config.network.width)
        known, val, strangers = (
            list_crops(sources, self.data, CONFIG.parent)
            for sources in (config.train, config.val, [STRANGERS])
        )
        refuse_known_people(known, [*val, *strangers])

        def load(what: str, listed: list[Labelled]) -> Crops:
            return read_crops(what, listed, size, strict=False, cache=self.work / "cache")

        crops, files = load("training", known), [self.data / file for file in config.teacher.rows]
        trainer = Trainer(
            config=config,
            genotype=load_genotype(config.genotype),
            train=crops,
            val=load("validation", val),
            taught=rows_of(crops.records, files, self.data) if files else None,
            folder=folder,
            device=torch.device("cpu"),
        )
        return trainer, load("strangers", strangers)


def collect(work: Path, results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Add the finished rows of a folder to the results, in the order of `rows`."""
    return ledger.collect(work, results, list(rows()))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as Markdown; trainings that differ by their seed alone are averaged."""
    lines = [
        "| | n | crops | known cameras: rank-1 | mAP | unknown cameras: rank-1 | mAP | min |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["row"] for row in found.values()):
        every = [row for row in found.values() if row["row"] == name]
        keys = ("rank1", "mAP", "strangers_rank1", "strangers_mAP")
        percents = " | ".join(f"{100 * np.mean([row[key] for row in every]):.1f}" for key in keys)
        minutes = np.mean([row["training_minutes"] for row in every])
        first = every[0]
        lines.append(f"| {first['title']} | {len(every)} | {first['crops']:,} | {percents} | {minutes:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["list", "run", "table"])
    parser.add_argument("names", nargs="*", metavar="ROW")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--work", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_intermixed_args()
    every = rows()
    if args.what == "list":
        print("\n".join(f"{name:12}{row.title}" for name, row in every.items()))
        return
    if args.what == "table":
        print(table(collect(args.work)))
        return
    if unknown := set(args.names) - every.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; `list` names them")
    keep_freed_memory()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(load_config(CONFIG), args.data, args.work)
    for name in args.names:
        print(table({name: bench.run(name, replace(every[name], seed=args.seed))}), flush=True)


if __name__ == "__main__":
    main()
