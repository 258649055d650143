import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import fake
import numpy as np
import pytest

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import scan
from search.config import Source
from search.crowd.config import CrowdConfig
from search.crowd.folder import COLUMNS
from search.crowd.generate import generate, plan
from search.crowd.sheet import choose
from search.crowd.wardrobe import BLOCK, block, person
from search.data import list_crops

SMALL = CrowdConfig(people=10, crops=6, cameras=12, met=(2, 3), size=(32, 16))


def draw(folder, settings=SMALL, maker=fake.Flat, **options):
    return generate(folder, settings, maker=maker, **options)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd") / "one"
    draw(folder)
    return folder


def test_a_crowd_is_the_same_whatever_the_number_of_processes(crowd, tmp_path):
    draw(tmp_path / "three", workers=3)
    assert fake.everything(tmp_path / "three") == fake.everything(crowd)


def test_another_seed_gives_another_crowd(crowd, tmp_path):
    draw(tmp_path / "other", replace(SMALL, people=2), seed=1)
    other = fake.everything(tmp_path / "other")
    assert not set(other.values()) & set(fake.everything(crowd).values())


def test_names_are_read_as_person_and_camera(crowd):
    records = scan(crowd / "crops", names="market")
    assert len(records) == SMALL.people * SMALL.crops
    assert sorted({record.pid for record in records}) == [f"{n:05d}" for n in range(1, 11)]
    with (crowd / "crowd.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = {row["path"]: (row["person"], row["camera"]) for row in rows}
    assert said == {str(r.path.relative_to(crowd)): (r.pid, r.camid) for r in records}
    assert any(int(row["camera"]) > 9 for row in rows)
    taken = list_crops([Source(path="crops")], crowd, crowd)
    assert len({crop.person for crop in taken}) == 10


def test_five_figures_and_three_are_read_whole(tmp_path):
    cv2.imwrite(str(tmp_path / "12345_c117s1_000003_00.jpg"), np.zeros((8, 4, 3), np.uint8))
    (record,) = scan(tmp_path, names="market")
    assert (record.pid, record.camid) == ("12345", "117")


def test_the_csv_tells_everything_in_order(crowd):
    with (crowd / "crowd.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["person"] for row in rows] == sorted(row["person"] for row in rows)
    for row in rows:
        assert (crowd / row["path"]).is_file()
        assert (row["time"], row["pose"], row["view"], row["box"], row["occlusion"]) == (
            "12:30",
            "walk",
            "front",
            "1 2 3 4",
            "0.250",
        )
        like = person(0, int(row["person"]), SMALL).like
        assert row["like"] == ("" if like is None else f"{like:05d}")
        assert len(row["garments"].split("; ")) >= 2


def test_the_sheet_shows_people_and_cameras(crowd):
    sheet = cv2.imread(str(crowd / "sheet.jpg"))
    assert sheet.shape[0] > 10 * 140 and sheet.shape[1] > 300
    assert not (crowd / "unfinished").exists()


def test_the_sheet_puts_look_alikes_below_each_other():
    likes = {f"{i}": "" for i in range(1, 9)} | {"5": "2", "7": "6"}
    assert choose(likes, 8) == ["2", "5", "6", "7", "1", "3", "4", "8"]
    assert choose({"1": ""}, 8) == ["1"]


def test_people_pass_as_many_cameras_as_said_and_a_block_shares_them():
    settings = CrowdConfig(people=60, crops=20, cameras=100, met=(6, 8))
    met = {n: plan(3, n, settings)[0] for n in range(1, 2 * BLOCK + 1)}
    for cameras in met.values():
        assert len(cameras) == 20 and 6 <= len(set(cameras)) <= 8
        assert min(cameras) >= 1 and max(cameras) <= 100
    assert {len(set(cameras)) for cameras in met.values()} == {6, 7, 8}
    first = set().union(*(met[n] for n in block(1)))
    assert len(first) <= 16 < len(first | set().union(*(met[n] for n in block(BLOCK + 1))))


@pytest.mark.parametrize("changes", [{"cameras": 3}, {"crops": 2}, {"cameras": 1, "crops": 1}])
def test_few_cameras_or_few_crops_are_enough(changes):
    settings = replace(CrowdConfig(people=1, cameras=20), **changes)
    cameras, _ = plan(0, 1, settings)
    assert len(cameras) == settings.crops
    assert len(set(cameras)) == min(settings.crops, settings.cameras, len(set(cameras)))


def test_a_folder_that_holds_a_crowd_is_not_overwritten(crowd):
    before = fake.everything(crowd)
    with pytest.raises(InputError, match="holds a crowd already; add --resume"):
        draw(crowd)
    assert fake.everything(crowd) == before


@pytest.mark.parametrize(
    ("changes", "seed", "said"),
    [
        ({}, 1, "seed = 0, and now seed is 1"),
        ({"lookalikes": 0.0}, 0, "lookalikes = 0.35, and now lookalikes is 0.0"),
        ({"size": (64, 32)}, 0, r"size = \[32, 16\], and now size is \[64, 32\]"),
        ({"people": 9}, 0, "people = 10, and now people is 9"),
    ],
)
def test_another_crowd_does_not_go_on_in_the_same_folder(crowd, changes, seed, said):
    with pytest.raises(InputError, match=said) as error:
        draw(crowd, replace(SMALL, **changes), seed=seed, resume=True)
    assert "\n" not in str(error.value)


def test_crops_of_nobody_knows_whom_are_left_alone(tmp_path):
    (tmp_path / "crops").mkdir()
    with pytest.raises(InputError, match=r"no crowd\.json"):
        draw(tmp_path, resume=True)


def test_a_crowd_can_grow(crowd, tmp_path):
    draw(tmp_path / "grown", replace(SMALL, people=4))
    few = fake.everything(tmp_path / "grown")
    rows = draw(tmp_path / "grown", resume=True)
    assert len(rows) == 60
    grown = fake.everything(tmp_path / "grown")
    assert grown == fake.everything(crowd)
    assert all(grown[name] == data for name, data in few.items() if name.startswith("crops"))


def test_who_cannot_be_drawn_is_named_and_the_others_stay(crowd, tmp_path):
    with pytest.raises(InputError) as error:
        draw(tmp_path / "c", maker=fake.Broken)
    assert str(error.value) == "person 5 of seed 0 cannot be drawn: ValueError: no such hat"
    assert not (tmp_path / "c/crops/00005").exists()
    assert (tmp_path / "c/crops/00001").exists()
    assert not (tmp_path / "c/crowd.csv").exists()
    draw(tmp_path / "c", resume=True)
    assert fake.everything(tmp_path / "c") == fake.everything(crowd)


def test_a_process_that_is_killed_is_told_of(crowd, tmp_path):
    with pytest.raises(InputError, match=r"ended from outside.*--resume"):
        draw(tmp_path / "c", maker=fake.Killed, workers=2)
    draw(tmp_path / "c", resume=True)
    assert fake.everything(tmp_path / "c") == fake.everything(crowd)


def started(folder):
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import fake, pathlib
from search.crowd.config import CrowdConfig
from search.crowd.generate import generate
if __name__ == "__main__":
    settings = CrowdConfig(people=10, crops=6, cameras=12, met=(2, 3), size=(32, 16))
    generate(pathlib.Path({str(folder)!r}), settings, workers=2, maker=fake.Slow, resume=True)
"""
    script = folder.parent / "run.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.PIPE)


def test_nothing_is_half_written_when_everything_is_killed_at_any_moment(crowd, tmp_path):
    folder = tmp_path / "c"
    for wanted in (1, 3, 6):
        running = started(folder)
        deadline = time.monotonic() + 60
        while len(list(folder.glob("crops/*"))) < wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        running.stderr.close()
        for home in folder.glob("crops/*"):
            assert len(list(home.glob("*.jpg"))) == 6
            assert len((home / "rows.csv").read_text().splitlines()) == 7
        assert not (folder / "crowd.csv").exists()
    time.sleep(0.3)  # children see that their parent is gone, and end
    draw(folder, resume=True)
    assert fake.everything(folder) == fake.everything(crowd)


def test_children_do_not_outlive_a_killed_parent(tmp_path):
    folder = tmp_path / "c"
    running = started(folder)
    deadline = time.monotonic() + 60
    while not list(folder.glob("unfinished/*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert children
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stderr.close()
    deadline = time.monotonic() + 10
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(child) for child in children)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False
