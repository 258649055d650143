import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.config import Source
from search.genotype import ALL_EDGES, CHOSEN_OPS, OPS, load_genotype, random_genotype, save_genotype
from search.relaxation import KINDS
from search.report import page, write_report
from search.search_config import SearchConfig, SearchRecipe

NAME = 'a<b>&"c"'
CELLS = load_genotype("auto_reid_2019")
DATA = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")


class Parsed(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def row(epoch: int, alarm: str = "", **more: float) -> dict[str, Any]:
    """What a search logs of an epoch."""
    numbers = dict.fromkeys(("entropy_normal", "entropy_reduce", "none_normal", "none_reduce"), 0.5)
    ops = {op: i for i, op in enumerate(CHOSEN_OPS)}
    losses = {"cross_entropy": 5.0, "triplet": 0.3}
    return {"epoch": epoch, "lr": 0.1, **losses, **numbers, **ops, **more, "alarm": alarm}


def made_state(history: list[dict[str, Any]], name: str = NAME, **search: Any) -> dict[str, Any]:
    """The part of a checkpoint that a page tells of; no curves."""
    config = SearchConfig(name=name, val=(Source(path="val"),), search=SearchRecipe(**search))
    return {
        "config": config.to_dict(),
        "people": [271, 180, 100],
        "epoch": len(history),
        "history": history,
        "curves": [],
    }


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of a search of two epochs, the second with an alarm."""
    history = [
        row(1, expected_ms=0.7, derived_ms=0.65),
        row(2, "9 of 16 ops <have> no weights", expected_ms=0.6, derived_ms=0.55, rank1=0.5, mAP=0.25),
    ]
    state = made_state(history, latency_budget=0.6)
    state["curves"] = [{kind: np.full((len(ALL_EDGES), len(OPS)), 1 / 7).tolist() for kind in KINDS}] * 2
    return page(state, CELLS)


def test_a_page_stands_alone(whole: str):
    parsed = Parsed(whole)
    pictures = parsed.all_of("img")
    assert len(pictures) == 4  # the cells, how it went, and the weights of both kinds of cell
    for _, attributes in parsed.tags:
        assert DATA.fullmatch(attributes.get("src", "data:image/png;base64,A"))
        assert not {"href", "srcset", "data", "action", "poster"} & set(attributes)
    assert not {"link", "script", "iframe", "object", "base"} & {tag for tag, _ in parsed.tags}
    bare = DATA.sub("", whole).lower()
    assert "http" not in bare
    assert "//" not in bare
    assert "url(" not in bare
    assert "@import" not in bare


def test_the_name_of_a_run_is_shown_and_not_obeyed(whole: str):
    parsed = Parsed(whole)
    assert parsed.text.count(f"Search {NAME}") == 2  # title and heading
    assert not parsed.all_of("b")


def test_an_alarm_is_named_with_its_epoch(whole: str):
    parsed = Parsed(whole)
    assert [a for a in parsed.all_of("p") if a.get("class")] == [{"class": "alarm"}]
    assert "after epoch 2: 9 of 16 ops <have> no weights" in parsed.text
    assert "No alarm" not in parsed.text


def test_both_cells_are_shown(whole: str):
    text = Parsed(whole).text
    assert str(CELLS) in text
    assert "Weights of the ops, normal cell" in text
    assert "Weights of the ops, reduce cell" in text


def test_the_summary_says_who_what_and_how_fast(whole: str):
    text = Parsed(whole).text
    assert "2 of 60 epochs; gumbel, 0.5 cross-entropy + 0.5 triplet; seed 0" in text
    assert "271 for the weights, 180 for the alphas (other people), 100 more for the scores" in text
    assert "budget 0.600 ms, the cells take 0.550 ms (predicted)" in text
    assert "rank-1 50.0 %, mAP 25.0 %" in text
    assert '"latency_budget": 0.6' in text


def test_the_ops_are_counted_epoch_by_epoch(whole: str):
    lines = re.findall(r"<tr>(.*?)</tr>", whole)
    cells = [re.findall(r"<t[dh]>(.*?)</t[dh]>", line) for line in lines]
    assert cells == [
        ["epoch", *CHOSEN_OPS, "mAP"],
        ["1", *map(str, range(len(CHOSEN_OPS))), ""],
        ["2", *map(str, range(len(CHOSEN_OPS))), "25.0 %"],
    ]


def test_a_search_that_goes_well_has_no_alarm():
    parsed = Parsed(page(made_state([row(1)]), None))
    assert [a for a in parsed.all_of("p") if a.get("class")] == [{"class": "fine"}]
    assert "No alarm" in parsed.text


def test_a_search_before_its_first_epoch_has_a_page_too(tmp_path: Path):
    path = write_report(made_state([], split="images", latency_budget=0.5), tmp_path)
    parsed = Parsed(path.read_text(encoding="utf-8"))
    assert not parsed.all_of("img")
    assert "the same people, other crops" in parsed.text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_page_is_one_file_and_shows_the_cells_of_the_run(tmp_path: Path):
    cells = random_genotype(np.random.default_rng(0))
    save_genotype(cells, tmp_path / "genotype.json")
    path = write_report(made_state([]), tmp_path)
    assert path == tmp_path / "report.html"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["genotype.json", "report.html"]
    assert str(cells) in Parsed(path.read_text(encoding="utf-8")).text


def test_without_a_genotype_file_the_cells_are_those_of_the_last_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "search.report._alphas_png", lambda curves, kind: b""
    )  # its drawing is seen elsewhere
    state = made_state([])
    rows = np.tile(np.linspace(0, 1, len(OPS)), (len(ALL_EDGES), 1))
    state["curves"] = [{kind: w.tolist() for kind in KINDS} for w in (rows[:, ::-1], rows)]
    text = Parsed(write_report(state, tmp_path).read_text(encoding="utf-8")).text
    assert "node 5 = part_aware(0) + part_aware(1)" in text
