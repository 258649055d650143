"""Training images per second of a configuration, through the real Trainer, and where the time goes.

    python -m benchmarks.train_speed [search/configs/autoreid-s.toml] [--steps 20] [--threads N] [--json]

Crops are random bytes in memory, of one source and without a teacher; there is no decoding and no validation. The
shares are the time within the functions that augment, average the weights (EMA) and take the optimiser's step; the rest
is the network itself, forward and backward, and the losses. The first steps are not counted.
"""

import argparse
import datetime
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import search.trainer
from autoreid_deploy.records import Record
from search.config import RunConfig, Source, load_config
from search.data import Crops
from search.genotype import load_genotype
from search.memory import keep_freed_memory
from search.trainer import Trainer

PEOPLE, SHOTS, WARM = 600, 8, 3


def random_crops(height: int, width: int) -> Crops:
    count = PEOPLE * SHOTS
    return Crops(
        images=np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8),
        labels=np.repeat(np.arange(PEOPLE), SHOTS),
        records=tuple(Record(Path(f"{i}.jpg")) for i in range(count)),
        origins=np.zeros(count, np.int64),
    )


@contextmanager
def timed(owner: Any, name: str, spent: list[float]) -> Iterator[None]:
    """Note the seconds of each call of a function of a module or an object."""
    function: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **options)
        spent.append(time.perf_counter() - start)
        return result

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, function)


def measure(run: RunConfig, steps: int) -> dict[str, Any]:
    # One source of one set of people, whatever the configuration trains on.
    run = replace(run, train=(Source(),), recipe=replace(run.recipe, heads="one"))
    crops = random_crops(run.network.height, run.network.width)
    spent: dict[str, list[float]] = {"augmentation": [], "EMA": [], "optimiser": [], "step": []}
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            config=run,
            genotype=load_genotype(run.genotype),
            train=crops,
            val=None,
            folder=Path(folder),
            device=torch.device("cpu"),
        )
        with (
            timed(search.trainer, "training_input", spent["augmentation"]),
            timed(search.trainer, "follow", spent["EMA"]),
            timed(trainer.optimiser, "step", spent["optimiser"]),
            timed(trainer, "train_step", spent["step"]),
        ):
            for indices in trainer.sampler.epoch(0)[: WARM + steps]:
                trainer.train_step(indices)
                trainer.step += 1
    seconds = {name: statistics.median(taken[WARM:]) for name, taken in spent.items()}
    whole = seconds.pop("step")
    batch = run.recipe.people * run.recipe.shots
    return {
        "images_per_second": batch / whole,
        "step_ms": 1000 * whole,
        "shares": {name: taken / whole for name, taken in seconds.items()},
        "config": run.name,
        "precision": str(trainer.dtype).removeprefix("torch."),
        "batch": batch,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", default="search/configs/autoreid-s.toml")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    result = measure(load_config(args.config), args.steps)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['config']}, batch {result['batch']}, {result['precision']}, {result['threads']} threads")
    print(f"{result['images_per_second']:.0f} images/s ({result['step_ms']:.0f} ms a step)")
    for name, share in result["shares"].items():
        print(f"{name:14} {100 * share:5.1f} %")
    print(f"{'the network':14} {100 * (1 - sum(result['shares'].values())):5.1f} %")


if __name__ == "__main__":
    main()
