"""The front of a gallery: a container of records that answers "who looks like this?"."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.calibration import Calibration, collapse_warning
from autoreid_deploy.errors import InputError, ModelMismatchError
from autoreid_deploy.gallery import answers, proof, retention, transfer, upkeep
from autoreid_deploy.gallery.answers import Hit
from autoreid_deploy.gallery.cameras import Cameras
from autoreid_deploy.gallery.database import Database
from autoreid_deploy.gallery.filters import Filter, person
from autoreid_deploy.gallery.info import GalleryInfo, gather
from autoreid_deploy.gallery.order import Nearest, Order
from autoreid_deploy.gallery.store import Published, Stamp, Store, Stored
from autoreid_deploy.gallery.view import View
from autoreid_deploy.records import Record

_SAMPLE = 2000  # rows by which distances are judged
_CENTRED = 500  # nearest rows that are compared without what is common to their camera


class Gallery:
    """Records and embeddings in a folder; make one with `create` or `open`, and close it or use `with`.

    The rows lie in SQLite and are searched through an index of them, by its true distances. A gallery follows what
    other processes write: the next query sees it.

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
        self._cameras = Cameras(store, self._view)
        self._counted = (-1, 0)
        self._calibration: tuple[str, Calibration] | None = None

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

    def query(
        self,
        embeddings: ArrayLike,
        k: int = 10,
        *,
        where: Filter | None = None,
        pool: str = "each",
        group: str | None = None,
        rerank: int = 0,
        centred: bool = False,
        cameras: Sequence[str | None] = (),
        fpr: float | None = None,
        calibration: Calibration | None = None,
    ) -> list[list[Hit]]:
        """Find the crops that look most like each query.

        Args:
            embeddings: (Q, D) or (D,), any length but 0.
            k: how many hits a query; a smaller gallery gives fewer.
            where: search only the crops that pass, such as `camera("3") & since("2026-11-01")`.
            pool: the pictures show one person each (`each`), or all of them the same one, who is then asked for by
                the `mean` of the rows or by the nearest of them (`max`).
            group: only the best hit of each `person` or `tracklet`; a crop without one stands for itself.
            rerank: how many candidates are put in another order by their neighbours among each other; 0 for none.
            centred: put the 500 nearest in another order, without what is common to their camera: for cameras that the
                model has not learnt. A re-ranking goes on from there.
            cameras: which camera of the gallery took each query, None where nobody knows: for centring.
            fpr: mark hits as unknown that are farther away than this share of pairs of different people.
            calibration: what distances mean; None for the gallery's own, if it has one.

        Returns:
            Q lists of hits, or one, closest first.

        Raises:
            InputError: the shape doesn't fit, a row is NaN, infinite or zero, an argument is none of those expected,
                or there is no calibration to tell a false-positive rate by.
            GalleryError: the store is damaged.
        """
        answers.check(k, pool, group, rerank, centred)
        rows = self._unit_rows(embeddings)
        if not len(rows):
            return []
        took = answers.cameras_of(cameras, len(rows), pool)
        if pool == "mean":
            rows = answers.mean_row(rows)
        # One state of the store for the search and for its records, whatever others write meanwhile.
        with self.store.snapshot() as version:
            self._view.follow(version)
            among = self._passing(where)

            def closest(count: int) -> answers.Found:
                found = self._view.search(rows, count, among)
                return answers.closest_of(found, count) if pool == "max" else found

            means = self._cameras.means() if centred else None
            order = Order(self.store, self._view, rows if means is None else means.centred(rows, took), means)
            nearest: Nearest = closest
            if means is not None:
                nearest = order.by_camera(nearest, max(_CENTRED, rerank, k))
            if rerank:
                nearest = order.by_neighbours(nearest, max(rerank, k))
            if group is None:
                distances, ids = nearest(k)
                found = list(zip(distances.tolist(), ids.tolist(), strict=True))
            else:
                found = answers.one_a_group(nearest, self.store.records, k, group)
            records = self.store.records({id for _, line in found for id in line})
            return self._hits(found, records, order, fpr, calibration or self.calibration)

    def _hits(
        self,
        found: Sequence[tuple[list[float], list[int]]],
        records: Mapping[int, Record],
        order: Order,
        fpr: float | None,
        calibration: Calibration | None,
    ) -> list[list[Hit]]:
        limit = np.inf
        if fpr is not None:
            if calibration is None:
                raise InputError(
                    "a false-positive rate needs a calibration, and neither model nor index has one; "
                    "make one with: reid-index calibrate"
                )
            limit = calibration.threshold(fpr)
        if calibration is not None:
            calibration = calibration.for_people(self._people())
        hits = []
        for query, (distances, ids) in enumerate(found):
            likely = [None] * len(ids) if calibration is None else calibration.probability(distances).tolist()
            apart, blended = (told.get(query, {}) for told in (order.centred, order.reranked))
            hits.append(
                [
                    Hit(
                        rank,
                        id,
                        distance,
                        records[id],
                        probability,
                        unknown=not distance < limit,
                        reranked=blended.get(id),
                        centred=apart.get(id),
                    )
                    for rank, (id, distance, probability) in enumerate(
                        zip(ids, distances, likely, strict=True), 1
                    )
                ]
            )
        return hits

    def query_stored(
        self, of: Filter, k: int = 10, *, where: Filter | None = None, **how: Any
    ) -> list[list[Hit]]:
        """Ask by crops that the gallery holds, such as a tracklet, for others that look like them.

        Args:
            of: the crops that ask; they are no answers.
            k: how many hits.
            where: search only the crops that pass.
            how: as for `query`; `pool` is `mean` unless said otherwise.

        Raises:
            InputError: no crop passes `of`, or as `query`.
        """
        with self.store.snapshot() as version:
            ids = self.store.ids_where(*of.sql())
            if not len(ids):
                raise InputError(f"the index has no crop that passes {of}")
            self._view.follow(version, patient=True)  # it must hold the crops that ask
            rows = self._view.rows_of(ids)
            if how.get("centred"):
                took = self.store.cameras(ids.tolist())
                how = {"cameras": [took[id] for id in ids.tolist()], **how}
            others = ~of if where is None else where & ~of
            return self.query(rows, k, where=others, **{"pool": "mean", **how})

    def warning(self) -> str | None:
        """Say in one line that distances have collapsed, or None; see `calibration.collapse_warning`."""
        with self.store.snapshot() as version:
            self._view.follow(version)
            rows = self._view.sample(_SAMPLE)
        return collapse_warning(rows, self.calibration)

    def _people(self) -> int:
        """How many people there may be: those known, or a crop each; counted once for each index."""
        number = self._view.published.number if self._view.published else 0
        if self._counted[0] != number or not self._counted[1]:
            self._counted = number, self.store.people() or self.store.count()
        return max(1, self._counted[1])

    @property
    def calibration(self) -> Calibration | None:
        """What distances mean here, if it was fitted on this gallery; None where it was not.

        Raises:
            InputError: it is damaged.
        """
        text = self.store.told("calibration")
        if text is None:
            return None
        if self._calibration is None or self._calibration[0] != text:
            try:
                table = json.loads(text)
            except ValueError:
                table = {}
            source = str(self.store.folder)
            self._calibration = text, Calibration.from_dict(table if isinstance(table, dict) else {}, source)
        return self._calibration[1]

    @calibration.setter
    def calibration(self, calibration: Calibration) -> None:
        self.store.tell("calibration", json.dumps(calibration.to_dict()))

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
