"""What a reader searches: the current generation, and exactly what came and went since it was built."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery import generation as files
from autoreid_deploy.gallery.database import Version
from autoreid_deploy.gallery.generation import DamagedError, Generation, Opening
from autoreid_deploy.gallery.half import Rows16
from autoreid_deploy.gallery.index import EXACT, Index, Tuning
from autoreid_deploy.gallery.store import Published, Store

# How long a query may spend on catching up with what another process has written; the rest waits for the next one.
PATIENCE_SECONDS = 0.01
_SLICE = 512
_BLOCK = 8192  # rows of the delta that grow together: making room for one more block costs a query few milliseconds

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
        self._next: tuple[Published, Opening] | None = None
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
        opened = self._next is not None and not self._next[1].is_alive()
        if version == self._version and self._complete and not fault and not opened:
            return
        before, self._version = self._version, None
        self._masks.clear()
        published = self._store.current()
        mine = patient or before is None or before[1:] != version[1:]
        undone = before is not None and before[2] != version[2]
        if before is None or undone or (published is None and self.published is not None):
            self._start(published)
        elif self._generation is not None and self._generation.fault is not None:
            self._begin(self.published, None, self._generation.fault)
            mine = True
        elif published is not None and published != self.published:
            self._move_to(published)
        self._complete = self._read_new(None if mine else time.monotonic() + PATIENCE_SECONDS)
        self._version = version

    def _start(self, published: Published | None) -> None:
        """Begin with a generation and nothing else."""
        if published is None:
            self._begin(None, None, None)
            return
        try:
            self._begin(published, files.read(self._path_of(published), published.sha256), None)
        except (DamagedError, OSError) as error:
            self._begin(published, None, str(error))

    def _path_of(self, published: Published) -> Path:
        return self._store.folder / files.FOLDER / files.name_of(published.number)

    def _begin(self, published: Published | None, generation: Generation | None, trouble: str | None) -> None:
        self.published, self.trouble, self._generation, self._next = published, trouble, generation, None
        self._gone = np.zeros(len(generation.ids) if generation else 0, bool)
        self._delta = Delta(self._store.meta.dim, published.last_id if published and generation else 0)
        self._sequence = 0
        if generation is not None:
            generation.check_rows_later()

    def _move_to(self, published: Published) -> None:
        """Go on with what is there while a new generation is opened, then take its place.

        Its tombstones are dropped already, so what it has no more is looked up among its ids.
        """
        path, last_id = self._path_of(published), published.last_id
        if self._next is None or self._next[0] != published:
            try:
                ids = files.read_ids(path, published.sha256)
            except FileNotFoundError:  # the next one has taken its place already
                ids = self._store.ids_where("id <= ?", (last_id,))
            except (DamagedError, OSError):
                self._start(published)
                return
            self._keep_only(ids, last_id)
            self._next = published, Opening(path, published.sha256)
            self._next[1].start()
        elif not self._next[1].is_alive():
            generation, delta = self._next[1].generation, self._delta
            if generation is not None:
                self._begin(published, generation, None)
                self._delta.take_over(delta, last_id)
            elif path.exists():
                self._start(published)

    def _keep_only(self, ids: Ids, last_id: int) -> None:
        """Mark rows up to an id as removed that are not among some."""
        there = np.zeros(last_id + 1, bool)
        there[ids] = True
        for known, _, gone in self._parts:
            count = int(np.searchsorted(known, last_id, "right"))
            gone[:count] |= ~there[known[:count]]

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
        return self.rows_of(self.sample_ids(count, seed))

    def sample_ids(self, count: int, seed: int = 0) -> Ids:
        """(N,) ascending ids, chosen by a seed; fewer where there are fewer."""
        ids = np.concatenate([np.empty(0, np.int64), *(ids[~gone] for ids, _, gone in self._parts)])
        rng = np.random.default_rng(seed)
        return np.sort(rng.choice(ids, min(count, len(ids)), replace=False))

    def __len__(self) -> int:
        """How many rows may be found."""
        return sum(len(ids) - int(np.count_nonzero(gone)) for ids, _, gone in self._parts)

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

    def take_over(self, other: "Delta", last_id: int) -> None:
        """Begin with the rows of another one whose ids are above one; they are not copied."""
        self.last_id = max(last_id, other.last_id)
        for block in other.blocks:
            known, _, gone = block.part
            count = int(np.searchsorted(known, last_id, "right"))
            gone[:count] = True
            if count < len(known):
                self.blocks.append(block)

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
