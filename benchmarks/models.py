"""Our models and other people's in one table: what each weighs, how long it takes and how well it finds people.

    python -m benchmarks.models --peers PEERS/ --cuhk01 DATA/cuhk/CUHK01/campus --market DATA/market --clip CLIPS/
    python -m benchmarks.models --table

Every model gets the same crops through the toolkit's embedder, resized by the toolkit's rule to its own input and fed
as it was trained (benchmarks/peers.py). The figures of a set need its option and stay empty without it:

* cuhk01: single-shot, camera A -> B, rank-1 of all 971 people and the mean of ten draws of 485; nobody trained on it,
  as far as the models tell.
* market-heldout `val`: only for models whose file tells that they have not learnt from these people.
* vtest: re-association on the ground truth of a clip, CLIPS/vtest.avi and CLIPS/vtest_gt.txt (benchmarks/visits.py).

ms are those of the bare network a crop, one thread, median processor time of rounds in which all models take turns; of
the runtimes that can load a file (ONNX Runtime, OpenVINO) the faster one counts. Accuracy is measured in float32. The
figures go into benchmarks/models.json and a plot of accuracy against ms into docs/images/models.png; `--table` prints
the Markdown of docs/models.md from the former. A file that was scored before is not scored again, so a killed run goes
on; times are always those of one run.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.cli.eval import Trial
from autoreid_deploy.crops import read_crop
from autoreid_deploy.embedder import Embedder
from autoreid_deploy.model import DEFAULT_MODEL
from autoreid_deploy.protocols import heldout_split, single_shot_split
from autoreid_deploy.records import Record, read_ids, scan
from benchmarks.contestants import (
    SPLITS,
    Contestant,
    add_options,
    has_not_seen_market_heldout,
    load_contestants,
    median_ms,
)
from benchmarks.ledger import read, write
from benchmarks.visits import embed_tracklets, read_tracklets, reassociate

RESULTS = Path(__file__).with_suffix(".json")
PLOT = Path(__file__).parents[1] / "docs" / "images" / "models.png"
BATCHES = (1, 8)


@dataclass(frozen=True)
class Pictures:
    """Decoded crops, so that every model gets the same and none decodes again."""

    records: Sequence[Record]
    images: Sequence[NDArray[np.uint8]]

    def trial(self, rows: NDArray[np.float32], query: list[int], gallery: list[int], rule: str) -> Trial:
        """Let some ask and some answer."""
        asking, answering = ([self.records[i] for i in side] for side in (query, gallery))
        return Trial(asking, rows[query], answering, rows[gallery], rule)


def read_cuhk01(folder: Path) -> Pictures:
    """The crops that take part in single-shot, those of the queries first."""
    records = scan(folder, names="cuhk01")
    query, gallery = single_shot_split(records)
    return read_pictures([records[i] for i in (*query, *gallery)])


def read_market(folder: Path) -> Pictures:
    """The people of market-heldout's `val`."""
    ids = read_ids(SPLITS / "market1501_val_ids.txt")
    return read_pictures([record for record in scan(folder, names="market") if record.pid in ids])


def read_pictures(records: list[Record]) -> Pictures:
    """Decode crops; one that can't be read is an error, since all models must see the same."""
    return Pictures(records, [read_crop(record.path) for record in records])


def score_cuhk01(embedder: Embedder, pictures: Pictures) -> dict[str, float]:
    """Rank-1 over all people, and the mean over ten draws of half of them."""
    rows = embedder.embed(pictures.images, color="rgb")
    half = len(rows) // 2
    trial = pictures.trial(rows, list(range(half)), list(range(half, len(rows))), "single-shot")
    return {
        "rank1": trial.evaluate(1).rank(1),
        "rank1_halves": float(np.mean([draw.evaluate(1).rank(1) for draw in trial.draws()])),
    }


def score_market(embedder: Embedder, pictures: Pictures) -> dict[str, float]:
    """Rank-1 and mAP of held-out people."""
    rows = embedder.embed(pictures.images, color="rgb")
    found = pictures.trial(rows, *heldout_split(pictures.records), "heldout").evaluate(1)
    return {"rank1": found.rank(1), "mAP": found.mAP}


