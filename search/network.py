"""The macro: a ResNet-like stack of cells, and the head that people are compared by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoreid_deploy.errors import InputError
from search.cells import Cell
from search.distributed import BatchNorm
from search.genotype import Genotype
from search.ops import PARTS, channels_last, norm


@dataclass(frozen=True)
class NetworkConfig:
    """Everything about a network but its cells.

    Attributes:
        channels: width C of a node in the first block; it doubles from block to block.
        cells: how many cells each block has; the first of each is a reduction cell.
        height: input height in pixels.
        width: input width in pixels.
        stem_stride: stride of the opening 3x3 convolution.
        dim: width of the bottleneck, the embedding's dimension; 0 for none, which embeds the pooled feature.
        ibn: stem and first block normalise half of their channels by picture, see `ops.InstanceBatchNorm`.
    """

    channels: int = 64
    cells: tuple[int, ...] = (2, 2, 2, 2)
    height: int = 384
    width: int = 128
    stem_stride: int = 2
    dim: int = 0
    ibn: bool = False

    def __post_init__(self) -> None:
        if self.channels < 3 or not self.cells or min(self.cells) < 1:
            raise InputError(
                f"network: expected channels of 3 or more and 1 or more cells a block, got {self.channels} "
                f"and {list(self.cells)}"
            )
        if self.dim < 0 or self.width < 1:
            raise InputError(
                f"network: expected a dim of 0 or more and a width of 1 or more, got {self.dim} and "
                f"{self.width}"
            )
        if self.stem_stride not in (1, 2, 4):
            raise InputError(f"network: stem_stride is 1, 2 or 4, got {self.stem_stride}")
        # A part-aware op in a reduction cell sees the map before it is halved; one in a normal cell, after.
        rows = self.height // (self.stem_stride * 2 ** len(self.cells))
        if rows < PARTS:
            raise InputError(
                f"network: the last map has {rows} rows, the part-aware op needs {PARTS}; take a larger "
                "height, a smaller stem_stride or fewer blocks"
            )


def stem(channels: int, stride: int, ibn: bool = False) -> nn.Sequential:
    """3x3 convolution, BN, ReLU; stride 4 takes two of them, the first at half the width."""
    widths = [3, channels] if stride < 4 else [3, channels // 2, channels]
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise(widths):
        layers += [
            nn.Conv2d(c_in, c_out, 3, min(stride, 2), padding=1, bias=False),
            norm(c_out, ibn),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class CellPlan:
    """Where a cell of the macro stands, whatever its ops.

    Attributes:
        c_older: channels of the cell before the preceding one.
        c_newer: channels of the preceding cell.
        channels: width of a node.
        stride: 2 for a reduction cell, else 1.
        older_is_larger: the preceding cell halved the map, so the older input is twice as large.
        height: rows of the newer input's map.
        width: columns of it.
    """

    c_older: int
    c_newer: int
    channels: int
    stride: int
    older_is_larger: bool
    height: int
    width: int


def cell_plans(config: NetworkConfig, normal: int, reduce: int | None = None) -> list[CellPlan]:
    """Lay out the cells of a macro.

    Args:
        config: the macro.
        normal: how many nodes of a normal cell are concatenated.
        reduce: the same of a reduction cell, where it differs.
    """
    plans: list[CellPlan] = []
    c_older = c_newer = config.channels
    height, width = (-(-side // config.stem_stride) for side in (config.height, config.width))
    reduced_before = False
    for block, count in enumerate(config.cells):
        for i in range(count):
            first, channels = i == 0, config.channels * 2**block
            plans.append(
                CellPlan(c_older, c_newer, channels, 2 if first else 1, reduced_before, height, width)
            )
            concatenated = (reduce or normal) if first else normal
            c_older, c_newer, reduced_before = c_newer, channels * concatenated, first
            if first:
                height, width = -(-height // 2), -(-width // 2)
    return plans


class Trunk(nn.Module):
    """Whatever turns (N, 3, H, W) images into a rectified map (N, c_out, H', W')."""

    c_out: int


class Backbone(Trunk):
    """Images to a feature map.

    The first block halves the map but keeps C; every later block halves the map and doubles the width. A cell
    puts out four times its width, so C = 64 with four blocks ends in 2048 channels at 1/32 of the input.
    """

    def __init__(self, genotype: Genotype, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = stem(config.channels, config.stem_stride, config.ibn)
        plans = cell_plans(config, genotype.normal.width, genotype.reduce.width)
        cells = [(genotype.reduce if plan.stride == 2 else genotype.normal, plan) for plan in plans]
        self.cells = nn.ModuleList(
            Cell(
                cell,
                p.c_older,
                p.c_newer,
                p.channels,
                p.stride,
                p.older_is_larger,
                ibn=config.ibn and p.channels == config.channels,  # the first block's
            )
            for cell, p in cells
        )
        cell, plan = cells[-1]
        self.c_out = plan.channels * cell.width

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float, normalised -> rectified map (N, c_out, H', W')."""
        newer: Tensor = self.stem(x)
        older = newer
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        return newer


class Network(nn.Module):
    """Backbone -> average pool -> optional bottleneck -> BN neck (BoT, arXiv 1903.07071) -> classifier.

    The triplet loss looks at the feature before the neck, the classifier at the one after it; so does the
    embedding.

    Args:
        backbone: images to a rectified map.
        dim: width of the bottleneck; 0 for none.
        people: whom the classifier tells apart.
    """

    def __init__(self, backbone: Trunk, dim: int, people: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.dim = dim or backbone.c_out
        self.bottleneck = nn.Linear(backbone.c_out, dim, bias=False) if dim else nn.Identity()
        self.neck = BatchNorm(self.dim)
        self.neck.bias.requires_grad_(False)  # the classifier's planes go through the origin, as cosine does
        self.classifier = nn.Linear(self.dim, people, bias=False)
        initialise(self)
        nn.init.normal_(self.classifier.weight, std=0.001)  # start undecided (BoT)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> feature before the neck (N, dim) and after it (N, dim)."""
        pooled = channels_last(self.backbone(x)).mean(dim=(2, 3))
        before: Tensor = self.bottleneck(pooled)
        after: Tensor = self.neck(before)
        return before, after

    def embed(self, x: Tensor, mirrored: bool = False) -> Tensor:
        """(N, 3, H, W) -> (N, dim) unit rows; `mirrored`: halfway between those of a crop and of its mirror image."""
        if mirrored:
            return mean_of_mirrored(self.embed, x)
        return F.normalize(self.features(x)[1].float(), dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> the feature before the neck (N, dim), after it (N, dim), and the logits (N, people)."""
        before, after = self.features(x)
        logits: Tensor = self.classifier(after)
        return before, after, logits


def mean_of_mirrored(embed: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, dim) unit rows: the sum of the unit rows of a crop and of its mirror image, at length 1."""
    both = embed(torch.cat([x, x.flip(3)]))
    return F.normalize(both.view(2, -1, both.shape[1]).sum(0), dim=1)


def build_network(genotype: Genotype, config: NetworkConfig, people: int) -> Network:
    """The network of a genotype, with a classifier over so many people."""
    return Network(Backbone(genotype, config), config.dim, people)


def initialise(network: nn.Module) -> None:
    """He initialisation (arXiv 1502.01852), by fan-in, which is right for depthwise convolutions too."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def example_input(config: NetworkConfig, batch: int = 1) -> Tensor:
    """(batch, 3, height, width) of zeros, to trace or count with."""
    return torch.zeros(batch, 3, config.height, config.width)
