"""What a search minimises: the same retrieval loss for weights and alphas, and the latency of what is found.

    L = balance * CE + (1 - balance) * batch-hard triplet          (arXiv 1903.09776, equation 1)
    L_alphas = L + latency_weight * max(0, E[ms] / budget - 1)

The triplet loss looks at unit rows: paths differ in the scale of their features, and a margin in raw distances
would judge that scale (and did: with raw distances the supernet did not learn).

The weights' cross-entropy goes through the classifier that they train. The alphas see other people, whom no
classifier knows; theirs goes to a memory of centres, which has nothing to learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search.distributed import all_sum, gather
from search.genotype import ALL_EDGES, EDGES_PER_NODE
from search.losses import batch_hard_triplet


@dataclass(frozen=True)
class Losses:
    """The two terms of a batch, differentiable.

    Attributes:
        cross_entropy: mean over the batch.
        triplet: mean over its anchors.
        total: their weighted sum.
    """

    cross_entropy: Tensor
    triplet: Tensor
    total: Tensor


def retrieval_loss(
    logits: Tensor, features: Tensor, labels: Tensor, balance: float, margin: float, smoothing: float = 0.0
) -> Losses:
    """Weigh cross-entropy and triplet loss.

    Args:
        logits: (N, people).
        features: (N, D) before the neck; compared as unit rows.
        labels: (N,) people.
        balance: weight of the cross-entropy, from 0 (triplet alone) to 1 (cross-entropy alone).
        margin: of the triplet loss.
        smoothing: of the labels.
    """
    cross_entropy = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
    triplet = batch_hard_triplet(F.normalize(features.float(), dim=1), labels, margin)
    return Losses(cross_entropy, triplet, balance * cross_entropy + (1 - balance) * triplet)


class CentreMemory:
    """A classifier that nobody trains: the running mean direction of each person's features.

    A person's logit is the cosine between a feature and their centre, over a temperature. Centres follow the
    network by momentum and get no gradient, so the cross-entropy towards them asks one thing of the alphas:
    which ops bring the crops of an unseen person together and away from the others.

    Args:
        people: how many.
        dim: of a feature.
        momentum: share of the old centre that an update keeps.
        temperature: divides the cosines.
        device: where the centres live.
    """

    def __init__(
        self, people: int, dim: int, momentum: float, temperature: float, device: torch.device
    ) -> None:
        self.centres = torch.zeros(people, dim, device=device)
        self.momentum, self.temperature = momentum, temperature

    def logits(self, features: Tensor) -> Tensor:
        """(N, D) features behind the neck -> (N, people) cosines over the temperature; 0 for whom it has not met."""
        return F.normalize(features.float(), dim=1) @ self.centres.T / self.temperature

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Move the centres of the people of a batch, which all processes see whole.

        Args:
            features: (N, D) of this process.
            labels: (N,) people.
        """
        everyone, theirs = gather(F.normalize(features.detach().float(), dim=1)), gather(labels)
        sums = torch.zeros_like(self.centres).index_add_(0, theirs, everyone)
        met = torch.bincount(theirs, minlength=len(sums)) > 0
        fresh = F.normalize(sums[met], dim=1)
        old = self.centres[met]
        keep = torch.where(old.square().sum(1, keepdim=True) > 0, self.momentum, 0.0)
        self.centres[met] = F.normalize(keep * old + (1 - keep) * fresh, dim=1)


@dataclass(frozen=True)
class LatencyTerm:
    """The expected latency of the network that would be derived now.

    Attributes:
        frame_ms: all of the network but its ops.
        costs: by kind of cell, (E, O) ms of each op on each edge over all cells of the kind.
        budget_ms: what the network may take.
        weight: of the term, for each time that the budget is exceeded.
    """

    frame_ms: float
    costs: Mapping[str, NDArray[np.float64]]
    budget_ms: float
    weight: float

    def expected_ms(self, probability: Mapping[str, Tensor]) -> Tensor:
        """E[ms] = frame + sum over edges of keep(e) * sum over ops of p(e, o) cost(e, o).

        A node keeps two of its edges; which ones is not known before the end, so each of a node's n edges counts
        2 / n. `none` is never derived, so the others' probabilities are taken relative to its absence.
        """
        total = torch.tensor(self.frame_ms, dtype=torch.float64)
        keep = torch.tensor([EDGES_PER_NODE / target for _, target in ALL_EDGES], dtype=torch.float64)
        for kind, p in probability.items():
            derived = p[:, 1:].double().cpu()
            derived = derived / derived.sum(1, keepdim=True).clamp_min(1e-12)
            cost = torch.from_numpy(self.costs[kind])[:, 1:]
            total = total + (keep * (derived * cost).sum(1)).sum()
        return total

    def penalty(self, expected: Tensor) -> Tensor:
        """Weight * max(0, E[ms] / budget - 1)."""
        return self.weight * F.relu(expected / self.budget_ms - 1).float()


def mean_over_processes(gradient: Tensor, world: int) -> Tensor:
    """What DDP does for weights, for the few numbers of the alphas."""
    return all_sum(gradient) / world
