"""Retraining: one network, from its first step to its last, across kills and processes."""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from autoreid_deploy.errors import InputError
from search import checkpoint, distributed, monitor
from search.augment import augment, draw
from search.config import RunConfig
from search.data import Crops
from search.genotype import Genotype
from search.losses import batch_hard_triplet
from search.network import Network
from search.optim import follow, learning_rate, optimiser, precision
from search.sampler import IdentitySampler
from search.scoring import score, validate


@dataclass
class Trainer:
    """A run that can stop at any step and go on as if it had not.

    Attributes:
        config: what was asked for.
        genotype: the cells.
        train: crops to learn from.
        val: crops of other people to be scored by, or None.
        folder: where checkpoints, log and curve go.
        device: where the network lives.
        save_seconds: time between checkpoints within an epoch; there is one at the end of each, too.
        epoch: the epoch under way.
        step: the next step of that epoch.
        history: one row a finished epoch.
    """

    config: RunConfig
    genotype: Genotype
    train: Crops
    val: Crops | None
    folder: Path
    device: torch.device
    save_seconds: float = 120.0
    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe = self.config.recipe
        torch.manual_seed(recipe.seed)
        network = Network(self.genotype, self.config.network, self.train.people)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: Network = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = optimiser(self.network, recipe)
        self.sampler = IdentitySampler(self.train.labels, recipe.people, recipe.shots, recipe.seed)
        self.dtype = precision(recipe, self.device)
        if self.val is not None:
            # Crops that cannot be scored are an error now, and not epochs later.
            score(np.ones((len(self.val.records), 1), np.float32), self.val)
        world = distributed.world_size()
        if recipe.people * recipe.shots % world:
            raise InputError(f"a batch of {recipe.people} x {recipe.shots} cannot be cut into {world} slices")
        size = recipe.people * recipe.shots // world
        self.slice = slice(distributed.rank() * size, (distributed.rank() + 1) * size)
        self.parallel: nn.Module = self.network
        if world > 1:
            self.parallel = DistributedDataParallel(self.network)
        self._sums = np.zeros(3)

    @property
    def checkpoint_path(self) -> Path:
        """The newest state."""
        return self.folder / "last.pt"

    def run(self) -> bool:
        """Train to the last epoch, or until Ctrl-C or SIGTERM asks to stop; the state is saved either way.

        Returns:
            Whether the last epoch is done.

        Raises:
            InputError: the loss is no longer finite.
        """
        recipe = self.config.recipe
        batch, steps = recipe.people * recipe.shots, len(self.sampler)
        total, done = recipe.epochs * steps * batch, (self.epoch * steps + self.step) * batch
        lead = distributed.rank() == 0
        saved = time.monotonic()
        with (
            monitor.progress(total, done, "img", self.config.name, shown=lead) as bar,
            _stopping() as asked_to_stop,
        ):
            while self.epoch < recipe.epochs:
                for indices in self.sampler.epoch(self.epoch)[self.step :]:
                    losses = self.train_step(indices)
                    self.step += 1
                    bar.set_postfix_str(self._summary(*losses), refresh=False)
                    bar.update(batch)
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

    def train_step(self, indices: NDArray[np.int64]) -> tuple[float, float]:
        """One step over a batch of crops, of which this process takes its slice.

        Args:
            indices: (P * K,) crops of the whole batch.

        Returns:
            Cross-entropy and triplet loss of the whole batch.
        """
        recipe, part = self.config.recipe, indices[self.slice]
        height, width = self.config.network.height, self.config.network.width
        draws = draw(recipe, (self.epoch, self.step), len(indices), height, width)[self.slice]
        images = torch.from_numpy(self.train.images[part]).to(self.device)
        labels = torch.from_numpy(self.train.labels[part]).to(self.device)
        x = augment(images, draws, recipe.pad)
        rate = learning_rate(recipe, self.epoch + self.step / len(self.sampler))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.parallel.train()
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            features, logits = self.parallel(x)
        cross_entropy = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        triplet = batch_hard_triplet(features.float(), labels, recipe.margin)
        loss: Tensor = cross_entropy + recipe.triplet_weight * triplet
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()
        follow(self.average, self.network, recipe.ema, self.epoch * len(self.sampler) + self.step)
        losses = distributed.mean([float(cross_entropy.detach()), float(triplet.detach())], self.device)
        if not math.isfinite(sum(losses)):
            raise InputError(
                f"the loss is {losses} in epoch {self.epoch + 1}; train anew with a lower recipe.lr or a "
                "longer recipe.warmup"
            )
        self._sums += (*losses, 1)
        return losses[0], losses[1]

    def finish_epoch(self) -> None:
        """Log the epoch, validate if it is time to, and turn to the next one."""
        recipe = self.config.recipe
        self.epoch, self.step = self.epoch + 1, 0
        cross_entropy, triplet, _ = self._sums / max(self._sums[2], 1)
        self._sums[:] = 0
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "cross_entropy": float(cross_entropy),
            "triplet": float(triplet),
            "lr": learning_rate(recipe, self.epoch),
        }
        due = self.epoch % recipe.val_every == 0 or self.epoch == recipe.epochs
        if self.val is not None and due and distributed.rank() == 0:
            score = validate(self.average, self.val, self.device)
            row |= {"rank1": score.rank(1), "mAP": score.mAP, "mINP": score.mINP}
        self.history.append(row)
        if distributed.rank() == 0:
            monitor.write_log(self.history, self.folder / "log.csv")
            monitor.draw_curve(self.history, self.folder / "curve.png", self.config.name)

    def save(self) -> None:
        """Write the whole state; only the first process does."""
        if distributed.rank() == 0:
            checkpoint.save(self.state(), self.checkpoint_path)

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run, or an export, depends on."""
        return {
            "config": self.config.to_dict(),
            "genotype": self.genotype.to_dict(),
            "people": self.train.people,
            "data": [
                {"name": source.name or source.path, "terms": source.terms, **self.train.count(i)}
                for i, source in enumerate(self.config.train)
            ],
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "sums": self._sums.tolist(),
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint stopped.

        Raises:
            InputError: the checkpoint is of another configuration, other cells or other crops.
        """
        mine = self.state()
        changed = sorted(key for key, value in mine["config"].items() if value != state["config"].get(key))
        changed += [key for key in ("genotype", "data") if mine[key] != state[key] and key not in changed]
        if changed:
            raise InputError(
                f"{self.checkpoint_path} was trained with another {', '.join(changed)}; resume with the same "
                "configuration and crops, or train into another folder"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], list(state["history"])
        self._sums = np.array(state["sums"])

    def _summary(self, cross_entropy: float, triplet: float) -> str:
        scored = [row for row in self.history if "mAP" in row]
        last = f" val {100 * scored[-1]['rank1']:.1f}/{100 * scored[-1]['mAP']:.1f}" if scored else ""
        epoch = f"epoch {self.epoch + 1}/{self.config.recipe.epochs}"
        return f"{epoch} ce {cross_entropy:.3f} triplet {triplet:.3f}{last}"


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
