"""The truth of a gallery: one SQLite row for each crop.

Every method is one transaction unless it runs inside `with store.write():`, which joins several.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery.database import DAMAGED, Database, Version, path_value
from autoreid_deploy.records import Record

_COLUMNS = "path, pid, camid, time, tracklet, size, mtime_ns, digest"
_VALUES = "CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which state of a file was embedded: size in bytes, time of change in ns, SHA-256 as hex."""

    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One row without its embedding; `stamp` is None for a crop that was added without one."""

    id: int
    record: Record
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class Meta:
    """What holds for all rows: the model that made them, their length, and when the store was made."""

    model_id: str
    model: str
    dim: int
    created: float


class Store:
    """The rows of an open database.

    Attributes:
        folder: where it lies.
        meta: what holds for all rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.folder = database.folder
        self.meta = self._read_meta()

    @classmethod
    def create(cls, folder: Path, *, model_id: str, model: str, dim: int) -> "Store":
        """Make an empty store; see `Database.create`."""
        meta = {"model_id": model_id, "model": model, "dim": str(dim), "created": str(time.time())}
        return cls(Database.create(folder, meta))

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open what `create` made; see `Database.open`."""
        database = Database.open(folder)
        try:
            return cls(database)
        except BaseException:
            database.close()
            raise

    def _read_meta(self) -> Meta:
        with self._database.plain_errors():
            texts = dict(self._database.run("SELECT key, value FROM meta"))
        try:
            return Meta(
                texts["model_id"], texts["model"], dim=int(texts["dim"]), created=float(texts["created"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged("what is told about its model can't be read") from error

    def _damaged(self, how: str) -> GalleryError:
        return GalleryError(f"{self.folder}: {DAMAGED} ({how})")

    def get_meta(self, key: str) -> str | None:
        """Read one value of what holds for all rows; None where there is none."""
        with self._database.plain_errors():
            found = self._database.run("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def set_meta(self, key: str, value: str) -> None:
        """Write one value of what holds for all rows."""
        with self.write():
            self._database.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def write(self) -> contextlib.AbstractContextManager[None]:
        """Join what happens inside into one transaction."""
        return self._database.write()

    def snapshot(self) -> contextlib.AbstractContextManager[Version]:
        """Read one state for as long as this lasts; gives its version, which changes whenever rows may."""
        return self._database.snapshot()

    def count(self) -> int:
        """Count the crops."""
        with self._database.plain_errors():
            return int(self._database.scalar("SELECT count(*) FROM crop"))

    def counts(self, column: str) -> dict[str, int]:
        """Count the crops by `pid` or `camid`, "2" before "10"; those without one are left out."""
        query = (
            f"SELECT {column}, count(*) FROM crop WHERE {column} IS NOT NULL "
            f"GROUP BY {column} ORDER BY length({column}), {column}"
        )
        with self._database.plain_errors():
            return dict(self._database.run(query))

    def put(
        self, records: Sequence[Record], rows: NDArray[np.float16], stamps: Sequence[Stamp | None]
    ) -> list[int]:
        """Insert crops; one whose path is there already replaces it and gets a new id.

        Args:
            records: N records; their paths are stored absolute.
            rows: (N, D) unit rows.
            stamps: N stamps.
        """
        insert = f"INSERT OR REPLACE INTO crop ({_COLUMNS}, embedding) VALUES ({_VALUES}, ?)"
        blobs = (row.tobytes() for row in rows.astype("<f2"))
        with self.write():
            return [
                int(self._database.run(insert, (*_values(record, stamp), blob)).lastrowid or 0)
                for record, stamp, blob in zip(records, stamps, blobs, strict=True)
            ]

    def copy(self, record: Record, stamp: Stamp) -> bool:
        """Insert a crop with the embedding of one that has the same content; say whether there was one."""
        insert = (
            f"INSERT OR REPLACE INTO crop ({_COLUMNS}, embedding) "
            f"SELECT {_VALUES}, embedding FROM crop WHERE digest = ? LIMIT 1"
        )
        with self.write():
            return self._database.run(insert, (*_values(record, stamp), stamp.digest)).rowcount > 0

    def update(self, id: int, record: Record, stamp: Stamp) -> None:
        """Change what is known about a crop and its file, not its embedding."""
        change = f"UPDATE crop SET ({_COLUMNS}) = ({_VALUES}) WHERE id = ?"
        with self.write():
            self._database.run(change, (*_values(record, stamp), id))

    def delete(self, *, paths: Iterable[Path] = (), ids: Iterable[int] = (), pids: Iterable[str] = ()) -> int:
        """Delete crops by path (a folder means all below it), id or person; returns how many there were."""
        with self.write():
            before = self._database.changes()
            for path in map(path_value, paths):
                # All that lies below a folder comes between "folder/" and the character after the slash.
                folder = path.rstrip(_SLASH) + _SLASH
                self._database.run(
                    "DELETE FROM crop WHERE path = CAST(?1 AS TEXT)"
                    " OR path > CAST(?2 AS TEXT) AND path < CAST(?3 AS TEXT)",
                    (path, folder, folder[:-1] + bytes([folder[-1] + 1])),
                )
            for id in ids:
                self._database.run("DELETE FROM crop WHERE id = ?", (int(id),))
            for pid in pids:
                self._database.run("DELETE FROM crop WHERE pid = ?", (pid,))
            return self._database.changes() - before

    def stored(self, ids: Iterable[int] | None = None) -> Iterator[Stored]:
        """Read rows without their embeddings: all of them in order of id, or the given ones."""
        query = f"SELECT id, {_COLUMNS} FROM crop"
        with self._database.plain_errors():
            if ids is None:
                cursors = iter([self._database.run(f"{query} ORDER BY id")])
            else:
                cursors = (self._database.run(f"{query} WHERE id = ?", (int(id),)) for id in ids)
            for cursor in cursors:
                yield from map(self._read_row, cursor)

    def _read_row(self, row: tuple[Any, ...]) -> Stored:
        id, path, pid, camid, moment, tracklet, size, mtime_ns, digest = row
        if not isinstance(path, str) or not Path(path).is_absolute() or "\0" in path:
            raise self._damaged("a path can't be read")
        stamp = None if digest is None else Stamp(size, mtime_ns, digest)
        return Stored(id, Record(Path(path), pid, camid, moment, tracklet), stamp)

    def embeddings(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read all rows in order of id.

        Returns:
            (G,) ids and (G, D) rows, unit but for the rounding to 16 bits.

        Raises:
            GalleryError: a row's length is wrong or it is not a unit row: the file is damaged.
        """
        dim = self.meta.dim
        with self._database.plain_errors():
            pairs = self._database.run("SELECT id, embedding FROM crop ORDER BY id").fetchall()
        if not all(isinstance(row, bytes) and len(row) == 2 * dim for _, row in pairs):
            raise self._damaged("an embedding has the wrong length")
        ids = np.array([id for id, _ in pairs], np.int64)
        blob = b"".join(row for _, row in pairs)
        rows = np.frombuffer(blob, "<f2").reshape(len(ids), dim).astype(np.float32)
        if not np.all(np.abs(np.linalg.norm(rows, axis=1) - 1) < 0.01):
            raise self._damaged("an embedding is not a unit row")
        return ids, rows

    def having(self, camids: Iterable[str]) -> NDArray[np.int64]:
        """List the ids of the crops that these cameras saw, ascending."""
        wanted = list(camids)
        query = f"SELECT id FROM crop WHERE camid IN ({', '.join('?' * len(wanted))}) ORDER BY id"
        with self._database.plain_errors():
            return np.array([id for (id,) in self._database.run(query, wanted)], np.int64)

    def complaints(self) -> list[str]:
        """Let SQLite check its own file; empty when it is sound."""
        with self._database.plain_errors():
            return [text for (text,) in self._database.run("PRAGMA quick_check(3)") if text != "ok"]


_SLASH = os.fsencode(os.sep)


def _values(record: Record, stamp: Stamp | None) -> tuple[Any, ...]:
    file = (None, None, None) if stamp is None else (stamp.size, stamp.mtime_ns, stamp.digest)
    return (path_value(record.path), record.pid, record.camid, record.time, record.tracklet, *file)
