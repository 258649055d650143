"""Threads that add at the same moment share a transaction, and nothing else."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import Gallery, group
from autoreid_deploy.gallery.database import FILE, Database
from autoreid_deploy.records import Record

THREADS, DIM = 6, 8
ROWS = np.eye(DIM, dtype=np.float32)


class Bench:
    """A gallery whose first writer is held up in its transaction until `go`, while others come."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.pool = ThreadPoolExecutor(THREADS + 1)
        self.go = threading.Event()
        self.began, self.commits = threading.Event(), 0
        plain = Database.run

        def run(database: Database, statement: str, *values: object) -> sqlite3.Cursor:
            found = plain(database, statement, *values)
            if statement == "BEGIN IMMEDIATE":
                self.began.set()
                assert self.go.wait(20)
            self.commits += statement == "COMMIT"
            return found

        Gallery.create(folder, model_id="m@1", dim=DIM).close()
        monkeypatch.setattr(Database, "run", run)

    def add(self, number: int, pid: object = None) -> Callable[[], list[int]]:
        """A call that adds a crop through a gallery of its own."""

        def act() -> list[int]:
            with Gallery.open(self.folder) as gallery:
                return gallery.add([Record(Path(f"/{number}.jpg"), pid)], ROWS[[number % DIM]])

        return act

    def start(self, *acts: Callable[[], object]) -> list["Future[object]"]:
        """Let the first one begin, the others come, and all go on."""
        futures = [self.pool.submit(acts[0])]
        assert self.began.wait(20)
        mine = group.group_of(self.folder / FILE)
        for count, act in enumerate(acts[1:], 1):
            futures.append(self.pool.submit(act))
            while len(mine._waiting) < count:
                assert not futures[-1].done(), futures[-1].result()
        self.go.set()
        return futures

    def paths(self) -> set[str]:
        """What another connection finds."""
        with Gallery.open(self.folder) as gallery:
            return {path.name for path in gallery.known()}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.go.set()
    made.pool.shutdown()


def test_who_comes_while_another_writes_shares_the_next_transaction(bench: Bench) -> None:
    futures = bench.start(*map(bench.add, range(THREADS)))
    ids = [future.result() for future in futures]
    assert sorted(ids) == [[i] for i in range(1, THREADS + 1)]
    assert bench.commits == 2
    assert bench.paths() == {f"{i}.jpg" for i in range(THREADS)}
    with Gallery.open(bench.folder) as gallery:
        for number, [id] in enumerate(ids):
            assert gallery.query(ROWS[number], 1)[0][0].id == id
        assert gallery.verify() == []


def test_one_call_that_cannot_be_written_fails_alone(bench: Bench) -> None:
    futures = bench.start(*(bench.add(i, object() if i == 3 else None) for i in range(THREADS)))
    with pytest.raises(GalleryError):
        futures[3].result()
    ids = [future.result() for i, future in enumerate(futures) if i != 3]
    assert sorted(ids) == [[i] for i in range(1, THREADS)]
    assert bench.commits == 2
    assert bench.paths() == {f"{i}.jpg" for i in range(THREADS) if i != 3}


def test_nobody_returns_before_what_it_wrote_is_durable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[int] = []
    seen: list[int] = []
    plain = Database.run

    def run(database: Database, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "COMMIT":
            threading.Event().wait(0.05)
            seen.append(len(returned))
        return plain(database, statement, *values)

    monkeypatch.setattr(Database, "run", run)

    def noted(act: Callable[[], list[int]]) -> Callable[[], None]:
        return lambda: returned.extend(act())

    for future in bench.start(*(noted(bench.add(i)) for i in range(THREADS))):
        future.result()
    assert seen[0] == 0
    assert seen[1] <= 1
    assert len(returned) == THREADS


def test_a_transaction_that_fails_fails_for_all_in_it_and_for_nobody_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, failed = Database.run, []

    def run(database: Database, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "COMMIT" and bench.commits == 1 and not failed:
            failed.append(statement)
            raise sqlite3.OperationalError("database or disk is full")
        return plain(database, statement, *values)

    monkeypatch.setattr(Database, "run", run)
    futures = bench.start(*map(bench.add, range(THREADS)))
    assert futures[0].result() == [1]
    for future in futures[1:]:
        with pytest.raises(GalleryError, match="disk is full"):
            future.result()
    assert bench.add(7)() == [2]
    assert bench.paths() == {"0.jpg", "7.jpg"}


def test_a_thread_that_is_stopped_leaves_the_others_calls_to_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, stopped = Database.run, []

    def run(database: Database, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "COMMIT" and bench.commits == 1 and not stopped:
            stopped.append(statement)
            raise KeyboardInterrupt
        return plain(database, statement, *values)

    monkeypatch.setattr(Database, "run", run)
    futures = bench.start(*map(bench.add, range(THREADS)))
    ended = [future.exception() for future in futures]
    assert [type(end) for end in ended if end is not None] == [KeyboardInterrupt]
    assert bench.paths() == {f"{i}.jpg" for i, end in enumerate(ended) if end is None}


def test_a_gallery_sees_at_once_what_another_thread_wrote_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoreid_deploy.gallery.view.PATIENCE_SECONDS", 0)
    monkeypatch.setattr("autoreid_deploy.gallery.view._SLICE", 1)

    def act(number: int) -> int:
        with Gallery.open(bench.folder) as gallery:
            gallery.query(ROWS[0])
            [id] = gallery.add([Record(Path(f"/{number}.jpg"))], ROWS[[number]])
            return gallery.query(ROWS[number], 1)[0][0].id - id

    futures = bench.start(*(lambda number=number: act(number) for number in range(THREADS)))
    assert [future.result() for future in futures] == [0] * THREADS


def test_a_closed_gallery_takes_nobodys_turn(tmp_path: Path) -> None:
    with Gallery.create(tmp_path, model_id="m@1", dim=DIM) as gallery:
        closed = Gallery.open(tmp_path)
        closed.close()
        with pytest.raises(GalleryError, match="closed"):
            closed.add([Record(Path("/a.jpg"))], ROWS[:1])
        assert not group.group_of(tmp_path / FILE)._waiting
        assert gallery.add([Record(Path("/b.jpg"))], ROWS[:1]) == [1]


def test_a_transaction_takes_no_more_than_it_should(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "SHARED_ROWS", 2)
    for future in bench.start(*map(bench.add, range(5))):
        future.result()
    assert bench.commits == 3


def test_each_file_has_a_group_of_its_own_and_keeps_it_while_it_is_open(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a", "b")]
    for name in names:
        name.touch()
    first = group.group_of(names[0])
    (tmp_path / "link").symlink_to(names[0])
    assert group.group_of(tmp_path / "link") is first
    assert group.group_of(names[1]) is not first
    assert os.getpid() in next(iter(group._groups.keys()))
