"""Laws of a gallery's life: what is forgotten is nowhere, what is corrected stays, what is old goes."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.errors import GalleryError, InputError
from autoreid_deploy.gallery import Gallery, proof, store, upkeep
from autoreid_deploy.gallery import generation as generations
from autoreid_deploy.gallery.database import FILE
from autoreid_deploy.gallery.filters import camera, path, person, tracklet, until
from autoreid_deploy.gallery.pages import count_unclean
from autoreid_deploy.gallery.store import Stamp, Store
from autoreid_deploy.records import Record

DIM = 16
SECRET = "mallory"
DAY = 86_400.0


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def people(count: int) -> list[Record]:
    """Every tenth crop shows the person who will be forgotten."""
    names = [SECRET if i % 10 == 0 else f"p{i % 9}" for i in range(count)]
    return [
        Record(Path(f"/crops/{name}/{i:05d}.jpg"), name, str(i % 3), i * DAY) for i, name in enumerate(names)
    ]


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 560 crops in an index of codes."""
    folder = tmp_path_factory.mktemp("coded") / "index"
    with Gallery.create(folder, model_id="m@1", dim=DIM, model="m") as gallery:
        gallery.add(people(600)[:560], unit_rows(600)[:560])
        gallery.compact(kind="pq")
    return folder


@pytest.fixture
def gallery(coded: Path, tmp_path: Path) -> Iterator[Gallery]:
    """600 crops, 60 of them of one person: 560 in an index of codes, and 40 that came since."""
    shutil.copytree(coded, tmp_path / "index")
    with Gallery.open(tmp_path / "index") as gallery:
        gallery.add(people(600)[560:], unit_rows(600)[560:])
        yield gallery


def secrets(folder: Path) -> list[bytes]:
    """What must not be found: the rows of the person as they are stored, their names and their paths."""
    with Gallery.open(folder) as gallery:
        ids = gallery.store.ids_where(*person(SECRET).sql())
        assert len(ids) == 60
        known, rows = gallery.store.rows()
        chosen = rows[np.isin(known, ids)]
    return [SECRET.encode(), *(row.tobytes() for row in chosen)]


