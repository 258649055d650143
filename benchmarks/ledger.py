"""What rows of trainings leave on disk: JSON that is whole or not there, and the minutes that work took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search import checkpoint
from search.files import replacing
from search.trainer import Trainer


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(plain: dict[str, Any], path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def collect(work: Path, results: Path, order: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Add the finished rows of a folder to the results, in an order of their names and then by seed."""
    kept = read(results) if results.exists() else {}
    kept |= {path.parent.name: read(path) for path in work.glob("*/row.json")}
    kept = dict(sorted(kept.items(), key=lambda item: (order.index(item[1]["row"]), item[1]["seed"])))
    write(kept, results)
    return kept


class Clock:
    """Minutes that work took, summed over interruptions; a killed process loses its last stretch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Add the time of the block."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = read(self.path) if self.path.exists() else {}
            spent[what] = spent.get(what, 0.0) + (time.monotonic() - start) / 60
            write(spent, self.path)

    def minutes(self, what: str) -> float:
        """What was added up."""
        return float(read(self.path).get(what, 0.0)) if self.path.exists() else 0.0


def train(trainer: Trainer) -> dict[str, float]:
    """Train, or what is left of it; gives the last validation and the minutes.

    Raises:
        SystemExit: it was stopped.
    """
    clock = Clock(trainer.folder / "minutes.json")
    if trainer.checkpoint_path.exists():
        trainer.restore(checkpoint.load(trainer.checkpoint_path))
    with clock.running("training"):
        if not trainer.run():
            raise SystemExit("stopped; run the same command again to go on")
    last = trainer.history[-1]
    return {"mAP": last["mAP"], "rank1": last["rank1"], "training_minutes": clock.minutes("training")}
