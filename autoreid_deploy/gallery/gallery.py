"""The front of a gallery: a container of records that answers "who looks like this?"."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError, ModelMismatchError
from autoreid_deploy.gallery import proof, retention, transfer, upkeep
from autoreid_deploy.gallery.database import Database
from autoreid_deploy.gallery.filters import Filter, person
from autoreid_deploy.gallery.info import GalleryInfo, gather
from autoreid_deploy.gallery.store import Published, Stamp, Store, Stored
from autoreid_deploy.gallery.view import View
from autoreid_deploy.records import Record


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer.

    Attributes:
        rank: 1 is the closest.
        id: of the row; never given to another embedding.
        distance: 1 - cosine, in [0, 2], smaller is closer.
        record: the crop.
    """

    rank: int
    id: int
    distance: float
    record: Record


class Gallery:
    """Records and embeddings in a folder; make one with `create` or `open`, and close it or use `with`.

    The rows lie in SQLite and are searched in memory, exactly. A gallery follows what other processes write:
    the next query sees it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, Gallery.create(folder, model_id="m@1", dim=2) as gallery:
    ...     ids = gallery.add([Record(Path("a.jpg"), "7"), Record(Path("b.jpg"), "8")], [[1, 0], [0, 1]])
    ...     [(hit.rank, hit.record.pid, round(hit.distance, 2)) for hit in gallery.query([0.8, 0.6])[0]]
    [(1, '7', 0.2), (2, '8', 0.4)]

    Attributes:
        store: the rows, for what this front has no word for.
        model: what to load to ask the gallery: a bundled name or a path.
        model_id: name and hash of the model that made the rows.
        dim: length of a row.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model = store.meta.model
        self.model_id = store.meta.model_id
        self.dim = store.meta.dim
        self._view = View(store)

    @classmethod
    def create(cls, folder: str | Path, *, model_id: str, dim: int, model: str = "") -> "Gallery":
        """Make an empty gallery.

        Args:
            folder: where; made if it isn't there.
            model_id: `Embedder.id` of the model that will make the rows.
            dim: length of a row.
            model: what to load again for a query: a bundled name or a path.

        Raises:
            GalleryError: there is a gallery already, or it cannot be written.
        """
        return cls(Store.create(Path(folder), model_id=model_id, model=model, dim=dim))

    @classmethod
    def open(cls, folder: str | Path, *, model_id: str | None = None) -> "Gallery":
        """Open a gallery.

        Raises:
            GalleryError: there is none, it is damaged or of a newer schema.
            ModelMismatchError: it was built with another model than `model_id`.
        """
        store = Store.open(Path(folder))
        try:
            gallery = cls(store)
            gallery.check_model(model_id)
        except BaseException:
            store.close()
            raise
        return gallery

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Say whether there is a gallery to open."""
        return Database.exists(Path(folder))

    def check_model(self, model_id: str | None) -> None:
        """Refuse rows of another model; None is not checked.

        Raises:
            ModelMismatchError: the rows come from another model.
        """
        if model_id not in (None, self.model_id):
            raise ModelMismatchError(
                f"{self.store.folder}: the index was built with {self.model_id}, this model is {model_id}, "
                "and their embeddings can't be compared; take the index's model, or build another index "
                "with: reid-index build FOLDER --index NEW"
            )

    def __len__(self) -> int:
        """Count the crops."""
        return self.store.count()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store and drop the index."""
        self._view = View(self.store)
        self.store.close()

    def add(
        self,
        records: Sequence[Record],
        embeddings: ArrayLike,
        stamps: Sequence[Stamp | None] | None = None,
    ) -> list[int]:
        """Add crops, all or none of them.

        A crop whose path is there already replaces it under a new id: an id means one embedding for ever.

        Args:
            records: N records; paths are stored absolute.
            embeddings: (N, D), any length but 0; stored as unit rows of 16-bit floats.
            stamps: which state of each file was embedded, so that a later `build` can skip it.

        Returns:
            N new ids.

        Raises:
            InputError: shapes don't fit, or a row is NaN, infinite or zero.
            GalleryError: the gallery cannot be written.
        """
        rows = self._unit_rows(embeddings)
        stamps = [None] * len(records) if stamps is None else stamps
        if not len(records) == len(rows) == len(stamps):
            raise InputError(
                f"expected one embedding and one stamp a record, got {len(records)} records, "
                f"{len(rows)} embeddings and {len(stamps)} stamps"
            )
        return self.store.put(records, rows.astype(np.float16), stamps)

    def known(self) -> dict[Path, Stored]:
        """Map each crop's absolute path to its row without the embedding."""
        return {row.record.path: row for row in self.store.stored()}

    def remove(
        self, *, paths: Iterable[str | Path] = (), ids: Iterable[int] = (), pids: Iterable[str] = ()
    ) -> int:
        """Remove crops by path (a folder means all below it), id or person; returns how many there were."""
        return self.store.delete(paths=map(Path, paths), ids=ids, pids=pids)

    def relabel(self, value: str | None, *, where: Filter, what: str = "pid") -> int:
        """Say anew whose crops these are, or which camera or tracklet they are from.

        Args:
            value: the person, camera or tracklet; None for unknown.
            where: which crops.
            what: `pid`, `camid` or `tracklet`.

        Returns:
            How many crops there were.

        Raises:
            InputError: `what` is something else.
            GalleryError: the gallery cannot be written.
        """
        return self._relabel(value, where, what, f"relabel: {what}")

    def _relabel(self, value: str | None, where: Filter, what: str, line: str) -> int:
        if what not in ("pid", "camid", "tracklet"):
            raise InputError(f"expected pid, camid or tracklet to be changed, got {what!r}")
        if value is not None and not _is_name(value):
            raise InputError(f"expected a name for {what}, or None for unknown, got {value!r}")
        with self.store.write():
            ids = self.store.ids_where(*where.sql())
            changed = self.store.relabel(ids.tolist(), what, value)
            if changed:
                self.store.note(f"{line} of {changed} crops")
        return changed

    def merge(self, pids: Collection[str], into: str) -> int:
        """Make one person of several, as after a wrong split; returns how many crops changed hands.

        Raises:
            InputError: nobody is given, or the gallery has no crop of one of them.
            GalleryError: the gallery cannot be written.
        """
        person(*pids)
        with self.store.write():
            people = self.store.counts("pid")
            if unknown := sorted(set(pids) - people.keys()):
                raise InputError(f"the index has no crop of person {unknown[0]}; nothing was merged")
            others = set(pids) - {into}
            return self._relabel(into, person(*others), "pid", "merge: pid") if others else 0

    def forget(
        self,
        *,
        where: Filter,
        dry_run: bool = False,
        tick: Callable[[int], object] = lambda count: None,
    ) -> int:
        """Delete crops so that nothing of them stays: no row, no vector, no code, no free page, no journal.

        Takes the time of a compaction and of writing the database anew. A line of the audit says when and how many,
        not whom.

        Args:
            where: which crops.
            dry_run: only count them.
            tick: called with how many rows were read for the new index.

        Returns:
            How many crops there were.

        Raises:
            GalleryError: the gallery cannot be written, or a reader keeps its journal; see `upkeep.forget`.
        """
        if dry_run:
            return self.store.count(*where.sql())
        return upkeep.forget(self.store, *where.sql(), "forget", tick)

    @property
    def keep_days(self) -> int | None:
        """How many days a crop is kept after it was seen; None for no limit. What is older goes with `expire`."""
        return retention.keep_days(self.store)

    @keep_days.setter
    def keep_days(self, days: int | None) -> None:
        retention.set_keep_days(self.store, days)

    def expire(self, now: float | None = None, tick: Callable[[int], object] = lambda count: None) -> int:
        """Forget what is older than `keep_days`; returns how many crops there were. See `retention.expire`."""
        return retention.expire(self.store, now, tick)

    def compact(
        self,
        *,
        kind: str | None = None,
        recall: float | None = None,
        tick: Callable[[int], object] = lambda count: None,
    ) -> Published:
        """Build the index anew from the rows; see `upkeep.compact`. Others go on reading and writing meanwhile."""
        upkeep.check_kind(kind)
        published = upkeep.compact(self.store, kind=kind, recall=recall, tick=tick)
        upkeep.finish_forgetting(self.store, tick)
        return published

    def compact_if_due(self, tick: Callable[[int], object] = lambda count: None) -> bool:
        """Build the index anew where enough rows came or went; says whether it did."""
        if not upkeep.is_due(self.store):
            return False
        self.compact(tick=tick)
        return True

    def verify(self, tick: Callable[[int], object] = lambda count: None) -> list[str]:
        """Compare database, index and files with each other; gives a line for each fault. See `proof.verify`."""
        return list(proof.verify(self.store, tick))

    def export_to(
        self,
        target: str | Path,
        *,
        where: Filter | None = None,
        tick: Callable[[int], object] = lambda count: None,
    ) -> int:
        """Write crops and rows to a folder, or to one file that ends in .parquet. See `transfer.export`."""
        return transfer.export(self.store, Path(target), where, tick)

    def import_from(self, source: str | Path, tick: Callable[[int], object] = lambda count: None) -> int:
        """Take in all crops that `export_to` wrote, or none. See `transfer.take_in`."""
        return transfer.take_in(self.store, Path(source), tick)

    def query(self, embeddings: ArrayLike, k: int = 10, *, where: Filter | None = None) -> list[list[Hit]]:
        """Find the crops that look most like each query. Exact, with and without a filter.

        Args:
            embeddings: (Q, D) or (D,), any length but 0.
            k: how many hits a query; a smaller gallery gives fewer.
            where: search only the crops that pass, such as `camera("3") & since("2026-11-01")`.

        Returns:
            Q lists of hits, closest first.

        Raises:
            InputError: k is below 1, the shape doesn't fit, or a row is NaN, infinite or zero.
            GalleryError: the store is damaged.
        """
        if k < 1:
            raise InputError(f"expected k of 1 or more, got {k}")
        queries = self._unit_rows(embeddings)
        # One state of the store for the search and for its records, whatever others write meanwhile.
        with self.store.snapshot() as version:
            self._view.follow(version)
            distances, ids = self._view.search(queries, k, self._passing(where))
            rows = {row.id: row.record for row in self.store.stored(np.unique(ids))}
        return [
            [Hit(rank, id, distance, rows[id]) for rank, (id, distance) in enumerate(pairs, 1)]
            for pairs in (
                zip(*both, strict=True) for both in zip(ids.tolist(), distances.tolist(), strict=True)
            )
        ]

    def _passing(self, where: Filter | None) -> tuple[object, NDArray[np.int64]] | None:
        if where is None:
            return None
        if self._view.remembers(where):
            return where, np.empty(0, np.int64)
        return where, self.store.ids_where(*where.sql())

    def _unit_rows(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """Check embeddings and scale them to unit length, as (N, D) float32."""
        rows: NDArray[Any] = np.atleast_2d(np.asarray(embeddings, np.float32))
        if rows.size == 0:
            return np.empty((0, self.dim), np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise InputError(f"expected embeddings (N, {self.dim}), got {np.shape(embeddings)}")
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        wrong = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
        if len(wrong):
            raise InputError(
                f"expected embeddings of finite numbers that are not all 0; row {wrong[0]} is not"
            )
        return np.asarray(rows / norms, np.float32)

    def info(self) -> GalleryInfo:
        """Count what is there."""
        return gather(self.store)


def _is_name(value: str) -> bool:
    """Whether somebody can be called so; text that no crop can carry raises."""
    person(value)
    return bool(value)
