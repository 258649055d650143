"""Retraining: one network, from its first step to its last, across kills and processes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autoreid_deploy.errors import InputError
from search import distributed, monitor
from search.augment import draw, training_input
from search.data import Crops
from search.engine import Means, Run, batch_slice
from search.genotype import Genotype
from search.losses import Heads, batch_hard_triplet, contrastive
from search.network import Network, build_network
from search.optim import follow, learning_rate, optimiser, precision
from search.rivals import Rivals
from search.sampler import pools_of, sampler_of
from search.scoring import score, validate
from search.start import Start
from search.teacher import Pupil, taught_rows


@dataclass(kw_only=True)
class Trainer(Run):
    """One network, trained from its first step to its last.

    Attributes:
        genotype: the cells; None for a network that `build` draws up by itself.
        train: crops to learn from.
        val: crops of other people to be scored by, or None.
        taught: (N, D) float16, what a teacher says of each crop of `train`; None without one.
        start: a trained network of the same shape to go on from; None: initial weights are drawn.
    """

    genotype: Genotype | None
    train: Crops
    val: Crops | None
    taught: NDArray[np.float16] | None = None
    start: Start | None = None

    def __post_init__(self) -> None:
        recipe = self.config.recipe
        torch.manual_seed(recipe.seed)
        self.network: Network = self.build().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.start is not None:
            self.start.fill(self.network, self.config.network, self.train.images)
        if recipe.norm == "slice":
            distributed.keep_to_slices(self.network)
        self.origin = {} if self.start is None else dict(self.start.origin)
        self.average: Network = copy.deepcopy(self.network).requires_grad_(False)
        self.pupil = self._pupil()
        learning = [self.network] if self.pupil is None else [self.network, self.pupil]
        self.optimiser = optimiser(nn.ModuleList(learning), recipe)
        self.rivals = Rivals.of(self.train, self.config.train, self.device)
        rivals = None if self.rivals is None else self.rivals.of_one
        self.sampler = sampler_of(self.train, self.config.train, recipe, recipe.seed, rivals)
        groups = [pool.people for pool in pools_of(self.train, self.config.train)]
        self.heads = Heads(
            groups if recipe.heads == "each" else [], self.train.people, self.device, self.rivals
        )
        self.dtype = precision(recipe, self.device)
        if self.val is not None:
            # Crops that cannot be scored are an error now, and not epochs later.
            score(np.ones((len(self.val.records), 1), np.float32), self.val)
        self.slice = batch_slice(recipe.people * recipe.shots, "recipe")
        self.parallel: nn.Module = self.network
        if distributed.world_size() > 1:
            self.parallel = DistributedDataParallel(self.network)
        self.learn: nn.Module | None = self.pupil
        if self.pupil is not None and distributed.world_size() > 1:
            self.learn = DistributedDataParallel(self.pupil)
        self._means = Means(len(self._losses))

    def _pupil(self) -> Pupil | None:
        told = self.config.teacher
        if self.taught is None:
            return None
        return Pupil(self.network.dim, self.taught.shape[1], told.cosine, told.similarity).to(self.device)

    @property
    def _losses(self) -> tuple[str, ...]:
        """What a log calls the losses of a step."""
        recipe = self.config.recipe
        return (
            "cross_entropy",
            *(["triplet"] if recipe.triplet_weight else []),
            *(["contrastive"] if recipe.contrastive_weight else []),
            *([] if self.taught is None else ["teacher"]),
        )

    def images_in(self, epoch: int) -> int:
        """The same number in every epoch."""
        return len(self.sampler) * self.config.recipe.people * self.config.recipe.shots

    def steps_of(self, epoch: int) -> Iterator[Callable[[], tuple[int, str]]]:
        """One step a batch."""
        for indices in self.sampler.epoch(epoch)[self.step :]:
            yield partial(self._step, indices)

    def _step(self, indices: NDArray[np.int64]) -> tuple[int, str]:
        return len(indices), self._summary(self.train_step(indices))

    def build(self) -> Network:
        """The network to train; baselines by hand put their own here."""
        assert self.genotype is not None
        return build_network(self.genotype, self.config.network, self.train.people)

    def train_step(self, indices: NDArray[np.int64]) -> list[float]:
        """One step over a batch of crops, of which this process takes its slice.

        Args:
            indices: (P * K,) crops of the whole batch.

        Returns:
            Cross-entropy of the whole batch; then, where they take part, triplet loss, contrastive loss and distance to
            the teacher.
        """
        recipe, part = self.config.recipe, indices[self.slice]
        height, width = self.config.network.height, self.config.network.width
        draws = draw(recipe, (self.epoch, self.step), len(indices), height, width)[self.slice]
        x = training_input(self.train.images[part], draws, recipe.pad, self.device)
        labels = torch.from_numpy(self.train.labels[part]).to(self.device)
        rate = learning_rate(recipe, self.epoch + self.step / len(self.sampler))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.parallel.train()
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            features, embeddings, logits = self.parallel(x)
        cross_entropy = self.heads(logits.float(), labels, recipe.label_smoothing)
        loss: Tensor = cross_entropy
        parts = [cross_entropy]
        if recipe.triplet_weight:
            parts.append(batch_hard_triplet(features.float(), labels, recipe.margin, self.rivals))
            loss = loss + recipe.triplet_weight * parts[-1]
        if recipe.contrastive_weight:
            parts.append(contrastive(embeddings.float(), labels, recipe.temperature, self.rivals))
            loss = loss + recipe.contrastive_weight * parts[-1]
        if self.learn is not None and self.taught is not None:
            parts.append(self.learn(embeddings.float(), taught_rows(self.taught, part, self.device)))
            loss = loss + parts[-1]
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()
        follow(self.average, self.network, recipe.ema, self.epoch * len(self.sampler) + self.step)
        losses = distributed.mean([float(value.detach()) for value in parts], self.device)
        if not math.isfinite(sum(losses)):
            raise InputError(
                f"the loss is {losses} in epoch {self.epoch + 1}; train anew with a lower recipe.lr or a "
                "longer recipe.warmup"
            )
        self._means.add(*losses)
        return losses

    def finish_epoch(self) -> None:
        """Log the epoch, validate if it is time to, and turn to the next one."""
        recipe = self.config.recipe
        self.epoch, self.step = self.epoch + 1, 0
        row: dict[str, Any] = {
            "epoch": self.epoch,
            **dict(zip(self._losses, self._means.take(), strict=True)),
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

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run, or an export, depends on."""
        taught = {} if self.pupil is None else {"pupil": self.pupil.state_dict()}
        return {
            **taught,
            "config": self.config.to_dict(),
            "genotype": self.genotype.to_dict() if self.genotype else None,
            "init": self.origin,
            "people": self.train.people,
            "data": [
                {
                    "name": source.name or source.path,
                    "terms": source.terms,
                    **self.train.count(i),
                    **({"identities": "tracklets"} if source.tracklets else {}),
                }
                for i, source in enumerate(self.config.train)
            ],
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "sums": self._means.sums.tolist(),
            "history": self.history,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint stopped.

        Raises:
            InputError: the checkpoint is of another configuration, other cells or other crops.
        """
        before = state.get("init", {})
        self.origin = before if self.start is None else self.origin
        self.refuse_another({**state, "init": before}, ("genotype", "data", "init"))
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if self.pupil is not None:
            self.pupil.load_state_dict(state["pupil"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], list(state["history"])
        self._means.sums = np.array(state["sums"])

    def _summary(self, losses: Sequence[float]) -> str:
        scored = [row for row in self.history if "mAP" in row]
        last = f" val {100 * scored[-1]['rank1']:.1f}/{100 * scored[-1]['mAP']:.1f}" if scored else ""
        names = ("ce", *self._losses[1:])
        return " ".join(f"{name} {loss:.3f}" for name, loss in zip(names, losses, strict=True)) + last
