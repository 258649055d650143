"""A gallery as files that other programs read, and back: a plain folder, or one Parquet file.

An export is written whole or not at all, from one state of the gallery. An import is one transaction: all crops of
the source are taken in, or none. Both go through the crops in chunks, so that they need little memory at any size.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from autoreid_deploy.errors import GalleryError, InputError, ModelMismatchError
from autoreid_deploy.gallery import transfer_folder, transfer_parquet
from autoreid_deploy.gallery.filters import Filter
from autoreid_deploy.gallery.generation import sync
from autoreid_deploy.gallery.store import Store
from autoreid_deploy.gallery.transfer_chunk import CHUNK, Chunk, Header

SUFFIX = ".parquet"
Tick = Callable[[int], object]


def export(store: Store, target: Path, where: Filter | None = None, tick: Tick = lambda count: None) -> int:
    """Write crops, what is known about them, and their rows, bit for bit.

    Args:
        store: the truth.
        target: a file that ends in `.parquet`, or a folder; there must be nothing of that name yet.
        where: only the crops that pass.
        tick: called with how many crops were written.

    Returns:
        How many crops there were.

    Raises:
        InputError: there is something at `target` already.
        MissingExtraError: pyarrow is not installed.
        GalleryError: the gallery is damaged.
    """
    if os.path.lexists(target):
        raise InputError(f"{target}: there is something already; move it away or choose another name")
    condition, values = ("1", []) if where is None else where.sql()
    write = transfer_parquet.write if _is_parquet(target) else transfer_folder.write
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with store.snapshot():
        count = store.count(condition, values)
        header = Header(store.meta.model_id, store.meta.model, store.meta.dim, count)

        def chunks() -> Iterator[Chunk]:
            left = count
            for crops, rows in store.chunks(CHUNK, condition, values):
                hands = store.by_hand(crop.id for crop in crops)
                yield Chunk([crop.record for crop in crops], rows, [crop.stamp for crop in crops], hands)
                left -= len(crops)
                tick(len(crops))
            if left:
                raise GalleryError(f"{store.folder}: {left} crops can't be read; see: reid-index verify")

        try:
            write(temporary, header, chunks())
            temporary.rename(target)
        except BaseException:
            _drop(temporary)
            raise
    sync(target.absolute().parent)
    with contextlib.suppress(GalleryError):  # a gallery that can't be written keeps no audit
        store.note(f"export: {count} crops")
    return count


def describe(source: Path) -> Header:
    """Read what an export says about itself.

    Raises:
        InputError: it is missing, damaged or none.
        MissingExtraError: pyarrow is not installed.
    """
    return transfer_parquet.describe(source) if _is_parquet(source) else transfer_folder.describe(source)


def take_in(store: Store, source: Path, tick: Tick = lambda count: None) -> int:
    """Take all crops of an export in, or none; one whose path is there already replaces it.

    Args:
        store: of the same model.
        source: what `export` wrote.
        tick: called with how many crops were read.

    Returns:
        How many crops there were.

    Raises:
        ModelMismatchError: another model made the rows.
        InputError: the source is missing, damaged or no export.
        MissingExtraError: pyarrow is not installed.
        GalleryError: the gallery can't be written.
    """
    header = describe(source)
    if (header.model_id, header.dim) != (store.meta.model_id, store.meta.dim):
        raise ModelMismatchError(
            f"{source}: its rows were made by {header.model_id}, those of {store.folder} by {store.meta.model_id}, "
            "and the two can't be compared; import it into an index of its own with --index NEW"
        )
    read = transfer_parquet.read if _is_parquet(source) else transfer_folder.read
    with store.write():
        left = header.count
        for chunk in read(source, header):
            _check(source, chunk)
            ids = store.put(chunk.records, chunk.rows, chunk.stamps)
            store.mark_by_hand(
                (id, what) for id, hand in zip(ids, chunk.by_hand, strict=True) for what in hand
            )
            left -= len(ids)
            tick(len(ids))
        if left:
            raise InputError(
                f"{source}: expected {header.count} crops, found {header.count - left}; export it again"
            )
        store.note(f"import: {header.count} crops")
    return header.count


def _check(source: Path, chunk: Chunk) -> None:
    """Refuse what the store would call damage later."""
    wide = chunk.rows.astype(np.float32)
    wrong = ~(np.abs(np.einsum("cd,cd->c", wide, wide) - 1) < 0.02)
    for record, is_wrong, hand in zip(chunk.records, wrong, chunk.by_hand, strict=True):
        if is_wrong:
            raise InputError(f"{source}: expected rows of length 1, the one of {record.path} is not")
        if not set(hand) <= {"pid", "camid", "tracklet"}:
            raise InputError(f"{source}: expected pid, camid or tracklet to be corrected by hand, got {hand}")
        for text in (str(record.path), record.pid, record.camid, record.tracklet):
            if text is not None and "\0" in text:
                raise InputError(f"{source}: expected text without the character 0, got {text!r}")


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def _drop(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)
