from itertools import combinations
from pathlib import Path

import pytest

from autoreid_deploy.errors import InputError
from search.drawing import COLOURS, draw_cells, lay_out
from search.genotype import OPS, CellGenotype, Edge, load_genotype

GENOTYPE = load_genotype("auto_reid_2019")
CROWDED = CellGenotype(((Edge("none", 0), Edge("part_aware", 0)), (Edge("none", 0), Edge("none", 0))))


@pytest.mark.parametrize("cell", [GENOTYPE.normal, GENOTYPE.reduce, CROWDED])
def test_no_two_labels_meet(cell: CellGenotype):
    for one, other in combinations(lay_out(cell), 2):
        above_the_same = one.source < other.target and other.source < one.target
        assert not (above_the_same and one.lane == other.lane)


def test_every_edge_is_drawn_once_in_the_colour_of_its_op():
    drawn = sorted((arc.op, arc.source, arc.target) for arc in lay_out(GENOTYPE.reduce))
    nodes = enumerate(GENOTYPE.reduce.nodes, start=2)
    assert drawn == sorted((edge.op, edge.source, target) for target, node in nodes for edge in node)
    assert set(COLOURS) == set(OPS)
    assert len(set(COLOURS.values())) == len(OPS)


@pytest.mark.parametrize(("name", "magic"), [("cells.png", b"\x89PNG"), ("cells.SVG", b"<?xml")])
def test_the_suffix_says_the_format(name: str, magic: bytes, tmp_path: Path):
    draw_cells(GENOTYPE, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_another_suffix_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"x.jpg: cells are drawn to a file that ends in .png or .svg"):
        draw_cells(GENOTYPE, tmp_path / "x.jpg")
    assert not list(tmp_path.iterdir())
