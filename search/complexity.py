"""Parameters and multiply-accumulates, counted the way the paper's table is.

Parameters are the weights of convolutions, linear layers and affine BN; MACs are those of convolutions and of
the part-aware linear layers, for one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from search.config import RunConfig
from search.genotype import Genotype, random_genotype
from search.latency import costs_by_edge
from search.network import NetworkConfig, build_network, example_input
from search.ops import build_op

# ResNet-50 at 384x128 with a 751-way classifier, the network that the paper compares with.
RESNET50_PARAMETERS = 25.0e6
RESNET50_MACS = 4.00e9
PAPER = (NetworkConfig(channels=64), NetworkConfig(channels=32))


@dataclass(frozen=True)
class Complexity:
    """Size and work of a network up to its embedding; the BN neck, a scale and a shift, is not counted.

    Attributes:
        parameters: of the backbone and the bottleneck.
        features: what a classifier would see.
        macs: multiply-accumulates for one image.
    """

    parameters: int
    features: int
    macs: int

    def with_classifier(self, people: int) -> int:
        """Parameters with a linear classifier (and its bias) over so many people."""
        return self.parameters + (self.features + 1) * people


def count_macs(module: nn.Module, x: Tensor) -> int:
    """Multiply-accumulates of every convolution and linear layer that one forward pass runs."""
    total = 0

    def add(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            kernel = layer.kernel_size[0] * layer.kernel_size[1]
            total += out.numel() * (layer.in_channels // layer.groups) * kernel
        elif isinstance(layer, nn.Linear):
            total += out.numel() * layer.in_features

    handles = [
        layer.register_forward_hook(add)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(x)
    for handle in handles:
        handle.remove()
    return total


def measure(genotype: Genotype, config: NetworkConfig) -> Complexity:
    """Build a genotype's network, of shapes without numbers, and count it."""
    with torch.device("meta"):
        network = build_network(genotype, config, people=1)
        macs = count_macs(network.backbone, example_input(config))
    bottleneck = sum(parameter.numel() for parameter in network.bottleneck.parameters())
    parameters = sum(parameter.numel() for parameter in network.backbone.parameters())
    return Complexity(parameters + bottleneck, network.dim, macs + bottleneck)


@cache
def parameter_count(config: NetworkConfig) -> Callable[[Genotype], float]:
    """A function that counts parameters as `measure` does, quickly enough to ask it for thousands of cells."""
    costs = costs_by_edge(config, lambda place: _op_parameters(place.op, place.channels, place.stride))
    some = random_genotype(np.random.default_rng(0))
    frame = measure(some, config).parameters - some.total(costs)
    return lambda genotype: genotype.total(costs, frame)


@cache
def _op_parameters(op: str, channels: int, stride: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_op(op, channels, stride).parameters())


def table(genotype: Genotype, run: RunConfig | None = None, people: int = 751) -> str:
    """Lay out the size of a genotype's networks: the paper's two, a run's, and ResNet-50 beside them."""
    networks = [(f"C = {config.channels}, {config.height}x{config.width}", config) for config in PAPER]
    if run is not None:
        networks.append((f"{run.name}, {run.network.height}x{run.network.width}", run.network))
    lines = [f"{'network':<26}{'parameters':>12}{f'with {people}-way':>16}{'MACs':>12}"]
    sizes = [measure(genotype, config) for _, config in networks]
    for (label, _), size in zip(networks, sizes, strict=True):
        total = size.with_classifier(people)
        lines.append(
            f"{label:<26}{_millions(size.parameters, 12)}{_millions(total, 16)}{_billions(size.macs)}"
        )
    lines.append(
        f"{'ResNet-50, 384x128':<26}{'':>12}{_millions(RESNET50_PARAMETERS, 16)}{_billions(RESNET50_MACS)}"
    )
    paper = sizes[0]
    fewer = 100 * (1 - paper.with_classifier(751) / RESNET50_PARAMETERS)
    cheaper = 100 * (1 - paper.macs / RESNET50_MACS)
    lines.append(f"\nC = 64 against ResNet-50: {fewer:.1f} % fewer parameters, {cheaper:.1f} % fewer MACs")
    return "\n".join(lines)


def _millions(count: float, width: int) -> str:
    return f"{count / 1e6:>{width - 2}.2f} M"


def _billions(count: float) -> str:
    return f"{count / 1e9:>10.3f} G"
