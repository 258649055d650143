"""What retraining minimises: label-smoothed cross-entropy and the batch-hard triplet loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search.distributed import gather


class Heads:
    """Cross-entropy with a softmax of its own for each group of people.

    A crop counts among its own group alone: 5,000 people of one source do not push 500 of another around.

    Args:
        groups: who is in each; together everybody. None: everybody is in one.
        people: how many there are.
        device: where the logits live.
    """

    def __init__(self, groups: Sequence[NDArray[np.int64]], people: int, device: torch.device) -> None:
        self._groups = [torch.from_numpy(group).to(device) for group in groups]
        self._home = torch.zeros(people, dtype=torch.int64, device=device)
        self._place = torch.arange(people, device=device)
        for number, group in enumerate(self._groups):
            self._home[group] = number
            self._place[group] = torch.arange(len(group), device=device)

    def __call__(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """(N, people), (N,) -> the mean over the N crops."""
        if len(self._groups) < 2:
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)
        home, total = self._home[labels], logits.new_zeros(())
        for number, group in enumerate(self._groups):
            rows = torch.nonzero(home == number).squeeze(1)
            if len(rows):
                among, right = logits[rows][:, group], self._place[labels[rows]]
                total = total + F.cross_entropy(among, right, label_smoothing=smoothing, reduction="sum")
        return total / len(labels)


def pairwise_distance(a: Tensor, b: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M) Euclidean distances, with a finite gradient at 0."""
    squared = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squared.clamp(min=1e-12).sqrt()


def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Hinge between each anchor's farthest positive and nearest negative (arXiv 1703.07737, equation 5).

    loss = mean over anchors of max(0, margin + max_p d(a, p) - min_n d(a, n))

    Args:
        features: (N, D) of this process; candidates come from all processes.
        labels: (N,) people.
        margin: in the features' own units.
    """
    everyone, everyones_labels = gather(features), gather(labels)
    distance = pairwise_distance(features, everyone)
    same = labels[:, None] == everyones_labels[None, :]
    hardest_positive = distance.masked_fill(~same, 0).amax(1)
    hardest_negative = distance.masked_fill(same, torch.inf).amin(1)
    return F.relu(margin + hardest_positive - hardest_negative).mean()
