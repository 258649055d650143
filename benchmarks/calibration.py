"""What the calibration in a model's file is worth on people it was not fitted on.

    python -m benchmarks.calibration autoreid-s --market DATA/market --json calibration.json
    python -m benchmarks.calibration autoreid-s --market DATA/market --plot docs/images/autoreid-s-reliability.png

The people are Market-1501's `test` split (200 people, never fitted on; a model that was trained on them is refused).
Best hits are by other cameras, with the person in the gallery for half of the queries.

With `--plot` the people are those of `val` instead, and `test` isn't read. The file's own table was fitted on them, so
another one is fitted the same way on either half of the people and held against the other half: predicted probability
against the share that is true, of pairs (prior 1:1) and of best hits (prior of the half's people).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy import Embedder
from autoreid_deploy.calibration import Calibration, collapse_warning
from autoreid_deploy.fitting import MAX_PAIRS, Bin, Method, assess, fit, halves, reliability
from autoreid_deploy.pairs import LabelledRows
from autoreid_deploy.records import Record, read_ids, scan
from benchmarks.contestants import require_market_test_unseen

SPLITS = Path(__file__).parents[1] / "search" / "splits"


def held_out(
    rows: NDArray[np.float32], records: Sequence[Record], method: Method = "isotonic"
) -> dict[str, tuple[Bin, ...]]:
    """Fit on either half of the people and hold the probabilities against the other half.

    Returns:
        The bins of pairs and of best hits, both halves together.
    """
    pids, camids = [record.pid for record in records], [record.camid for record in records]
    found: dict[str, list[NDArray[np.float64]]] = {"pairs, prior 1:1": [], "best hits": []}
    first, second = halves(pids)
    for known, others in ((first, second), (second, first)):
        table = fit(rows[known], [pids[i] for i in known], [camids[i] for i in known], method=method)
        sample = LabelledRows(rows[others], [pids[i] for i in others], [camids[i] for i in others])
        rng = np.random.default_rng(0)
        genuine, impostor = sample.genuine(rng), sample.impostors(rng, MAX_PAIRS)
        even = np.repeat([1 / len(genuine), 1 / len(impostor)], [len(genuine), len(impostor)])
        found["pairs, prior 1:1"].append(
            _triple(
                table.with_prior(0.5), np.r_[genuine, impostor], np.arange(len(even)) < len(genuine), even
            )
        )
        present, right, absent = sample.best_hits(rng)
        truth = np.r_[right, np.zeros(len(absent), bool)]
        found["best hits"].append(
            _triple(table.for_people(sample.people), np.r_[present, absent], truth, np.ones(len(truth)))
        )
    return {what: reliability(*np.concatenate(parts, axis=1)) for what, parts in found.items()}


def _triple(
    table: Calibration, distances: NDArray[Any], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, N): probability, truth and weight."""
    return np.stack([table.probability(distances).astype(np.float64), truth, weights])


def draw(found: dict[str, tuple[Bin, ...]], path: Path, title: str) -> None:
    """Plot bins above the diagonal of a perfect calibration, and how many there are in each below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 6.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="#94a3b8", ls="--", lw=1, label="perfect")
    for (what, bins), colour in zip(found.items(), ("#475569", "#c2410c"), strict=True):
        error = sum(b.weight * abs(b.predicted - b.observed) for b in bins)
        said = [b.predicted for b in bins]
        above.plot(
            said,
            [b.observed for b in bins],
            marker="o",
            ms=4,
            color=colour,
            label=f"{what}: error {error:.3f}",
        )
        below.plot(said, [b.weight for b in bins], marker="o", ms=4, color=colour)
    above.set(title=title, ylabel="share that is one person", xlim=(0, 1), ylim=(0, 1))
    below.set(xlabel="predicted probability", ylabel="share of all", ylim=(0, 1))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    above.legend(loc="upper left", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name or an ONNX file")
    parser.add_argument("--market", type=Path, required=True, help="Market-1501's bounding_box_train")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument(
        "--plot", type=Path, help="draw the reliability of halves of `val`, and read no `test`"
    )
    options = parser.parse_args(arguments)
    ids = read_ids(SPLITS / f"market1501_{'val' if options.plot else 'test'}_ids.txt")
    records = [record for record in scan(options.market, names="market") if record.pid in ids]
    with Embedder.load(options.model) as embedder:
        if not options.plot:
            require_market_test_unseen(embedder.spec)
        table = Calibration.from_dict(embedder.spec.calibration, embedder.id)
        rows = embedder.embed([record.path for record in records])
    if options.plot:
        method: Method = "logistic" if table.method == "logistic" else "isotonic"
        found = held_out(rows, records, method)
        draw(found, options.plot, f"{embedder.spec.name}, {table.method}, {len(ids)} people in halves")
        result: dict[str, Any] = {what: [asdict(b) for b in bins] for what, bins in found.items()}
        print_bins(found)
    else:
        print(f"{embedder.id}, fitted on {table.source}: {table.genuine:,} + {table.impostors:,} pairs")
        result = print_assessment(table, rows, records)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def print_bins(found: dict[str, tuple[Bin, ...]]) -> None:
    for what, bins in found.items():
        print(f"{what}\n{'predicted':>10}{'observed':>10}{'share':>10}")
        for b in bins:
            print(f"{b.predicted:10.3f}{b.observed:10.3f}{b.weight:10.4f}")


def print_assessment(
    table: Calibration, rows: NDArray[np.float32], records: Sequence[Record]
) -> dict[str, Any]:
    result = assess(table, rows, [record.pid for record in records], [record.camid for record in records])
    print(f"{result.people} people, {len(rows):,} crops, {result.genuine:,} + {result.impostors:,} pairs")
    print(f"pairs at 1:1    Brier {result.brier:.3f}   calibration error {result.ece:.3f}")
    print(f"best hits       Brier {result.hit_brier:.3f}   calibration error {result.hit_ece:.3f}")
    print(f"{'fpr':>8}{'threshold':>11}{'measured':>10}{'tpr':>7}{'strangers with a hit':>22}")
    for rate in result.rates:
        if rate.threshold is not None:
            measured, tpr, strangers = rate.measured_fpr or 0, rate.tpr or 0, rate.stranger_rate or 0
            print(
                f"{rate.fpr:8.0e}{rate.threshold:11.4f}{measured:10.5f}{100 * tpr:7.1f}{100 * strangers:22.1f}"
            )
    print(collapse_warning(rows, table) or "distances have not collapsed")
    return asdict(result)


if __name__ == "__main__":
    main()
