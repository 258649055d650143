"""Evolution over a trained supernet: its weights score cells that nobody has to train.

Regularised evolution (arXiv 1802.01548) in the way of single-path searches (arXiv 1904.00420): the weights are
shared and fixed, the alphas say where the first cells are drawn, and people unseen by both score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from search.derive import Weights
from search.genotype import (
    ALL_EDGES,
    CHOSEN_OPS,
    EDGES_PER_NODE,
    NODES,
    OPS,
    CellGenotype,
    Edge,
    Genotype,
)
from search.relaxation import KINDS

Accept = Callable[[Genotype], bool]


@dataclass(frozen=True)
class Scored:
    """Cells and what they scored in the supernet."""

    fitness: float
    genotype: Genotype


@dataclass(frozen=True)
class Evolution:
    """How long and how broad.

    Attributes:
        population: cells that live at once; the oldest dies.
        children: cells that are scored after the first population.
        tournament: cells of which the best becomes a parent.
        seed: of every draw.
    """

    population: int = 16
    children: int = 48
    tournament: int = 5
    seed: int = 0

    @property
    def scores(self) -> int:
        """How many cells are scored in all."""
        return self.population + self.children


def evolve(
    weights: Weights,
    score: Callable[[Genotype], float],
    how: Evolution,
    name: str,
    accept: Accept = lambda _: True,
    first: tuple[Genotype, ...] = (),
    tick: Callable[[], object] = lambda: None,
) -> list[Scored]:
    """Evolve cells.

    Args:
        weights: by kind of cell, (E, O) softmax weights, of which the first cells are drawn.
        score: larger is better.
        how: long and broad.
        name: of the genotypes.
        accept: which cells may live, for instance those within a budget of latency.
        first: cells that belong to the first population in any case.
        tick: called once a score.

    Returns:
        Everything that was scored, best first; the first scored first among equals.

    Raises:
        InputError: the draws of the very first cells were all refused.
    """
    rng = np.random.default_rng([how.seed, 3])
    seen: dict[Genotype, float] = {}

    def judge(genotype: Genotype) -> Scored:
        if genotype not in seen:
            seen[genotype] = score(genotype)
        tick()
        return Scored(seen[genotype], genotype)

    alive = [judge(replace(genotype, name=name)) for genotype in first[: how.population]]
    while len(alive) < how.population:
        living = alive[0].genotype if alive else None
        alive.append(judge(_fresh(lambda: draw(weights, rng, name), accept, living)))
    for _ in range(how.children):
        picked = rng.choice(len(alive), min(how.tournament, len(alive)), replace=False)
        parent = max((alive[i] for i in picked), key=lambda scored: scored.fitness).genotype
        child = _fresh(lambda parent=parent: mutate(parent, weights, rng), accept, parent)  # type: ignore[misc]
        alive.append(judge(child))
        alive.pop(0)
    everything = [Scored(fitness, genotype) for genotype, fitness in seen.items()]
    return sorted(everything, key=lambda scored: -scored.fitness)


def _fresh(make: Callable[[], Genotype], accept: Accept, instead: Genotype | None) -> Genotype:
    """The first cells that are accepted; where 1,000 are refused, those that live already."""
    for _ in range(1000):
        if accept(made := make()):
            return made
    if instead is None:
        raise InputError(
            "1,000 pairs of cells drawn by weight were refused; the budget leaves nothing, so raise it"
        )
    return instead


def draw(weights: Weights, rng: np.random.Generator, name: str) -> Genotype:
    """Two different sources a node, uniformly; each edge's op by its weight, `none` aside."""
    return Genotype(name, _draw_cell(weights["normal"], rng), _draw_cell(weights["reduce"], rng))


def _draw_cell(weights: NDArray[np.float64], rng: np.random.Generator) -> CellGenotype:
    nodes = []
    for target in range(2, 2 + NODES):
        sources = sorted(rng.choice(target, EDGES_PER_NODE, replace=False).tolist())
        nodes.append(tuple(Edge(_draw_op(weights, source, target, rng), source) for source in sources))
    return CellGenotype(tuple(nodes))


def _draw_op(weights: NDArray[np.float64], source: int, target: int, rng: np.random.Generator) -> str:
    row = weights[ALL_EDGES.index((source, target)), 1:]
    return CHOSEN_OPS[int(rng.choice(len(CHOSEN_OPS), p=row / row.sum()))]


def mutate(genotype: Genotype, weights: Weights, rng: np.random.Generator) -> Genotype:
    """Give one edge another op or another source."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    edges = genotype.edges(kind)
    node, position, edge = edges[int(rng.integers(len(edges)))]
    taken = [e.source for n, _, e in edges if n == node]
    free = [source for source in range(node + 2) if source not in taken]
    if free and rng.random() < 0.5:
        changed = Edge(edge.op, int(rng.choice(free)))
    else:
        row = weights[kind][ALL_EDGES.index((edge.source, node + 2))]
        ops = [op for op in CHOSEN_OPS if op != edge.op and row[OPS.index(op)] > 0]
        changed = Edge(str(rng.choice(ops)), edge.source)
    return genotype.with_edge(kind, node, position, changed)
