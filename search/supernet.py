"""The supernet: every op on every edge of every cell, with weights that all the paths share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search.genotype import ALL_EDGES, EDGES_PER_NODE, NODES, OPS, Genotype
from search.network import CellPlan, NetworkConfig, Trunk, cell_plans, stem
from search.ops import ConvBN, FactorizedReduce, build_op, reads_rectified
from search.relaxation import KINDS, NONE, Paths


class _Gate(torch.autograd.Function):
    """x times a weight whose value is 1: x itself forward, both gradients backward, and no pass over the map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (x,) = ctx.saved_tensors
        return grads[0], (grads[0] * x).sum(dtype=torch.float32)


class Bank(nn.Module):
    """All ops that one of a node's two edges can be, with weights that do not depend on where the edge comes from.

    Args:
        channels: of input and output.
        stride: 2 where the edge halves the map.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(build_op(op, channels, stride) for op in OPS)
        self.rectified = [reads_rectified(op, stride) for op in OPS]
        self.stride = stride

    def forward(
        self, raw: Tensor, rectified: Tensor, weights: Tensor, chosen: int | None, auxiliary: float
    ) -> Tensor | None:
        """(N, C, H, W) -> (N, C, H / stride, W / stride), or None where nothing passes.

        Args:
            raw: the source node.
            rectified: the same behind a ReLU.
            weights: (O,) of the ops.
            chosen: the only op to run, or None for all.
            auxiliary: weight of a skip beside the ops (DARTS-, arXiv 2009.01027); at stride 2 it averages 2x2 pixels.
        """
        terms: list[Tensor] = []
        for i in range(len(OPS)) if chosen is None else (chosen,):
            if i == NONE:
                continue
            out = self.ops[i](rectified if self.rectified[i] else raw)
            if chosen is None:
                out = out * weights[i]
            elif weights.requires_grad:
                out = _Gate.apply(out, weights[i])  # type: ignore[no-untyped-call]
            terms.append(out)
        if not terms:
            return None
        out = sum(terms[1:], start=terms[0])
        if not auxiliary:
            return out
        beside = raw if self.stride == 1 else F.avg_pool2d(raw, 2, ceil_mode=True)
        return (out + beside * auxiliary) / (1 + auxiliary)  # of the scale of an op, whatever its share


class SuperCell(nn.Module):
    """A cell with all its edges; see `search.cells.Cell` for the one that is derived from it.

    A node has two banks of ops: the first of its edges that run takes one, the others the other. So the edges into a
    node share weights, which then learn from every path and not only from those that take one certain edge.
    """

    def __init__(self, plan: CellPlan) -> None:
        super().__init__()
        align = FactorizedReduce if plan.older_is_larger else ConvBN
        self.older: nn.Module = align(plan.c_older, plan.channels)
        self.newer = ConvBN(plan.c_newer, plan.channels)
        self.kind = "reduce" if plan.stride == 2 else "normal"
        self.stride = plan.stride
        names = {self._bank(*edge, slot) for edge in ALL_EDGES for slot in range(EDGES_PER_NODE)}
        self.banks = nn.ModuleDict(
            {name: Bank(plan.channels, int(name.rsplit("_", 1)[1])) for name in sorted(names)}
        )

    def _bank(self, source: int, target: int, slot: int) -> str:
        return f"node{target}_{slot}_{self.stride if source < 2 else 1}"

    def bank(self, source: int, target: int, slot: int) -> Bank:
        """The ops of an edge that is the first (slot 0) or a later one (slot 1) of its node's edges that run."""
        found = self.banks[self._bank(source, target, slot)]
        assert isinstance(found, Bank)
        return found

    def forward(self, older: Tensor, newer: Tensor, paths: Paths, auxiliary: float) -> Tensor:
        """The outputs of the two preceding cells -> (N, 4C, H / stride, W / stride), rectified."""
        raw = [self.older(older), self.newer(newer)]
        rectified = [F.relu(state) for state in raw]
        height, width = (-(-size // self.stride) for size in raw[0].shape[2:])
        for node in range(2, 2 + NODES):
            terms: list[Tensor] = []
            for i, (source, target) in enumerate(ALL_EDGES):
                if target == node:
                    chosen = None if paths.chosen is None else paths.chosen[i]
                    bank = self.bank(source, target, min(len(terms), EDGES_PER_NODE - 1))
                    out = bank(raw[source], rectified[source], paths.weights[i], chosen, auxiliary)
                    if out is not None:
                        terms.append(out)
            raw.append(self._sum(terms) if terms else raw[0].new_zeros((*raw[0].shape[:2], height, width)))
            rectified.append(F.relu(raw[-1]))
        return torch.cat(rectified[2:], dim=1)

    @staticmethod
    def _sum(terms: list[Tensor]) -> Tensor:
        """A derived node sums two edges; the sum of any other number is brought to the same scale."""
        total: Tensor = sum(terms[1:], start=terms[0])
        return total if len(terms) == EDGES_PER_NODE else total * (EDGES_PER_NODE / len(terms))


@dataclass
class Routing:
    """What the next forward passes run; the searcher sets it before each.

    Attributes:
        paths: by kind of cell.
        auxiliary: weight of the skip that lies beside the op of every edge.
    """

    paths: Mapping[str, Paths]
    auxiliary: float = 0.0


class SuperTrunk(Trunk):
    """Images to a feature map through the paths that are set."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = stem(config.channels, config.stem_stride)
        plans = cell_plans(config, NODES)
        self.cells = nn.ModuleList(SuperCell(plan) for plan in plans)
        self.c_out = NODES * plans[-1].channels
        self.routing = Routing({})

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float, normalised -> rectified map (N, c_out, H', W')."""
        newer: Tensor = self.stem(x)
        older = newer
        for cell in self.cells:
            paths = self.routing.paths[str(cell.kind)]
            older, newer = newer, cell(older, newer, paths, self.routing.auxiliary)
        return newer


def initial_alphas() -> nn.ParameterDict:
    """(E, O) of each kind of cell, all nearly alike (a thousandth of a normal draw breaks ties)."""
    return nn.ParameterDict(
        {kind: nn.Parameter(1e-3 * torch.randn(len(ALL_EDGES), len(OPS))) for kind in KINDS}
    )


def genotype_paths(genotype: Genotype) -> dict[str, Paths]:
    """The paths that a derived pair of cells takes through the supernet."""
    paths = {}
    for kind, cell in (("normal", genotype.normal), ("reduce", genotype.reduce)):
        chosen = [NONE] * len(ALL_EDGES)
        for target, node in enumerate(cell.nodes, start=2):
            for edge in node:
                chosen[ALL_EDGES.index((edge.source, target))] = OPS.index(edge.op)
        paths[kind] = Paths(_onehot(chosen), tuple(chosen))
    return paths


def _onehot(chosen: Sequence[int]) -> Tensor:
    return F.one_hot(torch.tensor(chosen), len(OPS)).float()
