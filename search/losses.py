"""What retraining minimises: label-smoothed cross-entropy, the batch-hard triplet loss, the contrastive loss.

All push people apart, and take a question about pairs (`search/rivals.py`) where not all identities are known to be
people of their own: then only those are pushed apart that surely are two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search.distributed import gather, rank

Apart: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(N,) and (M,) identities -> (N, M) bool, whether two are surely two people."""


class Heads:
    """Cross-entropy among those with whom a crop competes.

    Each group of people has a softmax of its own: 5,000 people of one source do not push 500 of another around.

    Args:
        groups: who is in each; together everybody. None: everybody is in one.
        people: how many there are.
        device: where the logits live.
        apart: with whom else an identity does not compete; None: with everybody of its group.
    """

    def __init__(
        self,
        groups: Sequence[NDArray[np.int64]],
        people: int,
        device: torch.device,
        apart: Apart | None = None,
    ) -> None:
        self._whole = len(groups) < 2 and apart is None
        self._apart = apart
        self._home = torch.zeros(people, dtype=torch.int64, device=device)
        for number, group in enumerate(groups):
            self._home[torch.from_numpy(group).to(device)] = number

    def __call__(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """(N, people), (N,) -> the mean over the N crops."""
        if self._whole:
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)
        everybody = torch.arange(len(self._home), device=labels.device)
        among = self._home[labels][:, None] == self._home[None, :]
        if self._apart is not None:
            among &= self._apart(labels, everybody) | (labels[:, None] == everybody)
        logs = torch.log_softmax(logits.masked_fill(~among, -torch.inf), 1).masked_fill(~among, 0)
        right = logs.gather(1, labels[:, None]).squeeze(1)
        return -((1 - smoothing) * right + smoothing * logs.sum(1) / among.sum(1)).mean()


def pairwise_distance(a: Tensor, b: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M) Euclidean distances, with a finite gradient at 0."""
    squared = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squared.clamp(min=1e-12).sqrt()


def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float, apart: Apart | None = None) -> Tensor:
    """Hinge between each anchor's farthest positive and nearest negative (arXiv 1703.07737, equation 5).

    loss = mean over anchors of max(0, margin + max_p d(a, p) - min_n d(a, n))

    Args:
        features: (N, D) of this process; candidates come from all processes.
        labels: (N,) people.
        margin: in the features' own units.
        apart: who may be a negative; None: everybody else.
    """
    everyone, everyones_labels = gather(features), gather(labels)
    distance = pairwise_distance(features, everyone)
    same = labels[:, None] == everyones_labels[None, :]
    hardest_positive = distance.masked_fill(~same, 0).amax(1)
    negative = ~same if apart is None else apart(labels, everyones_labels)
    hardest_negative = distance.masked_fill(~negative, torch.inf).amin(1)
    return F.relu(margin + hardest_positive - hardest_negative).mean()


def contrastive(embeddings: Tensor, labels: Tensor, temperature: float, apart: Apart | None = None) -> Tensor:
    """Each other crop of a person against everybody else of the batch (arXiv 2004.11362, a positive at a time).

    loss = mean over anchors, and over positives p of each, of -log(e^c(a, p) / (e^c(a, p) + sum_n e^c(a, n))), where
    c = cosine / temperature. The triplet loss looks at one negative, this at all of them, the nearest most.

    Args:
        embeddings: (N, D) of this process, of any length; candidates come from all processes.
        labels: (N,) people; each has another crop somewhere in the batch, or counts as solved.
        temperature: the lower, the more the nearest count.
        apart: who may be a negative; None: everybody else.
    """
    rows = F.normalize(embeddings, dim=1)
    everyone, everyones_labels = gather(rows), gather(labels)
    cosine = rows @ everyone.T / temperature
    same = labels[:, None] == everyones_labels[None, :]
    negative = ~same if apart is None else apart(labels, everyones_labels)
    itself = torch.arange(len(rows), device=rows.device) + rank() * len(rows)
    positive = same.scatter(1, itself[:, None], False)
    # Where nobody is a negative, -inf would have no gradient.
    negatives = cosine.masked_fill(~negative, -1e4).logsumexp(1, keepdim=True)
    each = torch.logaddexp(cosine, negatives) - cosine
    return (each.masked_fill(~positive, 0).sum(1) / positive.sum(1).clamp_min(1)).mean()
