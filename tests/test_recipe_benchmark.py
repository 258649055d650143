"""The bench behind docs/recipe.md, on drawn people and a network of a minute."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.errors import InputError
from benchmarks import recipe
from benchmarks.recipe import Bench, collect, rows, table
from search.config import load_config
from search.data import list_crops
from search.teacher import TeacherRows, crop_name
from tests.people import draw_people
from tests.search.conftest import SMALL


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people: train/, val/, a crowd/, CUHK03's val under its names, and a teacher's rows."""
    folder = tmp_path_factory.mktemp("world")
    for name, people, seed in (("train", 8, 1), ("val", 6, 2), ("crowd", 12, 3), ("others", 6, 4)):
        draw_people(folder / name, people=people, seed=seed)
    strangers = folder / "cuhk" / "detected" / "val"
    strangers.mkdir(parents=True)
    for path in sorted((folder / "others").iterdir()):
        pid, camera = path.stem.split("_")[:2]
        if number := {"c1": 0, "c2": 5}.get(camera[:2]):
            (strangers / f"{pid}_{number:02d}.jpg").write_bytes(path.read_bytes())
        elif camera.startswith("c1"):
            (strangers / f"{pid}_00.jpg").write_bytes(path.read_bytes())
    listed = list_crops([*SMALL.train, recipe.CROWD], folder, folder)
    names = tuple(crop_name(crop.record.path, folder) for crop in listed)
    told = np.random.default_rng(0).normal(size=(len(names), 8)).astype(np.float16)
    TeacherRows("somebody", names, told).save(folder / "rows.npz")
    return folder


@pytest.fixture
def bench(world: Path, tmp_path: Path) -> Bench:
    told = replace(SMALL, recipe=replace(SMALL.recipe, steps=3))
    work = tmp_path / "work"
    work.mkdir()
    return Bench(told, world, work, "rows.npz")


def test_a_row_is_trained_once_and_scored_on_both_sets(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    row = replace(rows()["damage"], network={})
    found = bench.run("damage", row)
    assert found["crops"] == 2 * 3 * SMALL.recipe.people * SMALL.recipe.shots
    assert all(0 <= found[key] <= 1 for key in ("rank1", "mAP", "strangers_rank1", "strangers_mAP"))
    assert str(bench.work) not in json.dumps(found)
    monkeypatch.setattr(Bench, "trainer", lambda *_: pytest.fail("trained again"))
    assert bench.run("damage", row) == found


def test_a_row_says_what_it_adds(bench: Bench):
    every = rows()
    plain, last = bench.config("labels", every["labels"]), bench.config("damage", every["damage"])
    assert plain == replace(bench.told, name="labels", teacher=plain.teacher) and not plain.teacher.rows
    assert [source.path for source in last.train] == [*(s.path for s in plain.train), "crowd"]
    assert (last.train[-1].share, last.teacher.cosine, last.recipe.dark) == (0.3, 10, 0.1)
    shipped = replace(bench, told=load_config(recipe.CONFIG))
    assert shipped.config("fine", every["fine"]).network.cells == (2, 2, 2)
    assert bench.config("one-head", every["one-head"]).recipe.heads == "one"
    titles = [row.title for row in every.values()]
    assert len(set(titles)) == len(titles)


def test_a_teacher_that_was_not_asked_is_an_error_before_any_step(bench: Bench, world: Path):
    names = TeacherRows.load(world / "rows.npz")
    TeacherRows("somebody", names.crops[1:], names.rows[1:]).save(world / "less.npz")
    with pytest.raises(InputError, match=r"1 of .* crops have no row"):
        replace(bench, taught="less.npz").run("teacher", rows()["teacher"])


def test_the_table_averages_seeds_in_the_order_of_the_rows(tmp_path: Path):
    results = tmp_path / "recipe.json"
    for folder, row, seed, value in (
        ("b", "teacher", 0, 0.5),
        ("a", "labels", 0, 0.2),
        ("a.1", "labels", 1, 0.4),
    ):
        (tmp_path / folder).mkdir()
        told = dict.fromkeys(("rank1", "mAP", "strangers_rank1", "strangers_mAP"), value)
        told |= {"row": row, "title": row, "seed": seed, "crops": 1000, "training_minutes": 2}
        (tmp_path / folder / "row.json").write_text(json.dumps(told))
    lines = table(collect(tmp_path, results)).splitlines()
    assert lines[2] == "| labels | 2 | 1,000 | 30.0 | 30.0 | 30.0 | 30.0 | 2 |"
    assert lines[3].startswith("| teacher | 1 |")
    assert collect(tmp_path / "a", results) == json.loads(results.read_text())


def test_no_row_of_the_shipped_configuration_touches_test_people_or_cuhk03():
    told = load_config(recipe.CONFIG)
    assert [source.ids for source in told.val] == ["market1501_val_ids.txt"]
    assert [source.ids for source in told.train] == ["market1501_train_ids.txt"]
    assert recipe.STRANGERS.path.startswith("cuhk/detected/val")


def test_the_page_holds_the_rows_that_are_kept():
    page = Path("docs/recipe.md").read_text(encoding="utf-8")
    assert table(recipe.read(recipe.RESULTS)) in page
