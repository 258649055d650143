"""Parameters and multiply-accumulates, counted the way the paper's table is.

Parameters are the weights of convolutions, linear layers and affine BN; MACs are those of convolutions and of the
part-aware linear layers, for one image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.genotype import Genotype
from search.network import Backbone, NetworkConfig, example_input

# ResNet-50 at 384x128 with a 751-way classifier, the network that the paper compares with.
RESNET50_PARAMETERS = 25.0e6
RESNET50_MACS = 4.00e9


@dataclass(frozen=True)
class Complexity:
    """Size and work of a backbone.

    Attributes:
        parameters: without a classifier.
        features: channels of the last map.
        macs: multiply-accumulates for one image.
    """

    parameters: int
    features: int
    macs: int

    def with_classifier(self, people: int) -> int:
        """Parameters with a linear classifier (and its bias) over so many people on the pooled map."""
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
    """Build the backbone of a genotype and count it."""
    backbone = Backbone(genotype, config)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return Complexity(parameters, backbone.c_out, count_macs(backbone, example_input(config)))
