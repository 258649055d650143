"""From a searched supernet to two cells.

By weight (the paper's rule), by perturbation (arXiv 2108.04392) and by evolution over the trained supernet
(arXiv 1904.00420). What comes out can be made to fit budgets of latency and parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from search.complexity import parameter_count
from search.genotype import (
    ALL_EDGES,
    CHOSEN_OPS,
    EDGES_PER_NODE,
    FREE_OPS,
    NODES,
    OPS,
    WEIGHTED_OPS,
    CellGenotype,
    Edge,
    Genotype,
)
from search.latency import LatencyTable, predict
from search.network import NetworkConfig
from search.relaxation import KINDS

Weights = Mapping[str, NDArray[np.float64]]  # by kind of cell, (E, O) softmax weights
CANDIDATES = 3  # ops an edge that a perturbation tries, those of the largest weight
_TINY = 1e-9


def by_weight(weights: Weights, name: str, weighted: int = 0) -> Genotype:
    """The two edges of each node, with an op each that is not `none`, whose softmax weights multiply to the most.

    Args:
        weights: by kind of cell, (E, O) behind the softmax; raw alphas of two edges cannot be compared.
        name: of the genotype.
        weighted: fewest ops of the normal cell that have weights of their own, at most 8; where the largest
            product has fewer, the largest of those that have so many.
    """
    return Genotype(name, _cell(weights["normal"], weighted), _cell(weights["reduce"], 0))


def _cell(weights: NDArray[np.float64], weighted: int) -> CellGenotype:
    nodes = [_node(np.log(weights + _TINY), node) for node in range(2, 2 + NODES)]
    enough = (counts for counts in product(*nodes) if sum(counts) >= weighted)
    best = max(enough, key=lambda counts: sum(nodes[i][n][0] for i, n in enumerate(counts)))
    return CellGenotype(tuple(nodes[i][n][1] for i, n in enumerate(best)))


def _node(logs: NDArray[np.float64], node: int) -> dict[int, tuple[float, tuple[Edge, ...]]]:
    """The strongest edges of a node, and their log-weight, by how many of their ops have weights."""
    rows = [row for row, (_, target) in enumerate(ALL_EDGES) if target == node]
    found: dict[int, tuple[float, tuple[Edge, ...]]] = {}
    for kept in combinations(rows, EDGES_PER_NODE):
        of_row = [dict(zip(OPS, logs[row].tolist(), strict=True)) for row in kept]
        for kinds in product((FREE_OPS, WEIGHTED_OPS), repeat=EDGES_PER_NODE):
            ops = [max(kind, key=log.__getitem__) for kind, log in zip(kinds, of_row, strict=True)]
            total = sum(log[op] for op, log in zip(ops, of_row, strict=True))
            count = kinds.count(WEIGHTED_OPS)
            if count not in found or total > found[count][0]:
                edges = tuple(Edge(op, ALL_EDGES[row][0]) for row, op in zip(kept, ops, strict=True))
                found[count] = total, edges
    return found


def keep_strongest(ops: list[str], strength: list[float]) -> CellGenotype:
    """Two edges a node, by strength.

    Args:
        ops: E ops, one of each edge.
        strength: E numbers; the larger stay.
    """
    nodes = []
    for node in range(2, 2 + NODES):
        rows = [row for row, (_, target) in enumerate(ALL_EDGES) if target == node]
        kept = sorted(sorted(rows, key=lambda row: -strength[row])[:EDGES_PER_NODE])
        nodes.append(tuple(Edge(ops[row], ALL_EDGES[row][0]) for row in kept))
    return CellGenotype(tuple(nodes))


@dataclass(frozen=True)
class Budget:
    """The most that a network may take of something.

    Attributes:
        what: `latency`.
        unit: `ms`.
        most: of the unit.
        cost: what cells take.
    """

    what: str
    unit: str
    most: float
    cost: Callable[[Genotype], float]

    def holds(self, genotype: Genotype) -> bool:
        """Whether cells are within it."""
        return self.cost(genotype) <= self.most

    @classmethod
    def latency(cls, table: LatencyTable, ms: float) -> Budget:
        """Milliseconds that a call may take in the table's macro, as the table predicts them."""
        return cls("latency", "ms", ms, partial(predict, table))

    @classmethod
    def parameters(cls, network: NetworkConfig, millions: float) -> Budget:
        """Millions of parameters in a macro, without the classifier."""
        count = parameter_count(network)
        return cls("parameter", "M", millions, lambda genotype: count(genotype) / 1e6)