def left(folder: Path, words: list[bytes]) -> list[str]:
    """The files in which any of the words stands."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            found += [file.name] * any(word in data for word in words)
    return found


def test_the_bytes_of_a_forgotten_person_are_in_no_file(gallery: Gallery) -> None:
    folder = gallery.store.folder
    words = secrets(folder)
    assert left(folder, words) == [FILE, f"{FILE}-wal", "gen-000001.reid"]
    assert gallery.forget(where=person(SECRET), dry_run=True) == 60
    assert len(gallery) == 600
    assert gallery.forget(where=person(SECRET)) == 60
    assert left(folder, words) == []
    assert gallery.verify() == []
    gallery.close()
    assert left(folder, words) == []
    assert [file.name for file in generations.files(folder)] == ["gen-000002.reid"]


def test_forgetting_changes_no_answer_but_those_of_the_forgotten(gallery: Gallery) -> None:
    queries = unit_rows(20, seed=1)
    before = gallery.query(queries, 10, where=~person(SECRET))
    gallery.remove(paths=[f"/crops/p1/{i:05d}.jpg" for i in (1, 19)])
    kept = [
        [hit for hit in hits if not hit.record.path.name.startswith(("00001", "00019"))] for hits in before
    ]
    gallery.forget(where=person(SECRET))
    after = gallery.query(queries, 10)
    for old, new in zip(kept, after, strict=True):
        assert [(hit.id, hit.distance, hit.record) for hit in new[: len(old)]] == [
            (hit.id, pytest.approx(hit.distance, abs=1e-6), hit.record) for hit in old
        ]
    assert {hit.record.pid for hits in after for hit in hits}.isdisjoint({SECRET})


def test_an_id_is_not_given_again_after_forgetting(gallery: Gallery) -> None:
    last = gallery.store.last_id()
    gallery.forget(where=path("*"))
    assert (len(gallery), gallery.query(unit_rows(1))) == (0, [[]])
    assert gallery.add([Record(Path("/new.jpg"))], unit_rows(1)) == [last + 1]
    assert gallery.verify() == []


def test_the_audit_says_when_and_how_many_but_not_whom(gallery: Gallery) -> None:
    gallery.relabel("other", where=tracklet("none"))
    gallery.relabel(SECRET, where=camera("1") & person("p1"))
    gallery.merge(["p2", "p3"], "p2")
    gallery.forget(where=person(SECRET))
    lines = [line for _, line in gallery.store.audit()]
    assert [line.split(":")[0] for line in lines] == ["relabel", "merge", "forget"]
    assert not any(name in line for line in lines for name in (SECRET, "p2", "p3"))


def test_a_reader_of_an_old_state_keeps_the_forgetting_unfinished_until_it_is_done(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "JOURNAL_SECONDS", 0.1)
    folder = gallery.store.folder
    words = secrets(folder)
    with Gallery.open(folder) as reader:
        [[before]] = reader.query(unit_rows(1)[0], 1)  # holds the old generation from here on
        with reader.store.snapshot():
            gallery.store._database.run("PRAGMA busy_timeout = 100")
            with pytest.raises(GalleryError, match=r"a query that is still running .* reid-index compact"):
                gallery.forget(where=person(SECRET))
            assert len(gallery) == 540
            assert gallery.verify() == [proof.INTERRUPTED]
            assert gallery.info().trouble == proof.INTERRUPTED
            assert reader.store.count() == 600
        assert before.record.pid == SECRET
        gallery.compact()
        assert gallery.verify() == []
        assert left(folder, words) == []
        assert reader.query(unit_rows(1)[0], 1)[0][0].record.pid != SECRET


# A process that is killed for real, at the named moment of forgetting.
KILLED = """
import os, signal, sys
from autoreid_deploy.gallery import Gallery, generation, upkeep
from autoreid_deploy.gallery.database import Database
from autoreid_deploy.gallery.filters import person
from autoreid_deploy.gallery.store import Store

def die(*words, **more):
    os.kill(os.getpid(), signal.SIGKILL)

def before(home, name):
    setattr(home, name, die)

def after(home, name):
    whole = getattr(home, name)
    setattr(home, name, lambda *words, **more: (whole(*words, **more), die()))

def in_vacuum():
    run = Database.run
    def slow(self, statement, values=()):
        if statement == "VACUUM":
            self._connection.set_progress_handler(die, 3000)
        return run(self, statement, values)
    Database.run = slow

def in_file():
    generation.os.fsync = die

exec(sys.argv[2])
with Gallery.open(sys.argv[1]) as gallery:
    gallery.forget(where=person("mallory"))
