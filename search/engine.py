"""The loop under every run: steps, progress, checkpoints, and an end that loses nothing."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np
import torch

from autoreid_deploy.errors import InputError
from search import checkpoint, distributed, monitor
from search.config import RunConfig


@dataclass(kw_only=True)
class Run(ABC):
    """A run that can stop at any step and go on as if it had not.

    Attributes:
        kind: what its checkpoints are called.
        config: what was asked for.
        folder: where checkpoints, log and pictures go.
        device: where the network lives.
        save_seconds: time between checkpoints within an epoch; there is one at the end of each, too.
        epoch: the epoch under way.
        step: the next step of that epoch.
        history: one row a finished epoch.
    """

    kind: ClassVar[checkpoint.Kind] = checkpoint.RETRAINING

    config: RunConfig
    folder: Path
    device: torch.device
    save_seconds: float = 120.0
    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.config.name

    @property
    def epochs(self) -> int:
        """Epochs of the recipe."""
        return self.config.recipe.epochs

    @abstractmethod
    def images_in(self, epoch: int) -> int:
        """How many images an epoch sees."""

    @abstractmethod
    def steps_of(self, epoch: int) -> Iterable[Callable[[], tuple[int, str]]]:
        """The steps of an epoch from `self.step` on; each returns its number of images and a summary."""

    @abstractmethod
    def finish_epoch(self) -> None:
        """Log the epoch and turn to the next one."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run, or an export, depends on."""

    @property
    def checkpoint_path(self) -> Path:
        """The newest state."""
        return self.folder / "last.pt"

    def run(self) -> bool:
        """Go to the last epoch, or until Ctrl-C or SIGTERM asks to stop; the state is saved either way.

        Returns:
            Whether the last epoch is done.

        Raises:
            InputError: the loss is no longer finite.
        """
        images = [self.images_in(epoch) for epoch in range(self.epochs)]
        lead, saved = distributed.rank() == 0, time.monotonic()
        with (
            monitor.progress(sum(images), self._done(images), "img", self.name, shown=lead) as bar,
            _stopping() as asked_to_stop,
        ):
            while self.epoch < self.epochs:
                for take_step in self.steps_of(self.epoch):
                    seen, summary = take_step()
                    self.step += 1
                    bar.set_postfix_str(f"epoch {self.epoch + 1}/{self.epochs} {summary}", refresh=False)
                    bar.update(seen)
                    # A signal reaches the processes at different steps; they stop after the same one.
                    if any(distributed.mean([asked_to_stop()], self.device)):
                        self.save()
                        return False
                    if time.monotonic() - saved > self.save_seconds:
                        self.save()
                        saved = time.monotonic()
                self.finish_epoch()
                self.save()
                saved = time.monotonic()
        return True

    def _done(self, images: list[int]) -> int:
        if self.epoch >= self.epochs or not self.step:
            return sum(images[: self.epoch])
        left = sum(1 for _ in self.steps_of(self.epoch))
        share = self.step / (self.step + left)
        return sum(images[: self.epoch]) + round(share * images[self.epoch])

    def save(self) -> None:
        """Write the whole state; only the first process does."""
        if distributed.rank() == 0:
            checkpoint.save(self.state(), self.checkpoint_path, self.kind)

    def refuse_another(self, state: Mapping[str, Any], keys: Iterable[str]) -> None:
        """Make sure that a checkpoint is of this run.

        Raises:
            InputError: its configuration, or what stands under one of the keys, is another.
        """
        mine = self.state()
        # An older checkpoint lacks what has come since, which it was trained without.
        theirs = type(self.config).from_dict(state["config"], str(self.checkpoint_path)).to_dict()
        changed = sorted(key for key, value in mine["config"].items() if value != theirs[key])
        changed += [key for key in keys if mine[key] != state[key] and key not in changed]
        if changed:
            raise InputError(
                f"{self.checkpoint_path} was trained with another {', '.join(changed)}; resume with the same "
                "configuration and crops, or train into another folder"
            )


def batch_slice(size: int, where: str) -> slice:
    """This process's part of a batch.

    Raises:
        InputError: the batch cannot be cut into as many equal parts as there are processes.
    """
    world = distributed.world_size()
    if size % world:
        raise InputError(f"{where}: a batch of {size} cannot be cut into {world} slices")
    part = size // world
    return slice(distributed.rank() * part, (distributed.rank() + 1) * part)


class Means:
    """Averages of an epoch's losses; they go into a checkpoint."""

    def __init__(self, width: int) -> None:
        self.sums = np.zeros(width + 1)

    def add(self, *values: float) -> None:
        """Count one step in."""
        self.sums += (*values, 1)

    def take(self) -> list[float]:
        """The averages; the next epoch starts from nothing."""
        means: list[float] = (self.sums[:-1] / max(self.sums[-1], 1)).tolist()
        self.sums[:] = 0
        return means


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question that is asked between two steps."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
