"""What a synthetic crowd is worth: one network, one recipe, many sets of people. The rows of docs/crowd.md.

    python -m benchmarks.crowd list
    python -m benchmarks.crowd run ROW --data data/ --crowd crowd/ --work runs/crowd
    python -m benchmarks.crowd table --work runs/crowd

`run` trains a row with search/configs/crowd-proxy.toml on one thread: the same number of steps, of crops a step and
of everything else for every row, so that only the people differ; those that ask how many people and which variety pay
take 1,000 steps and the contrastive loss. A row that is there already is left alone, so several processes can
share the work, and a killed one goes on. DATA holds market/ and cuhk/; CROWD is the folder of crops that
`python -m search crowd` wrote. Rows named drop-... render a crowd of their own, which lacks that variety, in
WORK/crowds. Decoded crops are kept in WORK/cache and shared. Every row is scored on `val` of market-heldout, by which
choices are made, and zero-shot on CUHK01, which chooses nothing; no row sees market-heldout's `test`. `table` prints
Markdown and adds the finished rows of WORK to benchmarks/crowd.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoreid_deploy.cli.eval import Trial
from autoreid_deploy.errors import InputError
from autoreid_deploy.protocols import single_shot_split
from benchmarks import ledger
from benchmarks.ledger import read, train, write
from search import monitor
from search.commands.common import read_crops
from search.config import RunConfig, Source, load_config
from search.crowd.config import CrowdConfig
from search.crowd.folder import finished
from search.crowd.generate import generate
from search.data import Crops, Labelled, list_crops, refuse_known_people
from search.genotype import load_genotype
from search.memory import keep_freed_memory
from search.network import Network
from search.scoring import embed
from search.trainer import Trainer

CONFIG = Path("search/configs/crowd-proxy.toml")
CUHK01 = Source(path="cuhk/CUHK01/campus", names="cuhk01")
RESULTS = Path(__file__).with_suffix(".json")
SIZES = (500, 2000, 5000)
DROPPED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "cameras": {"sensors": "one"},
    "garments": {"garments": "plain"},
    "lookalikes": {"lookalikes": 0.0},
    "occlusion": {"occlusion": 0.0, "neighbours": 0.0},
    "backgrounds": {"backgrounds": "plain"},
}
VARIED = CrowdConfig(people=500, crops=12)


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        title: what the table calls it.
        real: whether the people of the configuration take part.
        crowd: whether the crowd does.
        people: only so many of the crowd; 0 for all.
        share: of the crowd in a batch; 0 draws by crops.
        lacks: the variety that a crowd of its own does without; none: the crowd is the one that is there.
        changes: what the recipe says otherwise.
    """

    title: str
    real: bool = False
    crowd: bool = True
    people: int = 0
    share: float = 0.0
    lacks: str = ""
    changes: tuple[tuple[str, Any], ...] = ()


_CONTRASTIVE = (("triplet_weight", 0.0), ("contrastive_weight", 1.0))
_SHORT = (*_CONTRASTIVE, ("epochs", 5))
_UNDAMAGED = tuple((key, 0.0) for key in ("hue", "gamma", "grey", "low", "blur", "jpeg"))


def rows() -> dict[str, Row]:
    """Every row by name."""
    found = {
        "real": Row("real people", real=True, crowd=False),
        "crowd": Row("the crowd alone"),
        "both": Row("both, half a batch each", real=True, share=0.5),
    }
    found |= {f"crowd-{n}": Row(f"{n:,} of the crowd", people=n, changes=_SHORT) for n in SIZES}
    found |= {
        f"drop-{what}": Row(
            f"crowd without {what}".replace("without nothing", "with all"), lacks=what, changes=_SHORT
        )
        for what in DROPPED
    }
    # If both do not beat one: how are they to be mixed?
    found |= {f"both-{p}": Row(f"both, {p} % crowd", real=True, share=p / 100) for p in (25, 75)}
    found["both-by-crops"] = Row("both, by crops", real=True)
    found["both-heads"] = Row("both, heads of their own", real=True, share=0.5, changes=(("heads", "each"),))
    for name, of in (("real", found["real"]), ("crowd", found["crowd"]), ("both", found["both"])):
        found[f"{name}-contrastive"] = replace(
            of, title=f"{of.title}, contrastive loss", changes=_CONTRASTIVE
        )
        found[f"{name}-undamaged"] = replace(
            of, title=f"{of.title}, no camera augmentation", changes=_UNDAMAGED
        )
    return found