"""


@pytest.mark.parametrize(
    "moment",
    [
        "before(upkeep, 'compact')",
        "in_file()",
        "before(Store, 'publish')",
        "after(Store, 'publish')",
        "before(upkeep, 'sweep')",
        "in_vacuum()",
        "after(Store, 'scrub')",
    ],
)
def test_kill_9_in_a_forgetting_is_reported_and_finished_later(gallery: Gallery, moment: str) -> None:
    folder = gallery.store.folder
    words = secrets(folder)
    gallery.close()
    process = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment], timeout=120, check=False)
    assert process.returncode == -signal.SIGKILL
    with Gallery.open(folder) as again:
        faults = again.verify()
        assert proof.INTERRUPTED in faults
        assert all(
            "left over" in fault or "no part" in fault for fault in faults if fault != proof.INTERRUPTED
        )
        assert len(again) == 540
        assert again.query(unit_rows(1)[0], 1)[0][0].record.pid != SECRET
        again.compact()
        assert again.verify() == []
        assert left(folder, words) == []
    assert left(folder, words) == []


def test_one_forgetting_does_not_call_that_of_another_process_done(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Store.scrub

    def scrub(self: Store) -> None:
        whole(self)
        monkeypatch.setattr(Store, "scrub", whole)
        monkeypatch.setattr("autoreid_deploy.gallery.upkeep.finish_forgetting", lambda *words: None)
        with Gallery.open(self.folder) as other:  # dies after it has deleted
            other.forget(where=person("p1"))

    monkeypatch.setattr(Store, "scrub", scrub)
    gallery.forget(where=person(SECRET))
    monkeypatch.undo()
    assert gallery.verify() == [proof.INTERRUPTED]
    gallery.compact()
    assert gallery.verify() == []


def test_forgetting_inside_a_transaction_is_refused_and_changes_nothing(gallery: Gallery) -> None:
    for inside in (gallery.store.write, gallery.store.snapshot):
        with inside(), pytest.raises(GalleryError, match="can't be a part of a transaction"):
            gallery.forget(where=person(SECRET))
    assert len(gallery) == 600


def test_what_was_removed_before_can_be_wiped(gallery: Gallery) -> None:
    folder = gallery.store.folder
    words = secrets(folder)
    gallery.remove(pids=[SECRET])
    assert "gen-000001.reid" in left(folder, words)
    upkeep.forget_removed(gallery.store)
    assert left(folder, words) == []
    assert gallery.verify() == []


# What verify finds.


def section(file: Path, name: str) -> int:
    head, _ = generations._read_head(file)
    return int(head["sections"][name]["at"])


@pytest.mark.parametrize("name", ["magic", "head", "ids", "codes", "rows"])
def test_a_flipped_bit_in_any_section_of_the_index_is_found_and_mended(gallery: Gallery, name: str) -> None:
    [file] = generations.files(gallery.store.folder)
    at = {"magic": 3, "head": 40}.get(name) or section(file, name) + 5
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)
    [fault] = gallery.verify()
    assert fault.startswith(f"index: {file}: ")
    assert fault.endswith("queries read the database instead; mend it with: reid-index compact")
    assert gallery.info().trouble == (None if name == "rows" else fault)
    gallery.compact()
    assert (gallery.verify(), gallery.info().trouble) == ([], None)


def tamper(gallery: Gallery, *statements: str) -> None:
    """Change the database behind the gallery's back."""
    connection = sqlite3.connect(gallery.store.folder / FILE)
    connection.create_function("crc32", 1, zlib.crc32)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_changed_embedding_in_the_database_is_found(gallery: Gallery) -> None:
    tamper(gallery, "UPDATE embedding SET row = (SELECT row FROM embedding WHERE id = 8) WHERE id = 7")
    [fault] = gallery.verify()
    assert "an embedding was changed since it was written" in fault


def test_a_row_that_differs_from_the_index_is_found(gallery: Gallery) -> None:
    tamper(
        gallery,
        "UPDATE embedding SET row = (SELECT row FROM embedding WHERE id = 8) WHERE id = 7",
        "UPDATE embedding SET crc = crc32(row) WHERE id = 7",
    )
    [fault] = gallery.verify()
    assert "holds 1 rows that are not those of the database, such as id 7" in fault


def test_rows_without_their_other_half_are_found(gallery: Gallery) -> None:
    tamper(gallery, "DELETE FROM embedding WHERE id = 7", "INSERT INTO embedding VALUES (9999, x'00', 0)")
    faults = gallery.verify()
    assert "database: 1 crops without an embedding" in faults
    assert "database: 1 embeddings without a crop" in faults


