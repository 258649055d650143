"""The front of a gallery: a container of records that answers "who looks like this?"."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError, ModelMismatchError
from autoreid_deploy.gallery.database import SCHEMA, Database, Version
from autoreid_deploy.gallery.filters import Filter, register
from autoreid_deploy.gallery.index import ExactIndex
from autoreid_deploy.gallery.store import Stamp, Store, Stored
from autoreid_deploy.records import DISTRACTOR, JUNK, Record


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


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """What a gallery holds.

    Attributes:
        folder: where it lies.
        model: what to load to ask it: a bundled name or a path.
        model_id: name and hash of the model that made the rows.
        dim: length of a row.
        crops: how many rows.
        people: how many known people; junk and distractors are none.
        cameras: camera -> crops.
        bytes: size on disk.
        schema: of the database.
        created: seconds since the epoch.
    """

    folder: Path
    model: str
    model_id: str
    dim: int
    crops: int
    people: int
    cameras: dict[str, int]
    bytes: int
    schema: int
    created: float


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
        self._index: ExactIndex | None = None
        self._version: Version | None = None

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
        self._index = None
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

    def query(
        self,
        embeddings: ArrayLike,
        k: int = 10,
        *,
        camids: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[Hit]]:
        """Find the crops that look most like each query. Exact, with and without a filter.

        Args:
            embeddings: (Q, D) or (D,), any length but 0.
            k: how many hits a query; a smaller gallery gives fewer.
            camids: search only what these cameras saw; None means all crops, also those without a camera.
            where: search only what passes; None means all crops.

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
            among = None if camids is None else self.store.having(camids)
            if where is not None:
                among = self._passing(where)
            distances, ids = self._refreshed(version).search(queries, k, among)
            rows = {row.id: row.record for row in self.store.stored(np.unique(ids))}
        return [
            [Hit(rank, id, distance, rows[id]) for rank, (id, distance) in enumerate(pairs, 1)]
            for pairs in (
                zip(*both, strict=True) for both in zip(ids.tolist(), distances.tolist(), strict=True)
            )
        ]

    def _passing(self, where: Filter) -> NDArray[np.int64]:
        database = self.store._database
        register(database._connection)
        condition, values = where.sql()
        rows = database.run(f"SELECT id FROM crop WHERE {condition} ORDER BY id", values)
        return np.array([id for (id,) in rows], np.int64)

    def _refreshed(self, version: Version) -> ExactIndex:
        if self._index is None or version != self._version:
            ids, rows = self.store.embeddings()
            # 16 bits took a little of the length: scale back, so that a crop's distance to itself is 0.
            self._index = ExactIndex(ids, rows / np.linalg.norm(rows, axis=1, keepdims=True))
            self._version = version
        return self._index

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
        people = self.store.counts("pid").keys() - {JUNK, DISTRACTOR}
        return GalleryInfo(
            folder=self.store.folder,
            model=self.model,
            model_id=self.model_id,
            dim=self.dim,
            crops=len(self),
            people=len(people),
            cameras=self.store.counts("camid"),
            bytes=sum(file.stat().st_size for file in self.store.folder.iterdir() if file.is_file()),
            schema=SCHEMA,
            created=self.store.meta.created,
        )
