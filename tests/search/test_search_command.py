"""`python -m search` from profile to report, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from search import checkpoint
from search.complexity import measure
from search.config import load_config
from search.genotype import Genotype, load_genotype, random_genotype, save_genotype
from search.latency import LatencyTable, Place, places, predict, save_table
from search.search_config import SearchConfig
from tests.search.test_distributed import free_port
from tests.search.test_trainer import same

Search = Callable[..., int]
# The alphas' gradients are sums in another order, and Adam divides by their size; early steps are the most sensitive.
TOLERANCE = 2e-3


@pytest.fixture
def found(search: Search, drawn: Path, search_file: Path, tmp_path: Path) -> Path:
    """The folder of a small search that is done."""
    folder = tmp_path / "found"
    assert search("run", search_file, "--data", drawn, "--out", folder, "--device", "cpu") == 0
    return folder


@pytest.fixture
def table_file(search_file: Path, tmp_path: Path) -> Path:
    """A table in which a separable convolution takes 1 ms and nothing else takes any."""
    network = SearchConfig.load(search_file).network
    cost = {place: float(place.op == "sep_conv_3x3") for place in places(network)}
    table = LatencyTable(network, 1, "none", "none", "0", "2026-11-24", 1.0, 1.0, cost)
    save_table(table, tmp_path / "latency.json")
    assert Place("none", *next(iter(cost))[1:]) in cost
    return tmp_path / "latency.json"


def widened(table: LatencyTable, times: int, sep_conv_ms: float) -> LatencyTable:
    """A table of a macro with more channels, in which nothing but a separable convolution takes time."""
    network = replace(table.network, channels=times * table.network.channels)
    rows = {place: sep_conv_ms * (place.op == "sep_conv_3x3") for place in places(network)}
    return replace(table, network=network, rows=rows)


def test_a_search_says_what_it_found_and_what_comes_next(
    search: Search, drawn: Path, search_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert search("run", search_file, "--data", drawn, "--out", tmp_path / "run") == 0
    out, err = capsys.readouterr()
    assert "normal:\n  node 2 = " in out and "next: python -m search retrain CONFIG --genotype" in out
    assert "weights: 24 crops of 4 people" in err and "scoring: 36 crops of 6 people" in err
    assert "<h1>Search sought</h1>" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("method", ["weight", "perturb", "evolve", "race"])
def test_every_way_to_derive_ends_in_cells_that_can_be_trained(
    search: Search, drawn: Path, found: Path, tmp_path: Path, method: str
):
    few = ("--children", 2, "--race-epochs", 1) if method in ("evolve", "race") else ()
    out = tmp_path / "cells.json"
    assert search("derive", found, "--data", drawn, "--derive", method, *few, "-o", out) == 0
    cells = load_genotype(out)
    assert out.with_suffix(".png").stat().st_size > 1000
    assert "none" not in {edge.op for kind in ("normal", "reduce") for _, _, edge in cells.edges(kind)}


def test_tables_without_a_budget_are_refused(
    search: Search, drawn: Path, found: Path, table_file: Path, capsys: pytest.CaptureFixture[str]
):
    for method in ("weight", "race"):
        words = ("derive", found, "--data", drawn, "--derive", method, "--latency-table", table_file)
        assert search(*words) == 2
        assert "chooses nothing without a budget; add --latency-budget MS" in capsys.readouterr().err


def test_a_race_takes_the_widest_macro_and_goes_on_where_it_stopped(
    search: Search,
    drawn: Path,
    found: Path,
    table_file: Path,
    search_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    narrow = LatencyTable.from_dict(json.loads(table_file.read_text()))
    wide = widened(narrow, 2, sep_conv_ms=2.0)
    save_table(wide, tmp_path / "wide.json")
    words = ("derive", found, "--data", drawn, "--derive", "race", "--children", 1, "--race-epochs", 1)
    tables = ("--latency-table", table_file, "--latency-table", tmp_path / "wide.json", "--latency-budget", 4)
    assert search(*words, *tables, "-o", tmp_path / "one.json") == 0
    scores = json.loads((found / "race-scores.json").read_text())["scores"]
    for score in scores:
        fits = predict(wide, Genotype.from_dict(score["genotype"])) <= 4
        assert score["channels"] == (wide if fits else narrow).network.channels
    before = (found / "race-scores.json").stat().st_mtime_ns
    assert search(*words, *tables, "-o", tmp_path / "two.json") == 0  # every score is known
    assert (found / "race-scores.json").stat().st_mtime_ns == before
    assert (tmp_path / "one.json").read_text() == (tmp_path / "two.json").read_text()


def test_several_searches_race_by_the_recipe_that_will_train_them(
    search: Search,
    drawn: Path,
    found: Path,
    config_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    other = tmp_path / "other"
    other.mkdir()
    cells = random_genotype(np.random.default_rng(0), "other")
    save_genotype(cells, other / "genotype.json")
    words = ("derive", found, "--data", drawn, "--derive", "race", "--children", 0, "--race-epochs", 5)
    assert search(*words, "--beside", other, "--recipe", config_file, "-o", tmp_path / "best.json") == 0
    scores = json.loads((found / "race-scores.json").read_text())["scores"]
    ran = [Genotype.from_dict(score["genotype"]) for score in scores]
    own = load_genotype(found / "genotype.json")
    assert [(g.normal, g.reduce) for g in ran] == [(g.normal, g.reduce) for g in (own, cells)]
    assert {score["recipe"]["lr"] for score in scores} == {load_config(config_file).recipe.lr}
    best = max(scores, key=lambda score: score["mAP"])["genotype"]
    assert load_genotype(tmp_path / "best.json") == Genotype.from_dict(best)
    capsys.readouterr()
    assert search("derive", found, "--data", drawn, "--beside", other) == 2
    assert "--beside and --recipe are of --derive race" in capsys.readouterr().err


def test_found_cells_are_retrained_instead_of_the_configurations(
    search: Search, drawn: Path, found: Path, config_file: Path, tmp_path: Path
):
    cells = found / "genotype.json"
    arguments = ("--data", drawn, "--genotype", cells, "--out", tmp_path / "net")
    assert search("retrain", config_file, *arguments) == 0
    trained = checkpoint.load(tmp_path / "net" / "last.pt")
    assert trained["genotype"] == load_genotype(cells).to_dict()


def test_a_budget_holds_in_search_and_derivation(
    search: Search, drawn: Path, search_file: Path, table_file: Path, tmp_path: Path
):
    limits = ("--latency-table", table_file, "--latency-budget", 3.5)
    assert search("run", search_file, "--data", drawn, "--out", tmp_path / "run", *limits) == 0
    network = SearchConfig.load(search_file).network
    table = LatencyTable.from_dict(json.loads(table_file.read_text()))
    assert table.network == network
    assert predict(table, load_genotype(tmp_path / "run" / "genotype.json")) <= 3.5
    tighter = ("--latency-budget", 1.5, "-o", tmp_path / "tight.json")
    assert search("derive", tmp_path / "run", "--data", drawn, *tighter) == 0
    assert predict(table, load_genotype(tmp_path / "tight.json")) == 1.0


def test_cells_are_derived_with_weights_and_for_the_macro_that_will_be_trained(
    search: Search,
    drawn: Path,
    found: Path,
    table_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    wide = widened(LatencyTable.from_dict(json.loads(table_file.read_text())), 4, sep_conv_ms=1.0)
    save_table(wide, tmp_path / "wide.json")
    asked = ("--weighted", 8, "--latency-table", tmp_path / "wide.json", "--latency-budget", 1.5)
    capsys.readouterr()
    assert search("derive", found, "--data", drawn, *asked, "-o", tmp_path / "cells.json") == 0
    cells = load_genotype(tmp_path / "cells.json")
    assert load_genotype(found / "genotype.json").normal.weighted < cells.normal.weighted == 8
    assert predict(wide, cells) <= 1.5
    assert f"with channels = {wide.network.channels}\n" in capsys.readouterr().out
    assert search("derive", found, "--data", drawn, "--latency-table", tmp_path / "wide.json") == 2
    assert "wide.json is of another macro than the search's; add --latency-budget" in capsys.readouterr().err
    fewer = measure(cells, wide.network).parameters / 1e6 - 1e-4
    few = ("--parameter-budget", fewer, "-o", tmp_path / "few.json")
    assert search("derive", found, "--data", drawn, *asked, "--weighted", 0, *few) == 0
    assert measure(load_genotype(tmp_path / "few.json"), wide.network).parameters <= 1e6 * fewer
    assert search("derive", found, "--data", drawn, "--weighted", 9) == 1
    assert "weighted is from 0 to 8, got 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (("--latency-budget", "1"), "needs measured ops: make a table with `python -m search profile"),
        (("--latency-table", "nothere.json"), "nothere.json"),
        (("--latency-budget", "1", "--latency-table", "other.json"), "channels"),
    ],
)
def test_a_budget_without_a_table_that_fits_is_refused_in_a_line(
    search: Search,
    drawn: Path,
    search_file: Path,
    table_file: Path,
    extra: tuple[str, ...],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    table = LatencyTable.from_dict(json.loads(table_file.read_text()))
    network = replace(table.network, channels=9)
    other = replace(table, network=network, rows=dict.fromkeys(places(network), 0.0))
    save_table(other, tmp_path / "other.json")
    assert search("run", search_file, "--data", drawn, *extra) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and line in err


def test_a_killed_search_goes_on_to_the_same_cells(
    search: Search, drawn: Path, search_file: Path, tmp_path: Path, found: Path
):
    killed = tmp_path / "killed"
    arguments = ["run", search_file, "--data", drawn, "--out", killed, "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "search", *map(str, arguments), "--save-every", "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    while not (killed / "last.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert search(*arguments, "--resume") == 0
    one, other = (checkpoint.load(folder / "last.pt", checkpoint.SEARCH) for folder in (killed, found))
    assert same(one, other)


def test_two_processes_search_as_one(search: Search, drawn: Path, search_file: Path, tmp_path: Path):
    """One epoch of weights and alphas, cut into slices of other people."""
    text = search_file.read_text().replace("epochs = 3", "epochs = 1").replace("lr = 0.03", "lr = 0.003")
    # A processor that computes in bf16 would round the sums of two slices otherwise than that of one.
    text = text.replace("[recipe]", '[recipe]\nprecision = "float32"')
    search_file.write_text(text)
    arguments = ["run", search_file, "--data", drawn, "--device", "cpu"]
    assert search(*arguments, "--out", tmp_path / "one") == 0
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    launch += ["--master-port", str(free_port()), "-m", "search"]
    done = subprocess.run(
        [sys.executable, *launch, *map(str, arguments), "--out", tmp_path / "two"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (checkpoint.load(tmp_path / side / "last.pt", checkpoint.SEARCH) for side in ("one", "two"))
    for key in ("alphas", "network"):
        for name, expected in one[key].items():
            # Each process calibrates batch norm on the same crops, so variances differ by n / (n - 1).
            if expected.is_floating_point() and "running" not in name:
                difference = (two[key][name] - expected).abs().max()
                assert difference <= TOLERANCE * (1 + expected.abs().max()), name
    assert torch.allclose(one["centres"], two["centres"], atol=TOLERANCE)


def test_random_search_keeps_the_best_and_trains_nothing_twice(
    search: Search, drawn: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ("random", config_file, "--data", drawn, "--cells", 2, "--out", tmp_path / "random")
    assert search(*arguments) == 0
    out = capsys.readouterr().out
    assert "2 random pairs: mAP mean" in out
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "random").glob("*/last.pt"))]
    assert search(*arguments) == 0
    assert times == [path.stat().st_mtime_ns for path in sorted((tmp_path / "random").glob("*/last.pt"))]
    rows = [json.loads(p.read_text()) for p in sorted((tmp_path / "random").glob("*/result.json"))]
    best = max(rows, key=lambda row: row["mAP"])
    assert load_genotype(tmp_path / "random" / "best.json").to_dict() == best["genotype"]


def test_random_search_stops_at_its_minutes(
    search: Search, drawn: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    limits = ("--cells", 5, "--minutes", 0.0001)
    assert search("random", config_file, "--data", drawn, *limits, "--out", tmp_path / "random") == 0
    assert "1 random pairs" in capsys.readouterr().out


def test_a_search_is_no_retraining(
    search: Search,
    found: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    config_file: Path,
    drawn: Path,
):
    assert search("retrain", config_file, "--data", drawn, "--out", found, "--resume") == 1
    err = capsys.readouterr().err
    assert "expected a checkpoint of python -m search retrain" in err and "python -m search run" in err
