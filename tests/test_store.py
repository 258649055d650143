"""Laws of the store: whole transactions, faithful paths, one plain line for each fault."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import database
from autoreid_deploy.gallery.database import FILE, Database
from autoreid_deploy.gallery.store import _BY_DIGEST, Stamp, Store
from autoreid_deploy.records import Record

DIM = 8
MODEL: Any = {"model_id": "m@1", "model": "m", "dim": DIM}


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def records(count: int, first: int = 0) -> list[Record]:
    return [Record(Path(f"/crops/{i:04d}.jpg"), str(i % 5), str(i % 3)) for i in range(first, first + count)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "index", **MODEL)
    yield store
    store.close()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of a closed store of 200 crops."""
    store = Store.create(tmp_path / "filled", **MODEL)
    store.put(records(200), unit_rows(200), [None] * 200)
    store.close()
    return tmp_path / "filled"


def test_what_is_put_comes_back_after_reopening(tmp_path: Path) -> None:
    whole = Record(Path("/a/b.jpg"), "0002", "3", 1.5, "t1")
    stamp = Stamp(10, 2**62, "ab" * 32)
    store = Store.create(tmp_path, **MODEL)
    store.put([whole, Record(Path("/c.jpg"))], unit_rows(2), [stamp, None])
    store.close()
    store = Store.open(tmp_path)
    first, second = store.stored()
    assert (first.record, first.stamp) == (whole, stamp)
    assert (second.record, second.stamp) == (Record(Path("/c.jpg")), None)
    assert np.array_equal(store.embeddings()[1], unit_rows(2).astype(np.float32))
    assert (store.meta.model_id, store.meta.model, store.meta.dim) == ("m@1", "m", DIM)
    store.close()


def test_a_copy_finds_its_content_by_the_index_of_digests(store: Store) -> None:
    alike, original = (Stamp(1, 1, "ab" * 4 + end) for end in ("cd" * 28, "ef" * 28))
    store.put(records(2), unit_rows(2), [alike, original])
    assert store.copy(Record(Path("/copy.jpg")), original)
    assert not store.copy(Record(Path("/other.jpg")), Stamp(1, 1, "ab" * 32))
    rows = store.rows()[1]
    assert np.array_equal(rows[2], rows[1])
    plan = store._database.run(f"EXPLAIN QUERY PLAN {_BY_DIGEST}", (original.digest,)).fetchone()
    assert "USING INDEX crop_digest" in plan[3]


@pytest.mark.parametrize(
    "name", [b"plain.jpg", "Zoë 日本.jpg".encode(), b"latin-\xe9.jpg", b"line\nbreak'\".jpg"]
)
def test_any_file_name_comes_back_byte_for_byte(store: Store, name: bytes) -> None:
    path = Path(os.fsdecode(b"/crops/" + name))
    store.put([Record(path)], unit_rows(1), [None])
    assert [row.record.path for row in store.stored()] == [path]
    assert store.delete(paths=[path]) == 1


def test_a_path_put_again_replaces_its_row_under_an_id_never_used_before(store: Store) -> None:
    [first] = store.put(records(1), unit_rows(1), [None])
    [second] = store.put(records(1), unit_rows(1, seed=1), [None])
    assert store.count() == 1
    assert second > first
    store.delete(ids=[second])
    [third] = store.put(records(1), unit_rows(1), [None])
    assert third > second


def test_relative_paths_are_stored_absolute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    store.put([Record(Path("x/../a.jpg"))], unit_rows(1), [None])
    assert [row.record.path for row in store.stored()] == [Path("/a.jpg")]


def test_a_folder_is_removed_with_all_below_it_and_nothing_beside_it(store: Store) -> None:
    names = ["/a/b/1.jpg", "/a/b/c/2.jpg", "/a/b", "/a/b.jpg", "/a/bb/3.jpg", "/a/b0.jpg", "/a/b%/4.jpg"]
    store.put([Record(Path(name)) for name in names], unit_rows(7), [None] * 7)
    assert store.delete(paths=[Path("/a/b")]) == 3
    left = [str(row.record.path) for row in store.stored()]
    assert left == ["/a/b.jpg", "/a/bb/3.jpg", "/a/b0.jpg", "/a/b%/4.jpg"]


def test_the_root_folder_holds_everything(store: Store) -> None:
    store.put(records(3), unit_rows(3), [None] * 3)
    assert store.delete(paths=[Path("/")]) == 3


def test_cameras_are_counted_in_natural_order(store: Store) -> None:
    cameras = ["10", "2", None, "2", "1"]
    batch = [Record(Path(f"/{i}.jpg"), None, camera) for i, camera in enumerate(cameras)]
    store.put(batch, unit_rows(5), [None] * 5)
    assert list(store.counts("camid").items()) == [("1", 1), ("2", 2), ("10", 1)]


def test_a_copy_takes_the_embedding_of_the_same_content(store: Store) -> None:
    store.put(records(1), unit_rows(1), [Stamp(1, 1, "same")])
    assert store.copy(Record(Path("/copy.jpg"), "9"), Stamp(1, 2, "same"))
    assert not store.copy(Record(Path("/other.jpg")), Stamp(1, 2, "other"))
    rows = store.embeddings()[1]
    assert len(rows) == 2
    assert np.array_equal(rows[0], rows[1])


def test_a_transaction_that_fails_keeps_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write():
        store.put(records(3), unit_rows(3), [None] * 3)
        raise ZeroDivisionError
    assert store.count() == 0
    store.put(records(1), unit_rows(1), [None])
    assert store.count() == 1


