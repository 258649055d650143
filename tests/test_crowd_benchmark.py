"""The bench behind docs/crowd.md, on drawn people and a network of a minute."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from autoreid_deploy.errors import InputError
from autoreid_deploy.protocols import half_draws
from benchmarks import crowd
from benchmarks.crowd import Bench, Row, collect, rows, table
from search.config import Source, load_config
from search.crowd.config import CrowdConfig
from search.crowd.generate import generate
from search.data import list_crops, load_crops
from search.scoring import embed
from tests.people import draw_people
from tests.search.conftest import SMALL
from tests.search.crowd import fake


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people under the names of the sets: train/, val/, a crowd/ of 12 with its sheet, and CUHK01's pairs."""
    folder = tmp_path_factory.mktemp("world")
    for name, people, seed in (("train", 8, 1), ("val", 6, 2), ("crowd", 12, 3), ("pairs", 10, 4)):
        draw_people(folder / name, people=people, seed=seed)
    (folder / "crowd" / "sheet.jpg").write_bytes(next((folder / "val").iterdir()).read_bytes())
    campus = folder / "cuhk" / "CUHK01" / "campus"
    campus.mkdir(parents=True)
    for path in sorted((folder / "pairs").iterdir()):
        pid, camera = path.stem.split("_")[:2]
        if number := {"c1": 1, "c2": 3}.get(camera[:2]):
            (campus / f"{pid}00{number}.jpg").write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def bench(world: Path, tmp_path: Path) -> Bench:
    told = replace(SMALL, recipe=replace(SMALL.recipe, steps=3))
    work = tmp_path / "work"
    work.mkdir()
    return Bench(told, world, work, world / "crowd")


def test_every_row_takes_as_many_steps_and_tells_whom_it_has_learnt_from(bench: Bench):
    every = rows()
    found = {name: bench.run(name, every[name], 0) for name in ("real", "crowd", "both")}
    people = {name: row["people"] for name, row in found.items()}
    assert people == {"real": 8, "crowd": 12, "both": 20}
    assert {row["steps"] for row in found.values()} == {6}
    assert found["both"]["crops"] == found["real"]["crops"] + found["crowd"]["crops"]
    assert found["both"]["cameras"] == found["real"]["cameras"] + found["crowd"]["cameras"]
    for row in found.values():
        assert all(0 <= row[key] <= 1 for key in ("cuhk01", "cuhk01_halves", "rank1", "mAP"))
        assert row["training_minutes"] > 0
    assert str(bench.work) not in json.dumps(found)


def test_a_finished_row_is_left_alone_and_a_stopped_one_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    row = rows()["crowd"]
    with monkeypatch.context() as patch:
        patch.setattr("search.trainer.Trainer.run", lambda self: self.save())
        with pytest.raises(SystemExit, match="run the same command again"):
            bench.run("crowd", row, 0)
    assert (bench.work / "crowd" / "last.pt").exists()
    found = bench.run("crowd", row, 0)
    monkeypatch.setattr(Bench, "trainer", lambda *_: pytest.fail("trained again"))
    assert bench.run("crowd", row, 0) == found


def test_the_first_people_of_a_crowd_are_taken(bench: Bench):
    (source,) = bench.sources(Row("few", people=5))
    pids = {crop.record.pid for crop in list_crops([source], bench.data, bench.work)}
    assert pids == {f"{pid:04d}" for pid in range(1, 6)}
    with pytest.raises(InputError, match="expected 500 people or more, got 12"):
        bench.sources(rows()["crowd-500"])
    with pytest.raises(InputError, match="name its folder with --crowd"):
        replace(bench, crowd=None).sources(rows()["crowd"])
    assert replace(bench, crowd=None).sources(rows()["real"]) == bench.told.train


