"""Did the search do it? One recipe, many networks: the rows of docs/evidence.md.

    python -m benchmarks.evidence list
    python -m benchmarks.evidence run ROW [ROW ...] --data data/ --work runs/evidence --tables runs/latency
    python -m benchmarks.evidence sizes --work runs/evidence
    python -m benchmarks.evidence supernet search-0 --data data/ --work runs/evidence
    python -m benchmarks.evidence table --work runs/evidence

`run` trains rows with the recipe of --proxy, on one thread, one after the other; a row that is there already is left
alone, so several processes can share the work, and a killed one goes on. A folder of rows is of one recipe. Every
network is as wide as the budget allows: cells have C = 16, 32, 48 or, by --widest, 64 or 80, by the latency tables of
those macros, which are measured first if TABLES/ lacks them; networks by hand are scaled until they take as long. Rows
of searched cells run their search first (search/configs/search-s.toml with what the row changes). Every row leaves
ROW/row.json. `sizes` then measures all networks in one run of one process, their rounds interleaved. `table` prints
Markdown and writes rows.json; behind docs/evidence.md are copies of some, benchmarks/evidence.json
(search/configs/proxy.toml), benchmarks/evidence-long.json and benchmarks/evidence-wide.json
(search/configs/proxy-long.toml).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from autoreid_deploy.errors import InputError
from benchmarks import handmade
from benchmarks.ledger import Clock, read, train, write
from search import checkpoint
from search.commands.run import make_searcher
from search.complexity import Complexity, measure
from search.config import RunConfig, load_config
from search.data import list_crops, load_crops
from search.derive import Budget
from search.evolution import Evolution
from search.genotype import Genotype, load_genotype, random_genotype, save_genotype
from search.latency import LatencyTable, load_table, predict, profile, save_table, widest
from search.memory import keep_freed_memory
from search.network import Network, NetworkConfig
from search.race import Ledger, Race, race
from search.report import write_report
from search.search_config import SearchConfig
from search.searcher import Searcher
from search.stopwatch import Probe, embedding_probe, medians_ms, network_probe
from search.supernet import initial_alphas
from search.trainer import Trainer

CONFIGS = Path("search/configs")
SEARCH_SEEDS, TRAINING_SEEDS, RANDOM_CELLS = 3, 2, 12
# What a search does otherwise; the rest of it stays as search-s.toml says.
ABLATIONS: dict[str, dict[str, Any]] = {
    "without-part-aware": {"without": ("part_aware",)},
    "cross-entropy-alone": {"balance": 1.0},
    "triplet-alone": {"balance": 0.0},
    "split-by-image": {"split": "images"},
    "softmax": {"relaxation": "softmax"},
    "no-latency-term": {"latency_weight": 0.0},
}
# AVX-512 computes 16 channels at a time, so C = 24 takes as long as 32; --widest says how far a bench goes.
WIDTHS = (16, 32, 48, 64, 80)
Macro: TypeAlias = tuple[int, tuple[int, ...]]  # width C, and how many cells each block has
MEDIUM: Macro = (48, (2, 2, 2))
# Other macros that the cells of the winning search fit the longer recipe's budget in.
DEPTHS = ((48, (2, 3)), (64, (1, 2)), (64, (1, 1)))
WINNER = 2  # the search whose cells are autoreid_s
# So many searches make one whose cells are the best of theirs, after a training each on the people of the first.
AMONG = 3
# Cells by weight whose normal cell has weights in half of its ops, made to fit the budget in a macro of this width and
# half of the parameters, in millions, of a ResNet-18-like network that takes 1.1 ms.
WEIGHTED, FITTED, PARAMETERS = 4, 64, 0.45
CONTROLS = 8  # random cells that keep to all of that
# What a searched network may take in the macro of the search, C = 24: what published cells take there, and 8 %.
SEARCH_SLACK = 1.08
_FIGURES = ("rank1", "parameters", "macs", "ms1", "ms8", "search_minutes", "training_minutes")
HAND_RANGE = (0.03, 1.0)  # widths within which a network by hand is matched
HANDS = ("latency", "parameters")  # what a network by hand has in common with the searched ones


@dataclass(frozen=True)
class Row:
    """One trained network.

    Attributes:
        group: rows of one group are averaged in the table.
        cells: `search`, `random`, `control` (random ones that keep to what `weighted` ones must), or the name of a
            genotype; empty for a network by hand.
        seed: of the training.
        draw: seed of the search or of the random cells.
        hand: name of a network by hand, and what it is matched by.
        derive: how a search's cells are chosen: `weight`, `race`, `race-blind`, which begins with random cells
            instead of the alphas' and shows what those are worth, `weighted`: by weight with WEIGHTED ops with weights
            in the normal cell and no more than PARAMETERS, or `among`: the best of several searches' cells.
        changes: what its search does otherwise.
        macro: what the cells are put into, whatever that takes; None: two blocks of two, as wide as the budget allows.
    """

    group: str
    cells: str = ""
    seed: int = 0
    draw: int = 0
    hand: tuple[str, str] | None = None
    derive: str = "weight"
    changes: dict[str, Any] = field(default_factory=dict)
    macro: Macro | None = None


def rows() -> dict[str, Row]:
    """Every row by name."""
    found: dict[str, Row] = {}
    for s, t in product(range(SEARCH_SEEDS), range(TRAINING_SEEDS)):
        for derive, how in (("weight", "by weight"), ("weighted", "half with weights"), ("race", "by race")):
            found[f"{derive}-{s}-{t}"] = Row(f"searched, {how}", "search", t, s, derive=derive)
    # By weight there are rows of every search, also of those that are three of one.
    for s, t in product(range(SEARCH_SEEDS, AMONG * SEARCH_SEEDS), range(TRAINING_SEEDS)):
        found[f"weight-{s}-{t}"] = Row("searched, by weight, other seeds", "search", t, s)
    for s, t in product(range(SEARCH_SEEDS), range(TRAINING_SEEDS)):
        found[f"among-{s}-{t}"] = Row(f"searched, the best of {AMONG}", "search", t, s, derive="among")
    found["race-blind-0"] = Row("race without alphas", "search", derive="race-blind")
    found["race-without-part-aware-0"] = Row(
        "race without part_aware", "search", derive="race", changes=ABLATIONS["without-part-aware"]
    )
    found |= {f"random-{i}": Row("random", "random", draw=i) for i in range(RANDOM_CELLS)}
    found |= {
        f"control-{i}": Row("random, by the limits of the searched", "control", draw=i)
        for i in range(CONTROLS)
    }
    found |= {f"published-{t}": Row("published", "auto_reid_2019", t) for t in range(TRAINING_SEEDS)}
    for s in range(SEARCH_SEEDS):
        found[f"medium-{s}"] = Row(f"three blocks: search {s}", "search", draw=s, macro=MEDIUM)
    found["medium-published"] = Row("three blocks: published", "auto_reid_2019", macro=MEDIUM)
    for channels, (first, second) in DEPTHS:
        found[f"depth-{first}-{second}"] = Row(
            f"search {WINNER}, {first} + {second} cells, C = {channels}",
            "search",
            draw=WINNER,
            macro=(channels, (first, second)),
        )
    for name, match, t in product(handmade.NAMES, HANDS, range(TRAINING_SEEDS)):
        again = f"-{t}" if t else ""
        found[f"{name}-{match}{again}"] = Row(f"{name}, equal {match}", seed=t, hand=(name, match))
    for name, changes in ABLATIONS.items():
        found[f"ablation-{name}"] = Row(f"ablation: {name}", "search", changes=changes)
    return found


@dataclass(frozen=True)
class Bench:
    """Where the rows live and what they are made of.

    Attributes:
        data: folder with market/.
        work: a folder a row.
        tables: measured latencies, a macro each, by its C; those of `widths` and of the search's own macro.
        widths: what cells may be widened to.
        budget: ms that a network may take, as the tables predict it.
        proxy: the recipe of every row; its width is that of the search.
    """

    data: Path
    work: Path
    tables: dict[int, LatencyTable]
    widths: Sequence[int]
    budget: float
    proxy: RunConfig

    @property
    def search_table(self) -> LatencyTable:
        """The latencies of the search's own macro."""
        return self.tables[self.proxy.network.channels]

    @property
    def search_budget(self) -> float:
        """Milliseconds that a network may take in the search's own macro, on the processor of the tables."""
        return SEARCH_SLACK * predict(self.search_table, load_genotype("auto_reid_2019"))

    @property
    def wide_tables(self) -> list[LatencyTable]:
        """The latencies of every macro that cells may be widened to."""
        return [self.tables[c] for c in self.widths]

    def macro(self, genotype: Genotype) -> NetworkConfig | None:
        """The widest in which cells are within the budget."""
        return widest(self.wide_tables, lambda table: predict(table, genotype) <= self.budget)

    def network(self, row: Row, genotype: Genotype) -> NetworkConfig:
        """The macro in which a row's cells are trained.

        Raises:
            InputError: they are over the budget in every one.
        """
        if row.macro is not None:
            channels, cells = row.macro
            return replace(self.proxy.network, channels=channels, cells=cells)
        network = self.macro(genotype)
        if network is None:
            raise InputError(f"the cells take more than {self.budget} ms even at C = {min(self.widths)}")
        return network

    def search(self, row: Row) -> SearchConfig:
        """The search behind a row; searches that differ in nothing share a folder by their name."""
        told = SearchConfig.load(CONFIGS / "search-s.toml")
        what = "search"
        if row.changes:
            what = next(name for name, changes in ABLATIONS.items() if changes == row.changes)
        how = replace(told.search, latency_budget=self.search_budget, **row.changes)
        seeded = replace(told.recipe, seed=row.draw)
        return replace(told, name=f"{what}-{row.draw}", recipe=seeded, search=how)

    def searcher(self, row: Row) -> Searcher:
        """The search behind a row, run or what is left of it."""
        told = self.search(row)
        folder = self.work / told.name
        folder.mkdir(parents=True, exist_ok=True)
        searcher = make_searcher(told, CONFIGS, self.data, self.search_table, folder, torch.device("cpu"))
        if searcher.checkpoint_path.exists():
            searcher.restore(checkpoint.load(searcher.checkpoint_path, checkpoint.SEARCH))
        with Clock(folder / "minutes.json").running("search"):
            if not searcher.run():
                raise SystemExit("stopped; run the same command again to go on")
        return searcher

    def searched(self, row: Row) -> tuple[Genotype, float]:
        """The cells of a search and the minutes it took."""
        if row.derive == "among":
            return self.best_of(row)
        folder = self.work / self.search(row).name
        done, clock = folder / f"{row.derive}.json", Clock(folder / "minutes.json")
        if not done.exists():
            searcher = self.searcher(row)
            write_report(searcher.state(), folder)
            with clock.running(row.derive):
                save_genotype(derive_cells(searcher, row.derive, self), done)
        return load_genotype(done), clock.minutes("search") + clock.minutes(row.derive)

    def best_of(self, row: Row) -> tuple[Genotype, float]:
        """The best cells of several searches, and the minutes of those and of the race among them."""
        several = [replace(row, derive="weight", draw=AMONG * row.draw + i) for i in range(AMONG)]
        found = [self.searched(one) for one in several]
        folder = self.work / f"{row.derive}-of-{row.draw}"
        folder.mkdir(parents=True, exist_ok=True)
        done, clock = folder / "among.json", Clock(folder / "minutes.json")
        if not done.exists():
            heats = Evolution(population=AMONG, children=0)
            how = Race(heats=heats, epochs=self.proxy.recipe.epochs, finalists=0)
            searcher = self.within_budget(self.searcher(several[0]))
            with clock.running("race"):
                runners = race(
                    searcher,
                    how,
                    Ledger(folder / "scores.json"),
                    [genotype for genotype, _ in found],
                    self.wide_tables,
                    recipe=self.proxy.recipe,
                )
                save_genotype(replace(runners[0].genotype, name=f"best-{row.draw}"), done)
        return load_genotype(done), sum(minutes for _, minutes in found) + clock.minutes("race")

    def within_budget(self, searcher: Searcher) -> Searcher:
        """A search that is done, asked for networks within the budget of the bench."""
        how = replace(searcher.config.search, latency_budget=self.budget)
        searcher.config = replace(searcher.config, search=how)
        return searcher

    def cells(self, row: Row) -> tuple[Genotype, float]:
        """A row's cells and the minutes that finding them took."""
        if row.cells == "search":
            return self.searched(row)
        if row.cells == "random":
            rng = np.random.default_rng([row.draw, 6])
            fits = lambda genotype: self.macro(genotype) is not None  # noqa: E731
            return random_genotype(rng, f"random-{row.draw}", fits), 0.0
        if row.cells == "control":
            rng = np.random.default_rng([row.draw, 7])
            return random_genotype(rng, f"control-{row.draw}", self.allowed), 0.0
        return load_genotype(row.cells), 0.0

    def allowed(self, genotype: Genotype) -> bool:
        """Whether cells keep to what `weighted` ones must."""
        wide = self.tables[FITTED]
        limits = (Budget.latency(wide, self.budget), Budget.parameters(wide.network, PARAMETERS))
        return genotype.normal.weighted >= WEIGHTED and all(limit.holds(genotype) for limit in limits)

    def run(self, name: str, row: Row) -> dict[str, Any]:
        """Train a row, unless it is there already."""
        folder = self.work / name
        result = folder / "row.json"
        if result.exists():
            return read(result)
        found: dict[str, Any] = {"group": row.group, "seed": row.seed}
        genotype, width = None, 0.0
        if row.hand is None:
            genotype, found["search_minutes"] = self.cells(row)
            network = self.network(row, genotype)
            found |= {
                "genotype": genotype.to_dict(),
                "channels": network.channels,
                "cells": list(network.cells),
            }
        else:
            width = hand_width(*row.hand, self)
            found |= {"hand": row.hand[0], "width": width, "search_minutes": 0.0}
        folder.mkdir(parents=True, exist_ok=True)
        found |= train(self.trainer(row, genotype, width, folder))
        found |= sizes(row, genotype, width, self)
        write(found, result)
        return found

    def trainer(self, row: Row, genotype: Genotype | None, width: float, folder: Path) -> Trainer:
        """The proxy's trainer around a row's network."""
        proxy = self.proxy
        size = (proxy.network.height, proxy.network.width)
        known, others = (
            load_crops(list_crops(s, self.data, CONFIGS), size) for s in (proxy.train, proxy.val)
        )
        network = proxy.network if genotype is None else self.network(row, genotype)
        recipe = replace(proxy.recipe, seed=row.seed)
        named = replace(proxy, name=folder.name, network=network, recipe=recipe)
        told: dict[str, Any] = {
            "config": named,
            "genotype": genotype,
            "train": known,
            "val": others,
            "folder": folder,
            "device": torch.device("cpu"),
        }
        return Trainer(**told) if row.hand is None else HandTrainer(hand=row.hand[0], width=width, **told)