@dataclass(frozen=True)
class Bench:
    """Where the rows live and what they are made of.

    Attributes:
        told: recipe, real people and `val`.
        data: where their paths start; CUHK01 lies there too.
        work: a folder a row, and the decoded crops.
        crowd: folder of the crowd, for rows with one.
        varied: the crowd of which rows drop a variety each.
    """

    told: RunConfig
    data: Path
    work: Path
    crowd: Path | None = None
    varied: CrowdConfig = VARIED

    def sources(self, row: Row) -> tuple[Source, ...]:
        """What a row learns from."""
        found = self.told.train if row.real else ()
        if not row.crowd:
            return found
        folder = self._render(row.lacks) if row.lacks else self.crowd
        if folder is None:
            raise InputError("this row learns from a crowd; name its folder with --crowd")
        crowd = Source(path=str(folder.absolute()), share=row.share, name="synthetic crowd")
        return (*found, replace(crowd, ids=self._first(row.people, crowd) if row.people else ""))

    def _first(self, people: int, crowd: Source) -> str:
        """Write an id list of the first people of the crowd, who are as good as drawn at random."""
        pids = sorted({str(crop.record.pid) for crop in list_crops([crowd], Path(), Path())})
        if len(pids) < people:
            raise InputError(f"{crowd.path}: expected {people} people or more, got {len(pids)}")
        path = self.work / f"first-{people}.txt"
        path.write_text("\n".join(pids[:people]) + "\n", encoding="utf-8")
        return path.name

    def _render(self, lacks: str) -> Path:
        """Draw a crowd without a variety, or what is left to draw of it; gives its crops."""
        folder = self.work / "crowds" / lacks
        settings = replace(self.varied, **DROPPED[lacks])
        done = len(finished(folder, settings.people)) * settings.crops
        with monitor.progress(settings.people * settings.crops, done, "crop", f"without {lacks}") as bar:
            generate(folder, settings, resume=True, tick=bar.update)
        return folder / "crops"

    def run(self, name: str, row: Row, seed: int) -> dict[str, Any]:
        """Train a row, unless it is there already."""
        folder = self.work / (f"{name}.{seed}" if seed else name)
        result = folder / "row.json"
        if result.exists():
            return read(result)
        folder.mkdir(parents=True, exist_ok=True)
        cuhk01 = self._read(
            "CUHK01", list_crops([CUHK01], self.data, self.work)
        )  # its lack is an error now, and not when all is done
        trainer = self.trainer(row, seed, folder)
        crops, recipe = trainer.train, trainer.config.recipe
        found: dict[str, Any] = {
            "row": name,
            "title": row.title,
            "seed": seed,
            "people": crops.people,
            "crops": len(crops.records),
            "cameras": len(
                {(crop.camid, origin) for crop, origin in zip(crops.records, crops.origins, strict=True)}
            ),
            "steps": recipe.epochs * len(trainer.sampler),
            "batch": recipe.people * recipe.shots,
        }
        found |= train(trainer)
        found |= zero_shot(trainer.average, cuhk01, trainer.device)
        write(found, result)
        return found

    def trainer(self, row: Row, seed: int, folder: Path) -> Trainer:
        """The recipe's trainer around a row's people."""
        recipe = replace(self.told.recipe, seed=seed, **dict(row.changes))
        config = replace(self.told, name=folder.name, recipe=recipe, train=self.sources(row))
        known, others = (list_crops(s, self.data, self.work) for s in (config.train, config.val))
        refuse_known_people(known, others)
        return Trainer(
            config=config,
            genotype=load_genotype(config.genotype),
            train=self._read("training", known),
            val=self._read("validation", others),
            folder=folder,
            device=torch.device("cpu"),
        )

    def _read(self, what: str, listed: list[Labelled]) -> Crops:
        size = (self.told.network.height, self.told.network.width)
        return read_crops(what, listed, size, strict=False, cache=self.work / "cache")


def zero_shot(network: Network, crops: Crops, device: torch.device) -> dict[str, float]:
    """Rank-1 on people and cameras that nobody learnt from: over all of them, and the mean over ten halves."""
    query, gallery = single_shot_split(crops.records)
    rows = embed(network, crops.images, device)
    asking, answering = ([crops.records[i] for i in side] for side in (query, gallery))
    trial = Trial(asking, rows[query], answering, rows[gallery], "single-shot")
    halves = [half.evaluate(1).rank(1) for half in trial.draws()]
    return {"cuhk01": trial.evaluate(1).rank(1), "cuhk01_halves": float(np.mean(halves))}


def collect(work: Path, results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Add the finished rows of a folder to the results, in the order of `rows`."""
    return ledger.collect(work, results, list(rows()))


def table(found: dict[str, dict[str, Any]]) -> str:
    """The rows as Markdown; trainings that differ by their seed alone are averaged."""
    lines = [
        "| trained on | n | people | cameras | crops | cuhk01 rank-1, 971 | 485 | val rank-1 | val mAP | min |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["row"] for row in found.values()):
        every = [row for row in found.values() if row["row"] == name]
        first = every[0]

        def mean(key: str, every: Sequence[dict[str, Any]] = every) -> float:
            return float(np.mean([row[key] for row in every]))

        percents = " | ".join(f"{100 * mean(key):.1f}" for key in ("cuhk01", "cuhk01_halves", "rank1", "mAP"))
        lines.append(
            f"| {first['title']} | {len(every)} | {first['people']:,} | {first['cameras']} | {first['crops']:,} "
            f"| {percents} | {mean('training_minutes'):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["list", "run", "table"])
    parser.add_argument("names", nargs="*", metavar="ROW")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--crowd", type=Path, help="folder of the crowd's crops")
    parser.add_argument("--work", type=Path, default=Path("runs/crowd"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_intermixed_args()
    every = rows()
    if args.what == "list":
        print("\n".join(f"{name:20}{row.title}" for name, row in every.items()))
        return
    if args.what == "table":
        print(table(collect(args.work)))
        return
    if unknown := set(args.names) - every.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; `list` names them")
    keep_freed_memory()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(load_config(CONFIG), args.data, args.work, args.crowd)
    for name in args.names:
        print(table({name: bench.run(name, every[name], args.seed)}), flush=True)


if __name__ == "__main__":
    main()
