"""An index on disk: one immutable file a generation, made whole or not at all, and told from a damaged one.

    magic | length of the head | head (JSON) | ids | codes | rows

The head names the sections with their places and SHA-256; the row in SQLite that makes a generation the current
one holds the SHA-256 of the head. Head, ids and codes are checked whenever a file is opened. The rows, many times as
large, are mapped and checked by `check_rows`, in a thread of its own while the first queries are answered.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery.engine import load_faiss
from autoreid_deploy.gallery.half import Rows16
from autoreid_deploy.gallery.index import Index, Tuning

FOLDER = "index"
_MAGIC = b"ARIDGEN1"
_ALIGN = 4096
_BLOCK = 2**18


class DamagedError(Exception):
    """A generation's file is not what was written; the rows in SQLite are not affected."""


@dataclass
class Generation:
    """An opened file.

    Attributes:
        ids: (G,) of the rows, ascending.
        index: over the rows, by position.
        path: of the file.
        fault: what `check_rows` found wrong, or None.
    """

    ids: NDArray[np.int64]
    index: Index
    path: Path
    fault: str | None = None

    def check_rows(self) -> str | None:
        """Read all rows and compare them with their SHA-256; returns what is wrong, or None."""
        try:
            _check_section(self.path, _read_head(self.path)[0], "rows")
        except FileNotFoundError:
            pass  # a newer generation has taken its place; what is mapped stays as it was
        except (DamagedError, OSError) as error:
            self.fault = str(error)
        return self.fault

    def check_rows_later(self) -> None:
        """The same in the background."""
        threading.Thread(target=self.check_rows, daemon=True, name="check of index rows").start()


def name_of(number: int) -> str:
    """The file name of a generation."""
    return f"gen-{number:06d}.reid"


def write(folder: Path, number: int, ids: NDArray[np.int64], index: Index) -> str:
    """Write a generation's file durably: under a temporary name, synced, renamed, its folder synced.

    Args:
        folder: of the gallery.
        number: of the generation.
        ids: (G,) ascending.
        index: over as many rows.

    Returns:
        SHA-256 of the head.
    """
    home = folder / FOLDER
    home.mkdir(exist_ok=True)
    codes: NDArray[np.uint8] = np.empty(0, np.uint8)
    if index.codes is not None:
        codes = load_faiss().serialize_index(index.codes)
    parts: dict[str, NDArray[Any]] = {
        "ids": np.ascontiguousarray(ids, "<i8"),
        "codes": codes,
        "rows": np.ascontiguousarray(index.rows, "<f2"),
    }
    sections: dict[str, dict[str, Any]] = {}
    at = _ALIGN
    for name, array in parts.items():
        sections[name] = {
            "at": at,
            "bytes": array.nbytes,
            "sha256": hashlib.sha256(_bytes(array)).hexdigest(),
        }
        at += -(-array.nbytes // _ALIGN) * _ALIGN
    head = json.dumps(
        {
            "number": number,
            "count": len(ids),
            "dim": int(index.rows.shape[1]),
            "sections": sections,
            "tuning": index.tuning.to_dict(),
        }
    ).encode()
    assert len(_MAGIC) + 8 + len(head) <= _ALIGN
    path = home / name_of(number)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_MAGIC + len(head).to_bytes(8, "little") + head)
            for name, array in parts.items():
                file.seek(sections[name]["at"])
                file.write(_bytes(array))
            file.truncate(at)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(home)
    return hashlib.sha256(head).hexdigest()


def _bytes(array: NDArray[Any]) -> Any:
    """The bytes of an array, not copied; FAISS's and NumPy's own buffers know no 16-bit floats."""
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_ids(path: Path, sha256: str) -> NDArray[np.int64]:
    """Read the (G,) ascending ids of a generation alone, which is quick; raises as `read`."""
    head, digest = _read_head(path)
    if digest != sha256:
        raise DamagedError(f"{path}: not the file that was published")
    return _read_ids(path, head)


def _read_ids(path: Path, head: dict[str, Any]) -> NDArray[np.int64]:
    _check_section(path, head, "ids")
    return np.fromfile(path, "<i8", int(head["count"]), offset=head["sections"]["ids"]["at"])


