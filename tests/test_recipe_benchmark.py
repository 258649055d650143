"""The bench behind docs/recipe.md, on drawn people and a network of a minute."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoreid_deploy.errors import InputError
from benchmarks import recipe
from benchmarks.recipe import CROWD, STRANGERS, Bench, collect, rows, table
from search.config import Source, Teacher, load_config
from search.data import list_crops, load_crops
from search.genotype import load_genotype
from search.teacher import TeacherRows, crop_name
from search.trainer import Trainer
from tests.people import draw_people
from tests.search.conftest import SMALL

TAUGHT = replace(
    SMALL,
    recipe=replace(SMALL.recipe, steps=3),
    teacher=Teacher(rows=("rows-0286.npz", "rows-0277.npz")),
    train=(*SMALL.train, Source(path=CROWD, share=0.3)),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people: train/, val/, a crowd/, CUHK03's under its names; rows of two teachers; a trained network."""
    folder = tmp_path_factory.mktemp("world")
    for name, people, seed in (("train", 8, 1), ("val", 6, 2), (CROWD, 12, 3)):
        draw_people(folder / name, people=people, seed=seed)
    for seed, source in enumerate(STRANGERS, start=4):
        for path in draw_people(folder / source.path, people=4, cameras=2, shots=1, seed=seed):
            pid, camera = path.stem.split("_")[:2]
            path.rename(path.with_name(f"{pid}_{'00' if camera.startswith('c1') else '05'}.jpg"))
    listed = list_crops(TAUGHT.train, folder, folder)
    names = tuple(crop_name(crop.record.path, folder) for crop in listed)
    for seed, file in enumerate(TAUGHT.teacher.rows):
        told = np.random.default_rng(seed).normal(size=(len(names), 8)).astype(np.float16)
        TeacherRows("somebody", names, told).save(folder / file)
    Trainer(
        config=replace(SMALL, recipe=replace(SMALL.recipe, epochs=1, steps=1), val=()),
        genotype=load_genotype(SMALL.genotype),
        train=load_crops(list_crops(SMALL.train, folder, folder), (32, 16)),
        val=None,
        folder=folder,
        device=torch.device("cpu"),
    ).run()
    return folder


@pytest.fixture
def bench(world: Path, tmp_path: Path) -> Bench:
    work = tmp_path / "work"
    work.mkdir()
    return Bench(TAUGHT, world, work, str(world / "last.pt"))


def test_a_row_is_trained_once_and_scored_on_both_sets(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    row = rows()["no-damage"]
    found = bench.run("no-damage", row)
    assert found["crops"] == 2 * 3 * SMALL.recipe.people * SMALL.recipe.shots
    assert all(0 <= found[key] <= 1 for key in ("rank1", "mAP", "strangers_rank1", "strangers_mAP"))
    assert str(bench.work) not in json.dumps(found)
    monkeypatch.setattr(Bench, "trainer", lambda *_: pytest.fail("trained again"))
    assert bench.run("no-damage", row) == found


def test_a_row_differs_from_the_recipe_by_what_it_says(bench: Bench):
    every, told = rows(), load_config(recipe.CONFIG)
    shipped = replace(bench, told=told)
    configs = {name: shipped.config(name, row) for name, row in every.items()}
    assert configs["whole"] == replace(told, name="whole")
    assert not configs["no-teacher"].teacher.rows and len(configs["one-teacher"].teacher.rows) == 1
    assert [source.path for source in configs["no-crowd"].train] == ["market"]
    assert configs["crowd-50"].train[1].share == 0.5 and configs["whole"].train[1].share == 0.3
    assert configs["one-head"].recipe.heads == "one"
    # Whatever a row is called, it is no row twice.
    unnamed = [(replace(config, name=""), every[name].started) for name, config in configs.items()]
    assert all(one not in unnamed[:i] for i, one in enumerate(unnamed))


@pytest.mark.parametrize("name", ["whole", "scratch"])
def test_a_row_begins_with_trained_weights_or_from_scratch(name: str, bench: Bench):
    trainer, _ = bench.trainer(name, rows()[name], bench.work)
    trained = torch.load(bench.start, weights_only=True)["average"]["bottleneck.weight"]
    assert torch.equal(trainer.network.bottleneck.weight.detach(), trained) is (name == "whole")


def test_strangers_are_people_of_a_set_that_no_row_learns_from(bench: Bench):
    trainer, strangers = bench.trainer("whole", rows()["whole"], bench.work)
    assert (trainer.train.people, strangers.people) == (8 + 12, 2 * 4)


def test_a_teacher_that_was_not_asked_is_an_error_before_any_step(bench: Bench, world: Path):
    names = TeacherRows.load(world / "rows-0286.npz")
    TeacherRows("somebody", names.crops[1:], names.rows[1:]).save(world / "less.npz")
    with pytest.raises(InputError, match=r"1 of .* crops have no row"):
        bench.run("less", replace(rows()["whole"], teacher={"rows": ("less.npz",)}))


def test_the_table_averages_seeds_in_the_order_of_the_rows(tmp_path: Path):
    results = tmp_path / "recipe.json"
    for folder, row, seed, value in (
        ("b", "no-teacher", 0, 0.5),
        ("a", "whole", 0, 0.2),
        ("a.1", "whole", 1, 0.4),
    ):
        (tmp_path / folder).mkdir()
        told = dict.fromkeys(("rank1", "mAP", "strangers_rank1", "strangers_mAP"), value)
        told |= {"row": row, "title": row, "seed": seed, "crops": 1000, "training_minutes": 2}
        (tmp_path / folder / "row.json").write_text(json.dumps(told))
    lines = table(collect(tmp_path, results)).splitlines()
    assert lines[2] == "| whole | 2 | 1,000 | 30.0 | 30.0 | 30.0 | 30.0 | 2 |"
    assert lines[3].startswith("| no-teacher | 1 |")
    assert collect(tmp_path / "a", results) == json.loads(results.read_text())


def test_no_row_of_the_shipped_configuration_touches_test_people_or_cuhk03():
    told = load_config(recipe.CONFIG)
    assert [source.ids for source in told.val] == ["market1501_val_ids.txt"]
    assert [(source.path, source.ids) for source in told.train] == [
        ("market", "market1501_train_ids.txt"),
        (CROWD, ""),
    ]
    assert [source.path for source in STRANGERS] == ["cuhk/labeled/train", "cuhk/labeled/val"]


def test_the_page_holds_the_rows_that_are_kept():
    page = Path("docs/recipe.md").read_text(encoding="utf-8")
    assert table(recipe.read(recipe.RESULTS)) in page
