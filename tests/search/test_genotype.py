import json
from collections import Counter
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.errors import InputError
from search.genotype import (
    CHOSEN_OPS,
    EDGES_PER_NODE,
    NODES,
    Edge,
    Genotype,
    load_genotype,
    published_genotypes,
    random_genotype,
    save_genotype,
)


def test_the_published_cells_are_those_of_the_release():
    genotype = load_genotype("auto_reid_2019")
    assert str(genotype).splitlines() == [
        "normal:",
        "  node 2 = sep_conv_3x3(0) + skip_connect(1)",
        "  node 3 = dil_conv_3x3(2) + dil_conv_3x3(0)",
        "  node 4 = dil_conv_3x3(3) + sep_conv_3x3(2)",
        "  node 5 = dil_conv_3x3(4) + dil_conv_3x3(3)",
        "reduce:",
        "  node 2 = max_pool_3x3(0) + part_aware(1)",
        "  node 3 = sep_conv_3x3(0) + dil_conv_3x3(2)",
        "  node 4 = dil_conv_3x3(2) + max_pool_3x3(0)",
        "  node 5 = dil_conv_3x3(4) + dil_conv_3x3(3)",
    ]


@pytest.mark.parametrize("name", published_genotypes())
def test_a_genotype_survives_its_json_file(name: str, tmp_path: Path):
    genotype = load_genotype(name)
    save_genotype(replace(genotype, name='with "quotes"'), tmp_path / "copy.json")
    copy = load_genotype(tmp_path / "copy.json")
    assert copy == replace(genotype, name='with "quotes"')
    assert Genotype.from_dict(json.loads(json.dumps(genotype.to_dict()))) == genotype


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(InputError, match="did you mean auto_reid_2019"):
        load_genotype("auto_reid_2018")


def broken(edge: object) -> dict[str, object]:
    plain = load_genotype("auto_reid_2019").to_dict()
    plain["normal"][1][0] = edge
    return plain


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (["sep_conv_3x4", 0], "normal, node 3: no op 'sep_conv_3x4'; did you mean sep_conv_3x3"),
        (["zzz", 0], "the ops are none, skip_connect"),
        (["sep_conv_3x3", 3], "normal, node 3: an edge comes from an earlier node, 0 to 2; got 3"),
        (["sep_conv_3x3", -1], "got -1"),
        (["sep_conv_3x3", "1"], r"expected \[\[op, source\], ...\]"),
        (["sep_conv_3x3", 1.5], "expected"),
        ([3, 1], "expected"),
        (7, "expected"),
    ],
)
def test_a_wrong_edge_is_refused_by_its_place(edge: object, message: str):
    with pytest.raises(InputError, match=message):
        Genotype.from_dict(broken(edge), "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a genotype as JSON"),
        ("[]", "expected a JSON object"),
        ('{"name": "x", "normal": []}', "reduce"),
        ('{"name": "x", "normal": [], "reduce": []}', "normal: expected a list of nodes"),
        ('{"name": "x", "normal": [[["none", 0]]], "reduce": []}', "expected 2 edges, got 1"),
    ],
)
def test_a_file_that_is_no_genotype_gets_one_line(text: str, message: str, tmp_path: Path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_genotype(path)
    assert "bad.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_ops_are_stored_by_name():
    assert load_genotype("auto_reid_2019").normal.nodes[0][0] == Edge("sep_conv_3x3", 0)


DRAWN = [random_genotype(np.random.default_rng([7, i])) for i in range(150)]


def test_random_cells_have_two_different_earlier_sources_a_node_and_no_none():
    for genotype in DRAWN:
        assert (
            Genotype.from_dict(genotype.to_dict()) == genotype
        )  # ops are known, edges come from earlier nodes
        for kind in ("normal", "reduce"):
            assert len(genotype.cell(kind).nodes) == NODES
            for node in genotype.cell(kind).nodes:
                assert len({edge.source for edge in node}) == EDGES_PER_NODE
                assert "none" not in {edge.op for edge in node}


def test_random_cells_are_uniform_over_ops_and_over_pairs_of_sources():
    for kind in ("normal", "reduce"):
        ops = Counter(edge.op for genotype in DRAWN for _, _, edge in genotype.edges(kind))
        assert_uniform(ops, len(CHOSEN_OPS))
        for n in range(1, NODES):
            nodes = [genotype.cell(kind).nodes[n] for genotype in DRAWN]
            assert_uniform(Counter(tuple(edge.source for edge in node) for node in nodes), comb(n + 2, 2))


def assert_uniform(counts: Counter, kinds: int) -> None:
    """Each kind as often as any other, to five standard deviations."""
    total, p = counts.total(), 1 / kinds
    assert len(counts) == kinds
    assert max(abs(count - total * p) for count in counts.values()) < 5 * (total * p * (1 - p)) ** 0.5


def test_random_cells_follow_from_their_generator():
    assert random_genotype(np.random.default_rng([7, 3])) == DRAWN[3]
    assert len(set(DRAWN)) == len(DRAWN)


def test_random_cells_that_are_refused_are_drawn_anew():
    def frugal(genotype: Genotype) -> bool:
        return not any(edge.op == "part_aware" for _, _, edge in genotype.edges("normal"))

    rng = np.random.default_rng(0)
    drawn = [random_genotype(rng, "frugal", frugal) for _ in range(5)]
    assert all(frugal(genotype) and genotype.name == "frugal" for genotype in drawn)
    assert not all(frugal(genotype) for genotype in DRAWN)


def test_where_every_random_cell_is_refused_there_is_one_line(monkeypatch: pytest.MonkeyPatch):
    drawn = load_genotype("auto_reid_2019")
    monkeypatch.setattr("search.genotype._random_cell", lambda rng: drawn.normal)  # 10,000 draws are slow
    with pytest.raises(InputError, match="10,000 random pairs of cells were refused") as error:
        random_genotype(np.random.default_rng(0), accept=lambda _: False)
    assert "\n" not in str(error.value)


def test_the_edges_of_a_cell_are_listed_by_place():
    edges = load_genotype("auto_reid_2019").edges("reduce")
    assert edges[:3] == [
        (0, 0, Edge("max_pool_3x3", 0)),
        (0, 1, Edge("part_aware", 1)),
        (1, 0, Edge("sep_conv_3x3", 0)),
    ]
    assert [place[:2] for place in edges] == [(n, position) for n in range(4) for position in range(2)]


@settings(deadline=None, max_examples=25)
@given(kind=st.sampled_from(["normal", "reduce"]), number=st.integers(0, 7), op=st.sampled_from(CHOSEN_OPS))
def test_one_edge_changes_and_nothing_else(kind: str, number: int, op: str):
    before = load_genotype("auto_reid_2019")
    kept = before.to_dict()
    node, position, _ = before.edges(kind)[number]
    after = before.with_edge(kind, node, position, Edge(op, 1))
    expected = before.edges(kind)
    expected[number] = (node, position, Edge(op, 1))
    other = "reduce" if kind == "normal" else "normal"
    assert after.edges(kind) == expected
    assert after.cell(other) == before.cell(other)
    assert after.name == before.name
    assert before.to_dict() == kept
