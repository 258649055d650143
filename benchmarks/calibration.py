"""What the calibration in a model's file is worth on people it was not fitted on.

    python benchmarks/calibration.py autoreid-s --market DATA/market --json calibration.json

The people are Market-1501's `test` split (200 people, never trained on, never fitted on). Best hits are by other
cameras, with the person in the gallery for half of the queries.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from autoreid_deploy import Embedder
from autoreid_deploy.calibration import Calibration, collapse_warning
from autoreid_deploy.fitting import assess
from autoreid_deploy.records import read_ids, scan

SPLITS = Path(__file__).parents[1] / "search" / "splits"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name or an ONNX file")
    parser.add_argument("--market", type=Path, required=True, help="Market-1501's bounding_box_train")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    ids = read_ids(SPLITS / "market1501_test_ids.txt")
    records = [record for record in scan(options.market, names="market") if record.pid in ids]
    with Embedder.load(options.model) as embedder:
        table = Calibration.from_dict(embedder.spec.calibration, embedder.id)
        rows = embedder.embed([record.path for record in records])
        print(f"{embedder.id}, fitted on {table.source}: {table.genuine:,} + {table.impostors:,} pairs")
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
    warning = collapse_warning(rows, table)
    print(warning or "distances have not collapsed")
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