@dataclass(kw_only=True)
class HandTrainer(Trainer):
    """The same training around a network by hand."""

    hand: str
    width: float

    def build(self) -> Network:
        """The network by hand, with the proxy's head."""
        return handmade.network(self.hand, self.width, self.config.network.dim, self.train.people)


def sizes(row: Row, genotype: Genotype | None, width: float, bench: Bench) -> dict[str, Any]:
    """Parameters and multiply-accumulates, without the classifier."""
    if genotype is not None:
        size = measure(genotype, bench.network(row, genotype))
    else:
        assert row.hand is not None
        size = hand_size(row.hand[0], width, bench)
    return {"parameters": size.parameters, "macs": size.macs}


def derive_cells(searcher: Searcher, how: str, bench: Bench) -> Genotype:
    """Cells by softmax weight, or by a race that starts from the alphas or from nothing."""
    if how == "weight":
        return searcher.derived()
    if how == "weighted":
        bench.within_budget(searcher)
        limits = replace(searcher.config.search, weighted=WEIGHTED, parameter_budget=PARAMETERS)
        searcher.config, searcher.table = replace(searcher.config, search=limits), bench.tables[FITTED]
        return searcher.derived()
    settings = Race()
    seeded = replace(settings, heats=replace(settings.heats, seed=searcher.config.recipe.seed))
    bench.within_budget(searcher)
    if how == "race-blind":
        searcher.alphas.load_state_dict(initial_alphas().state_dict())
    return race(
        searcher,
        seeded,
        Ledger(searcher.folder / f"{how}-scores.json"),
        [searcher.derived()],
        bench.wide_tables,
        tick=lambda: print(f"{searcher.name}: one more training done", flush=True),
    )[0].genotype


