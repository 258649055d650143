"""Does `autoreid_deploy.metrics` agree with torchreid's published evaluator? Compare both on random cases.

    git clone https://github.com/KaiyangZhou/deep-person-reid
    python -m benchmarks.metrics_agreement deep-person-reid/torchreid/metrics/rank.py [--full-size] [--json]

The published file is loaded as it is, with two things done around it so that the comparison is fair:

* Its `np.argsort` is made stable. NumPy's default sort leaves the order of equal distances open, and ours is
  defined as gallery order.
* Its gallery gets max_rank far-away strangers at the end. Where a query keeps fewer than max_rank candidates
  it would fail otherwise (its curves get unequal lengths). They change neither AP nor the rank of a match.

Junk with pid -1 is taken out of its gallery, as torchreid's data loader does, and its distractors are person
0. mINP is not in that file; its judge is a loop over the definition in this one. --full-size adds one case as
large as Market-1501's test set, 3,368 queries against 19,732 crops, and the seconds that both take.
"""

import argparse
import contextlib
import io
import json
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import distance_matrix, evaluate, evaluate_embeddings

MAX_RANK = 20


def load_published(path: Path) -> Any:
    """Load torchreid's rank.py, with `np.argsort` stable."""
    module = types.ModuleType("published_rank")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it regrets that its Cython twin is not there
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    stable = types.SimpleNamespace(**vars(np))
    stable.argsort = lambda values, axis=-1: np.argsort(values, axis=axis, kind="stable")
    module.__dict__["np"] = stable
    return module.__dict__["eval_market1501"]


def draw_case(rng: np.random.Generator) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Draw distances and labels; half of the cases have many ties, many have short lists or lone queries."""
    queries, gallery, people = rng.integers(1, 30), rng.integers(1, 80), rng.integers(1, 15)
    distance = rng.random((queries, gallery)).astype(np.float32)
    if rng.random() < 0.5:
        distance = np.round(distance, 1)
    # 0 and -1 among the gallery's people are distractors and junk; person 99 is never there.
    q_pids = rng.integers(1, people + 1, queries)
    q_pids[rng.random(queries) < 0.1] = 99
    g_pids = rng.integers(-1, people + 1, gallery)
    return distance, [q_pids, g_pids, rng.integers(0, 4, queries), rng.integers(0, 4, gallery)]


def ask_published(published: Any, distance: NDArray[Any], labels: list[NDArray[Any]], pad: int) -> Any:
    """Give (CMC, mAP) as torchreid has it, or None where it fails."""
    q_pids, g_pids, q_camids, g_camids = labels
    keep = g_pids != -1
    far = np.full((len(distance), pad), 9.0)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return published(
                np.hstack([distance[:, keep], far]),
                q_pids,
                np.append(g_pids[keep], np.zeros(pad, int)),
                q_camids,
                np.append(g_camids[keep], np.zeros(pad, int)),
                MAX_RANK,
            )
        except (AssertionError, ValueError):
            return None


def mean_inverse_penalty(distance: NDArray[Any], labels: list[NDArray[Any]]) -> float:
    """Compute mINP query by query from its definition, equation (2) of arXiv 2001.04193."""
    q_pids, g_pids, q_camids, g_camids = labels
    values = []
    for row, pid, camid in zip(distance, q_pids, q_camids, strict=True):
        junk = (g_pids == -1) | ((g_pids == pid) & (g_camids == camid))
        ranked = [g for g in np.argsort(row, kind="stable") if not junk[g]]
        ranks = [rank for rank, g in enumerate(ranked, 1) if g_pids[g] == pid]
        if ranks:
            values.append(len(ranks) / ranks[-1])
    return float(np.mean(values))


def compare(published: Any, cases: int, seed: int) -> dict[str, Any]:
    """Compare both on random cases and tell the largest differences."""
    rng = np.random.default_rng(seed)
    largest = {"cmc": 0.0, "mAP": 0.0, "mINP": 0.0}
    counts = dict.fromkeys(("ties", "gallery_below_max_rank", "query_without_match", "no_match_at_all"), 0)
    counts["published_fails_unpadded"] = 0
    for _ in range(cases):
        distance, labels = draw_case(rng)
        names = ["0000" if pid == 0 else str(pid) for pid in labels[1]]
        theirs = ask_published(published, distance, labels, pad=MAX_RANK)
        counts["ties"] += any(len(np.unique(row)) < len(row) for row in distance)
        counts["gallery_below_max_rank"] += distance.shape[1] < MAX_RANK
        try:
            ours = evaluate(distance, labels[0], names, *labels[2:], max_rank=MAX_RANK)
        except InputError:
            if theirs is not None:
                raise
            counts["no_match_at_all"] += 1
            continue
        counts["query_without_match"] += ours.skipped > 0
        counts["published_fails_unpadded"] += ask_published(published, distance, labels, pad=0) is None
        largest["cmc"] = max(largest["cmc"], float(np.abs(ours.cmc - theirs[0]).max()))
        largest["mAP"] = max(largest["mAP"], abs(ours.mAP - theirs[1]))
        largest["mINP"] = max(largest["mINP"], abs(ours.mINP - mean_inverse_penalty(distance, labels)))
    return {"cases": cases, "seed": seed, "counts": counts, "largest_difference": largest}


def compare_full_size(published: Any, seed: int) -> dict[str, Any]:
    """Compare both on a case of Market-1501's size, and time them."""
    rng = np.random.default_rng(seed)
    sizes = {"queries": 3368, "gallery": 19732}
    people = [rng.integers(1, 751, count) for count in sizes.values()]
    cameras = [rng.integers(0, 6, count) for count in sizes.values()]
    # Each person has a direction of its own and each crop strays from it.
    centres = rng.normal(size=(751, 256))
    rows = [centres[pids] + 3 * rng.normal(size=(len(pids), 256)) for pids in people]
    query, gallery = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in rows)
    began = time.perf_counter()
    ours = evaluate_embeddings(query, gallery, *people, *cameras, max_rank=MAX_RANK)
    ours_done = time.perf_counter()
    theirs = ask_published(published, distance_matrix(query, gallery), [*people, *cameras], pad=0)
    return {
        **sizes,
        "rank1": ours.rank(1),
        "mAP": ours.mAP,
        "largest_difference": max(float(np.abs(ours.cmc - theirs[0]).max()), abs(ours.mAP - theirs[1])),
        "seconds": ours_done - began,
        "seconds_published": time.perf_counter() - ours_done,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare with torchreid's evaluator on random cases.")
    parser.add_argument("rank_py", type=Path, help="torchreid/metrics/rank.py of a checkout of torchreid")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    published = load_published(options.rank_py)
    result = compare(published, options.cases, options.seed)
    if options.full_size:
        result["full_size"] = compare_full_size(published, options.seed)
    if options.as_json:
        print(json.dumps(result, indent=2))
        return
    for name, value in {"cases": result["cases"], **result["counts"]}.items():
        print(f"{name.replace('_', ' '):26}{value:>10,}")
    for name, value in result["largest_difference"].items():
        print(f"{'largest difference ' + name:26}{value:>10.1e}")
    for name, value in result.get("full_size", {}).items():
        print(f"{'full size ' + name.replace('_', ' '):38}{value:>12.4g}")


if __name__ == "__main__":
    main()
