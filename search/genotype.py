"""What a search finds: two cells of named ops, kept as JSON.

A cell has two inputs (nodes 0 and 1, the outputs of the two preceding cells) and computed nodes 2, 3, ...;
each computed node sums two edges, each edge is one op applied to an earlier node. Ops are stored by name,
never by index.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError

OPS = (
    "none",
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "sep_conv_3x3",
    "dil_conv_3x3",
    "part_aware",
)
CHOSEN_OPS = OPS[1:]  # what a derived cell may hold: `none` is how a supernet leaves an edge out
FREE_OPS = ("skip_connect", "max_pool_3x3", "avg_pool_3x3")  # they have no weights, at stride 1
WEIGHTED_OPS = tuple(op for op in CHOSEN_OPS if op not in FREE_OPS)
EDGES_PER_NODE = 2
NODES = 4
# (source, target) of every edge that a cell of the space may have, in the order of its rows of alphas.
ALL_EDGES = tuple((source, target) for target in range(2, 2 + NODES) for source in range(target))
_FOLDER = Path(__file__).parent / "genotypes"


@dataclass(frozen=True, slots=True)
class Edge:
    """One op applied to an earlier node (0 and 1 are the cell's inputs)."""

    op: str
    source: int


@dataclass(frozen=True, slots=True)
class CellGenotype:
    """The computed nodes of a cell, in order; node `i` here is node `i + 2` of the cell."""

    nodes: tuple[tuple[Edge, ...], ...]

    @property
    def width(self) -> int:
        """How many node outputs are concatenated: a cell puts out `width` times its node channels."""
        return len(self.nodes)

    @property
    def weighted(self) -> int:
        """How many ops have weights of their own, at stride 1."""
        return sum(edge.op in WEIGHTED_OPS for node in self.nodes for edge in node)

    def __str__(self) -> str:
        """One line a node."""
        return "\n".join(
            f"  node {i} = " + " + ".join(f"{edge.op}({edge.source})" for edge in node)
            for i, node in enumerate(self.nodes, start=2)
        )


@dataclass(frozen=True, slots=True)
class Genotype:
    """A normal and a reduction cell.

    Example:
        >>> genotype = load_genotype("auto_reid_2019")
        >>> genotype.reduce.nodes[0]
        (Edge(op='max_pool_3x3', source=0), Edge(op='part_aware', source=1))
    """

    name: str
    normal: CellGenotype
    reduce: CellGenotype

    def __str__(self) -> str:
        """Both cells, one line a node."""
        return f"normal:\n{self.normal}\nreduce:\n{self.reduce}"

    def cell(self, kind: str) -> CellGenotype:
        """The `normal` or the `reduce` cell."""
        return self.normal if kind == "normal" else self.reduce

    def edges(self, kind: str) -> list[tuple[int, int, Edge]]:
        """(node, position, edge) of a cell; node 0 is the cell's node 2."""
        nodes = self.cell(kind).nodes
        return [(n, position, edge) for n, node in enumerate(nodes) for position, edge in enumerate(node)]

    def total(self, costs: Mapping[str, NDArray[np.float64]], frame: float = 0.0) -> float:
        """What a network takes of something.

        Args:
            costs: by kind of cell (E, O): of each op on each edge, in the order of `ALL_EDGES` and `OPS`.
            frame: of all but the ops.
        """
        of_ops = (
            costs[kind].item(ALL_EDGES.index((edge.source, node + 2)), OPS.index(edge.op))
            for kind in ("normal", "reduce")
            for node, _, edge in self.edges(kind)
        )
        return sum(of_ops, frame)

    def with_edge(self, kind: str, node: int, position: int, edge: Edge) -> Genotype:
        """The same cells with one edge changed."""
        nodes = [list(edges) for edges in self.cell(kind).nodes]
        nodes[node][position] = edge
        changed = CellGenotype(tuple(map(tuple, nodes)))
        cells = (changed, self.reduce) if kind == "normal" else (self.normal, changed)
        return Genotype(self.name, *cells)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"name", "normal": [[[op, source], ...], ...], "reduce": ...}`."""
        return {"name": self.name, "normal": _plain(self.normal), "reduce": _plain(self.reduce)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], source: str = "genotype") -> Genotype:
        """Read the JSON form.

        Raises:
            InputError: a cell is missing, an op is unknown, or an edge does not come from an earlier node.
        """
        missing = {"name", "normal", "reduce"} - set(plain)
        if missing:
            raise InputError(
                f"{source}: expected the keys name, normal and reduce; {sorted(missing)} missing"
            )
        return cls(
            name=str(plain["name"]),
            normal=_cell(plain["normal"], f"{source}: normal"),
            reduce=_cell(plain["reduce"], f"{source}: reduce"),
        )


def published_genotypes() -> list[str]:
    """Names of the genotypes that come with the toolkit."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load_genotype(name_or_path: str | Path) -> Genotype:
    """Read a genotype by the name of a bundled one or by path.

    Raises:
        InputError: there is no such genotype, or the file is not one.
    """
    path = _FOLDER / f"{name_or_path}.json"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        near = get_close_matches(str(name_or_path), published_genotypes(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"bundled are {', '.join(published_genotypes())}"
        raise InputError(f"no genotype {str(name_or_path)!r}: expected a bundled name or a JSON file; {hint}")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected a genotype as JSON; {error}") from error
    if not isinstance(plain, dict):
        raise InputError(
            f"{path}: expected a JSON object with name, normal and reduce; got {type(plain).__name__}"
        )
    return Genotype.from_dict(plain, str(path))


def random_genotype(
    rng: np.random.Generator, name: str = "random", accept: Callable[[Genotype], bool] = lambda _: True
) -> Genotype:
    """Draw cells uniformly: every node takes two different sources, every edge an op other than `none`.

    Args:
        rng: where the draws come from.
        name: of the genotype.
        accept: draws it refuses are drawn anew, for instance those over a budget of latency.

    Raises:
        InputError: 10,000 draws in succession were refused.
    """
    for _ in range(10_000):
        drawn = Genotype(name, _random_cell(rng), _random_cell(rng))
        if accept(drawn):
            return drawn
    raise InputError("10,000 random pairs of cells were refused; the budget leaves nothing, so raise it")


def _random_cell(rng: np.random.Generator) -> CellGenotype:
    nodes = []
    for target in range(2, 2 + NODES):
        sources = sorted(rng.choice(target, EDGES_PER_NODE, replace=False).tolist())
        nodes.append(tuple(Edge(str(rng.choice(CHOSEN_OPS)), source) for source in sources))
    return CellGenotype(tuple(nodes))


def save_genotype(genotype: Genotype, path: Path) -> None:
    """Write the JSON form, one node a line."""
    cells = {
        kind: "[\n    " + ",\n    ".join(json.dumps(node) for node in plain) + "\n  ]"
        for kind, plain in (("normal", _plain(genotype.normal)), ("reduce", _plain(genotype.reduce)))
    }
    body = ",\n".join(f'  "{kind}": {text}' for kind, text in cells.items())
    path.write_text(f'{{\n  "name": {json.dumps(genotype.name)},\n{body}\n}}\n', encoding="utf-8")


def _plain(cell: CellGenotype) -> list[list[list[str | int]]]:
    return [[[edge.op, edge.source] for edge in node] for node in cell.nodes]


def _cell(plain: Any, where: str) -> CellGenotype:
    if not isinstance(plain, list) or not plain:
        raise InputError(f"{where}: expected a list of nodes, got {plain!r}")
    return CellGenotype(tuple(_node(node, i, f"{where}, node {i + 2}") for i, node in enumerate(plain)))


def _node(plain: Any, index: int, where: str) -> tuple[Edge, ...]:
    try:
        edges = tuple(Edge(op, source) for op, source in plain)
    except (TypeError, ValueError):
        edges = ()
    if not edges or not all(type(edge.op) is str and type(edge.source) is int for edge in edges):
        raise InputError(f"{where}: expected [[op, source], ...], got {plain!r}")
    if len(edges) != EDGES_PER_NODE:
        raise InputError(f"{where}: expected {EDGES_PER_NODE} edges, got {len(edges)}")
    for edge in edges:
        if edge.op not in OPS:
            near = get_close_matches(edge.op, OPS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the ops are {', '.join(OPS)}"
            raise InputError(f"{where}: no op {edge.op!r}; {hint}")
        if not 0 <= edge.source < index + 2:
            raise InputError(
                f"{where}: an edge comes from an earlier node, 0 to {index + 1}; got {edge.source}"
            )
    return edges
