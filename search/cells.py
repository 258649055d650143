"""One cell of a derived network: the ops of a genotype at one width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search.genotype import CellGenotype
from search.ops import ConvBN, FactorizedReduce, build_op, reads_rectified


class Cell(nn.Module):
    """Two inputs, brought to one width and one size; each node sums its edges; the nodes are concatenated.

    Whatever reads a cell's output rectifies it first (the next two cells, the head), so a cell puts out
    rectified maps.

    Args:
        genotype: the ops.
        c_older: channels of the output of the cell before the preceding one.
        c_newer: channels of the preceding cell's output.
        channels: width of a node.
        stride: 2 for a reduction cell (edges from the two inputs halve the map), else 1.
        older_is_larger: the preceding cell halved the map, so the older input has to be halved too.
        ibn: the convolutions that bring the inputs to one width normalise half of it by picture.
    """

    def __init__(
        self,
        genotype: CellGenotype,
        c_older: int,
        c_newer: int,
        channels: int,
        stride: int,
        older_is_larger: bool,
        ibn: bool = False,
    ) -> None:
        super().__init__()
        self.older: nn.Module = (
            FactorizedReduce(c_older, channels) if older_is_larger else ConvBN(c_older, channels, ibn)
        )
        self.newer = ConvBN(c_newer, channels, ibn)
        edges = [(edge, stride if edge.source < 2 else 1) for node in genotype.nodes for edge in node]
        self.ops = nn.ModuleList(build_op(edge.op, channels, step) for edge, step in edges)
        self.sources = [(edge.source, reads_rectified(edge.op, step)) for edge, step in edges]
        self.edges_per_node = [len(node) for node in genotype.nodes]
        self.c_out = channels * genotype.width

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        """Combine the outputs of the two preceding cells.

        Args:
            older: (N, c_older, H, W), rectified; 2H and 2W where the preceding cell halved the map.
            newer: (N, c_newer, H, W), rectified.

        Returns:
            (N, c_out, H / stride, W / stride), rectified.
        """
        raw = [self.older(older), self.newer(newer)]
        rectified = [F.relu(state) for state in raw]
        edge = 0
        for count in self.edges_per_node:
            terms = []
            for op, (source, wants_rectified) in zip(
                self.ops[edge : edge + count], self.sources[edge : edge + count], strict=True
            ):
                terms.append(op(rectified[source] if wants_rectified else raw[source]))
            raw.append(sum(terms[1:], start=terms[0]))
            rectified.append(F.relu(raw[-1]))
            edge += count
        return torch.cat(rectified[2:], dim=1)