def hand_width(name: str, match: str, bench: Bench) -> float:
    """The width at which a network by hand takes the budget, or has the published cells' parameters."""
    network = bench.proxy.network
    if match == "latency":

        def figure(width: float) -> float:
            made = handmade.network(name, width, network.dim, people=1)
            return float(medians_ms([embedding_probe(lambda: made, network)])[0])

        target = bench.budget
    else:

        def figure(width: float) -> float:
            return float(hand_size(name, width, bench).parameters)

        published = load_genotype("auto_reid_2019")
        target = float(measure(published, bench.macro(published) or network).parameters)
    return handmade.match(figure, target, *HAND_RANGE)


def hand_size(name: str, width: float, bench: Bench) -> Complexity:
    network = bench.proxy.network
    return handmade.count(name, width, network.dim, network.height, network.width)


def probe_of(row: dict[str, Any], network: NetworkConfig, batch: int) -> Probe:
    """A finished row's network, ready to be timed."""
    if "hand" in row:
        return embedding_probe(
            lambda: handmade.network(row["hand"], row["width"], network.dim, people=1), network, batch
        )
    wide = replace(network, channels=row["channels"], cells=tuple(row.get("cells", network.cells)))
    return network_probe(Genotype.from_dict(row["genotype"]), wide, batch)


