"""The truth of a gallery: one SQLite row for each crop.

Every method is one transaction unless it runs inside `with store.write():`, which joins several.
"""

import contextlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery.database import DAMAGED, FILE, Database, Version
from autoreid_deploy.gallery.group import group_of
from autoreid_deploy.gallery.half import widen
from autoreid_deploy.gallery.pages import count_unclean
from autoreid_deploy.gallery.paths import path_value
from autoreid_deploy.records import DISTRACTOR, JUNK, Record


def _unless_by_hand(column: str) -> str:
    told = f"SELECT 1 FROM by_hand WHERE by_hand.id = crop.id AND what = '{column}'"
    return f"{column} = CASE WHEN EXISTS ({told}) THEN {column} ELSE ? END"


_COLUMNS = "path, pid, camid, time, tracklet, size, mtime_ns, digest"
_VALUES = "CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?"
# Without the plus SQLite would put ?1 in the place of the digest, and no longer see that the index fits.
_BY_DIGEST = "SELECT id FROM crop WHERE substr(digest, 1, 8) = substr(?1, 1, 8) AND +digest = ?1 LIMIT 1"
_LABELS = ("pid", "camid", "tracklet")
_UPDATE = f"""UPDATE crop SET path = CAST(? AS TEXT), {_unless_by_hand("pid")}, {_unless_by_hand("camid")},
    time = ?, {_unless_by_hand("tracklet")}, size = ?, mtime_ns = ?, digest = ? WHERE id = ?"""
_BLOCK = 8192
JOURNAL_SECONDS = 60.0  # how long forgetting waits for queries that still read what is to go
_LAST = 2**63 - 1


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


