"""What a reader searches: the current generation, and exactly what came and went since it was built."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery import generation as files
from autoreid_deploy.gallery.database import Version
from autoreid_deploy.gallery.generation import DamagedError, Generation
from autoreid_deploy.gallery.index import EXACT, Index, Rows16, Tuning
from autoreid_deploy.gallery.store import Published, Store

# How long a query may spend on catching up with what another process has written; the rest waits for the next one.
PATIENCE_SECONDS = 0.02
_SLICE = 2048
_BLOCK = 16_384  # rows of the delta that grow together; what never moves costs no query its time

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


class View:
    """The rows of a store at one state, ready to be searched.

    Args:
        store: the truth.

    Attributes:
        published: the generation that is the current one, as SQLite knows it.
        trouble: why its file is not used, or None; the rows are then read from SQLite.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.published: Published | None = None
        self.trouble: str | None = None
        self._version: Version | None = None
        self._complete = False
        self._generation: Generation | None = None
        self._gone: Mask = np.zeros(0, bool)
        self._delta = Delta(store.meta.dim)
        self._sequence = 0
        self._masks: dict[object, list[Mask | None]] = {}

    def follow(self, version: Version, *, patient: bool = False) -> None:
        """Catch up with the state of the store, inside a snapshot of it.

        What this process has written is seen at once. What others have is, too, unless it is more than can be read in
        PATIENCE_SECONDS: then rows come in the order of their ids over the next calls, so that a query never waits.
        With `patient` it does.
        """
        fault = self._generation is not None and self._generation.fault is not None
        if version == self._version and self._complete and not fault:
            return
        before, self._version = self._version, None
        self._masks.clear()
        published = self._store.current()
        undone = before is not None and before[2] != version[2]
        swapped = (published and published.number) != (self.published and self.published.number)
        if before is None or undone or swapped or fault:
            self._start(published, reopen=before is None or swapped)
        mine = patient or before is None or before[1:] != version[1:] or swapped
        self._complete = self._read_new(None if mine else time.monotonic() + PATIENCE_SECONDS)
        self._version = version

    def _start(self, published: Published | None, *, reopen: bool) -> None:
        """Begin with a generation and nothing else."""
        if not reopen and self._generation is not None and self._generation.fault:
            self.trouble, self._generation = self._generation.fault, None
        elif reopen:
            self.trouble, self._generation = None, None
            if published is not None:
                path = self._store.folder / files.FOLDER / files.name_of(published.number)
                try:
                    self._generation = files.read(path, published.sha256)
                    self._generation.check_rows_later()
                except (DamagedError, OSError) as error:
                    self.trouble = str(error)
        self.published = published
        size = len(self._generation.ids) if self._generation else 0
        self._gone = np.zeros(size, bool)
        last = published.last_id if published and self._generation else 0
        self._delta = Delta(self._store.meta.dim, last)
        self._sequence = 0

    def _read_new(self, deadline: float | None) -> bool:
        """Read rows and tombstones since the last time; says whether all rows were read."""
        last = self._store.last_id()
        if deadline is None:
            self._delta.append(*self._store.rows(self._delta.last_id), last)
        while self._delta.last_id < last:
            until = min(self._delta.last_id + _SLICE, last)
            self._delta.append(*self._store.rows(self._delta.last_id, until), until)
            if deadline is not None and time.monotonic() > deadline:
                break
        stones = self._store.tombstones(self._sequence)
        if stones:
            self._sequence = stones[-1][0]
            ids = np.array([id for _, id in stones], np.int64)
            if self._generation is not None:
                self._gone[_places(self._generation.ids, ids)] = True
            self._delta.remove(ids)
        return self._delta.last_id >= last

    @property
    def _parts(self) -> list[tuple[Ids, Index, Mask]]:
        parts = [block.part for block in self._delta.blocks]
        if self._generation is not None and len(self._generation.ids):
            parts.insert(0, (self._generation.ids, self._generation.index, self._gone))
        return parts

    def search(
        self, queries: NDArray[np.float32], k: int, passing: tuple[object, Ids] | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        """Find the nearest rows, closest first, equals in order of their ids.

        Args:
            queries: (Q, D) unit rows.
            k: how many; fewer come back where there are fewer.
            passing: a name by which the choice is remembered, and the ascending ids to choose from; None means all.

        Returns:
            (Q, min(k, S)) distances in [0, 2] and ids.
        """
        found = []
        for (ids, index, _), allowed in zip(self._parts, self._allowed(passing), strict=True):
            near, at = index.search(queries, k, allowed)
            found.append((near, ids[at]))
        if not found:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        distance, id = found[0]
        if len(found) > 1:
            distance, id = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        order = np.lexsort((id, distance), axis=1)[:, :k]
        line = np.arange(len(queries))[:, None]
        distance, id = distance[line, order], id[line, order]
        there = np.count_nonzero((distance < np.inf).all(axis=0))  # what is not there comes last
        return distance[:, :there], id[:, :there]

    def _allowed(self, passing: tuple[object, Ids] | None) -> Sequence[Mask | None]:
        """Which rows of each part may be found; None for all of them."""
        name = None if passing is None else passing[0]
        if name not in self._masks:
            masks: list[Mask | None] = []
            for ids, _, gone in self._parts:
                if passing is None:
                    masks.append(~gone if gone.any() else None)
                    continue
                mask = np.zeros(len(ids), bool)
                mask[_places(ids, passing[1])] = True
                masks.append(mask)  # what was removed passes nothing
            self._masks[name] = masks
        return self._masks[name]

    def remembers(self, name: object) -> bool:
        """Whether a choice of rows is known by its name, in the present state."""
        return name in self._masks

    def sample(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """(N, D) unit rows, chosen by a seed; fewer where there are fewer."""
        ids = np.concatenate([np.empty(0, np.int64), *(ids[~gone] for ids, _, gone in self._parts)])
        rng = np.random.default_rng(seed)
        return self.rows_of(np.sort(rng.choice(ids, min(count, len(ids)), replace=False)))

    def rows_of(self, ids: Ids) -> NDArray[np.float32]:
        """(N, D) unit rows of some ids, all of which are there."""
        rows = np.empty((len(ids), self._store.meta.dim), np.float32)
        for known, index, _ in self._parts:
            at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            mine = known[at] == ids
            rows[mine] = index.rows[at[mine]]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


class Delta:
    """Rows that are in no generation yet; they grow, and are scanned exactly.

    Args:
        dim: length of a row.
        last_id: rows up to this id are elsewhere.

    Attributes:
        last_id: rows up to this id were read.
        blocks: of rows, ascending.
    """

    def __init__(self, dim: int, last_id: int = 0) -> None:
        self.last_id = last_id
        self.blocks: list[Block] = []
        self._dim = dim

    def append(self, ids: Ids, rows: Rows16, last_id: int) -> None:
        """Add rows, of ids above all others; `last_id` is how far was read."""
        self.last_id = last_id
        while len(ids):
            if not self.blocks or not self.blocks[-1].room:
                self.blocks.append(Block(max(_BLOCK, len(ids)), self._dim))
            count = min(len(ids), self.blocks[-1].room)
            self.blocks[-1].append(ids[:count], rows[:count])
            ids, rows = ids[count:], rows[count:]

    def remove(self, ids: Ids) -> None:
        """Mark rows as removed; ids of others are no error."""
        for block in self.blocks:
            known, _, gone = block.part
            gone[_places(known, ids)] = True


class Block:
    """Some rows of the delta, in memory that is taken once.

    Args:
        size: how many rows there may be.
        dim: length of a row.
    """

    def __init__(self, size: int, dim: int) -> None:
        self._ids = np.empty(size, np.int64)
        self._rows: Rows16 = np.empty((size, dim), np.float16)
        self._gone = np.zeros(size, bool)
        self._index = Index(self._rows[:0], None, Tuning(EXACT))

    @property
    def room(self) -> int:
        """How many more rows there may be."""
        return len(self._ids) - len(self._index)

    def append(self, ids: Ids, rows: Rows16) -> None:
        """Add rows, of ids above all others, for which there must be room."""
        start, stop = len(self._index), len(self._index) + len(ids)
        self._ids[start:stop], self._rows[start:stop] = ids, rows
        self._index.grow(self._rows[:stop])

    @property
    def part(self) -> tuple[Ids, Index, Mask]:
        """(G,) ascending ids, the index over their rows, and (G,) which were removed."""
        count = len(self._index)
        return self._ids[:count], self._index, self._gone[:count]


def _places(sorted_ids: Ids, ids: Ids) -> Ids:
    """Where ids stand among ascending ones; those that are not there are left out."""
    if not len(sorted_ids):
        return np.empty(0, np.int64)
    at = np.minimum(np.searchsorted(sorted_ids, ids), len(sorted_ids) - 1)
    found: Ids = at[sorted_ids[at] == ids]
    return found