def within_budgets(
    genotype: Genotype, weights: Weights, budgets: Sequence[Budget], weighted: int = 0
) -> Genotype:
    """Change ops one by one, each time the one that gives up the least weight for what it saves.

    What it saves is in shares of the budgets that are exceeded, and no other one may come to be exceeded by it.

    Args:
        genotype: cells to begin with.
        weights: by kind of cell, (E, O) behind the softmax.
        budgets: what the cells may take.
        weighted: fewest ops of the normal cell that keep weights; cells that begin with fewer lose none of them.

    Raises:
        InputError: the cheapest ops are still over a budget.
    """
    fewest = min(weighted, genotype.normal.weighted)
    while over := [budget for budget in budgets if not budget.holds(genotype)]:
        kept = [budget for budget in budgets if budget not in over]
        now = [budget.cost(genotype) for budget in over]
        best, least = None, np.inf
        for other, lost in _swaps(genotype, weights):
            if other.normal.weighted < fewest or not all(budget.holds(other) for budget in kept):
                continue
            saved = sum((cost - b.cost(other)) / b.most for b, cost in zip(over, now, strict=True))
            if saved > _TINY and lost / saved < least:
                best, least = other, lost / saved
        if best is None:
            one = over[0]
            raise InputError(
                f"a {one.what} budget of {one.most} {one.unit} cannot be met: the cheapest cells take "
                f"{now[0]:.3f} {one.unit}; raise it, or take a smaller network"
            )
        genotype = best
    return genotype


def _swaps(genotype: Genotype, weights: Weights) -> list[tuple[Genotype, float]]:
    """Every pair of cells that differs in one op, with the log-weight that it gives up."""
    found = []
    for kind in KINDS:
        for node, position, edge in genotype.edges(kind):
            row = np.log(weights[kind][ALL_EDGES.index((edge.source, node + 2))] + _TINY)
            for op in CHOSEN_OPS:
                if op != edge.op and row[OPS.index(op)] > np.log(2 * _TINY):
                    lost = max(row[OPS.index(edge.op)] - row[OPS.index(op)], _TINY)
                    found.append((genotype.with_edge(kind, node, position, Edge(op, edge.source)), lost))
    return found


def perturb(
    weights: Weights,
    score: Callable[[Weights], float],
    rng: np.random.Generator,
    name: str,
    candidates: int = CANDIDATES,
    tick: Callable[[], object] = lambda: None,
) -> Genotype:
    """Choose by what is lost when something is removed, not by weight (DARTS-PT).

    Edge after edge in random order keeps the op whose removal costs the most, and runs it alone from then on; then
    each node keeps the two edges whose removal costs the most.

    Args:
        weights: by kind of cell, (E, O).
        score: validation of a mixture with such weights, larger is better.
        rng: the order of the edges.
        name: of the genotype.
        candidates: ops an edge that are tried, those of the largest weight.
        tick: called once a score.
    """
    mixture = {kind: rows.copy() for kind, rows in weights.items()}

    def without(kind: str, row: int, op: int | None) -> float:
        tried = {k: rows.copy() for k, rows in mixture.items()}
        mass = tried[kind][row].sum()
        tried[kind][row, slice(None) if op is None else op] = 0
        if op is not None:
            tried[kind][row] *= mass / max(tried[kind][row].sum(), _TINY)
        tick()
        return score(tried)

    cells = {}
    rows = [(kind, row) for kind in mixture for row in range(len(ALL_EDGES))]
    for i in rng.permutation(len(rows)):
        kind, row = rows[i]
        order = 1 + np.argsort(-mixture[kind][row, 1:])[:candidates]
        tried = [op for op in order.tolist() if mixture[kind][row, op] > 0]
        kept = min(tried, key=lambda op: without(kind, row, op)) if len(tried) > 1 else tried[0]
        mixture[kind][row] = np.eye(len(OPS))[kept]
    for kind in mixture:
        strength = [-without(kind, row, None) for row in range(len(ALL_EDGES))]
        ops = [OPS[int(row.argmax())] for row in mixture[kind]]
        cells[kind] = keep_strongest(ops, strength)
    return Genotype(name, cells["normal"], cells["reduce"])


def perturb_steps(candidates: int = CANDIDATES) -> int:
    """How often `perturb` scores, at most."""
    return 2 * len(ALL_EDGES) * (candidates + 1)