def score_clip(embedder: Embedder, folder: Path) -> dict[str, float]:
    """Rank-1 and mAP of tracklets before and after their person has left."""
    tracklets = read_tracklets(folder / "vtest_gt.txt")
    rows = embed_tracklets(embedder, folder / "vtest.avi", tracklets)
    found = reassociate(rows, tracklets)
    return {"rank1": found.rank(1), "mAP": found.mAP, "queries": found.queries}


@dataclass(frozen=True)
class Sets:
    """What there is to be measured on; None leaves the columns empty."""

    cuhk01: Pictures | None
    market: Pictures | None
    clip: Path | None

    def score(
        self, contestant: Contestant, known: dict[str, dict[str, float]]
    ) -> dict[str, dict[str, float]]:
        """A model's figures by set; what is known is not measured again."""
        found = dict(known)
        with contestant.embedder() as embedder:
            if self.cuhk01 and "cuhk01" not in found:
                found["cuhk01"] = score_cuhk01(embedder, self.cuhk01)
            if self.market and "market-heldout val" not in found and has_not_seen_market_heldout(contestant):
                found["market-heldout val"] = score_market(embedder, self.market)
            if self.clip and "vtest" not in found:
                found["vtest"] = score_clip(embedder, self.clip)
        return found


def score_all(contestants: Sequence[Contestant], sets: Sets, results: Path) -> None:
    """Score every model and keep each as soon as it is done; the same file is not scored twice."""
    for contestant in contestants:
        known = kept_results(results)["models"].get(contestant.name, {})
        if known.get("id") != contestant.id:
            known = {"ms": {}, "scores": {}}
        found = {
            "id": contestant.id,
            "ours": contestant.ours,
            "input": [contestant.spec.height, contestant.spec.width],
            "dim": contestant.spec.dim,
            **asdict(contestant.weight()),
            "ms": known["ms"],
            "scores": sets.score(contestant, known["scores"]),
        }
        kept = kept_results(results)  # as it is now: another process may score other models
        kept["models"][contestant.name] = found
        write(kept, results)
        print(table({contestant.name: found}).splitlines()[-1], flush=True)


def time_all(contestants: Sequence[Contestant], rounds: int, results: Path) -> None:
    """Measure ms a crop by precision, runtime and batch; all models take turns, in one run."""
    found: dict[str, dict[str, dict[str, float]]] = {contestant.name: {} for contestant in contestants}
    load = os.getloadavg()[0]
    for batch in BATCHES:
        calls = [(c.name, how, call) for c in contestants for how, call in c.calls(batch).items()]
        for (name, how, _), ms in zip(calls, median_ms([call for *_, call in calls], rounds), strict=True):
            found[name].setdefault(how, {})[str(batch)] = ms / batch
    kept = kept_results(results)
    for name, ms_of in found.items():
        kept["models"][name]["ms"] = ms_of
    load = max(load, os.getloadavg()[0])
    kept["machine"] = describe_machine() | {"load": round(load, 1), "rounds": rounds}
    write(kept, results)


def kept_results(results: Path) -> dict[str, Any]:
    """What was measured before."""
    return read(results) if results.exists() else {"machine": {}, "models": {}}


def describe_machine() -> dict[str, Any]:
    """What a reader must know to compare ms with others'."""
    found = {"processor": processor(), "cores": len(os.sched_getaffinity(0))}
    for package in ("onnxruntime", "openvino", "opencv-python-headless", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"date": datetime.date.today().isoformat()}


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def best_ms(model: Mapping[str, Any], precision: str, batch: int) -> float | None:
    """The fastest runtime's ms a crop in a precision."""
    every = [ms[str(batch)] for how, ms in model["ms"].items() if how.startswith(precision)]
    return min(every, default=None)


