"""What there is to say about a gallery in numbers."""

from dataclasses import dataclass
from pathlib import Path

from autoreid_deploy.gallery import generation as files
from autoreid_deploy.gallery import proof, retention, upkeep
from autoreid_deploy.gallery.database import FILE, SCHEMA
from autoreid_deploy.gallery.index import EXACT, Tuning
from autoreid_deploy.gallery.store import Store
from autoreid_deploy.records import DISTRACTOR, JUNK


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
        undated: how many crops have no time.
        bytes: size on disk: of the database with its journal, and of the index.
        database_bytes: of the database with its journal.
        index_bytes: of all files of the index.
        schema: of the database.
        created: seconds since the epoch.
        keep_days: how many days a crop is kept after it was seen; None for no limit.
        generation: number of the index that is the current one; None while there is none, and every row is scanned.
        kind: of index, see `index`.
        depth: rows that it proposes for 10 neighbours; 0 for the exact scan.
        recall: share of the true 10 neighbours that it was measured to find, in [0, 1].
        target: the recall that was asked for.
        milliseconds: that a query took, median, one thread; None where it was not measured.
        delta: rows that are in no index yet, and are scanned.
        tombstones: removed rows that the index still holds.
        trouble: why the index's file is out of use and what to do; None when all is well.
    """

    folder: Path
    model: str
    model_id: str
    dim: int
    crops: int
    people: int
    cameras: dict[str, int]
    undated: int
    bytes: int
    database_bytes: int
    index_bytes: int
    schema: int
    created: float
    keep_days: int | None
    generation: int | None
    kind: str
    depth: int
    recall: float
    target: float
    milliseconds: float | None
    delta: int
    tombstones: int
    trouble: str | None


def gather(store: Store) -> GalleryInfo:
    """Count what is there."""
    trouble = proof.INTERRUPTED if upkeep.is_forgetting_due(store) else proof.index_trouble(store)
    with store.snapshot():
        current = store.current()
        tuning = Tuning(**current.tuning) if current else Tuning(EXACT)
        delta, gone = upkeep.backlog(store)
        database = sum(_size(path) for path in store.folder.glob(f"{FILE}*"))
        index = sum(_size(path) for path in files.files(store.folder))
        return GalleryInfo(
            folder=store.folder,
            model=store.meta.model,
            model_id=store.meta.model_id,
            dim=store.meta.dim,
            crops=store.count(),
            people=len(store.counts("pid").keys() - {JUNK, DISTRACTOR}),
            cameras=store.counts("camid"),
            undated=store.count("time IS NULL"),
            bytes=database + index,
            database_bytes=database,
            index_bytes=index,
            schema=SCHEMA,
            created=store.meta.created,
            keep_days=retention.keep_days(store),
            generation=current.number if current else None,
            kind=tuning.kind,
            depth=tuning.depth,
            recall=tuning.recall,
            target=tuning.target,
            milliseconds=tuning.milliseconds if current else None,
            delta=delta,
            tombstones=gone,
            trouble=trouble,
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a journal that was just cut, an index that was just replaced
        return 0
