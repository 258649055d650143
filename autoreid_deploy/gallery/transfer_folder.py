"""The plain folder of an export.

    gallery.json   the model, how many crops, and the SHA-256 of the others
    crops.csv      path,pid,camid,time,tracklet: what `reid-index build` reads too
    files.csv      size,mtime_ns,digest,by_hand: the same crops' files, so that a later build can skip them
    rows.npy       (G, D) 16-bit floats

A path is written as the bytes that it has, also where they are not UTF-8. An empty cell means unknown.
"""

import contextlib
import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.gallery.generation import sync
from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.gallery.transfer_chunk import CHUNK, Chunk, Header
from autoreid_deploy.records import COLUMNS, Record

HEAD, CROPS, FILES, ROWS = "gallery.json", "crops.csv", "files.csv", "rows.npy"
_FILE_COLUMNS = ("size", "mtime_ns", "digest", "by_hand")
_HEAD_BYTES = 2**20


def write(folder: Path, header: Header, chunks: Iterator[Chunk]) -> None:
    """Write the folder and sync it.

    Args:
        folder: to be made.
        header: of the crops.
        chunks: of as many crops as the header says.
    """
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        files = {name: _Hashed(stack, folder / name) for name in (CROPS, FILES, ROWS)}
        files[CROPS].write(_lines([COLUMNS]))
        files[FILES].write(_lines([_FILE_COLUMNS]))
        shape = {"descr": "<f2", "fortran_order": False, "shape": (header.count, header.dim)}
        start = io.BytesIO()
        np.lib.format.write_array_header_1_0(start, shape)
        files[ROWS].write(start.getvalue())
        for chunk in chunks:
            files[CROPS].write(_lines([_of_record(record) for record in chunk.records]))
            pairs = zip(chunk.stamps, chunk.by_hand, strict=True)
            files[FILES].write(_lines([_of_file(*pair) for pair in pairs]))
            files[ROWS].write(np.ascontiguousarray(chunk.rows, "<f2").tobytes())
        told = {**header.to_dict(), "sha256": {name: file.close() for name, file in files.items()}}
        head = _Hashed(stack, folder / HEAD)
        head.write(json.dumps(told, indent=2).encode() + b"\n")
        head.close()
    sync(folder)


class _Hashed:
    """A file that is written once, and its SHA-256."""

    def __init__(self, stack: contextlib.ExitStack, path: Path) -> None:
        self._file: IO[bytes] = stack.enter_context(path.open("wb"))
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)

    def close(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()


def _lines(cells: list[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(cells)
    return os.fsencode(text.getvalue())


def _of_record(record: Record) -> tuple[str | None, ...]:
    moment = None if record.time is None else repr(record.time)
    return (str(record.path), record.pid, record.camid, moment, record.tracklet)


def _of_file(stamp: Stamp | None, by_hand: tuple[str, ...]) -> tuple[Any, ...]:
    known = (None, None, None) if stamp is None else (stamp.size, stamp.mtime_ns, stamp.digest)
    return (*known, " ".join(by_hand))


def describe(folder: Path) -> Header:
    """Read what the folder says about itself; see `transfer.describe`."""
    return _head(folder)[0]


def _head(folder: Path) -> tuple[Header, dict[str, str]]:
    if not folder.is_dir():
        there = "another file" if folder.exists() else "nothing"
        raise InputError(f"{folder}: expected a folder or .parquet file of reid-index export, got {there}")
    with _plainly(folder), (folder / HEAD).open("rb") as file:
        told = json.loads(file.read(_HEAD_BYTES))
        header = Header.from_dict(told)
        return header, {name: str(told["sha256"][name]) for name in (CROPS, FILES, ROWS)}


@contextlib.contextmanager
def _plainly(folder: Path) -> Iterator[None]:
    """Turn whatever a damaged or foreign folder gives into one line."""
    try:
        yield
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise InputError(
            f"{folder}: expected an export of reid-index, it has no {name}; export it again"
        ) from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{folder}: not an export that can be read ({error}); export it again") from error


def read(folder: Path, header: Header) -> Iterator[Chunk]:
    """Read the crops, after all files were compared with their SHA-256; see `transfer.take_in`."""
    with _plainly(folder):
        for name, digest in _head(folder)[1].items():
            if _sha256(folder / name) != digest:
                raise ValueError(f"{name} was changed since it was written")
        # No pickle: an array of objects is refused.
        rows: NDArray[np.float16] = np.load(folder / ROWS, mmap_mode="r", allow_pickle=False)
        if rows.dtype != np.dtype("<f2") or rows.shape != (header.count, header.dim):
            raise ValueError(f"{ROWS} holds {rows.dtype} {rows.shape}, not what {HEAD} says")
        crops, files = _table(folder / CROPS, COLUMNS), _table(folder / FILES, _FILE_COLUMNS)
        for start in range(0, header.count, CHUNK):
            pairs = list(zip(islice(crops, CHUNK), islice(files, CHUNK), strict=True))
            part = np.asarray(rows[start : start + len(pairs)])
            if len(pairs) != min(CHUNK, header.count - start):
                raise ValueError(f"{CROPS} holds fewer crops than {HEAD} says")
            records = [_read_record(folder, cells) for cells, _ in pairs]
            yield Chunk(
                records,
                part,
                [_read_stamp(cells) for _, cells in pairs],
                [_hand(cells) for _, cells in pairs],
            )
        if next(crops, None) or next(files, None):
            raise ValueError(f"{CROPS} or {FILES} holds more crops than {HEAD} says")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file, strict=True)
        if tuple(next(lines, [])) != columns:
            raise ValueError(f"the header of {path.name} is not {','.join(columns)}")
        for cells in lines:
            if len(cells) != len(columns):
                raise ValueError(f"line {lines.line_num} of {path.name} has {len(cells)} cells")
            yield cells


def _read_record(folder: Path, cells: list[str]) -> Record:
    path, pid, camid, moment, tracklet = cells
    if not path:
        raise ValueError("a crop has no path")
    time = float(moment) if moment else None
    if time is not None and not math.isfinite(time):
        raise ValueError(f"{moment} is no time")
    return Record(folder / path, pid or None, camid or None, time, tracklet or None)


def _read_stamp(cells: list[str]) -> Stamp | None:
    size, mtime_ns, digest, _ = cells
    return Stamp(int(size), int(mtime_ns), digest) if digest else None


def _hand(cells: list[str]) -> tuple[str, ...]:
    return tuple(cells[-1].split())