def table(models: Mapping[str, Mapping[str, Any]]) -> str:
    """The models as Markdown, best on cuhk01 first; ratio: to the default model's ms."""
    lines = [
        "| model | input | parameters | MMACs | MB | ms, batch 1 | batch 8 | ratio, batch 1 "
        "| ms in bf16, batch 1 | batch 8 | cuhk01 rank-1, 971 | 485 | vtest rank-1 | mAP "
        "| market-heldout val rank-1 | mAP |",
        "|---|---|" + "---:|" * 14,
    ]
    order = sorted(models, key=lambda name: -(_score(models[name], "cuhk01", "rank1") or 0))
    for name in order:
        model = models[name]
        ms = [_number(best_ms(model, p, b), 2) for p in ("float32", "bfloat16") for b in BATCHES]
        own = best_ms(models.get(DEFAULT_MODEL, {"ms": {}}), "float32", 1)
        alone = best_ms(model, "float32", 1)
        ms.insert(len(BATCHES), _number(alone / own if alone and own else None, 1))
        scores = [
            _number(_score(model, data, key), 1, 100)
            for data, key in (
                ("cuhk01", "rank1"),
                ("cuhk01", "rank1_halves"),
                ("vtest", "rank1"),
                ("vtest", "mAP"),
                ("market-heldout val", "rank1"),
                ("market-heldout val", "mAP"),
            )
        ]
        size = "x".join(map(str, model["input"]))
        cells = [
            f"**{name}**" if model["ours"] else name,
            size,
            f"{model['parameters'] / 1e6:.2f} M",
            f"{model['macs'] / 1e6:.0f}",
            f"{model['bytes'] / 1e6:.1f}",
            *ms,
            *scores,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(models: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Plot accuracy against ms: float32 filled, bfloat16 hollow; a name that would meet another stands below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    found = {name: _score(model, "cuhk01", "rank1") for name, model in models.items()}
    scored = [(rank1, name) for name, rank1 in found.items() if rank1 is not None]
    named: list[tuple[float, float]] = []  # the points whose names stand above them
    for rank1, name in sorted(scored, reverse=True):
        model = models[name]
        colour = "#c2410c" if model["ours"] else "#475569"
        points = [(best_ms(model, precision, 1), 100 * rank1) for precision in ("float32", "bfloat16")]
        known = [(ms, percent) for ms, percent in points if ms is not None]
        if not known:
            continue
        axes.plot(*zip(*known, strict=True), color=colour, lw=0.8, zorder=1)
        for (ms, percent), face in zip(known, (colour, "white"), strict=False):
            axes.scatter(ms, percent, s=45, facecolor=face, edgecolor=colour, zorder=2)
        ms, percent = known[0]
        meets = any(other / 1.4 < ms < other * 1.4 and above - percent < 8 for other, above in named)
        if not meets:
            named.append(known[0])
        axes.annotate(
            name.replace("person-reidentification-retail-", ""),
            known[0],
            textcoords="offset points",
            xytext=(0, -17 if meets else 8),
            ha="center",
            color=colour,
            fontsize=9,
        )
    axes.set(
        xscale="log",
        xlabel="ms a crop, one thread, batch 1 (log scale; hollow: bfloat16)",
        ylabel="cuhk01 rank-1 of 971, %",
        ylim=(0, 100),
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3, which="both")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110)


def _score(model: Mapping[str, Any], data: str, key: str) -> float | None:
    found: float | None = model["scores"].get(data, {}).get(key)
    return found


def _number(value: float | None, digits: int, factor: float = 1) -> str:
    return "" if value is None else f"{factor * value:.{digits}f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--cuhk01", type=Path, help="CUHK01's campus folder")
    parser.add_argument("--market", type=Path, help="Market-1501's bounding_box_train")
    parser.add_argument("--clip", type=Path, help="folder of vtest.avi and vtest_gt.txt")
    parser.add_argument(
        "--rounds", type=int, default=15, help="of timing, all models in turn; 0 times nothing"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the plot goes")
    parser.add_argument("--table", action="store_true", help="print what --json holds and measure nothing")
    options = parser.parse_args(arguments)
    if not options.table:
        # Before the work and not after it: what is missing is an error now.
        sets = Sets(
            read_cuhk01(options.cuhk01) if options.cuhk01 else None,
            read_market(options.market) if options.market else None,
            options.clip,
        )
        cv2.setNumThreads(1)
        contestants = load_contestants(options.models, options.peers)
        score_all(contestants, sets, options.json)
        if options.rounds:
            time_all(contestants, options.rounds, options.json)
        draw(read(options.json)["models"], options.plot)
    print(table(read(options.json)["models"]))


if __name__ == "__main__":
    main()
