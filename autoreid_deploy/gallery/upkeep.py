"""What keeps a gallery quick, small and honest: new generations, forgetting, and the proof of both."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import generation as files
from autoreid_deploy.gallery.generation import DamagedError
from autoreid_deploy.gallery.index import EXACT_UP_TO, KINDS, RECALL, build
from autoreid_deploy.gallery.store import Published, Store

# Shares of the generation beyond which a new one pays.
DELTA_SHARE = 0.05
GONE_SHARE = 0.10
DELTA_LEAST = 20_000  # so few rows are scanned in less than half a millisecond
Tick = Callable[[int], object]


def compact(
    store: Store, *, kind: str | None = None, recall: float | None = None, tick: Tick = lambda count: None
) -> Published:
    """Build the index anew from all rows, publish it, and drop older ones; readers and a writer go on meanwhile.

    Args:
        store: the truth.
        kind: `exact`, `pq` or `ivf`; None for the best at this size.
        recall: of the true 10 nearest that the index must find; None for what the last one was asked for, or 0.99.
        tick: called with how many rows were read.

    Raises:
        GalleryError: the store is damaged or can't be written, or the disk is full.
        InputError: the kind is unknown.
    """
    start = time.monotonic()
    before = store.current()
    if recall is None:
        recall = float(before.tuning.get("target", RECALL)) if before else RECALL
    number = store.reserve_generation()
    with store.snapshot():
        seen = store.last_tombstone()
        last = store.last_id()
        ids, rows = store.rows(tick=tick)
    index = build(rows, kind, recall)
    try:
        sha256 = files.write(store.folder, number, ids, index)
        published = Published(
            number, sha256, last, len(ids), index.tuning.to_dict(), time.monotonic() - start, time.time()
        )
        if not store.publish(published, seen):
            (store.folder / files.FOLDER / files.name_of(number)).unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # a later compaction has swept it away, and published its own
    sweep(store)
    current = store.current()
    assert current is not None
    return current


def is_due(store: Store) -> bool:
    """Whether a new generation pays: many rows came or went since the current one, or its file is lost."""
    current, count = store.current(), store.count()
    if current is None:
        return count > DELTA_LEAST
    if not (store.folder / files.FOLDER / files.name_of(current.number)).exists():
        return True
    gone = store.tombstone_count(current.last_id)
    new = count - (current.crops - gone)
    return new > max(DELTA_LEAST, DELTA_SHARE * current.crops) or gone > max(
        DELTA_LEAST // 10, GONE_SHARE * current.crops
    )


def sweep(store: Store) -> None:
    """Drop the files of older generations, and what killed processes left of theirs."""
    current = store.current()
    for path in files.files(store.folder):
        number = _number(path)
        outdated = number is not None and current is not None and number < current.number
        if outdated or (path.suffix == ".tmp" and not _is_running(path)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _number(path: Path) -> int | None:
    digits = path.name.removeprefix("gen-")[:6]
    return int(digits) if path.name.startswith("gen-") and digits.isdigit() else None


def _is_running(path: Path) -> bool:
    """Whether the process whose number a temporary file carries is there."""
    process = path.name.split(".")[1:2]
    try:
        os.kill(int(process[0]), 0)
    except (IndexError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def forget(store: Store, ids: NDArray[np.int64], line: str, tick: Tick = lambda count: None) -> None:
    """Delete rows so that nothing of them stays: not in the database, its journal or free pages, nor in an index.

    Args:
        store: the truth.
        ids: of the rows.
        line: for the audit; it must not tell who was forgotten.
        tick: called with how many rows were read for the new index.

    Raises:
        GalleryError: the database can't be written, or readers keep its journal alive for too long: the rows are
            deleted, and the same call, or `compact`, finishes the rest.
    """
    with store.write():
        store.delete(ids=ids.tolist())
        store.note(line)
        store.tell("scrub", "due")
    finish_forgetting(store, tick)


def finish_forgetting(store: Store, tick: Tick = lambda count: None) -> None:
    """Do what is left to do after rows were deleted for good."""
    if store.told("scrub") != "due":
        return
    compact(store, tick=tick)
    store.scrub()
    store.tell("scrub", "done")
    store.scrub_journal()


def verify(store: Store, tick: Tick = lambda count: None) -> Iterator[str]:
    """Compare everything with everything; gives one line for each thing that is wrong.

    SQLite's own check; every row against its checksum; the index against its SHA-256 and against the rows; and that
    nothing that was deleted is left: in an index, a journal, a free page or a stray file.
    """
    for complaint in store.complaints():
        yield f"database: {complaint}"
    for complaint in store.orphans():
        yield complaint
    try:
        with store.snapshot():
            ids, rows = store.rows(tick=tick)
            current = store.current()
            gone = {id for _, id in store.tombstones()}
    except GalleryError as error:
        yield str(error)
        return
    if current is not None:
        path = store.folder / files.FOLDER / files.name_of(current.number)
        try:
            found = files.read(path, current.sha256)
            if fault := found.check_rows():
                raise DamagedError(fault)
            wrong = [id for id in files.check_against(found, ids, rows).tolist() if id not in gone]
            if wrong:
                yield f"{path}: holds {len(wrong)} rows that are not those of the database, such as id {wrong[0]}"
        except (DamagedError, OSError) as error:
            yield f"index: {error}; queries read the database instead; mend it with: reid-index compact"
    for path in files.files(store.folder):
        if current is None or path.name != files.name_of(current.number):
            yield f"{path}: no part of the index; drop it with: reid-index compact"
    if store.told("scrub") == "due":
        yield "forgetting was interrupted: deleted rows may be left in the files; finish it with: reid-index compact"
    elif store.told("scrub") == "done" and (pages := store.unclean_pages()):
        yield f"database: {pages} free pages still hold what was deleted; clean them with: reid-index compact"


def check_kind(kind: str | None) -> None:
    """Refuse a kind of index that there is none of."""
    if kind is not None and kind not in KINDS:
        raise GalleryError(f"expected an index of the kind {', '.join(KINDS)}, got {kind!r}")


__all__ = ["EXACT_UP_TO", "check_kind", "compact", "finish_forgetting", "forget", "is_due", "sweep", "verify"]
