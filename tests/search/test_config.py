from pathlib import Path

import pytest

from autoreid_deploy.errors import InputError
from search.config import RunConfig, Source, find_ids, load_config
from search.genotype import load_genotype
from search.search_config import SearchConfig

FOLDER = Path(__file__).parents[2] / "search" / "configs"
# Those without crops to train on are of crowds, and tested with them.
CONFIGS = [path for path in sorted(FOLDER.glob("*.toml")) if "[[train]]" in path.read_text()]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_loads_and_finds_its_lists(path: Path):
    searches = "[search]" in path.read_text()
    run = SearchConfig.load(path) if searches else load_config(path)
    assert run.name == path.stem
    assert run.terms
    load_genotype(run.genotype)
    assert all(source.terms for source in run.train)
    for source in (*run.train, *run.val):
        assert source.name
        assert not source.ids or find_ids(source.ids, path.parent).is_file()


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("autoreid-s-heldout", set()),
        ("autoreid-m-heldout", {("crowd", "")}),
        ("autoreid-m-heldout-crowd", set()),
    ],
)
def test_who_is_held_out_is_in_no_training_and_taught_by_nobody(name: str, others: set[tuple[str, str]]):
    held_out = load_config(FOLDER / f"{name}.toml")
    whole = load_config(FOLDER / f"{name.partition('-heldout')[0]}.toml")
    assert held_out.network == whole.network
    assert not held_out.teacher.rows
    assert [source.ids for source in held_out.train if source.path == "market"] == [
        "market1501_train_ids.txt"
    ]
    assert held_out.val == whole.val
    learnt = {(source.path, source.ids) for source in held_out.train}
    left_out = {(source.path, source.ids) for source in whole.train} - learnt
    assert left_out == {("market", "market1501_test_ids.txt")} | others


def test_a_configuration_survives_its_plain_form():
    run = RunConfig.from_dict(
        {"name": "x", "network": {"cells": [1, 2]}, "val": [{"path": "v", "ids": "a.txt"}]}
    )
    assert run.network.cells == (1, 2)
    assert run.val == (Source(path="v", ids="a.txt"),)
    assert RunConfig.from_dict(run.to_dict()) == run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[recipe]\nepoch = 3", r"\[recipe\]: unknown key 'epoch'; did you mean epochs"),
        ("[network]\nchannel = 3", r"\[network\]: unknown key 'channel'; did you mean channels"),
        ("[[train]]\nidz = 'x'", r"\[\[train\]\]: unknown key 'idz'; did you mean ids"),
        ("qqq = 1", "unknown key 'qqq'; known are name, genotype"),
        ("[recipe]\nepochs = '3'", "epochs: expected int, got '3'"),
        ("[recipe]\nepochs = true", "epochs: expected int, got True"),
        ("[recipe]\nlr = 'high'", "lr: expected float"),
        ("[network]\ncells = 2", "cells: expected a list of integers, got 2"),
        ("[network]\ncells = [2, 'x']", "cells: expected a list of integers"),
        ("network = 3", r"\[network\]: expected a table, got 3"),
        ("train = 'market'", r"expected \[\[train\]\] tables"),
        ("train = []", r"expected one or more \[\[train\]\] tables"),
        ("name = 'a/b'", "expected a plain name"),
        ("[recipe]\nshots = 1", "shots is 2 or more, got 1"),
        ("[recipe]\nflip = 1.5", "flip is from 0 to 1, got 1.5"),
        ("[recipe]\nlr = nan", "lr is 0 or more, got nan"),
        ("[recipe]\nseed = -1", "seed is 0 or more"),
        ("[recipe]\nprecision = 'fp16'", "precision is auto, bf16 or float32, got 'fp16'"),
        ("[recipe]\nheads = 'two'", "heads is one or each, got 'two'"),
        ("[recipe]\noptimiser = 'adam'", "optimiser is sgd or adamw, got 'adam'"),
        ("[recipe]\nacross_cameras = 1", "across_cameras: expected bool, got 1"),
        ("[recipe]\nhue = 200", "hue is from 0 to 180, got 200"),
        ("[[train]]\nshare = 2.0", "share is from 0 to 1, got 2.0"),
        (
            "[[train]]\npeople = 'a'\nshare = 0.5\n[[train]]\npeople = 'a'",
            "sources of people 'a' need one share",
        ),
        ("[teacher]\nrows = 'x.npz'", "rows: expected a list of names, got 'x.npz'"),
        ("[teacher]\ncosine = -1", "teacher: cosine is 0 or more"),
        ("name = ", "expected a TOML file"),
    ],
)
def test_a_wrong_configuration_gets_one_line_with_the_file(text: str, message: str, tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_a_whole_number_passes_for_a_float():
    assert RunConfig.from_dict({"recipe": {"warmup": 2}}).recipe.warmup == 2.0


def test_a_list_beside_the_configuration_comes_before_a_bundled_one(tmp_path: Path):
    own = tmp_path / "market1501_val_ids.txt"
    assert find_ids(own.name, tmp_path).parent != tmp_path
    own.write_text("0001\n")
    assert find_ids(own.name, tmp_path) == own
    with pytest.raises(InputError, match=r"no id list 'nobody\.txt'"):
        find_ids("nobody.txt", tmp_path)
