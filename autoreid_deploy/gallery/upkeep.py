"""What keeps a gallery quick and small: new generations of its index; and what makes it forget."""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoreid_deploy.errors import GalleryError, InputError
from autoreid_deploy.gallery import generation as files
from autoreid_deploy.gallery.index import KINDS, RECALL, build
from autoreid_deploy.gallery.store import Published, Store

# Shares of the generation beyond which a new one pays.
DELTA_SHARE = 0.05
GONE_SHARE = 0.10
DELTA_LEAST = 20_000  # so few rows are scanned in less than half a millisecond
_TARGET = "recall"
SCRUB, DONE = "scrub", "done"
Tick = Callable[[int], object]


def compact(
    store: Store, *, kind: str | None = None, recall: float | None = None, tick: Tick = lambda count: None
) -> Published:
    """Build the index anew from all rows, publish it, and drop older ones; readers and a writer go on meanwhile.

    Args:
        store: the truth.
        kind: `exact`, `pq` or `ivf`; None for the best at this size.
        recall: of the true 10 nearest that the index must find; None for what was asked for last, or 0.99.
        tick: called with how many rows were read.

    Raises:
        GalleryError: the store is damaged or can't be written, or the disk is full.
        InputError: the kind is unknown.
    """
    start = time.monotonic()
    if recall is not None:
        set_target(store, recall)
    number = store.reserve_generation()
    with store.snapshot():
        seen = store.last_tombstone()
        last = store.last_id()
        ids, rows = store.rows(tick=tick)
    index = build(rows, kind, target(store))
    try:
        sha256 = files.write(store.folder, number, ids, index)
        published = Published(
            number, sha256, last, len(ids), index.tuning.to_dict(), time.monotonic() - start, time.time()
        )
        if not store.publish(published, seen):
            (store.folder / files.FOLDER / files.name_of(number)).unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # a later compaction has swept it away, and published its own
    except OSError as error:
        raise GalleryError(
            f"{store.folder}: the new index can't be written ({error.strerror or error}); the rows are safe, and "
            "queries read them instead; mend that and run: reid-index compact"
        ) from error
    sweep(store)
    current = store.current()
    if current is None or current.number < number:
        raise GalleryError(f"{store.folder}: the new index was lost while it was written; run compact again")
    return current


def target(store: Store) -> float:
    """The recall of the true 10 nearest that an index must have."""
    current = store.current()
    told = store.told(_TARGET) or (current.tuning.get("target") if current else None)
    return RECALL if told is None else float(told)


def set_target(store: Store, recall: float) -> None:
    """Ask every later index for a recall.

    Raises:
        InputError: it is not above 0 and at most 1.
        GalleryError: the gallery cannot be written.
    """
    if not 0 < recall <= 1:
        raise InputError(f"expected a recall above 0 and at most 1, got {recall}")
    store.tell(_TARGET, repr(float(recall)))


def is_due(store: Store) -> bool:
    """Whether a new generation pays: many rows came or went since the current one, or its file is lost."""
    current, count = store.current(), store.count()
    if current is None:
        return count > DELTA_LEAST
    if not (store.folder / files.FOLDER / files.name_of(current.number)).exists():
        return True
    new, gone = backlog(store)
    return new > max(DELTA_LEAST, DELTA_SHARE * current.crops) or gone > max(
        DELTA_LEAST // 10, GONE_SHARE * current.crops
    )


def backlog(store: Store) -> tuple[int, int]:
    """How many rows the current generation lacks, and how many of its own are gone."""
    current, count = store.current(), store.count()
    if current is None:
        return count, 0
    gone = store.tombstone_count(current.last_id)
    return count - (current.crops - gone), gone


def sweep(store: Store) -> None:
    """Drop the files of older generations, and what killed processes left of theirs."""
    current = store.current()
    for path in files.files(store.folder):
        number = number_of(path)
        outdated = number is not None and current is not None and number < current.number
        if outdated or (path.suffix == ".tmp" and not is_running(path)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def number_of(path: Path) -> int | None:
    """The number that a file's name carries."""
    digits = path.name.removeprefix("gen-").partition(".")[0]
    return int(digits) if path.name.startswith("gen-") and digits.isdigit() else None


def is_running(path: Path) -> bool:
    """Whether the process whose number a temporary file carries is there."""
    process = path.name.split(".")[1:2]
    try:
        os.kill(int(process[0]), 0)
    except (IndexError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def forget(
    store: Store, condition: str, values: Sequence[Any], what: str, tick: Tick = lambda count: None
) -> int:
    """Delete rows so that nothing of them stays: not in the database, its journal or free pages, nor in an index.

    Args:
        store: the truth.
        condition: SQL that holds for the crops to forget.
        values: its parameters.
        what: the beginning of the audit's line, which goes on with their number; it must not tell who was forgotten.
        tick: called with how many rows were read for the new index.

    Returns:
        How many rows there were.

    Raises:
        GalleryError: the database can't be written, or readers keep its journal alive for too long: the rows are
            deleted, and the same call, or `compact`, finishes the rest. Or it is called inside a transaction.
    """
    refuse_inside(store, "forget")
    with store.write():
        # Chosen here, where nobody can add another one before they are deleted.
        ids = store.ids_where(condition, values)
        if len(ids):
            store.delete(ids=ids.tolist())
            store.note(f"{what}: {len(ids)} crops")
            _make_due(store)
    finish_forgetting(store, tick)
    return len(ids)


def forget_removed(store: Store, tick: Tick = lambda count: None) -> None:
    """Wipe what earlier calls of `remove`, or replaced crops, have left in indexes, pages and the journal.

    Raises:
        GalleryError: as in `forget`.
    """
    refuse_inside(store, "forget")
    with store.write():
        store.note("forget: what was removed or replaced before")
        _make_due(store)
    finish_forgetting(store, tick)


def refuse_inside(store: Store, what: str) -> None:
    """Refuse work that needs transactions of its own."""
    if store.is_busy:
        raise GalleryError(
            f"{store.folder}: {what} can't be a part of a transaction or a snapshot; call it outside"
        )


def finish_forgetting(store: Store, tick: Tick = lambda count: None) -> None:
    """Do what is left to do after rows were deleted for good; nothing if nothing is."""
    if not is_forgetting_due(store):
        return
    seen = store.told(SCRUB)
    compact(store, tick=tick)
    store.scrub()
    # Only now: whatever stops the steps above leaves word that they are due. And not where another process has
    # deleted more meanwhile, which these steps may have come too early for.
    with store.write():
        if store.told(SCRUB) == seen:
            store.tell(SCRUB, DONE)


def is_forgetting_due(store: Store) -> bool:
    """Whether deleted rows may be left in the files, since a forgetting was interrupted or is going on."""
    return store.told(SCRUB) not in (None, DONE)


def is_scrubbed(store: Store) -> bool:
    """Whether something was forgotten, and nothing of it may be left."""
    return store.told(SCRUB) == DONE


def _make_due(store: Store) -> None:
    store.tell(SCRUB, f"due {uuid.uuid4()}")


def check_kind(kind: str | None) -> None:
    """Refuse a kind of index that there is none of."""
    if kind is not None and kind not in KINDS:
        raise InputError(f"expected an index of the kind {', '.join(KINDS)}, got {kind!r}")
