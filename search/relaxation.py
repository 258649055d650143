"""From alphas to the weight of every op: the two relaxations of the search.

`gumbel` samples one op an edge (arXiv 1910.04465, Gumbel-softmax with a hard forward and a straight-through
gradient); `softmax` runs all ops of an edge and mixes them (arXiv 1806.09055).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from search.genotype import ALL_EDGES, EDGES_PER_NODE, NODES, OPS

NONE = OPS.index("none")
KINDS = ("normal", "reduce")
RELAXATIONS = ("gumbel", "softmax")
NONES = ("structural", "learned")


@dataclass(frozen=True)
class Paths:
    """What one forward pass runs in the cells of one kind.

    Attributes:
        weights: (E, O) of each op on each edge, differentiable towards the alphas.
        chosen: E op numbers where one op an edge runs, or None where all of them do.
    """

    weights: Tensor
    chosen: tuple[int, ...] | None


# The share of its edges that a derived node leaves out: the fixed share of `none` where it is structural.
LEFT_OUT = torch.tensor([1 - EDGES_PER_NODE / target for _, target in ALL_EDGES])


def probabilities(alphas: Tensor, none: str, closed: Sequence[str] = ()) -> Tensor:
    """Softmax over the ops of each edge.

    Args:
        alphas: (E, O).
        none: `learned`: it competes like any op. `structural`: its share is fixed to that of the edges which a derived
            node leaves out, so that it learns nothing and soaks up nothing; the other ops divide the rest.
        closed: ops that take no part.

    Returns:
        (E, O) float, rows that sum to 1.
    """
    barred = [OPS.index(op) for op in closed] + ([NONE] if none == "structural" else [])
    bar = torch.zeros_like(alphas)
    bar[:, barred] = -torch.inf
    open_ops = torch.softmax(alphas + bar, dim=1)
    if none == "learned":
        return open_ops
    left_out = LEFT_OUT.to(alphas)[:, None]
    share = torch.zeros_like(alphas)
    share[:, NONE] = left_out[:, 0]
    return open_ops * (1 - left_out) + share


def gumbel(probability: Tensor, none: str, tau: float, noise: torch.Generator) -> Paths:
    """Sample one op an edge; the gradient is that of the softened sample.

        o = log p + g, g ~ Gumbel(0, 1);  w = softmax(o / tau);  h = onehot(argmax w);  weight = h + w - stop(w)

    Where `none` is structural, each node keeps exactly two of its edges, any two alike, as a derived node does; an op
    is sampled on those and none on the others. One path is then one derived pair of cells.

    Args:
        probability: (E, O), rows that sum to 1.
        none: `structural` or `learned`.
        tau: temperature; lower is closer to a hard choice.
        noise: CPU generator of the samples, the same in every process.
    """
    uniform = torch.rand(probability.shape, generator=noise).clamp_(1e-12, 1 - 1e-7)
    drawn = (-(-uniform.log()).log()).to(probability.device)
    # An op that is closed stays so however hot: with a mere 1e-12 it would soften others' shares at a tau of 10.
    logits = probability.clamp_min(1e-12).log().masked_fill(probability == 0, -1e6)
    if none == "structural":
        kept = _two_edges_a_node(noise)
        bar = torch.zeros_like(probability)
        bar[kept, NONE] = -torch.inf
        bar[~kept, NONE] = torch.inf
        logits = (logits + bar).clamp(-1e6, 1e6)
    soft = torch.softmax((logits + drawn) / tau, dim=1)
    chosen = soft.argmax(dim=1)
    hard = torch.zeros_like(soft).scatter_(1, chosen[:, None], 1.0)
    return Paths(hard + soft - soft.detach(), tuple(chosen.tolist()))


def _two_edges_a_node(noise: torch.Generator) -> Tensor:
    """(E,) bool, two edges of each node."""
    targets = torch.tensor([target for _, target in ALL_EDGES])
    keys, kept = torch.rand(len(ALL_EDGES), generator=noise), torch.zeros(len(ALL_EDGES), dtype=torch.bool)
    for target in range(2, 2 + NODES):
        rows = torch.nonzero(targets == target)[:, 0]
        kept[rows[keys[rows].argsort()[:EDGES_PER_NODE]]] = True
    return kept


def mixture(probability: Tensor, none: str) -> Paths:
    """All ops of an edge, mixed; a structural `none` has no part in it, since a cell scales the sums of its nodes.

    Args:
        probability: (E, O).
        none: `structural` or `learned`.
    """
    if none == "learned":
        return Paths(probability, None)
    others = probability.clone()
    others[:, NONE] = 0
    return Paths(others / others.sum(1, keepdim=True).clamp_min(1e-12), None)


def relax(name: str, probability: Tensor, none: str, tau: float, noise: torch.Generator) -> Paths:
    """One relaxation or the other, by name."""
    return gumbel(probability, none, tau, noise) if name == "gumbel" else mixture(probability, none)


def temperature(first: float, last: float, progress: float) -> float:
    """Linear from first to last; progress is from 0 to 1."""
    return first + (last - first) * min(max(progress, 0.0), 1.0)