def time_rows(bench: Bench) -> None:
    """Measure every finished row in this process, all taking turns, and keep the ms in `ms.json`."""
    done = finished(bench.work)
    found: dict[str, dict[str, float]] = {name: {} for name in done}
    for batch in (1, 8):
        probes = [probe_of(row, bench.proxy.network, batch) for row in done.values()]
        for name, ms in zip(done, medians_ms(probes), strict=True):
            found[name][f"ms{batch}"] = float(ms)
    write({"ms": found}, bench.work / "ms.json")


def finished(work: Path) -> dict[str, dict[str, Any]]:
    """The rows that are there."""
    return {name: read(work / name / "row.json") for name in rows() if (work / name / "row.json").exists()}


def timed_rows(work: Path) -> dict[str, dict[str, Any]]:
    """The rows that `sizes` has measured, with their ms."""
    ms = read(work / "ms.json")["ms"]
    return {name: row | ms[name] for name, row in finished(work).items() if name in ms}


def table(timed: dict[str, dict[str, Any]]) -> str:
    """The groups as Markdown: mean, sd and best of their rows."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in timed.values():
        groups.setdefault(row["group"], []).append(row)
    lines = [
        "| networks | n | val mAP, mean | sd | best | val rank-1 | parameters | MMACs | ms, batch 1 | ms, batch 8 "
        "| min of search | min of training |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group, every in groups.items():
        scores = 100 * np.array([row["mAP"] for row in every])
        mean = {key: float(np.mean([row[key] for row in every])) for key in every[0] if key in _FIGURES}
        sd = f"{scores.std(ddof=1):.1f}" if len(scores) > 1 else ""
        lines.append(
            f"| {group} | {len(every)} | {scores.mean():.1f} | {sd} | {scores.max():.1f} | {100 * mean['rank1']:.1f} "
            f"| {mean['parameters'] / 1e6:.3f} M | {mean['macs'] / 1e6:.1f} | {mean['ms1']:.2f} | {mean['ms8']:.2f} "
            f"| {mean['search_minutes']:.0f} | {mean['training_minutes']:.1f} |"
        )
    return "\n".join(lines)


def supernet_scores(bench: Bench, search: str) -> str:
    """How a search's supernet ranks the finished rows of random and published cells: scores and Kendall's tau."""
    folder = bench.work / search
    state = checkpoint.load(folder / "last.pt", checkpoint.SEARCH)
    told = SearchConfig.from_dict(state["config"])
    searcher = make_searcher(told, CONFIGS, bench.data, bench.search_table, folder, torch.device("cpu"))
    searcher.restore(state)
    cells = {
        name: row
        for name, row in finished(bench.work).items()
        if row["seed"] == 0
        and "genotype" in row
        and row["group"].startswith(("searched, by weight", "random", "published"))
    }
    alone = [row["mAP"] for row in cells.values()]
    shared = [searcher.scorer.genotype(Genotype.from_dict(row["genotype"])).mAP for row in cells.values()]
    lines = [
        f"{name:16}{100 * a:6.1f} alone{100 * s:6.1f} in the supernet"
        for name, a, s in zip(cells, alone, shared, strict=True)
    ]
    return "\n".join([*lines, f"Kendall's tau over {len(cells)} cells: {kendall_tau(alone, shared):.2f}"])


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """(concordant - discordant) / all pairs."""
    pairs = list(combinations(range(len(a)), 2))
    return sum(float(np.sign((a[i] - a[j]) * (b[i] - b[j]))) for i, j in pairs) / len(pairs)


def latency_tables(network: NetworkConfig, widths: Sequence[int], folder: Path) -> dict[int, LatencyTable]:
    """The tables of all widths, and of the search's own, in a folder; those that are missing are measured."""
    found = {}
    folder.mkdir(parents=True, exist_ok=True)
    for channels in sorted({*widths, network.channels}):
        path, wide = folder / f"latency-{channels}.json", replace(network, channels=channels)
        if not path.exists():
            save_table(profile(wide), path)
        found[channels] = load_table(path, wide)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["list", "run", "sizes", "supernet", "table"])
    parser.add_argument("names", nargs="*", metavar="ROW")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--tables", type=Path, default=Path("runs/latency"), help="folder of latency-C.json")
    parser.add_argument("--proxy", type=Path, default=CONFIGS / "proxy.toml", help="recipe of every row")
    parser.add_argument("--budget", type=float, default=0.65, help="ms that a network may take (0.65)")
    parser.add_argument("--widest", type=int, default=48, help="largest C that cells may have (48)")
    args = parser.parse_intermixed_args()
    every = rows()
    if args.what == "list":
        print("\n".join(f"{name:28}{row.group}" for name, row in every.items()))
        return
    if args.what == "table":
        timed = timed_rows(args.work)
        write(timed, args.work / "rows.json")
        print(table(timed))
        return
    keep_freed_memory()
    torch.set_num_threads(1)
    proxy = load_config(args.proxy)
    widths = [c for c in WIDTHS if c <= args.widest]
    tables = latency_tables(proxy.network, widths, args.tables)
    bench = Bench(args.data, args.work, tables, widths, args.budget, proxy)
    if args.what == "sizes":
        time_rows(bench)
        return
    if args.what == "supernet":
        print("\n".join(supernet_scores(bench, name) for name in args.names))
        return
    for name in args.names:
        found = bench.run(name, every[name])
        print(f"{name}: mAP {100 * found['mAP']:.1f}, {found['parameters'] / 1e6:.3f} M", flush=True)


if __name__ == "__main__":
    main()
