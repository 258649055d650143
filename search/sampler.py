"""P x K batches: P people, K crops of each (arXiv 1703.07737), each source with its share of the P."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from search.config import Source, first_of_same_people
from search.data import Crops
from search.recipe import Recipe


@dataclass(frozen=True)
class Pool:
    """People among whom a fixed part of every batch is drawn.

    Attributes:
        name: what an error calls it.
        people: (n,) their numbers.
        share: of a batch's people; 0 for what the other pools leave.
    """

    name: str
    people: NDArray[np.int64]
    share: float = 0.0


class IdentitySampler:
    """Batches of an epoch, a pure function of (seed, epoch): a resumed run sees the same crops in order.

    Each person's crops are shuffled and cut into chunks of K (the last one filled up from the same crops), and each
    batch takes a chunk of so many people of each pool, those with many chunks left more often. Once a pool is through,
    it starts anew; with one pool and no `steps`, every crop is seen about once an epoch. Where only some identities are
    known to be two people, a person is drawn together with such others: there would be nothing to tell apart else.

    Args:
        labels: (N,) people numbered from 0.
        people: P.
        shots: K.
        seed: of the order.
        pools: who has a part of every batch; none: everybody is in one.
        cameras: (N,) which camera took a crop; given, the K crops of a chunk are by as many cameras as there are.
        steps: batches an epoch; 0: as many as all crops fill.
        rivals: who is surely another person than somebody; None: everybody else.

    Raises:
        InputError: a pool has fewer people than its part of a batch, or no part.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        people: int,
        shots: int,
        seed: int,
        *,
        pools: Sequence[Pool] = (),
        cameras: NDArray[np.int64] | None = None,
        steps: int = 0,
        rivals: Callable[[int], NDArray[np.int64]] | None = None,
    ) -> None:
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        self._crops = np.split(order, np.cumsum(counts)[:-1])
        self._chunks = -(-counts // shots)
        self._cameras = cameras
        self._pools = list(pools) or [Pool("all sources", np.arange(len(counts)))]
        self._slots = slots([pool.share for pool in self._pools], people)
        for pool, slot in zip(self._pools, self._slots, strict=True):
            if not slot:
                raise InputError(f"{pool.name}: no place in a batch of {people} people; raise recipe.people")
            if len(pool.people) < slot:
                raise InputError(
                    f"a batch needs {slot} people of {pool.name}, there are {len(pool.people)}; lower recipe.people"
                )
        self.people, self.shots, self.seed, self._steps = people, shots, seed, steps
        self._rivals = rivals

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._steps or max(1, int(self._chunks.sum()) // self.people)

    def epoch(self, number: int) -> NDArray[np.int64]:
        """(batches, P * K) indices of the crops of epoch `number`; the K crops of a person stand together."""
        rng = np.random.default_rng([self.seed, number, 0])
        queues = [self._shuffled(crops, rng) for crops in self._crops]
        left = self._chunks.astype(np.float64)
        batches = np.empty((len(self), self.people, self.shots), np.int64)
        for batch in batches:
            for row, person in enumerate(self._choose(left, queues, rng)):
                if left[person] < 1:
                    queues[person], left[person] = self._shuffled(self._crops[person], rng), 1
                left[person] -= 1
                at = int(left[person]) * self.shots
                batch[row] = queues[person][at : at + self.shots]
        return batches.reshape(len(self), -1)

    def _choose(
        self, left: NDArray[np.float64], queues: list[NDArray[np.int64]], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """The people of one batch, pool by pool; a pool of which nothing is left is filled up."""
        chosen = []
        for pool, slot in zip(self._pools, self._slots, strict=True):
            if left[pool.people].sum() < 1:
                left[pool.people] = self._chunks[pool.people]
                for person in pool.people:
                    queues[person] = self._shuffled(self._crops[person], rng)
            # The few people still unfinished at the end are joined by others.
            weight = left[pool.people] + 1e-3
            chosen.append(pool.people[self._draw(pool.people, weight, slot, rng)])
        return np.concatenate(chosen)

    def _draw(
        self, people: NDArray[np.int64], weight: NDArray[np.float64], slot: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """The places of `slot` of a pool's people, drawn by weight, each with the rivals that it has in the pool."""
        if self._rivals is None:
            return rng.choice(len(weight), slot, replace=False, p=weight / weight.sum())
        drawn: list[int] = []
        free = weight.copy()
        while len(drawn) < slot:
            first = int(rng.choice(len(free), p=free / free.sum()))
            free[first] = 0
            beside = np.flatnonzero(np.isin(people, self._rivals(int(people[first]))) & (free > 0))
            some = min(slot - len(drawn) - 1, len(beside))
            share = free[beside] / max(free[beside].sum(), 1e-9)
            drawn += [first, *(rng.choice(beside, some, replace=False, p=share).tolist() if some else [])]
            free[drawn] = 0
        return np.array(drawn, np.int64)

    def _shuffled(self, crops: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        shuffled = rng.permutation(crops)
        if self._cameras is not None:
            shuffled = shuffled[in_turns(self._cameras[shuffled])]
        missing = -len(crops) % self.shots
        return np.concatenate([shuffled, rng.choice(crops, missing)])


def sampler_of(
    crops: Crops,
    sources: Sequence[Source],
    recipe: Recipe,
    seed: int,
    rivals: Callable[[int], NDArray[np.int64]] | None = None,
) -> IdentitySampler:
    """The batches that sources and recipe ask for."""
    return IdentitySampler(
        crops.labels,
        recipe.people,
        recipe.shots,
        seed,
        pools=pools_of(crops, sources),
        cameras=crops.cameras() if recipe.across_cameras else None,
        steps=recipe.steps,
        rivals=rivals,
    )


def pools_of(crops: Crops, sources: Sequence[Source]) -> list[Pool]:
    """A pool for each source with a share, which sources of the same people have in common, and one for all others.

    None at all where no source has a share.
    """
    if not any(source.share for source in sources):
        return []
    firsts = first_of_same_people(sources)
    place = np.array([at if source.share else -1 for source, at in zip(sources, firsts, strict=True)])
    home = np.empty(crops.people, np.int64)
    home[crops.labels] = place[crops.origins]
    return [
        Pool(
            "the other sources" if at < 0 else sources[at].path,
            np.flatnonzero(home == at),
            0.0 if at < 0 else sources[at].share,
        )
        for at in np.unique(place)
    ]


def slots(shares: Sequence[float], people: int) -> list[int]:
    """Cut a batch of people by shares, largest remainder first; a share of 0 gets what the others leave.

    Without such a one the shares are relative.

    >>> slots([0.0, 0.5], 16), slots([0.3, 0.3, 0.3], 16)
    ([8, 8], [6, 5, 5])
    """
    rest = max(1 - sum(shares), 0.0)
    wanted = np.array([share or rest for share in shares])
    exact = people * wanted / max(wanted.sum(), 1e-9)
    found = np.floor(exact + 1e-9).astype(int)
    for at in np.argsort(found - exact, kind="stable")[: people - found.sum()]:
        found[at] += 1
    whole: list[int] = found.tolist()
    return whole


def in_turns(cameras: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order in which each camera comes once before one comes again.

    >>> in_turns(np.array([7, 7, 7, 3, 3, 5])).tolist()
    [0, 3, 5, 1, 4, 2]
    """
    kinds, first, kind = np.unique(cameras, return_index=True, return_inverse=True)
    turn = np.empty(len(cameras), np.int64)
    for k in range(len(kinds)):
        here = np.flatnonzero(kind == k)
        turn[here] = np.arange(len(here))
    return np.lexsort((first[kind], turn))
