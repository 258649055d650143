from dataclasses import fields
from pathlib import Path

import pytest

from autoreid_deploy.errors import InputError
from search.config import RunConfig, Source
from search.genotype import CHOSEN_OPS
from search.search_config import SearchConfig, SearchRecipe

VAL = "[[val]]\npath = 'v'\n"


def load(tmp_path: Path, text: str) -> SearchConfig:
    path = tmp_path / "search.toml"
    path.write_text(text + VAL)
    return SearchConfig.load(path)


def test_a_search_survives_its_plain_form(tmp_path: Path):
    told = load(
        tmp_path,
        """
        name = "x"
        [network]
        cells = [1, 2]
        [search]
        relaxation = "softmax"
        none = "learned"
        split = "images"
        balance = 1
        without = ["part_aware", "skip_connect"]
        latency_budget = 0.5
        [[alphas]]
        path = "a"
        ids = "a.txt"
        """,
    )
    assert told.search.relaxation == "softmax"
    assert told.search.without == ("part_aware", "skip_connect")
    assert type(told.search.balance) is float
    assert told.network.cells == (1, 2)
    assert told.alphas == (Source(path="a", ids="a.txt"),)
    assert told.val == (Source(path="v"),)
    assert SearchConfig.from_dict(told.to_dict()) == told


def test_a_search_needs_nothing_but_a_third_set_of_people(tmp_path: Path):
    told = load(tmp_path, "")
    assert told.search == SearchRecipe()
    assert told.alphas == ()
    assert SearchConfig.from_dict(told.to_dict()) == told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[recipe]\nheads = 'each'\n", 'set recipe.heads = "one"'),
        ("[teacher]\nrows = ['x.npz']\n", r"a search has no \[teacher\]"),
    ],
)
def test_what_only_a_retraining_does_is_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(InputError, match=message):
        load(tmp_path, text)


def test_a_search_without_a_third_set_of_people_is_refused(tmp_path: Path):
    path = tmp_path / "search.toml"
    path.write_text("[search]\nbalance = 0.5\n")
    with pytest.raises(InputError, match=r"a third set of people.*\[\[val\]\] tables") as error:
        SearchConfig.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("relaxtion = 'gumbel'", r"\[search\]: unknown key 'relaxtion'; did you mean relaxation"),
        ("tau = 1.0", r"\[search\]: unknown key 'tau'; "),
        ("relaxation = 'darts'", "relaxation is gumbel or softmax, got 'darts'"),
        ("split = 'person'", "split is people or images, got 'person'"),
        ("none = 'absent'", "none is structural or learned, got 'absent'"),
        (
            "without = ['sep_conv']",
            r"without names ops of the space \(skip_connect, .*\), got \['sep_conv'\]",
        ),
        ("without = ['none']", r"without names ops of the space .*, got \['none'\]"),
        ("without = 'part_aware'", "without: expected a list of names, got 'part_aware'"),
        ("without = [1]", "without: expected a list of names"),
        (f"without = {list(CHOSEN_OPS[1:])}", "without leaves fewer than two ops"),
        ("weighted = 9", "search: weighted is from 0 to 8, got 9"),
        (
            "weighted = 1\nwithout = ['sep_conv_3x3', 'dil_conv_3x3', 'part_aware']",
            "weighted = 1 asks for ops with weights, and without leaves none of them",
        ),
        ("balance = 1.5", "search: balance is from 0 to 1, got 1.5"),
        ("alpha_share = 1.0", "alpha_share is from 0.05 to 0.95, got 1.0"),
        ("frozen = 1.0", "frozen is from 0 to 0.9, got 1.0"),
        ("tau_last = 0.0", "tau_last is 0.001 or more, got 0.0"),
        ("temperature = 0.0", "temperature is 0.001 or more"),
        ("centre_momentum = 1.0", "centre_momentum is from 0 to 0.999"),
        ("latency_budget = -1.0", "latency_budget is 0 or more, got -1.0"),
        ("alpha_lr = nan", "alpha_lr is 0 or more, got nan"),
        ("alpha_lr = 'high'", "alpha_lr: expected float, got 'high'"),
    ],
)
def test_a_wrong_search_gets_one_line(line: str, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path, f"[search]\n{line}\n")
    assert "\n" not in str(error.value)


def test_every_number_of_a_search_has_its_limits():
    for field in fields(SearchRecipe):
        if type(field.default) is float:
            with pytest.raises(InputError, match=f"search: {field.name} is "):
                SearchRecipe(**{field.name: float("nan")})


def test_two_ops_are_enough_to_choose_from():
    assert SearchRecipe(without=CHOSEN_OPS[2:]).without == CHOSEN_OPS[2:]


def test_a_retraining_takes_no_search_table():
    with pytest.raises(InputError, match="unknown key 'search'"):
        RunConfig.from_dict({"search": {}})