class Opening(threading.Thread):
    """Opens a generation's file in the background.

    Attributes:
        number: of the generation.
        generation: once the thread has ended; None where the file can't be used.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        super().__init__(daemon=True, name="opening of an index")
        self.generation: Generation | None = None
        self._path = path
        self._sha256 = sha256

    def run(self) -> None:
        """Open it."""
        with contextlib.suppress(DamagedError, OSError):
            self.generation = read(self._path, self._sha256)


def read(path: Path, sha256: str) -> Generation:
    """Open a generation's file.

    Args:
        path: of the file.
        sha256: of its head, as SQLite knows it.

    Raises:
        DamagedError: head, ids or codes are not what was written.
        FileNotFoundError: there is no such file.
    """
    head, digest = _read_head(path)
    if digest != sha256:
        raise DamagedError(f"{path}: not the file that was published")
    try:
        count, dim, tuning = int(head["count"]), int(head["dim"]), Tuning(**head["tuning"])
        ids = _read_ids(path, head)
        _check_section(path, head, "codes")
        rows: Any = np.empty((0, dim), np.float16)
        if count:
            rows = np.asarray(np.memmap(path, "<f2", "r", head["sections"]["rows"]["at"], (count, dim)))
        found = _read_codes(path, head) if head["sections"]["codes"]["bytes"] else None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedError(f"{path}: {type(error).__name__} {error}") from error
    return Generation(ids, Index(rows, found, tuning), path)


def _read_head(path: Path) -> tuple[dict[str, Any], str]:
    with path.open("rb") as file:
        start = file.read(_ALIGN)
    length = int.from_bytes(start[8:16], "little")
    text = start[16 : 16 + length]
    if start[:8] != _MAGIC or len(text) != length:
        raise DamagedError(f"{path}: not the file of an index")
    try:
        head: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise DamagedError(f"{path}: its head can't be read") from error
    return head, hashlib.sha256(text).hexdigest()


def _check_section(path: Path, head: dict[str, Any], name: str) -> None:
    """Compare a section with its SHA-256."""
    section = head["sections"][name]
    digest, left = hashlib.sha256(), int(section["bytes"])
    # In small pieces: fresh memory costs as much as the hash.
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        file.seek(section["at"])
        while left and (count := file.readinto(block[: min(left, _BLOCK)])):
            digest.update(block[:count])
            left -= count
    if left or digest.hexdigest() != section["sha256"]:
        raise DamagedError(f"{path}: its {name} were changed since they were written")


def _read_codes(path: Path, head: dict[str, Any]) -> Any:
    """Let FAISS read the codes piece by piece; `deserialize_index` would copy all of them twice."""
    faiss = load_faiss()
    with path.open("rb", buffering=0) as file:
        file.seek(head["sections"]["codes"]["at"])
        return faiss.read_index(faiss.PyCallbackIOReader(file.read, _BLOCK))


def files(folder: Path) -> Iterator[Path]:
    """Everything that lies where generations do."""
    home = folder / FOLDER
    return iter(sorted(home.iterdir())) if home.is_dir() else iter(())


def check_against(generation: Generation, ids: NDArray[np.int64], rows: Rows16) -> NDArray[np.int64]:
    """Compare rows of a generation with the truth; returns the ids that differ or are not in the truth.

    Args:
        generation: opened.
        ids: (S,) ascending, of all rows of the truth.
        rows: (S, D) 16-bit floats.
    """
    at = np.searchsorted(ids, generation.ids)
    there = (at < len(ids)) & (ids[np.minimum(at, len(ids) - 1)] == generation.ids) if len(ids) else at < 0
    wrong = [generation.ids[~there]]
    positions = np.flatnonzero(there)
    for start in range(0, len(positions), _ALIGN):
        chosen = positions[start : start + _ALIGN]
        mine = np.ascontiguousarray(generation.index.rows[chosen]).view(np.uint16)
        theirs = np.ascontiguousarray(rows[at[chosen]]).view(np.uint16)
        wrong.append(generation.ids[chosen[(mine != theirs).any(axis=1)]])
    return np.concatenate(wrong)