def test_a_database_index_that_lost_an_entry_is_found(gallery: Gallery) -> None:
    # What a filter would miss, and forgetting with it.
    tamper(
        gallery,
        "PRAGMA writable_schema = 1",
        "UPDATE sqlite_schema SET sql = replace(sql, '(pid)', '(pid) WHERE id <> 11') WHERE name = 'crop_pid'",
        "PRAGMA writable_schema = 0",
    )
    connection = sqlite3.connect(gallery.store.folder / FILE)
    connection.execute("REINDEX crop_pid")
    connection.execute("PRAGMA writable_schema = 1")
    connection.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX crop_pid ON crop (pid)' WHERE name = 'crop_pid'"
    )
    connection.commit()
    connection.close()
    with Gallery.open(gallery.store.folder) as again:
        assert any("crop_pid" in fault for fault in again.verify())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("gen-000000.reid", "drop it with: reid-index compact"),
        ("gen-000009.999999999.tmp", "drop it with: reid-index compact"),
        ("gen-000999.reid", "no part of the index; delete it"),
        ("notes.txt", "no part of the index; delete it"),
    ],
)
def test_a_stray_file_is_found_and_the_advice_helps(gallery: Gallery, name: str, advice: str) -> None:
    stray = gallery.store.folder / "index" / name
    stray.write_bytes(b"anything")
    [fault] = gallery.verify()
    assert fault.startswith(f"{stray}: ")
    assert fault.endswith(advice)
    if "compact" in advice:
        gallery.compact()
        assert gallery.verify() == []


def test_a_free_page_with_content_is_found_and_wiped(gallery: Gallery) -> None:
    words = secrets(gallery.store.folder)
    gallery.forget(where=person("p1"))
    assert gallery.verify() == []
    connection = sqlite3.connect(gallery.store.folder / FILE)
    connection.execute("PRAGMA secure_delete = OFF")
    connection.create_function("crc32", 1, zlib.crc32)
    connection.execute("DELETE FROM crop WHERE id > 200")
    connection.commit()
    connection.close()
    [fault] = gallery.verify()
    assert "free pages hold what was deleted; clean them with: reid-index forget --removed" in fault
    upkeep.forget_removed(gallery.store)
    assert gallery.verify() == []
    gallery.forget(where=person(SECRET))
    assert left(gallery.store.folder, words) == []


def test_free_pages_that_come_and_go_cause_no_alarm(gallery: Gallery) -> None:
    gallery.forget(where=person(SECRET))
    for turn in range(6):
        gallery.remove(paths=[f"/crops/p{turn}"])
        assert gallery.verify() == []
        batch = [Record(Path(f"/more/{turn}/{i}.jpg")) for i in range(50)]
        gallery.add(batch, unit_rows(50, seed=turn))
        assert gallery.verify() == []
    gallery.close()
    file = gallery.store.folder / FILE
    assert count_unclean(file, 4096) == 0


def test_a_single_byte_in_a_free_page_is_found(gallery: Gallery) -> None:
    gallery.remove(paths=["/crops"])
    gallery.close()
    file = gallery.store.folder / FILE
    assert count_unclean(file, 4096) == 0
    data = bytearray(file.read_bytes())
    trunk = 4096 * (int.from_bytes(data[32:36], "big") - 1)
    assert int.from_bytes(data[trunk + 4 : trunk + 8], "big") > 2
    leaf = int.from_bytes(data[trunk + 12 : trunk + 16], "big")
    data[4096 * leaf - 1] = 1
    file.write_bytes(data)
    assert count_unclean(file, 4096) == 1


# Corrections.


def test_a_correction_outlives_the_next_build_but_not_another_picture(gallery: Gallery) -> None:
    [one] = gallery.store.stored(gallery.store.ids_where(*path("*/00001.jpg").sql()))
    gallery.relabel("alice", where=path("*/00001.jpg"))
    told = Record(one.record.path, "p1", "7", 5.0, "t")
    gallery.store.update(one.id, told, Stamp(1, 1, "a"))
    [kept] = gallery.store.stored([one.id])
    assert kept.record == Record(one.record.path, "alice", "7", 5.0, "t")
    gallery.add([told], unit_rows(1))
    assert gallery.known()[one.record.path].record == told


def test_merging_counts_what_changed_hands_and_refuses_strangers(gallery: Gallery) -> None:
    before = gallery.store.counts("pid")
    with pytest.raises(InputError, match="no crop of person nobody; nothing was merged"):
        gallery.merge(["p1", "nobody"], "p1")
    assert gallery.merge(["p1", "p2"], "p1") == before["p2"]
    assert gallery.store.counts("pid")["p1"] == before["p1"] + before["p2"]
    assert gallery.merge(["p1"], "p1") == 0
    with pytest.raises(InputError):
        gallery.merge([], "p1")


