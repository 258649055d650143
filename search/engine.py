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
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import Evaluation, evaluate_records
from autoreid_deploy.protocols import heldout_split
from search import checkpoint, distributed, monitor
from search.augment import augment, draw, normalise
from search.config import Recipe, RunConfig
from search.data import Crops
from search.genotype import Genotype
from search.losses import batch_hard_triplet
from search.network import Network
from search.sampler import IdentitySampler

SAVE_SECONDS = 120
FORMAT = "autoreid-checkpoint/1"


def precision(recipe: Recipe, device: torch.device) -> torch.dtype:
    """The type that convolutions run in: bf16 only where the processor computes in it."""
    if recipe.precision != "auto":
        return torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # Without AVX-512 BF16 or AMX a CPU emulates bf16, at a tenth of the speed of float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Linear warm-up from a tenth, then half a cosine to nearly nothing; progress is in epochs."""
    if progress < recipe.warmup:
        return recipe.lr * (0.1 + 0.9 * progress / recipe.warmup)
    done = (progress - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)
    return recipe.lr * (0.002 + 0.998 * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; BN and biases do not decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights and statistics; young averages follow faster."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)


def embed(network: Network, images: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> np.ndarray:  # type: ignore[type-arg]
    """(N, H, W, 3) uint8 RGB -> (N, dim) float32 unit rows, in evaluation mode."""
    network.eval()
    rows = []
    with torch.no_grad():
        for start in range(0, len(images), 128):
            batch = torch.from_numpy(images[start : start + 128]).to(device)
            rows.append(network.embed(normalise(batch)).cpu().numpy())
    return np.concatenate(rows)


def validate(network: Network, crops: Crops, device: torch.device) -> Evaluation:
    """Score held-out people by the held-out protocol, through the same code as `reid-eval`."""
    rows = embed(network, crops.images, device)
    query, gallery = heldout_split(list(crops.records))
    return evaluate_records(
        rows[query],
        [crops.records[i] for i in query],
        rows[gallery],
        [crops.records[i] for i in gallery],
    )


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
        world = distributed.world_size()
        if recipe.people * recipe.shots % world:
            raise InputError(f"a batch of {recipe.people} x {recipe.shots} cannot be cut into {world} slices")
        size = recipe.people * recipe.shots // world
        self.slice = slice(distributed.rank() * size, (distributed.rank() + 1) * size)
        self.parallel: nn.Module = self.network
        if world > 1:
            # BN's statistics are the same everywhere already.
            self.parallel = DistributedDataParallel(self.network, broadcast_buffers=False)
        self._sums = np.zeros(3)

    @property
    def checkpoint_path(self) -> Path:
        """The newest state."""
        return self.folder / "last.pt"

    def run(self) -> None:
        """Train to the last epoch; an interrupt or a request to end saves the state first."""
        total = self.config.recipe.epochs * len(self.sampler)
        done = self.epoch * len(self.sampler) + self.step
        batch = self.config.recipe.people * self.config.recipe.shots
        lead = distributed.rank() == 0
        bar = monitor.progress(total * batch, done * batch, "img", self.config.name) if lead else None
        saved = time.monotonic()
        with _stopping() as asked_to_stop:
            while self.epoch < self.config.recipe.epochs:
                for indices in self.sampler.epoch(self.epoch)[self.step :]:
                    losses = self.train_step(indices)
                    self.step += 1
                    if bar is not None:
                        bar.set_postfix_str(
                            f"epoch {self.epoch + 1}/{self.config.recipe.epochs} ce {losses[0]:.3f} "
                            f"triplet {losses[1]:.3f} {self._last_score()}",
                            refresh=False,
                        )
                        bar.update(batch)
                    if asked_to_stop():
                        self.save()
                        raise KeyboardInterrupt
                    if time.monotonic() - saved > SAVE_SECONDS:
                        self.save()
                        saved = time.monotonic()
                self.finish_epoch()
                self.save()
                saved = time.monotonic()
        if bar is not None:
            bar.close()

    def train_step(self, indices: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[float, float]:
        """One step over a batch of crops, of which this process takes its slice; returns both losses."""
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
        loss.backward()
        self.optimiser.step()
        follow(self.average, self.network, recipe.ema, self.epoch * len(self.sampler) + self.step)
        losses = float(cross_entropy.detach()), float(triplet.detach())
        if not math.isfinite(sum(losses)):
            raise InputError(f"the loss is {losses} in epoch {self.epoch + 1}; lower recipe.lr and --resume")
        self._sums += (*losses, 1)
        return losses

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
            "format": FORMAT,
            "config": self.config.to_dict(),
            "genotype": self.genotype.to_dict(),
            "people": self.train.people,
            "data": [
                {"name": s.name or s.path, "terms": s.terms, **counts}
                for s, counts in zip(self.config.train, self.train.counts(), strict=True)
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
            InputError: the checkpoint is of another configuration or of other people.
        """
        mine, theirs = self.config.to_dict(), state["config"]
        changed = sorted(key for key in mine if mine[key] != theirs.get(key))
        if changed or state["people"] != self.train.people:
            what = f"another {', '.join(changed)}" if changed else f"{state['people']} people"
            raise InputError(
                f"{self.checkpoint_path} was trained with {what}; resume with the same configuration and data, or "
                "train into another folder"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], list(state["history"])
        self._sums = np.array(state["sums"])

    def _last_score(self) -> str:
        scored = [row for row in self.history if "mAP" in row]
        return f"val {100 * scored[-1]['rank1']:.1f}/{100 * scored[-1]['mAP']:.1f}" if scored else ""


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
