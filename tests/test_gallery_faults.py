"""A gallery whose process, disk, files or neighbours fail: nothing acknowledged is lost, nothing that went comes back.

The long version of the first test: python -m benchmarks.gallery_faults --kills 200
"""

import json
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.errors import GalleryError, ReidError
from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.database import FILE
from benchmarks import gallery_faults as faults

CROPS = 300
FULL = "the disk is full|can't be written"


def add(gallery: Gallery, tokens: range) -> None:
    crops = [[f"/crops/{token:05d}.jpg", token, f"p{token % 7}"] for token in tokens]
    faults.take(gallery, {"do": "add", "crops": crops})


def truth_of(tokens: range) -> faults.Truth:
    return {f"/crops/{token:05d}.jpg": (token, f"p{token % 7}") for token in tokens}


@pytest.fixture(scope="module", params=["exact", "pq"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a closed gallery with an index."""
    folder = tmp_path_factory.mktemp(request.param) / "index"
    with Gallery.create(folder, model_id="m@1", dim=faults.DIM) as gallery:
        add(gallery, range(CROPS))
        gallery.compact(kind=request.param)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "copy")


def test_kill_9_at_any_moment_loses_nothing_and_brings_nothing_back(tmp_path: Path) -> None:
    cut = [last[1]["do"] for last, _ in faults.rounds(tmp_path, 20, seed=1)]
    assert {"compact", "forget"} <= set(cut)


def work_until_full(folder: Path, **how: int) -> list[list]:
    process = faults.start(f"work(Path({str(folder)!r}), 3, 60)", **how)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def check_after_full(folder: Path, said: list[list]) -> None:
    refused = [step["why"] for word, step in said if word == "refused"]
    assert refused
    assert all(re.search(FULL, why) and "\n" not in why for why in refused), refused
    assert {"done", "refused"} <= {word for word, _ in said}
    allowed = replay(said)
    faults.check(folder, allowed, set())


def replay(said: list[list]) -> list[faults.Truth]:
    """All states that are left open where forgetting was refused, which may have deleted all the same."""
    allowed: list[faults.Truth] = [{}]
    for word, step in said:
        if word == "done":
            allowed = [faults.after(truth, step) if step["do"] != "create" else truth for truth in allowed]
        elif word == "refused" and step["do"] == "forget":
            allowed += [faults.after(truth, step) for truth in allowed]
        allowed = [truth for i, truth in enumerate(allowed) if truth not in allowed[:i]]
    return allowed


@pytest.mark.parametrize("limit", [150_000, 250_000])
def test_a_full_disk_is_one_line_and_keeps_what_was_kept(tmp_path: Path, limit: int) -> None:
    check_after_full(tmp_path / "index", work_until_full(tmp_path / "index", limit=limit))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a small file system here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_file_system_without_room_is_one_line_and_keeps_what_was_kept(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(300_000))
    said = work_until_full(small_disk / "index")
    (small_disk / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    check_after_full(small_disk / "index", said)


def flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def test_a_flipped_bit_in_the_index_changes_no_answer(folder: Path) -> None:
    [path] = (folder / "index").iterdir()
    chance = random.Random(0)
    whole = path.read_bytes()
    length = int.from_bytes(whole[8:16], "little")
    head = json.loads(whole[16 : 16 + length])
    # Four sections, each on pages of its own: the first bytes of all of them, and some anywhere.
    places = [0, 9, 20, 200, *range(4096, len(whole), 4096)]
    places += [chance.randrange(len(whole)) for _ in range(20)]
    for at in places:
        path.write_bytes(whole)
        flip(path, at, chance.randrange(8))
        with Gallery.open(folder) as gallery:
            gallery.query(faults.row_of(0))  # starts the check of the rows
            found = gallery._view._generation
            deadline = time.monotonic() + 10
            while found and not found.fault and checking() and time.monotonic() < deadline:
                time.sleep(0.001)
            faults.check_answers(gallery, truth_of(range(CROPS)), least=0.99)
            trouble = gallery._view.trouble
            inside = at < 16 + length
            inside |= any(part["at"] <= at < part["at"] + part["bytes"] for part in head["sections"].values())
            assert bool(trouble) == inside == any(line.startswith("index: ") for line in gallery.verify()), at
            if trouble:
                [hits] = gallery.query(faults.row_of(7), 1)
                assert (hits[0].record.tracklet, hits[0].distance) == ("7", pytest.approx(0, abs=1e-6))


def checking() -> bool:
    return any(thread.name == "check of index rows" for thread in threading.enumerate())


def test_a_flipped_bit_in_the_database_is_an_answer_or_one_line(folder: Path) -> None:
    chance = random.Random(0)
    whole = (folder / FILE).read_bytes()
    said = []
    for at in [*range(0, 120, 3), *(chance.randrange(len(whole)) for _ in range(80))]:
        (folder / FILE).write_bytes(whole)
        flip(folder / FILE, at, chance.randrange(8))
        try:
            with Gallery.open(folder) as gallery:
                said += gallery.verify()
                for hits in gallery.query(np.stack([faults.row_of(token) for token in range(5)])):
                    assert len(hits) == 10
                gallery.remove(ids=[1])
                gallery.compact()
        except ReidError as error:
            said.append(str(error))
        for left in (*folder.glob(f"{FILE}-*"),):
            left.unlink()
    assert len(said) > 20
    assert [line for line in said if "\n" in line] == []


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "index", model_id="m@1", dim=faults.DIM):
        pass
    both = [faults.start(f"write_apart(Path({str(tmp_path / 'index')!r}), {number})") for number in (1, 2)]
    said = [json.loads(line) for process in both for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in both] == [0, 0]
    expected = {}
    for word, step in said:
        if word == "done":
            expected = faults.after(expected, step)
        else:
            assert "another process is writing" in step["why"]
    assert len(expected) > 500
    with Gallery.open(tmp_path / "index") as gallery:
        assert faults.content(gallery) == expected
        gallery.compact()
        assert gallery.verify() == []
        faults.check_answers(gallery, expected)


def test_a_reader_of_an_old_generation_answers_right_and_then_follows(folder: Path) -> None:
    old, new = truth_of(range(CROPS)), truth_of(range(50, CROPS + 50))
    with Gallery.open(folder) as reader, Gallery.open(folder) as writer:
        faults.check_answers(reader, old)
        with reader.store.snapshot():
            add(writer, range(CROPS, CROPS + 50))
            writer.remove(ids=range(1, 51))
            writer.compact()
            assert [path.name for path in (folder / "index").iterdir()] == ["gen-000002.reid"]
            faults.check_answers(reader, old)
        faults.check_answers(reader, new)
        reader._view._next[1].join()
        faults.check_answers(reader, new, least=0.99)
        assert reader._view.published == writer.store.current()
        assert reader._view.trouble is None


def test_a_database_of_a_newer_schema_is_one_line(folder: Path) -> None:
    connection = sqlite3.connect(folder / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(GalleryError, match=r"schema 99, this version reads up to \d+; upgrade") as caught:
        Gallery.open(folder)
    assert "\n" not in str(caught.value)