@pytest.mark.parametrize("value", ["", "a\0b", "\udcff"])
def test_a_name_that_nobody_can_have_is_refused(gallery: Gallery, value: str) -> None:
    with pytest.raises(InputError):
        gallery.relabel(value, where=person("p1"))


# Retention.


def test_what_is_older_than_it_is_kept_goes_and_what_has_no_time_stays(gallery: Gallery) -> None:
    gallery.add([Record(Path("/undated.jpg"), "p1")], unit_rows(1))
    assert (gallery.keep_days, gallery.expire()) == (None, 0)
    gallery.keep_days = 100
    assert gallery.expire(now=600 * DAY) == 500
    assert gallery.info().undated == 1
    assert len(gallery) == 101
    assert gallery.verify() == []
    with Gallery.open(gallery.store.folder) as later:
        assert later.keep_days == 100
        later.keep_days = None
        assert later.expire(now=9e9) == 0
    assert [line for _, line in gallery.store.audit()] == [
        "keep: 100 days",
        "expire: older than 100 days: 500 crops",
        "keep: without a limit",
    ]


@pytest.mark.parametrize("days", [0, -1, 1.5, "30"])
def test_a_number_of_days_that_makes_no_sense_is_refused(gallery: Gallery, days: object) -> None:
    with pytest.raises(InputError, match="a whole number of days"):
        gallery.keep_days = days  # type: ignore[assignment]


def test_the_time_limit_itself_is_kept(gallery: Gallery) -> None:
    gallery.keep_days = 1
    gallery.expire(now=10 * DAY)
    assert gallery.store.count(*until(9 * DAY).sql()) == 0
    assert gallery.store.count("time = ?", [9 * DAY]) == 1


# The index.


def test_the_recall_that_was_asked_for_stays_until_another_is(gallery: Gallery) -> None:
    assert gallery.compact().tuning["target"] == 0.99
    assert gallery.compact(recall=0.5).tuning["target"] == 0.5
    assert gallery.compact().tuning["target"] == 0.5
    with pytest.raises(InputError, match="a recall above 0"):
        gallery.compact(recall=1.5)
    with pytest.raises(InputError, match="of the kind exact, pq, ivf, got 'hnsw'"):
        gallery.compact(kind="hnsw")


def test_info_tells_how_the_gallery_is_searched(gallery: Gallery) -> None:
    gallery.remove(paths=["/crops/p1/00001.jpg"])
    facts = gallery.info()
    assert (facts.generation, facts.kind, facts.delta, facts.tombstones) == (1, "pq", 40, 1)
    assert facts.depth >= 50
    assert 0.9 < facts.recall <= 1
    assert facts.milliseconds > 0
    assert facts.bytes == facts.database_bytes + facts.index_bytes
    assert facts.index_bytes == sum(file.stat().st_size for file in generations.files(facts.folder))


def test_a_reader_goes_on_with_a_generation_that_was_swept_away(gallery: Gallery) -> None:
    file = next(generations.files(gallery.store.folder))
    opened = generations.read(file, gallery.store.current().sha256)
    gallery.compact()
    assert not file.exists()
    assert opened.check_rows() is None


def test_a_generation_beyond_a_million_is_not_taken_for_an_older_one(gallery: Gallery) -> None:
    tamper(gallery, "UPDATE sqlite_sequence SET seq = 1000001 WHERE name = 'generation'")
    assert gallery.compact().number == 1_000_002
    assert [file.name for file in generations.files(gallery.store.folder)] == ["gen-1000002.reid"]


def test_an_index_that_cannot_be_written_is_one_line(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generations.os, "fsync", full)
    with pytest.raises(
        GalleryError, match=r"can't be written \(No space left on device\); the rows are safe"
    ):
        gallery.compact()
    monkeypatch.undo()
    assert gallery.verify() == []


# Schema 1.

SCHEMA_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE crop (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    pid TEXT, camid TEXT, time REAL, tracklet TEXT,
    size INTEGER, mtime_ns INTEGER, digest TEXT,
    embedding BLOB NOT NULL);
