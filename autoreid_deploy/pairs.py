"""Which pairs of crops show one person, which show two, and how far apart they are.

Genuine pairs show one person by different cameras, or in different crops where a camera is unknown; impostor pairs
show different people, by any cameras, as a gallery holds them. Junk takes no part; a distractor is an impostor to
everybody. Pairs are drawn, never all of N x N held at once.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import DISTRACTOR, JUNK

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

MIN_PEOPLE = 5
# One person seen a thousand times must not outweigh all others.
_PAIRS_A_PERSON = 200
_CHUNK = 8192
_QUERIES = 2000


class LabelledRows:
    """Rows with a person, whose pairs can be drawn.

    Attributes:
        rows: (N, D) float32; without junk and crops of nobody known.
        pids: (N,) a number for each person.
        camids: (N,) a number for each camera.
        distractor: (N,) whether it shows nobody.
        people: how many people there are.

    Raises:
        InputError: sizes don't fit, or a row is not of length 1.
    """

    def __init__(self, rows: ArrayLike, pids: Sequence[Any] | NDArray[Any], camids: Any) -> None:
        vectors = np.asarray(rows, np.float32)
        if vectors.ndim != 2 or not len(vectors) == len(pids) == len(camids):
            raise InputError(
                f"expected (N, D) rows with N people and N cameras, got {vectors.shape}, "
                f"{len(pids)} people and {len(camids)} cameras"
            )
        kept = [i for i, pid in enumerate(pids) if pid is not None and pid != JUNK]
        self.rows = vectors[kept]
        if not np.all(np.abs(np.linalg.norm(self.rows, axis=1) - 1) < 1e-2):  # false for NaN too
            raise InputError("expected rows of length 1; leave out crops that could not be read")
        names = np.array([str(pids[i]) for i in kept], dtype=str)
        self.pids = np.unique(names, return_inverse=True)[1]
        self.distractor = names == DISTRACTOR
        known = {camera: i for i, camera in enumerate(sorted({str(c) for c in camids if c is not None}))}
        # Where nobody knows the camera each crop has one of its own, below 0.
        self.camids = np.array(
            [-1 - i if camids[i] is None else known[str(camids[i])] for i in kept], np.int64
        )
        self.people = len(set(self.pids[~self.distractor].tolist()))

    def genuine(self, rng: np.random.Generator) -> Floats:
        """Draw pairs of one person by different cameras; gives their (n,) distances.

        Raises:
            InputError: there are too few people.
        """
        found = []
        for members in self._members():
            first, second = members[_draw_pairs(len(members), 20 * _PAIRS_A_PERSON, rng)]
            apart = np.flatnonzero(self.camids[first] != self.camids[second])
            if len(apart):
                chosen = np.sort(rng.permutation(apart)[:_PAIRS_A_PERSON])
                found.append(np.stack([first[chosen], second[chosen]]))
        if len(found) < MIN_PEOPLE:
            raise InputError(
                f"expected at least {MIN_PEOPLE} people seen by two cameras, got {len(found)}; "
                "label more crops and index them again"
            )
        return self._distances(np.concatenate(found, axis=1))

    def impostors(self, rng: np.random.Generator, most: int) -> Floats:
        """Draw pairs of different people out of about `most` pairs; gives their (n,) distances."""
        first, second = _draw_pairs(len(self.rows), most, rng)
        different = self.pids[first] != self.pids[second]
        return self._distances(np.stack([first[different], second[different]]))

    def best_hits(self, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Let crops ask the others, without what their own camera saw of their person.

        Returns:
            (Q,) distance of each best hit, (Q,) whether it is the person, and (Q,) distance of the best hit when
            the person is not in the gallery.
        """
        counts = Counter(zip(self.pids.tolist(), self.camids.tolist(), strict=True))
        total = Counter(self.pids.tolist())
        asking = np.array(
            [
                i
                for i, (pid, camid) in enumerate(zip(self.pids.tolist(), self.camids.tolist(), strict=True))
                if total[pid] > counts[pid, camid] and not self.distractor[i]
            ]
        )
        asking = np.sort(rng.permutation(asking)[:_QUERIES])
        present, right, absent = [], [], []
        chunk = max(1, 2**22 // len(self.rows))
        for start in range(0, len(asking), chunk):
            block = asking[start : start + chunk]
            distance = 1 - self.rows[block] @ self.rows.T
            same = self.pids[block, None] == self.pids
            distance[same & (self.camids[block, None] == self.camids)] = np.inf
            best = distance.argmin(axis=1)
            present.append(distance.min(axis=1))
            right.append(self.pids[best] == self.pids[block])
            absent.append(np.where(same, np.inf, distance).min(axis=1))
        return np.concatenate(present), np.concatenate(right), np.concatenate(absent)

    def _members(self) -> Iterator[Ints]:
        order = np.argsort(self.pids, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(self.pids[order])) + 1):
            if len(members) > 1 and not self.distractor[members[0]]:
                yield members

    def _distances(self, pairs: Ints) -> Floats:
        """Compare pairs, some thousand at once: (2, n) indices -> (n,) distances in [0, 2]."""
        cosine = np.empty(pairs.shape[1])
        for start in range(0, pairs.shape[1], _CHUNK):
            first, second = pairs[:, start : start + _CHUNK]
            cosine[start : start + _CHUNK] = np.einsum("nd,nd->n", self.rows[first], self.rows[second])
        return np.clip(1 - cosine, 0, 2)


def _draw_pairs(count: int, most: int, rng: np.random.Generator) -> Ints:
    """Give all pairs of different things out of `count`, or about `most` of them if there are more.

    Number c stands for the pair (i, i + 1 + c // count), i = c % count, taken round: each pair comes just once.
    """
    total = count * (count - 1) // 2
    codes = np.arange(total) if total <= most else np.unique(rng.integers(total, size=most))
    first = codes % max(count, 1)
    return np.stack([first, (first + 1 + codes // max(count, 1)) % max(count, 1)])
