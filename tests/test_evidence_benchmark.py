"""The bench behind docs/evidence.md, on drawn people."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import evidence
from benchmarks.evidence import CONTROLS, FITTED, PARAMETERS, WEIGHTED, Bench, Row, derive_cells, rows
from benchmarks.ledger import write
from search import checkpoint
from search.commands.run import make_searcher
from search.complexity import measure
from search.config import RunConfig
from search.genotype import load_genotype, random_genotype, save_genotype
from search.latency import predict
from search.race import Runner
from search.search_config import SearchConfig
from tests.people import draw_people
from tests.search.conftest import SMALL
from tests.search.test_latency import made_table

PUBLISHED = Row("published", "auto_reid_2019", seed=3, macro=(8, (2, 2, 2)))


@pytest.fixture
def told(tmp_path: Path) -> RunConfig:
    for name, people, seed in (("train", 8, 1), ("val", 6, 2)):
        draw_people(tmp_path / name, people=people, seed=seed)
    contrastive = replace(SMALL.recipe, epochs=1, triplet_weight=0.0, contrastive_weight=1.0)
    return replace(SMALL, recipe=contrastive)


def test_a_row_is_trained_with_the_recipe_that_was_told_and_its_own_seed(told: RunConfig, tmp_path: Path):
    bench = Bench(tmp_path, tmp_path / "work", {}, [], 1.0, told)
    found = bench.run("published", PUBLISHED)
    state = checkpoint.load(tmp_path / "work" / "published" / "last.pt")
    recipe = RunConfig.from_dict(state["config"]).recipe
    assert recipe == replace(told.recipe, seed=3)
    assert (found["channels"], found["cells"]) == (8, [2, 2, 2])  # the row's macro, whatever the budget
    assert 0 <= found["mAP"] <= 1


def test_a_finished_row_is_left_alone(told: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = {"group": "published", "mAP": 0.5}
    (tmp_path / "published").mkdir()
    write(done, tmp_path / "published" / "row.json")

    def again(*_: object) -> dict[str, float]:
        raise AssertionError("it was trained again")

    monkeypatch.setattr(evidence, "train", again)
    assert Bench(tmp_path, tmp_path, {}, [], 1.0, told).run("published", PUBLISHED) == done


def test_networks_by_hand_are_trained_as_often_as_searched_cells():
    every = rows()
    for name in ("resnet18-latency", "osnet-parameters"):
        assert every[f"{name}-1"] == replace(every[name], seed=1)


def test_a_search_may_take_what_the_published_cells_do_on_the_same_processor_and_a_little_more(
    told: RunConfig, tmp_path: Path
):
    table = made_table(told.network)
    published = predict(table, load_genotype("auto_reid_2019"))
    bench = Bench(tmp_path, tmp_path, {told.network.channels: table}, [told.network.channels], 1.0, told)
    budget = bench.search(rows()["ablation-softmax"]).search.latency_budget
    assert published < budget < 1.1 * published


def test_cells_with_weights_are_derived_for_the_budget_of_the_macro_that_is_trained(
    told: RunConfig, tmp_path: Path
):
    searched = SearchConfig(
        network=told.network, recipe=replace(SMALL.recipe, people=3), train=told.train, val=told.val
    )
    searcher = make_searcher(searched, tmp_path, tmp_path, None, tmp_path, torch.device("cpu"))
    wide = made_table(replace(told.network, channels=FITTED))
    free = Bench(tmp_path, tmp_path, {FITTED: wide}, [FITTED], 1e3, told)
    dear = derive_cells(searcher, "weighted", free)
    assert dear.normal.weighted >= WEIGHTED
    tight = replace(free, budget=predict(wide, dear) - 1e-3)
    cells = derive_cells(searcher, "weighted", tight)
    assert cells != dear
    assert cells.normal.weighted >= WEIGHTED
    assert predict(wide, cells) <= tight.budget
    assert measure(cells, wide.network).parameters <= 1e6 * PARAMETERS
    controls = [tight.cells(rows()[f"control-{i}"])[0] for i in range(CONTROLS)]
    assert len({str(control) for control in controls}) == CONTROLS
    for control in controls:
        assert control.normal.weighted >= WEIGHTED
        assert predict(wide, control) <= tight.budget
        assert measure(control, wide.network).parameters <= 1e6 * PARAMETERS


def test_the_best_of_three_searches_is_what_wins_a_training_by_the_recipe_of_the_rows(
    told: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    channels, work = told.network.channels, tmp_path / "work"
    bench = Bench(tmp_path, work, {channels: made_table(told.network)}, [channels], 1e3, told)
    rng = np.random.default_rng(0)
    cells = [random_genotype(rng, f"search-{draw}") for draw in (3, 4, 5)]  # of the second of such searches
    for genotype in cells:
        (work / genotype.name).mkdir(parents=True)
        save_genotype(genotype, work / genotype.name / "weight.json")
        write({"search": 2.0}, work / genotype.name / "minutes.json")
    monkeypatch.setattr(Bench, "searcher", lambda *_: SimpleNamespace(name="search-3"))
    monkeypatch.setattr(Bench, "within_budget", lambda _, searcher: searcher)
    raced = []

    def ran(searcher, how, ledger, first, tables, recipe):
        raced.append((how.scores, how.epochs, list(first), recipe))
        return [Runner(first[1], told.network, 0.5, False)]

    monkeypatch.setattr(evidence, "race", ran)
    for _ in range(2):
        found, minutes = bench.cells(rows()["among-1-0"])
        assert (found.name, found.normal, found.reduce) == ("best-1", cells[1].normal, cells[1].reduce)
        assert 6.0 <= minutes < 6.1
    assert raced == [(3, told.recipe.epochs, cells, told.recipe)]