@dataclass(frozen=True, slots=True)
class Published:
    """A generation as SQLite knows it.

    Attributes:
        number: of its file.
        sha256: of the file's head.
        last_id: rows above it are not in the file.
        crops: how many are.
        tuning: what `Tuning.to_dict` gives.
        seconds: that the build took.
        created: seconds since the epoch.
    """

    number: int
    sha256: str
    last_id: int
    crops: int
    tuning: dict[str, Any]
    seconds: float
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
        self._group = group_of(self.folder / FILE)

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

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def write(self) -> contextlib.AbstractContextManager[None]:
        """Join what happens inside into one transaction."""
        return self._database.write()

    def savepoint(self) -> contextlib.AbstractContextManager[None]:
        """Make what happens inside a part of a `write` that may fail alone."""
        return self._database.savepoint()

    def snapshot(self) -> contextlib.AbstractContextManager[Version]:
        """Read one state for as long as this lasts; gives its version, which changes whenever rows may."""
        return self._database.snapshot()

    def count(self, condition: str = "1", values: Sequence[Any] = ()) -> int:
        """Count the crops, or those for which an SQL condition holds."""
        with self._database.plain_errors():
            return int(self._database.scalar(f"SELECT count(*) FROM crop WHERE {condition}", values))

    def counts(self, column: str) -> dict[str, int]:
        """Count the crops by `pid` or `camid`, "2" before "10"; those without one are left out."""
        query = (
            f"SELECT {column}, count(*) FROM crop WHERE {column} IS NOT NULL "
            f"GROUP BY {column} ORDER BY length({column}), {column}"
        )
        with self._database.plain_errors():
            return dict(self._database.run(query))

    def people(self) -> int:
        """Count the known people; junk and distractors are none."""
        query = "SELECT count(DISTINCT pid) FROM crop WHERE pid NOT IN (?, ?)"
        with self._database.plain_errors():
            return int(self._database.scalar(query, (JUNK, DISTRACTOR)))

    def put(
        self, records: Sequence[Record], rows: NDArray[np.float16], stamps: Sequence[Stamp | None]
    ) -> list[int]:
        """Insert crops; one whose path is there already replaces it and gets a new id.

        Threads that call this at the same time, each on a store of its own, share a transaction and its sync. Each
        returns when its rows are durable, and fails alone if they can't be written.

        Args:
            records: N records; their paths are stored absolute.
            rows: (N, D) unit rows.
            stamps: N stamps.
        """
        blobs = [row.tobytes() for row in rows.astype("<f2")]
        crops = [_values(*pair) for pair in zip(records, stamps, strict=True)]
        self._database.check()
        if self.is_busy:
            return self._insert(crops, blobs)
        ids = self._group.run(self, lambda store: store._insert(crops, blobs), len(blobs))
        self._database.credit()
        return ids

    def _insert(self, crops: Sequence[tuple[Any, ...]], blobs: Sequence[bytes]) -> list[int]:
        with self.write():
            ids = self._new_ids(len(crops))
            last = {
                crop[0]: place for place, crop in enumerate(crops)
            }  # a path that comes twice replaces itself
            places = sorted(last.values())
            self._database.run_many(
                "INSERT INTO embedding VALUES (?, ?, ?)",
                ((ids[place], blobs[place], zlib.crc32(blobs[place])) for place in places),
            )
            self._insert_crops([(ids[place], *crops[place]) for place in places])
        return list(ids)

    def _insert_crops(self, new: Sequence[tuple[Any, ...]]) -> None:
        # INSERT OR REPLACE would do the same in three times as long.
        self._database.run_many("DELETE FROM crop WHERE path = CAST(? AS TEXT)", ((crop[1],) for crop in new))
        self._database.run_many(f"INSERT INTO crop (id, {_COLUMNS}) VALUES (?, {_VALUES})", new)

    def _new_ids(self, count: int) -> range:
        first = 1 + self.last_id()
        return range(first, first + count)

    def last_id(self) -> int:
        """The largest id that was ever given."""
        with self._database.plain_errors():
            return self._sequence("crop")

    def copy(self, record: Record, stamp: Stamp) -> bool:
        """Insert a crop with the embedding of one that has the same content; say whether there was one."""
        with self.write():
            found = self._database.run(_BY_DIGEST, (stamp.digest,)).fetchone()
            if found is None:
                return False
            [id] = self._new_ids(1)
            self._database.run(
                "INSERT INTO embedding SELECT ?, row, crc FROM embedding WHERE id = ?", (id, found[0])
            )
            self._insert_crops([(id, *_values(record, stamp))])
            return True

    def update(self, id: int, record: Record, stamp: Stamp) -> None:
        """Change what is known about a crop and its file, not its embedding nor what was corrected by hand."""
        with self.write():
            self._database.run(_UPDATE, (*_values(record, stamp), id))

    def delete(self, *, paths: Iterable[Path] = (), ids: Iterable[int] = (), pids: Iterable[str] = ()) -> int:
        """Delete crops by path (a folder means all below it), id or person; returns how many there were."""
        with self.write():
            gone = 0
            for path in map(path_value, paths):
                # All that lies below a folder comes between "folder/" and the character after the slash.
                folder = path.rstrip(_SLASH) + _SLASH
                gone += self._database.run(
                    "DELETE FROM crop WHERE path = CAST(?1 AS TEXT)"
                    " OR path > CAST(?2 AS TEXT) AND path < CAST(?3 AS TEXT)",
                    (path, folder, folder[:-1] + bytes([folder[-1] + 1])),
                ).rowcount
            for id in ids:
                gone += self._database.run("DELETE FROM crop WHERE id = ?", (int(id),)).rowcount
            for pid in pids:
                gone += self._database.run("DELETE FROM crop WHERE pid = ?", (pid,)).rowcount
            return gone

    def stored(self, ids: Iterable[int] | None = None) -> Iterator[Stored]:
        """Read rows without their embeddings in order of id: all of them, or the given ones."""
        query = f"SELECT id, {_COLUMNS} FROM crop"
        values: tuple[str, ...] = ()
        if ids is not None:
            # All at once, by one parameter: SQLite takes but some thousands of them.
            query += " WHERE id IN (SELECT value FROM json_each(?))"
            values = (json.dumps([int(id) for id in ids]),)
        with self._database.plain_errors():
            yield from map(self._read_row, self._database.run(f"{query} ORDER BY id", values))

    def records(self, ids: Iterable[int]) -> dict[int, Record]:
        """Read what is known about crops that an index has found, by id.

        Raises:
            GalleryError: one is not there: the file is damaged.
        """
        asked = list(ids)
        query = "SELECT id, path, pid, camid, time, tracklet FROM crop WHERE id IN (SELECT value FROM json_each(?))"
        with self._database.plain_errors():
            found = {
                id: self._record(*known) for id, *known in self._database.run(query, (json.dumps(asked),))
            }
        if lost := set(asked) - found.keys():
            raise self._damaged(f"crop {min(lost)} is missing")
        return found

    def cameras(self, ids: Iterable[int]) -> dict[int, str | None]:
        """Tell which camera took crops that an index has found, by id; None where nobody knows.

        Raises:
            GalleryError: one is not there: the file is damaged.
        """
        asked = list(ids)
        query = "SELECT id, camid FROM crop WHERE id IN (SELECT value FROM json_each(?))"
        with self._database.plain_errors():
            found: dict[int, str | None] = dict(self._database.run(query, (json.dumps(asked),)))
        if lost := set(asked) - found.keys():
            raise self._damaged(f"crop {min(lost)} is missing")
        return found

    def _read_row(self, row: tuple[Any, ...]) -> Stored:
        id, *known, size, mtime_ns, digest = row
        return Stored(id, self._record(*known), None if digest is None else Stamp(size, mtime_ns, digest))

    def _record(self, path: Any, *known: Any) -> Record:
        if not isinstance(path, str) or "\0" in path or not os.path.isabs(path):  # noqa: PTH117  (a Path is slow)
            raise self._damaged("a path can't be read")
        return Record(Path(path), *known)

    def embeddings(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read all rows in order of id; see `rows`."""
        ids, rows = self.rows()
        return ids, rows.astype(np.float32)

    def rows(
        self, after: int = 0, until: int = _LAST, tick: Callable[[int], object] = lambda count: None
    ) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """Read rows in order of id.

        Args:
            after: ids above this one.
            until: and not above this one.
            tick: called with how many rows were read.

        Returns:
            (G,) ids and (G, D) rows, unit but for the rounding to 16 bits.

        Raises:
            GalleryError: a row was changed since it was written, or it is not a unit row: the file is damaged.
        """
        ids, blobs = [], []
        with self._database.plain_errors():
            cursor = self._database.run(
                "SELECT id, row, crc FROM embedding WHERE id > ? AND id <= ? ORDER BY id", (after, until)
            )
            while block := cursor.fetchmany(_BLOCK):
                ids += [id for id, _, _ in block]
                blobs.append(self._sound([line[1:] for line in block]))
                tick(len(block))
        rows = np.frombuffer(b"".join(blobs), "<f2").reshape(len(ids), self.meta.dim)
        self._check_lengths(rows)
        return np.array(ids, np.int64), rows

    def _sound(self, pairs: Sequence[tuple[Any, Any]]) -> bytes:
        """Join rows that are as long as they must be and have the checksum that stands beside them."""
        if not all(isinstance(row, bytes) and len(row) == 2 * self.meta.dim for row, _ in pairs):
            raise self._damaged("an embedding has the wrong length or is missing")
        if any(zlib.crc32(row) != crc for row, crc in pairs):
            raise self._damaged("an embedding was changed since it was written")
        return b"".join([row for row, _ in pairs])

    def chunks(
        self, size: int, condition: str = "1", values: Sequence[Any] = ()
    ) -> Iterator[tuple[list[Stored], NDArray[np.float16]]]:
        """Read crops with their rows in order of id, so many at a time; to be used inside a snapshot.

        Args:
            size: how many at a time.
            condition: SQL that holds for the crops to read.
            values: its parameters.

        Yields:
            C crops and (C, D) rows.

        Raises:
            GalleryError: as in `rows`.
        """
        query = (
            f"SELECT id, {_COLUMNS}, row, crc FROM crop LEFT JOIN embedding USING (id) "
            f"WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
        )
        last = 0
        while True:
            with self._database.plain_errors():
                block = self._database.run(query, (last, *values, size)).fetchall()
            if not block:
                return
            rows = np.frombuffer(self._sound([line[-2:] for line in block]), "<f2")
            rows = rows.reshape(len(block), self.meta.dim)
            self._check_lengths(rows)
            yield [self._read_row(line[:-2]) for line in block], rows
            last = block[-1][0]

    def _check_lengths(self, rows: NDArray[np.float16]) -> None:
        for start in range(0, len(rows), _BLOCK):
            part = widen(rows[start : start + _BLOCK])
            if not np.all(np.abs(np.einsum("gd,gd->g", part, part) - 1) < 0.02):
                raise self._damaged("an embedding is not a unit row")

    def ids_where(self, condition: str, values: Sequence[Any] = ()) -> NDArray[np.int64]:
        """List the ids of the crops for which an SQL condition holds, ascending."""
        # As one text: hundreds of thousands of rows would take SQLite and Python more than twice as long.
        query = f"SELECT group_concat(id) FROM crop WHERE {condition}"
        with self._database.plain_errors():
            found = self._database.scalar(query, values)
        return np.sort(np.fromstring(found or "", np.int64, sep=","))

    def tombstones(self, after: int = 0) -> list[tuple[int, int]]:
        """List (sequence number, id) of what was deleted since a sequence number."""
        with self._database.plain_errors():
            return list(
                self._database.run("SELECT seq, id FROM tombstone WHERE seq > ? ORDER BY seq", (after,))
            )

    def current(self) -> "Published | None":
        """The generation that is the current one, if there is any."""
        query = "SELECT number, sha256, last_id, crops, tuning, seconds, created FROM generation"
        with self._database.plain_errors():
            found = self._database.run(f"{query} ORDER BY number DESC LIMIT 1").fetchone()
        if found is None:
            return None
        number, sha256, last_id, crops, tuning, seconds, created = found
        try:
            return Published(number, sha256, last_id, crops, json.loads(tuning), seconds, created)
        except ValueError as error:
            raise self._damaged("what is told about its index can't be read") from error

    def reserve_generation(self) -> int:
        """A number that no generation has or will have but that of the caller."""
        with self.write():
            number = 1 + self._sequence("generation")
            self._database.run("DELETE FROM sqlite_sequence WHERE name = 'generation'")
            self._database.run("INSERT INTO sqlite_sequence VALUES ('generation', ?)", (number,))
        return number

    def publish(self, generation: "Published", seen: int) -> bool:
        """Make a generation the current one, and drop the tombstones that it has seen.

        Args:
            generation: its file is written.
            seen: sequence number of the last tombstone at the time its rows were read.

        Returns:
            False where a later one is current already: nothing is changed then.
        """
        g = generation
        values = (g.number, g.sha256, g.last_id, g.crops, json.dumps(g.tuning), g.seconds, g.created)
        with self.write():
            current = self.current()
            if current is not None and current.number > g.number:
                return False
            self._database.run("DELETE FROM generation")
            self._database.run("INSERT INTO generation VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            self._database.run("DELETE FROM tombstone WHERE seq <= ?", (seen,))
        return True

    def last_tombstone(self) -> int:
        """The largest sequence number that a tombstone ever had."""
        with self._database.plain_errors():
            return self._sequence("tombstone")

    def tombstone_count(self, until: int) -> int:
        """How many crops up to an id were deleted since the index was built."""
        with self._database.plain_errors():
            return int(self._database.scalar("SELECT count(*) FROM tombstone WHERE id <= ?", (until,)))

    def _sequence(self, table: str) -> int:
        found = self._database.run("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(found[0]) if found else 0

    def note(self, line: str) -> None:
        """Add a line to the audit."""
        with self.write():
            self._database.run("INSERT INTO audit (time, line) VALUES (?, ?)", (time.time(), line))

    def audit(self) -> list[tuple[float, str]]:
        """All lines of the audit: (seconds since the epoch, line)."""
        with self._database.plain_errors():
            return list(self._database.run("SELECT time, line FROM audit ORDER BY seq"))

    def told(self, key: str) -> str | None:
        """What is kept under a key beside the rows."""
        with self._database.plain_errors():
            found = self._database.run("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def tell(self, key: str, value: str) -> None:
        """Keep something under a key."""
        with self.write():
            self._database.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def relabel(self, ids: Iterable[int], column: str, value: str | None) -> int:
        """Correct `pid`, `camid` or `tracklet` of crops by hand, for good; returns how many there were."""
        if column not in _LABELS:
            raise ValueError(column)
        chosen = [int(id) for id in ids]
        with self.write():
            before = self._database.changes()
            self._database.run_many(
                f"UPDATE crop SET {column} = ? WHERE id = ?", ((value, id) for id in chosen)
            )
            changed = self._database.changes() - before
            self._database.run_many(
                "INSERT OR IGNORE INTO by_hand SELECT id, ? FROM crop WHERE id = ?",
                ((column, id) for id in chosen),
            )
        return changed

    def by_hand(self, ids: Iterable[int]) -> list[tuple[str, ...]]:
        """What of each crop was corrected by hand: some of `pid`, `camid` and `tracklet`."""
        query = "SELECT what FROM by_hand WHERE id = ? ORDER BY what"
        with self._database.plain_errors():
            return [tuple(what for (what,) in self._database.run(query, (int(id),))) for id in ids]

    def mark_by_hand(self, pairs: Iterable[tuple[int, str]]) -> None:
        """Note that labels were corrected by hand: (id, `pid`, `camid` or `tracklet`)."""
        with self.write():
            self._database.run_many("INSERT OR IGNORE INTO by_hand VALUES (?, ?)", pairs)

    @property
    def is_busy(self) -> bool:
        """Whether a `write` or a `snapshot` is going on here."""
        return self._database.is_busy

    def scrub(self) -> None:
        """Write the file anew, so that no page holds what was deleted, fold the journal in, and cut it to nothing.

        Raises:
            GalleryError: another process writes, or a reader did not let go of the journal for a while.
        """
        with self._database.plain_errors():
            self._database.run("VACUUM")
        deadline = time.monotonic() + JOURNAL_SECONDS
        while self._fold("TRUNCATE")[0]:
            if time.monotonic() > deadline:
                raise GalleryError(
                    f"{self.folder}: a query that is still running keeps deleted rows in the journal; what was asked "
                    "for is deleted, finish it later with: reid-index compact"
                )
            time.sleep(0.05)

    def _fold(self, how: str) -> tuple[int, int, int]:
        """Fold the journal into the file: (whether that was hindered, its pages, how many were folded)."""
        with self._database.plain_errors():
            busy, pages, folded = self._database.run(f"PRAGMA wal_checkpoint({how})").fetchone()
        return busy, pages, folded

    def orphans(self) -> Iterator[str]:
        """Say what of the tables does not belong together."""
        for what, query in (
            (
                "crops without an embedding",
                "SELECT count(*) FROM crop WHERE id NOT IN (SELECT id FROM embedding)",
            ),
            (
                "embeddings without a crop",
                "SELECT count(*) FROM embedding WHERE id NOT IN (SELECT id FROM crop)",
            ),
            ("ids that were given twice", "SELECT count(*) FROM crop JOIN tombstone USING (id)"),
        ):
            with self._database.plain_errors():
                count = int(self._database.scalar(query))
            if count:
                yield f"database: {count} {what}"

    def unclean_pages(self) -> int | None:
        """How many free pages hold anything but zeros; None while a reader keeps the file from being looked at."""
        with contextlib.suppress(GalleryError):  # where nothing can be written there is no journal to fold
            _, pages, folded = self._fold("PASSIVE")
            if pages != folded:
                return None
        with self.snapshot():  # from here on nobody folds anything into the file
            size = int(self._database.scalar("PRAGMA page_size"))
            free = int(self._database.scalar("PRAGMA freelist_count"))
            return count_unclean(self.folder / FILE, size) if free else 0

    def complaints(self, *, thorough: bool = False) -> list[str]:
        """Let SQLite check its own file; empty when it is sound.

        Args:
            thorough: compare each of its indexes with the table too, since a filter trusts them.
        """
        check = "integrity_check" if thorough else "quick_check"
        with self._database.plain_errors():
            lines = [
                line for (text,) in self._database.run(f"PRAGMA {check}(3)") for line in text.splitlines()
            ]
        return [line for line in lines if line not in ("ok", "*** in database main ***")]


_SLASH = os.fsencode(os.sep)


def _values(record: Record, stamp: Stamp | None) -> tuple[Any, ...]:
    file = (None, None, None) if stamp is None else (stamp.size, stamp.mtime_ns, stamp.digest)
    return (path_value(record.path), record.pid, record.camid, record.time, record.tracklet, *file)
