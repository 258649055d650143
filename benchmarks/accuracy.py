"""What a model's card says: market-heldout and CUHK01 zero-shot, through `reid-eval`.

    python benchmarks/accuracy.py autoreid-s --market DATA/market --cuhk01 DATA/cuhk/CUHK01/campus --json measured.json

The JSON is what `python -m export --metrics` writes into the model file. `--market-split test` is for the final table,
once per finished model; every choice is made on `val`. Published Market-1501 tables cannot be compared with: they use
the official query and gallery, these figures people held out of `bounding_box_train`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SPLITS = Path(__file__).parents[1] / "search" / "splits"
KEPT = ("rank1", "rank5", "rank10", "mAP", "mINP", "queries", "gallery", "protocol", "draws")


def reid_eval(*arguments: str | Path) -> dict[str, Any]:
    """Run the command line as a user would; its progress goes to stderr."""
    program = "from autoreid_deploy.cli.eval import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments), "--json"]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {key: report[key] for key in KEPT if key in report}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name or an ONNX file")
    parser.add_argument("--market", type=Path, help="Market-1501's bounding_box_train")
    parser.add_argument("--market-split", choices=("val", "test"), default="val")
    parser.add_argument("--cuhk01", type=Path, help="CUHK01's campus folder")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    if options.market:
        ids = SPLITS / f"market1501_{options.market_split}_ids.txt"
        measured[f"market-heldout {options.market_split}"] = reid_eval(
            options.market, "--names", "market", "--split", ids, "--model", options.model
        )
    if options.cuhk01:
        measured["cuhk01 zero-shot"] = reid_eval(
            options.cuhk01, "--names", "cuhk01", "--protocol", "single-shot", "--model", options.model
        )
    print(f"{'':<24}{'rank-1':>8}{'rank-5':>8}{'rank-10':>8}{'mAP':>8}{'queries':>9}{'gallery':>9}")
    for name, figures in measured.items():
        percent = "".join(f"{100 * figures[key]:8.1f}" for key in ("rank1", "rank5", "rank10", "mAP"))
        print(f"{name:<24}{percent}{figures['queries']:>9}{figures['gallery']:>9}")
        if draws := figures.get("draws"):
            print(f"{'  mean of 10 x ' + str(draws['people']):<24}{100 * draws['rank1']:8.1f}")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
