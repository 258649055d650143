import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoreid_deploy.errors import InputError
from search.genotype import Edge, Genotype, load_genotype, published_genotypes, save_genotype


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
