"""The SQLite file of a gallery: made whole or not at all, opened with care, its errors said in one line.

WAL and synchronous=FULL: what a transaction has acknowledged survives a killed process and a power cut.
SQLite lets one writer in at a time; another waits `BUSY_SECONDS` and then gives up. Readers never wait.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import conditions

FILE = "gallery.db"
SCHEMA = 2
BUSY_SECONDS = 5.0
_WRITER_CACHE_KIB = 65_536  # SQLite's own 2 MB are too few for the indexes of a million crops
DAMAGED = "the index is damaged; move its folder away and build it anew with: reid-index build FOLDER"
_APPLICATION = int.from_bytes(b"ARID", "big")

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # AUTOINCREMENT: an id is never given twice, so it means one embedding for ever.
    """CREATE TABLE crop (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,
        pid TEXT, camid TEXT, time REAL, tracklet TEXT,
        size INTEGER, mtime_ns INTEGER, digest TEXT)""",
    "CREATE INDEX crop_pid ON crop (pid)",
    "CREATE INDEX crop_camid ON crop (camid)",
    "CREATE INDEX crop_time ON crop (time)",
    "CREATE INDEX crop_tracklet ON crop (tracklet)",
    # So much tells contents apart: whole digests, which come in no order, would be most of what an insert writes.
    "CREATE INDEX crop_digest ON crop (substr(digest, 1, 8))",
    # Apart from what is known about a crop, so that a filter does not read past embeddings.
    "CREATE TABLE embedding (id INTEGER PRIMARY KEY, row BLOB NOT NULL, crc INTEGER NOT NULL)",
    # What indexes still hold and readers still remember.
    "CREATE TABLE tombstone (seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL)",
    # Which of pid, camid and tracklet were corrected by hand: what a file name says does not undo that.
    "CREATE TABLE by_hand (id INTEGER NOT NULL, what TEXT NOT NULL, PRIMARY KEY (id, what)) WITHOUT ROWID",
    """CREATE TRIGGER crop_gone AFTER DELETE ON crop BEGIN
        DELETE FROM embedding WHERE id = OLD.id;
        DELETE FROM by_hand WHERE id = OLD.id;
        INSERT INTO tombstone (id) VALUES (OLD.id);
    END""",
    """CREATE TABLE generation (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256 TEXT NOT NULL, last_id INTEGER NOT NULL, crops INTEGER NOT NULL,
        tuning TEXT NOT NULL, seconds REAL NOT NULL, created REAL NOT NULL)""",
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, line TEXT NOT NULL)",
)
# From schema 1, whose rows lay beside what is known about a crop.
_FROM_1 = (
    "DROP INDEX crop_pid",
    "DROP INDEX crop_camid",
    "DROP INDEX crop_digest",
    "ALTER TABLE crop RENAME TO old",
    *_TABLES[1:],
    "INSERT INTO embedding SELECT id, embedding, crc32(embedding) FROM old",
    "INSERT INTO crop SELECT id, path, pid, camid, time, tracklet, size, mtime_ns, digest FROM old",
    # The largest id that was ever given may be that of a crop that is gone.
    "DELETE FROM sqlite_sequence WHERE name = 'crop'",
    "INSERT INTO sqlite_sequence SELECT 'crop', seq FROM sqlite_sequence WHERE name = 'old'",
    "DROP TABLE old",
)


Version: TypeAlias = tuple[int, int, int]


class Database:
    """An open `gallery.db`.

    Attributes:
        folder: where it lies.
    """

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder = folder
        self._undone = 0
        self._credited = 0
        address = f"{(folder / FILE).absolute().as_uri()}?mode={mode}"
        with self.plain_errors():
            self._connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            # A path is bytes to the system and need not be UTF-8: this is the way back from `path_value`.
            self._connection.text_factory = os.fsdecode
            conditions.register(self._connection)
            self._connection.create_function("crc32", 1, zlib.crc32, deterministic=True)
            # REPLACE runs the trigger of what it replaces, and what is deleted is written over with zeros.
            self._connection.execute("PRAGMA recursive_triggers = ON")
            self._connection.execute("PRAGMA secure_delete = ON")

    @classmethod
    def create(cls, folder: Path, meta: Mapping[str, str]) -> "Database":
        """Make the folder and the file. All tables come in one transaction: nothing is left half-made.

        Raises:
            GalleryError: there is a database already, or the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        database = cls(folder, "rwc")
        try:
            with database.write():
                if database.scalar("PRAGMA user_version"):
                    raise GalleryError(f"{folder}: there is an index already; open it instead")
                for statement in _TABLES:
                    database.run(statement)
                for pair in meta.items():
                    database.run("INSERT INTO meta VALUES (?, ?)", pair)
                database.run(f"PRAGMA application_id = {_APPLICATION}")
                database.run(f"PRAGMA user_version = {SCHEMA}")
            with database.plain_errors():
                database.run("PRAGMA journal_mode = WAL")
                database.run("PRAGMA synchronous = FULL")
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open(cls, folder: Path) -> "Database":
        """Open what `create` made.

        Raises:
            GalleryError: there is none, it is damaged, or a newer version of this package wrote it.
        """
        if not cls.exists(folder):
            raise GalleryError(f"there is no index at {folder}; make one with: reid-index build FOLDER")
        database = cls(folder, "rw")
        if database._lacks_room():
            database.close()
            database = cls(folder, "ro&immutable=1")
        try:
            database._check_header()
        except BaseException:
            database.close()
            raise
        return database

    def _lacks_room(self) -> bool:
        """Say whether the folder is read-only: a WAL's shared memory can't be made there, a read as-is can.

        Not where a log lies beside the file, which means that somebody is writing after all.
        """
        try:
            self.scalar("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError as error:
            blocked = any(words in str(error) for words in ("readonly", "unable to open"))
            return blocked and not (self.folder / f"{FILE}-wal").exists()
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            pass  # damaged; the next look at it says so
        return False

    @staticmethod
    def exists(folder: Path) -> bool:
        """Say whether the folder holds a database; a creation that was killed made none."""
        file = folder / FILE
        if (
            folder / f"{FILE}-journal"
        ).exists():  # of one that was killed while it wrote: to read is to undo that
            address = f"{file.absolute().as_uri()}?mode=rw"
            with (
                contextlib.suppress(sqlite3.DatabaseError),
                contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection,
            ):
                connection.execute("SELECT count(*) FROM sqlite_master")
        try:
            return file.stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _check_header(self) -> None:
        with self.plain_errors():
            application = self.scalar("PRAGMA application_id")
            schema = self.scalar("PRAGMA user_version")
        if application != _APPLICATION:
            raise GalleryError(f"{self.folder / FILE}: not the file of an index; choose another folder")
        if schema > SCHEMA:
            raise GalleryError(
                f"{self.folder}: the index has schema {schema}, this version reads up to {SCHEMA}; "
                "upgrade with: pip install -U autoreid-deploy"
            )
        if schema < SCHEMA:
            self._upgrade()
        with self.plain_errors():
            self.run("PRAGMA synchronous = FULL")  # the default, but not in every build of SQLite
        with contextlib.suppress(sqlite3.OperationalError):
            self.run("PRAGMA journal_mode = WAL")  # for a creation that was killed between its two steps

    def _upgrade(self) -> None:
        """Bring a file of schema 1 to this one, in one transaction."""
        try:
            with self.write():
                if self.scalar("PRAGMA user_version") < SCHEMA:  # nobody else did it meanwhile
                    for statement in _FROM_1:
                        self.run(statement)
                    self.run(f"PRAGMA user_version = {SCHEMA}")
        except GalleryError as error:
            if "readonly" not in str(error.__cause__):
                raise
            raise GalleryError(
                f"{self.folder}: the index has schema 1, which has to be brought to schema {SCHEMA} first; open it "
                "once where it can be written, with: reid-index info"
            ) from error
        with contextlib.suppress(sqlite3.OperationalError):
            self.run("VACUUM")  # the old rows' room, and what schema 1 left of deleted ones; it can wait

    def close(self) -> None:
        """Close the file; the last one to do so folds the log into it."""
        self._connection.close()

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    def run_many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each line of values."""
        self._connection.executemany(statement, values)

    def scalar(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Run a query for one value."""
        return self.run(statement, values).fetchone()[0]

    def changes(self) -> int:
        """Count the rows changed since the file was opened."""
        return self._connection.total_changes

    @property
    def is_busy(self) -> bool:
        """Whether a `write` or a `snapshot` of this connection is going on."""
        return self._connection.in_transaction

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """Keep all of what happens inside or none; inside another `write` it is part of that."""
        with self.plain_errors():
            if self._connection.in_transaction:
                yield
                return
            self.run(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
            self.run("BEGIN IMMEDIATE")
            with self._end("COMMIT"):
                yield

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a `write`, take back what happens inside if it fails, and nothing else."""
        with self.plain_errors():
            self.run("SAVEPOINT part")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self.run("ROLLBACK TO part")
                    self.run("RELEASE part")
                raise
            self.run("RELEASE part")

    def check(self) -> None:
        """Refuse a closed file, and another thread than that which opened it."""
        with self.plain_errors():
            self.run("SELECT 1")

    def credit(self) -> None:
        """Count what another connection has written for this one as changed here."""
        self._credited += 1

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Version]:
        """Read one state for as long as this lasts; gives its version, which changes whenever rows may."""
        with self.plain_errors():
            if self._connection.in_transaction:  # inside `write` nobody else can change anything
                yield self._version()
                return
            self.run("BEGIN")
            with self._end("ROLLBACK"):
                self.scalar("SELECT count(*) FROM meta")  # the first read takes the snapshot, not BEGIN
                yield self._version()

    def _version(self) -> Version:
        # Others' commits, what was changed here, and what was changed here and taken back.
        return self.scalar("PRAGMA data_version"), self.changes() + self._credited, self._undone

    @contextlib.contextmanager
    def _end(self, statement: str) -> Iterator[None]:
        try:
            yield
            self.run(statement)
        except BaseException:
            self._undone += 1
            if self._connection.in_transaction:
                self.run("ROLLBACK")
            raise

    @contextlib.contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into one line each that says what to do."""
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise GalleryError(
                f"{self.folder}: the gallery is closed, or used in another thread than it was opened in; "
                "open one in each thread"
            ) from error
        except UnicodeDecodeError as error:  # SQLite quotes a broken schema in its own message
            raise GalleryError(f"{self.folder}: {DAMAGED}") from error
        except sqlite3.DatabaseError as error:
            raise GalleryError(f"{self.folder}: {_explain(str(error))}") from error


def _explain(error: str) -> str:
    """Say what an error of SQLite means to the user; a damaged file keeps SQLite's words in brackets."""
    causes = {
        "locked": "another process is writing to the index; wait for it to end and try again",
        "full": "the disk is full; what was kept is safe, so free some space and run the same command again",
        "disk I/O": "the disk is full or failing; what was kept is safe, so mend that and try again",
        "readonly": "the index is read-only here; check the rights of its folder",
        "unable to open": "the index can't be opened here; check the rights of its folder",
    }
    return next((text for words, text in causes.items() if words in error), f"{DAMAGED} ({error})")
