"""Seconds and memory of re-ranking and of the metrics at Market-1501's size, against the published algorithm.

    git clone https://github.com/KaiyangZhou/deep-person-reid
    python -m benchmarks.rerank [--published deep-person-reid/torchreid/utils/rerank.py] [--scale 1] [--json]

Each contestant runs in a process of its own, with one BLAS thread, on the same synthetic crowd: 3,368 queries and
19,732 gallery crops of 256 dimensions, 750 people whose crops stray from their person and their camera. Its peak
is the process's largest resident set, less that of one that has only loaded NumPy and the crowd. CPU seconds count
little of what else the machine does.

* ours: `rerank_blocks`, each block written to a file.
* dense: the published algorithm with its M x M matrices, written for this file after the paper and the authors' steps.
* torchreid: the very file that torchreid publishes, where --published names it. It takes Euclidean distances.
* metrics: `evaluate_embeddings`, distances to CMC, mAP and mINP, and once more with `compare=rerank_blocks`.
* top: `rerank_top` on 100 candidates of each of 200 queries, one query at a time.

The published code ranks by float32, whose rounding orders neighbours that are about equally near; ours goes on in
float64. A neighbour more or less at such a place changes the distances of the crops around it. So the largest
difference is given with the share of distances that differ by more than 1e-5, and with the differences of CMC and mAP.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.metrics import Evaluation, evaluate, evaluate_embeddings
from autoreid_deploy.rerank import rerank_blocks, rerank_top

QUERIES, GALLERY, DIM, PEOPLE, CAMERAS = 3368, 19732, 256, 750, 6
K1, K2, LAMBDA = 20, 6, 0.3
TOP, ASKED = 100, 200
SIDES = ("query", "gallery", "q_pids", "g_pids", "q_camids", "g_camids")
PROCESS = ("loaded", "ours", "metrics", "metrics_reranked", "top")


def draw_crowd(scale: float, folder: Path) -> None:
    """Draw query and gallery rows, their people and their cameras, and save what SIDES names."""
    rng = np.random.default_rng(0)
    sizes = [max(1, int(scale * size)) for size in (QUERIES, GALLERY)]
    people = [rng.integers(1, max(2, int(scale * PEOPLE)) + 1, size) for size in sizes]
    cameras = [rng.integers(0, CAMERAS, size) for size in sizes]
    centres = rng.normal(size=(PEOPLE + 1, DIM)).astype(np.float32)
    views = 0.4 * rng.normal(size=(CAMERAS, DIM)).astype(np.float32)
    rows = [
        centres[pid] + views[camera] + 2.0 * rng.standard_normal((len(pid), DIM), np.float32)
        for pid, camera in zip(people, cameras, strict=True)
    ]
    rows = [(side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32) for side in rows]
    for side, values in zip(SIDES, [*rows, *people, *cameras], strict=True):
        np.save(folder / f"{side}.npy", values)


def squared(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give all squared Euclidean distances at once, as the published scripts do."""
    apart = left @ right.T
    apart *= -2
    apart += np.square(left).sum(axis=1)[:, None]
    apart += np.square(right).sum(axis=1)
    return np.maximum(apart, 0, out=apart)


def reciprocal(ranked: NDArray[np.int32], i: int, k: int) -> NDArray[np.int32]:
    """Give the nearest of crop i that have it among their nearest too."""
    near = ranked[i, : k + 1]
    return near[(ranked[near, : k + 1] == i).any(axis=1)]


