"""What a search step costs beside a retraining step of a derived network of the same width.

    python -m benchmarks.search_step [search/configs/search-s.toml] [--steps 15] [--genotype auto_reid_2019] [--json]

A search step is one step of the weights and one of the alphas. The limit is 2.5 retraining steps for the gumbel
relaxation. All take turns in one process on one thread, over random bytes in memory, and each is the median of its
turns; the peak memory of a process that does only one of them is measured in a process of its own.
"""

import argparse
import json
import multiprocessing
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.train_speed import random_crops
from search.data import Crops
from search.genotype import load_genotype
from search.memory import keep_freed_memory
from search.search_config import SearchConfig
from search.searcher import Searcher
from search.trainer import Trainer

LIMIT, WARM = 2.5, 3


def crops_of(config: SearchConfig) -> Crops:
    """Random bytes of people seen by four cameras."""
    crops = random_crops(config.network.height, config.network.width)
    records = tuple(
        replace(record, pid=str(label), camid=str(i % 4))
        for i, (record, label) in enumerate(zip(crops.records, crops.labels, strict=True))
    )
    return replace(crops, records=records)


def stepper(what: str, config: SearchConfig, genotype: str, folder: Path) -> Callable[[], object]:
    """A function that takes one step: `retrain`, or a search with a relaxation of that name."""
    crops = crops_of(config)
    shared: dict[str, Any] = {"folder": folder, "device": torch.device("cpu"), "train": crops}
    if what == "retrain":
        trainer = Trainer(config=config, genotype=load_genotype(genotype), val=None, **shared)
        batches = iter(trainer.sampler.epoch(0))
        return lambda: trainer.train_step(next(batches))
    how = replace(config.search, relaxation=what, frozen=0.0)
    few = replace(crops, images=crops.images[:64], labels=crops.labels[:64], records=crops.records[:64])
    searcher = Searcher(config=replace(config, search=how), alphas_crops=crops, val=few, **shared)
    pairs = iter(zip(searcher.sampler.epoch(0), searcher._alpha_batches(0), strict=False))

    def step() -> None:
        weights, alphas = next(pairs)
        searcher.weight_step(weights)
        searcher.alpha_step(alphas)
        searcher.step += 1

    return step


def peak_mb(what: str, config: SearchConfig, genotype: str) -> float:
    """Largest resident memory of a process that takes five steps."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (what, config, genotype))


def _peak(what: str, config: SearchConfig, genotype: str) -> float:
    torch.set_num_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        step = stepper(what, config, genotype, Path(folder))
        for _ in range(5):
            step()
    # getrusage would tell the parent's peak, which a child inherits.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 1024


def measure(config: SearchConfig, genotype: str, steps: int) -> dict[str, Any]:
    names = ("retrain", "gumbel", "softmax")
    spent: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        step_of = {name: stepper(name, config, genotype, Path(folder)) for name in names}
        for _ in range(WARM + steps):
            for name, step in step_of.items():
                start = time.thread_time()
                step()
                spent[name].append(time.thread_time() - start)
    ms = {name: 1000 * statistics.median(times[WARM:]) for name, times in spent.items()}
    return {
        "ms": ms,
        "ratio": {name: ms[name] / ms["retrain"] for name in names},
        "peak_mb": {name: peak_mb(name, config, genotype) for name in names},
        "batch": config.recipe.people * config.recipe.shots,
        "genotype": genotype,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", type=Path, default=Path("search/configs/search-s.toml"))
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--genotype", default="auto_reid_2019")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    result = measure(SearchConfig.load(args.config), args.genotype, args.steps)
    if args.json:
        print(json.dumps(result))
        return
    print(f"batch {result['batch']}, one thread, float32; retraining: {result['genotype']}")
    for name, ms in result["ms"].items():
        limit = f" (limit {LIMIT})" if name == "gumbel" else ""
        ratio, memory = result["ratio"][name], result["peak_mb"][name]
        print(f"{name:9}{ms:8.0f} ms a step{ratio:7.2f} retraining steps{limit}, peak {memory:.0f} MB")


if __name__ == "__main__":
    main()
