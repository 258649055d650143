"""What retraining minimises: label-smoothed cross-entropy and the batch-hard triplet loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from search.distributed import gather


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