def test_a_variety_is_dropped_from_a_crowd_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Flat crops in place of rendered ones; those are tested where they are rendered."""
    monkeypatch.setattr(crowd, "generate", partial(generate, maker=fake.Flat))
    small = CrowdConfig(people=5, crops=4, cameras=24, size=(64, 32))
    bench = replace(bench, crowd=None, varied=small)
    whole = None
    for what, changed in crowd.DROPPED.items():
        (source,) = bench.sources(rows()[f"drop-{what}"])
        listed = list_crops([source], bench.data, bench.work)
        assert (len(listed), len({crop.record.pid for crop in listed})) == (20, 5)
        told = json.loads((bench.work / "crowds" / what / "crowd.json").read_text())
        whole = whole or told
        assert {key for key in told if told[key] != whole[key]} == changed.keys()
    assert bench.sources(rows()["drop-cameras"]) != bench.sources(rows()["drop-nothing"])


def test_half_of_a_batch_is_of_the_crowd(bench: Bench, tmp_path: Path):
    trainer = bench.trainer(rows()["both"], 0, tmp_path)
    for batch in trainer.sampler.epoch(0):
        assert (trainer.train.origins[batch] == 1).mean() == 0.5


def test_zero_shot_is_single_shot_over_all_and_the_mean_of_ten_halves(bench: Bench, tmp_path: Path):
    trainer = bench.trainer(rows()["real"], 0, tmp_path)
    crops = load_crops(list_crops([crowd.CUHK01], bench.data, bench.data), (32, 16))
    found = crowd.zero_shot(trainer.network, crops, torch.device("cpu"))
    pids = [record.pid for record in crops.records]
    unit = embed(trainer.network, crops.images, torch.device("cpu"))
    first, second = (
        [i for i, record in enumerate(crops.records) if record.camid == camera] for camera in ("1", "2")
    )
    assert [pids[i] for i in first] == [pids[i] for i in second]
    likeness = unit[first] @ unit[second].T
    assert found["cuhk01"] == pytest.approx((likeness.argmax(1) == range(10)).mean())
    halves = [(likeness[half][:, half].argmax(1) == range(5)).mean() for half in half_draws(10)]
    assert found["cuhk01_halves"] == pytest.approx(sum(halves) / 10)


def test_nothing_of_the_shipped_recipe_touches_test_people():
    told = load_config(crowd.CONFIG)
    assert [source.ids for source in told.val] == ["market1501_val_ids.txt"]
    assert [source.ids for source in told.train if source.path == "market"] == ["market1501_train_ids.txt"]
    named = {source.people for source in told.train if "cuhk" in source.path}
    assert named == {"cuhk03-train", "cuhk03-val"}
    assert not [source for source in (*told.train, *told.val) if "CUHK01" in source.path]
    assert told.recipe.steps * told.recipe.epochs == 3200


def test_the_rows_asked_for_are_there():
    every = rows()
    assert {"real", "crowd", "both", "crowd-500", "crowd-2000", "crowd-5000"} <= every.keys()
    assert {f"drop-{what}" for what in crowd.DROPPED} <= every.keys()
    assert every["both"].share == 0.5
    assert Source(path="x", share=every["both-75"].share).share == 0.75


def test_the_table_adds_to_the_results_and_averages_seeds(tmp_path: Path):
    plain = {
        "people": 1200,
        "crops": 20000,
        "cameras": 8,
        "cuhk01": 0.5,
        "cuhk01_halves": 0.6,
        "rank1": 0.7,
        "mAP": 0.4,
        "training_minutes": 14.0,
    }
    results = tmp_path / "crowd.json"
    for work, row, seed, cuhk01 in (("a", "both", 0, 0.5), ("a", "real", 0, 0.3), ("b", "real", 1, 0.4)):
        folder = tmp_path / work / (f"{row}.{seed}" if seed else row)
        folder.mkdir(parents=True)
        told = plain | {"row": row, "title": rows()[row].title, "seed": seed, "cuhk01": cuhk01}
        (folder / "row.json").write_text(json.dumps(told))
    collect(tmp_path / "a", results)
    found = collect(tmp_path / "b", results)
    assert list(found) == ["real", "real.1", "both"]
    lines = table(found).splitlines()
    assert lines[2] == "| real people | 2 | 1,200 | 8 | 20,000 | 35.0 | 60.0 | 70.0 | 40.0 | 14 |"
    assert lines[3].startswith("| both, half a batch each | 1 |")
