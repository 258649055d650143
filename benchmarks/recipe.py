"""What each step of the training recipe gives: the recipe, and what it is without that step. Rows of docs/recipe.md.

    python -m benchmarks.recipe list
    python -m benchmarks.recipe run ROW... --data data/ --work runs/recipe
    python -m benchmarks.recipe table --work runs/recipe

Every row takes search/configs/recipe-proxy.toml, one thread and the same number of steps and crops. It begins with
autoreid-s-open, which knows no real person, and learns from one set of real people, Market-1501's, so that two sets can
choose: `val` of market-heldout (other people, cameras that the row has seen) and the 843 people of CUHK03 (other
people under cameras that nobody has seen). No row sees CUHK01 or market-heldout's `test`. A row that is there is left
alone, a killed one goes on. DATA holds market/, cuhk/, crowd/ (the crops of `python -m search crowd`) and the rows of
two teachers (`python -m search teach`). `table` prints Markdown and adds the finished rows to benchmarks/recipe.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import ledger
from benchmarks.ledger import read, train, write
from search.commands.common import read_crops
from search.config import RunConfig, Source, load_config
from search.data import Crops, Labelled, list_crops, refuse_known_people
from search.genotype import load_genotype
from search.memory import keep_freed_memory
from search.scoring import validate
from search.start import Start
from search.teacher import taught
from search.trainer import Trainer

CONFIG = Path("search/configs/recipe-proxy.toml")
STRANGERS = tuple(
    Source(path=f"cuhk/labeled/{part}", names="cuhk03", people=f"cuhk03-{part}") for part in ("train", "val")
)
CROWD = "crowd"  # the path of the source whose share the rows set
RESULTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        title: what the table calls it.
        recipe: what the recipe says otherwise.
        network: what the network says otherwise.
        teacher: what is said otherwise of the teachers; no `rows` leave them out.
        crowd: share of the crowd in a batch; 0 leaves it out.
        started: whether it begins with trained weights.
        seed: of the training.
    """

    title: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    crowd: float = 0.3
    started: bool = True
    seed: int = 0


def rows() -> dict[str, Row]:
    """Every row by name: the recipe first, then the recipe but for one thing."""
    sensors = dict.fromkeys(("hue", "gamma", "grey", "low", "blur", "jpeg"), 0.0)
    adamw = {"optimiser": "adamw", "weight_decay": 0.05}
    return {
        "whole": Row("the recipe"),
        "scratch": Row("from scratch, not from the crowd's weights", started=False),
        "scratch-ibn": Row(
            "from scratch, instance norm in the first block", network={"ibn": True}, started=False
        ),
        "no-teacher": Row("without teachers", teacher={"rows": ()}),
        "one-teacher": Row("one teacher, 0286", teacher={"rows": ("rows-0286.npz",)}),
        "raw-rows": Row("teachers' rows as they are", teacher={"centred": False, "gathered": 0.0}),
        "teacher-3-30": Row(
            "weight of cosine 3, of similarity 30", teacher={"cosine": 3.0, "similarity": 30.0}
        ),
        "triplet": Row(
            "triplet loss in place of contrastive", {"triplet_weight": 1.0, "contrastive_weight": 0.0}
        ),
        "contrastive-3": Row("weight of the contrastive loss 3", {"contrastive_weight": 3.0}),
        "no-crowd": Row("without the crowd", crowd=0.0),
        "crowd-15": Row("15 % crowd", crowd=0.15),
        "crowd-50": Row("50 % crowd", crowd=0.5),
        "one-head": Row("one softmax over everybody", {"heads": "one"}),
        "any-camera": Row("crops of a person by any cameras", {"across_cameras": False}),
        "no-sensors": Row("without turned, grey, blurred, small and compressed crops", sensors),
        "no-damage": Row("without dark and hidden crops", {"dark": 0.0, "cover": 0.0}),
        "no-erasing": Row("without erasing", {"erase": 0.0}),
        "no-average": Row("without averaged weights", {"ema": 0.0}),
        "sgd-150": Row("SGD, lr 0.15", {"lr": 0.15}),
        "adamw-1": Row("AdamW, lr 0.001", {**adamw, "lr": 0.001}),
        "adamw-2": Row("AdamW, lr 0.002", {**adamw, "lr": 0.002}),
        "adamw-4": Row("AdamW, lr 0.004", {**adamw, "lr": 0.004}),
        # As many steps as take the same time.
        "160x80": Row("160x80", {"steps": 240}, {"height": 160, "width": 80}),
    }


@dataclass(frozen=True)
class Bench:
    """Where the rows live and what they are made of.

    Attributes:
        told: recipe, network, real people and `val`.
        data: where their paths start.
        work: a folder a row, and the decoded crops.
        start: the trained weights to begin with.
    """

    told: RunConfig
    data: Path
    work: Path
    start: str = "autoreid-s-open"

    def config(self, name: str, row: Row) -> RunConfig:
        """The configuration of a row."""
        return replace(
            self.told,
            name=name,
            recipe=replace(self.told.recipe, seed=row.seed, **row.recipe),
            network=replace(self.told.network, **row.network),
            teacher=replace(self.told.teacher, **row.teacher),
            train=tuple(
                replace(source, share=row.crowd) if source.path == CROWD else source
                for source in self.told.train
                if row.crowd or source.path != CROWD
            ),
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
        cells, start = load_genotype(config.genotype), Start.load(self.start) if row.started else None
        if start is not None:
            start.require(cells, config.network)
        size = (config.network.height, config.network.width)
        known, val, strangers = (
            list_crops(sources, self.data, CONFIG.parent) for sources in (config.train, config.val, STRANGERS)
        )
        refuse_known_people(known, [*val, *strangers])

        def load(what: str, listed: list[Labelled]) -> Crops:
            return read_crops(what, listed, size, strict=False, cache=self.work / "cache")

        crops = load("training", known)
        trainer = Trainer(
            config=config,
            genotype=cells,
            train=crops,
            val=load("validation", val),
            taught=taught(config.teacher, crops, self.data),
            start=start,
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