CREATE INDEX crop_pid ON crop (pid);
CREATE INDEX crop_camid ON crop (camid);
CREATE INDEX crop_digest ON crop (digest);
"""


def write_schema_1(folder: Path) -> dict[Path, tuple[Record, Stamp | None, bytes]]:
    """Make a gallery as the first version made it: 300 crops, of which the last 100 are gone again."""
    folder.mkdir(parents=True)
    records, rows = people(300), unit_rows(300).astype("<f2")
    connection = sqlite3.connect(folder / FILE)
    connection.executescript(SCHEMA_1)
    meta = {"model_id": "m@1", "model": "m", "dim": str(DIM), "created": "1.5"}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    connection.executemany(
        "INSERT INTO crop (path, pid, camid, time, size, mtime_ns, digest, embedding) "
        "VALUES (CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?)",
        [
            (os.fsencode(r.path), r.pid, r.camid, r.time, 1, i, f"d{i}", row.tobytes())
            for i, (r, row) in enumerate(zip(records, rows, strict=True))
        ],
    )
    connection.execute("DELETE FROM crop WHERE id > 200")
    connection.execute(f"PRAGMA application_id = {int.from_bytes(b'ARID', 'big')}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return {r.path: (r, Stamp(1, i, f"d{i}"), rows[i].tobytes()) for i, r in enumerate(records[:200])}


def content(gallery: Gallery) -> dict[Path, tuple[Record, Stamp | None, bytes]]:
    _, rows = gallery.store.rows()
    return {
        crop.record.path: (crop.record, crop.stamp, row.tobytes())
        for crop, row in zip(gallery.store.stored(), rows, strict=True)
    }


def test_a_gallery_of_schema_1_is_brought_to_this_one(tmp_path: Path) -> None:
    expected = write_schema_1(tmp_path / "old")
    with Gallery.open(tmp_path / "old") as gallery:
        assert content(gallery) == expected
        assert gallery.verify() == []
        assert gallery.query(unit_rows(200)[7], 1)[0][0].id == 8
        # 201 to 300 were given before the upgrade.
        assert gallery.add([Record(Path("/new.jpg"))], unit_rows(1)) == [301]
    with Gallery.open(tmp_path / "old") as gallery:
        assert len(gallery) == 201


@pytest.mark.parametrize("statement", range(0, 20, 3))
def test_kill_9_in_the_upgrade_loses_nothing(tmp_path: Path, statement: int) -> None:
    expected = write_schema_1(tmp_path / "old")
    code = (
        "import os, signal, sys\n"
        "from autoreid_deploy.gallery import Gallery, database\n"
        f"part = database._FROM_1[:{statement}]\n"
        "class Deadly(tuple):\n"
        "    def __iter__(self):\n"
        "        yield from part\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "database._FROM_1 = Deadly()\n"
        "Gallery.open(sys.argv[1])\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path / "old")], timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL
    with Gallery.open(tmp_path / "old") as gallery:
        assert content(gallery) == expected
        assert gallery.verify() == []


def test_a_read_only_gallery_of_schema_1_says_where_to_open_it(
    open_folder: Path, request: pytest.FixtureRequest
) -> None:
    folder = open_folder / "old"
    write_schema_1(folder)
    (folder / FILE).chmod(0o444)
    folder.chmod(0o555)
    request.getfixturevalue("without_rights")
    with pytest.raises(GalleryError, match=r"has schema 1, .* open it once where it can be written"):
        Gallery.open(folder)


def test_the_proof_can_be_had_in_a_read_only_folder(
    gallery: Gallery, open_folder: Path, request: pytest.FixtureRequest
) -> None:
    gallery.forget(where=person(SECRET))
    gallery.close()
    folder = open_folder / "index"
    _copy(gallery.store.folder, folder)
    request.getfixturevalue("without_rights")
    with Gallery.open(folder) as reader:
        assert reader.verify() == []


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    for file in [target, *target.rglob("*")]:
        file.chmod(0o555 if file.is_dir() else 0o444)
