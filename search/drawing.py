"""The two cells of a genotype as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoreid_deploy.errors import InputError
from search.genotype import CellGenotype, Genotype

SUFFIXES = (".png", ".svg")
COLOURS = {
    "none": "#9ca3af",
    "skip_connect": "#4b5563",
    "max_pool_3x3": "#15803d",
    "avg_pool_3x3": "#a16207",
    "sep_conv_3x3": "#1d4ed8",
    "dil_conv_3x3": "#7e22ce",
    "part_aware": "#e11d48",
}
PITCH, LANE = 2.3, 0.6  # from node to node, and between the crowns of two arcs
HALF_WIDTH, HALF_HEIGHT = 0.55, 0.26  # of a node's box
_SPREAD = 0.85 * HALF_WIDTH


@dataclass(frozen=True)
class Arc:
    """An edge as it is drawn.

    Attributes:
        op: its label.
        source: node on the left.
        target: node on the right.
        lane: height of its crown, from 1; arcs above the same stretch have different ones.
        start: where it leaves its source, from 0 to 1 along the right half of the box.
        end: where it reaches its target, from 0 to 1 along the left half.
    """

    op: str
    source: int
    target: int
    lane: int
    start: float
    end: float


def draw_cells(genotype: Genotype, path: Path) -> None:
    """Draw both cells, nodes from left to right, each op in a colour of its own.

    Args:
        genotype: what to draw.
        path: a .png or .svg file, replaced.

    Raises:
        InputError: the suffix is another one.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: cells are drawn to a file that ends in {' or '.join(SUFFIXES)}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.8), layout="constrained")
    for axes, kind, cell in zip(
        figure.subplots(2, 1), ("normal", "reduction"), (genotype.normal, genotype.reduce), strict=True
    ):
        _draw_cell(axes, cell)
        axes.set_title(f"{genotype.name}, {kind} cell", loc="left", fontsize=13, fontweight="bold")
    figure.savefig(path, dpi=80)


def lay_out(cell: CellGenotype) -> list[Arc]:
    """Place a cell's edges: short arcs below long ones, and no two on one lane above the same stretch."""
    edges = [(e.op, e.source, target) for target, node in enumerate(cell.nodes, start=2) for e in node]
    edges.sort(key=lambda edge: (edge[2] - edge[1], edge[1]))
    lanes: list[int] = []
    for i, (_, source, target) in enumerate(edges):
        below = zip(edges[:i], lanes, strict=True)
        lanes.append(1 + max((lane for (_, s, t), lane in below if s < target and source < t), default=0))
    arcs = []
    for i, (op, source, target) in enumerate(edges):
        # Of the arcs that share a node, a long one leaves and lands outside the short ones.
        leaving = [j for j, edge in enumerate(edges) if edge[1] == source]
        landing = [j for j, edge in enumerate(edges) if edge[2] == target]
        start = 1 - (leaving.index(i) + 0.5) / len(leaving)
        end = (landing.index(i) + 0.5) / len(landing)
        arcs.append(Arc(op, source, target, lanes[i], start, end))
    return arcs


def _draw_cell(axes: Any, cell: CellGenotype) -> None:
    names = ["cell k-2", "cell k-1", *(f"node {i + 2}" for i in range(cell.width)), "concat"]
    arcs = lay_out(cell)
    for arc in arcs:
        _draw_arc(axes, arc)
    for node in range(2, len(names) - 1):
        _draw_output(axes, node, len(names) - 1)
    for place, name in enumerate(names):
        _draw_node(axes, place, name)
    axes.set_xlim(-0.7, (len(names) - 1) * PITCH + 0.7)
    axes.set_ylim(-1.5, HALF_HEIGHT + max(arc.lane for arc in arcs) * LANE + 0.35)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_arc(axes: Any, arc: Arc) -> None:
    colour, stands_out = COLOURS[arc.op], arc.op == "part_aware"
    left = arc.source * PITCH + arc.start * _SPREAD
    right = arc.target * PITCH - (1 - arc.end) * _SPREAD
    crown = HALF_HEIGHT + arc.lane * LANE
    _draw_curve(axes, left, right, HALF_HEIGHT, crown, color=colour, linewidth=3.2 if stands_out else 1.7)
    axes.text(
        (left + right) / 2,
        crown,
        arc.op,
        color="white" if stands_out else colour,
        fontsize=11,
        fontweight="bold" if stands_out else "normal",
        ha="center",
        va="center",
        zorder=4,
        bbox={
            "boxstyle": "round,pad=0.2",
            "facecolor": colour if stands_out else "white",
            "edgecolor": "none",
        },
    )


def _draw_output(axes: Any, node: int, concat: int) -> None:
    right = concat * PITCH + (concat - node - 2.5) * 0.15
    crown = -HALF_HEIGHT - 0.25 * (concat - node)
    _draw_curve(axes, node * PITCH, right, -HALF_HEIGHT, crown, color="#9ca3af", linewidth=1.2)


def _draw_curve(axes: Any, left: float, right: float, base: float, crown: float, **style: Any) -> None:
    """An arrow from (left, base) to (right, base) whose middle is at the height `crown`."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    height = base + (crown - base) / 0.75  # a cubic's middle lies at 3/4 of its control points' height
    lean = 0.1 * (right - left)
    points = [(left, base), (left + lean, height), (right - lean, height), (right, base)]
    curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
    axes.add_patch(FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=13, fill=False, **style))


def _draw_node(axes: Any, place: int, name: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    face = "#dbeafe" if name.startswith("node") else "#fef3c7" if name == "concat" else "#f3f4f6"
    corner = (place * PITCH - HALF_WIDTH, -HALF_HEIGHT)
    box = FancyBboxPatch(
        corner,
        2 * HALF_WIDTH,
        2 * HALF_HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.14",
        facecolor=face,
        edgecolor="#374151",
        zorder=3,
    )
    axes.add_patch(box)
    axes.text(place * PITCH, 0, name, ha="center", va="center", fontsize=11, zorder=4)
