"""What `--centred` gives, and how many people a gallery must hold for it.

    python -m benchmarks.centring autoreid-s-open --market DATA/market

All crops of a Market-named folder answer, the first of each person by each camera asks; before that the same of some of
the people, drawn again and again. `untold` asks without the query's camera, as a picture from elsewhere does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy import Embedder
from autoreid_deploy.centring import CameraMeans
from autoreid_deploy.metrics import Evaluation, evaluate_records
from autoreid_deploy.protocols import heldout_split
from autoreid_deploy.records import Record, read_ids, scan

PEOPLE = (5, 10, 20, 40, 100, 300)
DRAWN = 200  # people in all draws of one size, at least twice as many as there are in the largest

Rows = NDArray[np.float32]


def score(rows: Rows, records: Sequence[Record]) -> dict[str, Evaluation]:
    """Score crops as they are, centred, and centred with queries whose camera nobody tells."""
    asking, answering = heldout_split(records)
    query, gallery = [records[i] for i in asking], [records[i] for i in answering]
    asks, answers = rows[asking], rows[answering]
    cameras = [record.camid for record in gallery]
    means = CameraMeans.of(answers, cameras)
    level = means.centred(answers, cameras)
    sides = {
        "as they are": (asks, answers),
        "centred": (means.centred(asks, [record.camid for record in query]), level),
        "untold": (means.centred(asks, [None] * len(query)), level),
    }
    return {name: evaluate_records(q, query, g, gallery) for name, (q, g) in sides.items()}


def draws(rows: Rows, records: Sequence[Record], count: int) -> dict[str, tuple[float, float]]:
    """Mean rank-1 and mAP of galleries of so many people."""
    everybody = sorted({str(record.pid) for record in records})
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(max(2, DRAWN // count)):
        chosen = set(np.random.default_rng(seed).choice(everybody, count, replace=False).tolist())
        kept = [i for i, record in enumerate(records) if record.pid in chosen]
        for name, result in score(rows[kept], [records[i] for i in kept]).items():
            found.setdefault(name, []).append((result.rank(1), result.mAP))
    return {name: tuple(np.mean(pairs, axis=0).tolist()) for name, pairs in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name or an ONNX file")
    parser.add_argument("--market", type=Path, required=True, help="Market-1501's bounding_box_train")
    parser.add_argument("--split", type=Path, help="only the people of this list")
    args = parser.parse_args()
    records = scan(args.market, names="market")
    if args.split:
        ids = read_ids(args.split)
        records = [record for record in records if record.pid in ids]
    with Embedder.load(args.model) as embedder:
        rows = embedder.embed([record.path for record in records])
        print(f"{embedder.id}, {len(records):,} crops; rank-1 / mAP")
    print("| people | as they are | centred | centred, the query's camera not told |\n|---:|---:|---:|---:|")
    people = len({record.pid for record in records})
    for count in (*(count for count in PEOPLE if count < people), people):
        if count == people:
            figures = {name: (e.rank(1), e.mAP) for name, e in score(rows, records).items()}
        else:
            figures = draws(rows, records, count)
        cells = [f"{100 * rank1:.1f} / {100 * m:.1f}" for rank1, m in figures.values()]
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