def test_a_second_writer_is_told_to_wait_and_a_reader_is_not_disturbed(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    one, two = Store.open(filled), Store.open(filled)
    with one.write():
        one.put(records(5, first=500), unit_rows(5), [None] * 5)
        assert two.count() == 200
        with pytest.raises(GalleryError, match="another process is writing to the index"):
            two.put(records(1), unit_rows(1), [None])
    two.put(records(1, first=900), unit_rows(1), [None])
    assert one.count() == two.count() == 206
    one.close()
    two.close()


def test_a_snapshot_keeps_its_state_while_another_writes(filled: Path) -> None:
    reader, writer = Store.open(filled), Store.open(filled)
    with reader.snapshot() as before:
        writer.delete(ids=range(1, 100))
        assert reader.count() == 200
    with reader.snapshot() as after:
        assert reader.count() == 101
    assert after != before
    reader.close()
    writer.close()


def test_making_a_store_over_another_is_refused(filled: Path) -> None:
    with pytest.raises(GalleryError, match="there is an index already"):
        Store.create(filled, **MODEL)
    store = Store.open(filled)
    assert store.count() == 200
    store.close()


def test_a_creation_that_died_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_TABLES", (*database._TABLES, "CREATE TABLE broken ("))
    with pytest.raises(GalleryError):
        Store.create(tmp_path, **MODEL)
    monkeypatch.undo()
    assert not Database.exists(tmp_path)
    Store.create(tmp_path, **MODEL).close()
    assert Database.exists(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from autoreid_deploy.gallery.database import Database

plain = Database.run

def run(self, statement, *values):
    if statement.startswith("PRAGMA user_version ="):
        plain(self, "PRAGMA cache_size = 1")  # so that pages reach the file before the end
        plain(self, "CREATE TABLE more (content)")
        self.run_many("INSERT INTO more VALUES (?)", [(bytes(4000),)] * 100)
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, statement, *values)

Database.run = run
Database.create(Path(sys.argv[1]), {"dim": "2"})
"""


def test_a_creation_that_was_killed_while_it_wrote_made_none(tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / FILE).stat().st_size > 0
    assert not Database.exists(tmp_path)
    with pytest.raises(GalleryError, match="there is no index at"):
        Store.open(tmp_path)
    Store.create(tmp_path, **MODEL).close()
    assert Database.exists(tmp_path)


def test_a_missing_index_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        GalleryError, match=r"there is no index at .*nowhere; make one with: reid-index build"
    ):
        Store.open(tmp_path / "nowhere")


def test_a_newer_schema_says_how_to_upgrade(filled: Path) -> None:
    connection = sqlite3.connect(filled / FILE)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(GalleryError, match="has schema 3, this version reads up to 2; upgrade with: pip"):
        Store.open(filled)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE photos (name)")
    connection.commit()
    connection.close()
    with pytest.raises(GalleryError, match="not the file of an index"):
        Store.open(tmp_path)


def read_all(folder: Path) -> None:
    """Do all that a reader does."""
    store = Store.open(folder)
    try:
        store.counts("pid")
        list(store.stored())
        store.embeddings()
        store.ids_where("camid = ?", ["1"])
        store.current()
        store.tombstones()
        store.complaints()
    finally:
        store.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"no database at all" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:5000],
        lambda data: data[:100] + bytes(len(data) - 100),
        lambda data: data[:4096] + random.Random(0).randbytes(len(data) - 4096),
    ],
    ids=["text", "half", "a page", "zeros", "noise"],
)
def test_a_damaged_file_is_one_line_that_says_what_to_do(
    filled: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = filled / FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(GalleryError, match=r"damaged; move its folder away and build it anew") as caught:
        read_all(filled)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", [unit_rows(1)[0] * 2, unit_rows(1)[0][:-1], unit_rows(1)[0] * np.nan])
def test_a_row_that_no_embedding_can_be_is_damage(filled: Path, row: np.ndarray) -> None:
    connection = sqlite3.connect(filled / FILE)
    connection.execute(
        "UPDATE embedding SET row = ?, crc = ? WHERE id = 7", (row.tobytes(), zlib.crc32(row.tobytes()))
    )
    connection.commit()
    connection.close()
    with pytest.raises(GalleryError, match=r"the index is damaged; .*an embedding (is not|has the wrong)"):
        read_all(filled)


def test_flipped_bits_never_end_in_a_traceback(filled: Path) -> None:
    file = filled / FILE
    whole = file.read_bytes()
    chance = random.Random(0)
    noticed = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 8, 64])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        try:
            read_all(filled)
        except GalleryError:
            noticed += 1
    assert noticed > 30


def test_a_read_only_folder_answers_and_refuses_to_be_written(
    open_folder: Path, request: pytest.FixtureRequest
) -> None:
    folder = open_folder / "index"
    store = Store.create(folder, **MODEL)
    store.put(records(5), unit_rows(5), [None] * 5)
    store.close()
    (folder / FILE).chmod(0o444)
    folder.chmod(0o555)
    request.getfixturevalue("without_rights")
    store = Store.open(folder)
    assert store.count() == 5
    assert len(store.embeddings()[0]) == 5
    with pytest.raises(GalleryError, match="read-only here; check the rights of its folder"):
        store.put(records(1, first=9), unit_rows(1), [None])
    store.close()
    with pytest.raises(PermissionError):
        Store.create(folder / "new", **MODEL)