def rerank_dense(query: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    """Re-rank with dense matrices over the whole crowd, crop by crop."""
    crowd = np.concatenate([query, gallery])
    distance = squared(crowd, crowd)
    distance /= distance.max(axis=1, keepdims=True)
    ranked = np.argsort(distance, axis=1).astype(np.int32)
    V = np.zeros_like(distance)
    for i in range(len(crowd)):
        certain = reciprocal(ranked, i, K1)
        sets = [certain]
        for j in certain:
            theirs = reciprocal(ranked, j, round(K1 / 2))
            if len(np.intersect1d(theirs, certain)) > 2 / 3 * len(theirs):
                sets.append(theirs)
        expanded = np.unique(np.concatenate(sets))
        weights = np.exp(-distance[i, expanded])
        V[i, expanded] = weights / weights.sum()
    distance = distance[: len(query)].copy()
    V = np.stack([V[ranked[i, :K2]].mean(axis=0) for i in range(len(crowd))])
    del ranked
    holders = [np.flatnonzero(V[:, j]) for j in range(len(crowd))]
    for i in range(len(query)):
        overlap = np.zeros(len(crowd), np.float32)
        for j in np.flatnonzero(V[i]):
            overlap[holders[j]] += np.minimum(V[i, j], V[holders[j], j])
        distance[i] = (1 - LAMBDA) * (1 - overlap / (2 - overlap)) + LAMBDA * distance[i]
    return distance[:, len(query) :]


def rerank_published(
    path: Path, query: NDArray[np.float32], gallery: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Re-rank with torchreid's file as it is."""
    module: dict[str, Any] = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module)
    pairs = (query, gallery), (query, query), (gallery, gallery)
    result: NDArray[np.float32] = module["re_ranking"](
        *(np.sqrt(squared(*pair)) for pair in pairs), K1, K2, LAMBDA
    )
    return result


def work(name: str, folder: Path, published: Path | None) -> dict[str, Any]:
    """Do one contestant's work in this process and tell its seconds and peak."""
    query, gallery, *labels = (np.load(folder / f"{side}.npy") for side in SIDES)
    asks, among = query[:0], gallery[None, :0]
    if name == "top":
        asks = query[:ASKED]
        among = gallery[np.argsort(squared(asks, gallery), axis=1)[:, :TOP]]
    distance: NDArray[np.float32] | None = None
    result: dict[str, Any] = {}
    began, cpu = time.perf_counter(), time.process_time()
    if name == "ours":
        with (folder / "ours").open("wb") as file:
            for block in rerank_blocks(query, gallery, K1, K2, LAMBDA):
                file.write(block.tobytes())
    elif name == "dense":
        distance = rerank_dense(query, gallery)
    elif name == "torchreid":
        assert published
        distance = rerank_published(published, query, gallery)
    elif name == "metrics":
        result = figures(evaluate_embeddings(query, gallery, *labels))
    elif name == "metrics_reranked":
        result = figures(evaluate_embeddings(query, gallery, *labels, compare=rerank_blocks))
    for row, rows in zip(asks, among, strict=False):
        rerank_top(row[None], rows[None])
    result |= {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if distance is not None:
        np.ascontiguousarray(distance, np.float32).tofile(folder / name)
        result |= figures(evaluate(distance, *labels))
    return result


def figures(result: Evaluation) -> dict[str, Any]:
    return {"mAP": result.mAP, "mINP": result.mINP, "rank1": result.rank(1), "cmc": result.cmc.tolist()}


def start(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one contestant in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rerank", "--work", name, "--folder", str(folder)]
    command += ["--scale", str(options.scale)]
    if options.published:
        command += ["--published", str(options.published)]
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(command, env={**os.environ, **threads}, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def difference(results: dict[str, Any], folder: Path, name: str) -> dict[str, float]:
    """Tell how far a peer's distances and figures lie from ours."""
    ours, theirs = results["metrics_reranked"], results[name]
    shape = [len(np.load(folder / f"{side}.npy", mmap_mode="r")) for side in ("query", "gallery")]
    pair = [np.memmap(folder / side, np.float32, "r", shape=tuple(shape)) for side in ("ours", name)]
    largest, apart = 0.0, 0
    for left, right in zip(*pair, strict=True):
        gaps = np.abs(left - right)
        largest, apart = max(largest, float(gaps.max())), apart + int((gaps > 1e-5).sum())
    return {
        "distance": largest,
        "share_above_1e-5": apart / pair[0].size,
        "mAP": abs(ours["mAP"] - theirs["mAP"]),
        "cmc": float(np.abs(np.subtract(ours["cmc"], theirs["cmc"])).max()),
    }


def show(report: dict[str, Any]) -> None:
    results = report["results"]
    print(f"{report['queries']:,} x {report['gallery']:,} x {DIM}")
    print(f"{'':18}{'seconds':>9}{'CPU s':>9}{'MB':>9}{'rank-1':>9}{'mAP':>9}")
    for name, result in results.items():
        line = f"{name:18}{result['seconds']:9.2f}{result['cpu_seconds']:9.2f}{result['added_mb']:9.0f}"
        if "mAP" in result:
            line += f"{100 * result['rank1']:9.2f}{100 * result['mAP']:9.2f}"
        print(line)
    print(f"top {TOP}: {1000 * results['top']['cpu_seconds'] / ASKED:.1f} ms a query")
    for name, gaps in report["differences"].items():
        told = ", ".join(f"{key} {value:.1e}" for key, value in gaps.items())
        ratio = [results[name][key] / results["ours"][key] for key in ("cpu_seconds", "added_mb")]
        print(f"{name}: {ratio[0]:.0f} x our CPU seconds, {ratio[1]:.0f} x our memory; difference {told}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--published", type=Path, help="torchreid/utils/rerank.py of a checkout of torchreid")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        if options.work == "draw":
            draw_crowd(options.scale, options.folder)
            print("{}")
        else:
            print(json.dumps(work(options.work, options.folder, options.published)))
        return
    peers = ["dense", *(["torchreid"] if options.published else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A child's peak starts at its parent's, so the parent draws nothing itself.
        start("draw", options, folder)
        results = {each: start(each, options, folder) for each in (*PROCESS, *peers)}
        differences = {each: difference(results, folder, each) for each in peers}
    loaded = results.pop("loaded")["peak_mb"]
    for result in results.values():
        result["added_mb"] = result["peak_mb"] - loaded
        result.pop("cmc", None)
    report = {
        "queries": max(1, int(options.scale * QUERIES)),
        "gallery": max(1, int(options.scale * GALLERY)),
        "loaded_mb": loaded,
        "results": results,
        "differences": differences,
        "machine": platform.processor() or platform.machine(),
        "numpy": np.__version__,
        "date": datetime.date.today().isoformat(),
    }
    if options.as_json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
