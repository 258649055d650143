"""P x K batches: P people, K crops of each (arXiv 1703.07737)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError


class IdentitySampler:
    """Batches of an epoch, a pure function of (seed, epoch): a resumed run sees the same crops in order.

    Every crop is seen about once an epoch: each person's crops are shuffled and cut into chunks of K (the
    last one filled up from the same crops), and each batch takes a chunk of P people, those with many chunks
    left more often.

    Args:
        labels: (N,) people numbered from 0.
        people: P.
        shots: K.
        seed: of the order.

    Raises:
        InputError: there are fewer than P people.
    """

    def __init__(self, labels: NDArray[np.int64], people: int, shots: int, seed: int) -> None:
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        if len(counts) < people:
            raise InputError(
                f"a batch needs {people} people, the data hold {len(counts)}; lower recipe.people"
            )
        self._crops = np.split(order, np.cumsum(counts)[:-1])
        self._chunks = -(-counts // shots)
        self.people, self.shots, self.seed = people, shots, seed

    def __len__(self) -> int:
        """Batches an epoch."""
        return max(1, int(self._chunks.sum()) // self.people)

    def epoch(self, number: int) -> NDArray[np.int64]:
        """(batches, P * K) indices of the crops of epoch `number`; the K crops of a person stand together."""
        rng = np.random.default_rng([self.seed, number, 0])
        queues = [self._shuffled(crops, rng) for crops in self._crops]
        left = self._chunks.astype(np.float64)
        batches = np.empty((len(self), self.people, self.shots), np.int64)
        for batch in batches:
            # The few people still unfinished at the end of an epoch are joined by others.
            chosen = rng.choice(len(left), self.people, replace=False, p=(left + 1e-3) / (left + 1e-3).sum())
            for row, person in enumerate(chosen):
                if left[person] < 1:
                    queues[person], left[person] = self._shuffled(self._crops[person], rng), 1
                left[person] -= 1
                at = int(left[person]) * self.shots
                batch[row] = queues[person][at : at + self.shots]
        return batches.reshape(len(self), -1)

    def _shuffled(self, crops: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        shuffled = rng.permutation(crops)
        missing = -len(crops) % self.shots
        return np.concatenate([shuffled, rng.choice(crops, missing)])
