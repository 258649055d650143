"""The network as it is deployed: uint8 pictures in, unit rows out, BN folded into the layers before it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from search.augment import MEAN, STD
from search.network import Network, mean_of_mirrored
from search.ops import FactorizedReduce, InstanceBatchNorm, PartAware


class DeployModel(nn.Module):
    """The model contract around a trained network.

    /255, mean, standard deviation and the L2 norm are inside, so that a user can neither forget nor repeat them.

    Args:
        network: as it was trained.
        mirrored: a row is that of a crop and of its mirror image together, see `Network.embed`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: Network, mirrored: bool = False) -> None:
        super().__init__()
        self._mirrored = mirrored
        self.network = fold_batch_norm(network)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(STD).view(1, 3, 1, 1)))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB -> (N, dim) float32 unit rows."""
        x = (images.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        return mean_of_mirrored(self._embed, x) if self._mirrored else self._embed(x)

    def _embed(self, x: Tensor) -> Tensor:
        before = self.network.bottleneck(self.network.backbone(x).mean(dim=(2, 3)))
        return F.normalize(self.network.neck(before), dim=1)


def fold_batch_norm(network: Network) -> Network:
    """Copy a network with every BN that follows a convolution or a linear layer folded into it.

    The BN after a pool stays, as one multiplication and one addition; so does the neck where there is no bottleneck.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, nn.Sequential):
            _fold_sequence(module)
        elif isinstance(module, FactorizedReduce):
            _fold_halves(module)
        elif isinstance(module, PartAware):
            module.local = _convolution(module.local, module.local_bn)
            module.local_bn = nn.Identity()  # type: ignore[assignment]
    if isinstance(folded.bottleneck, nn.Linear):
        folded.bottleneck = _linear(folded.bottleneck, folded.neck)
        folded.neck = nn.Identity()  # type: ignore[assignment]
    return folded


def _fold_sequence(sequence: nn.Sequential) -> None:
    for i in range(len(sequence) - 1):
        layer, bn = sequence[i], sequence[i + 1]
        if isinstance(layer, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
            sequence[i], sequence[i + 1] = _convolution(layer, bn), nn.Identity()
        elif isinstance(layer, nn.Conv2d) and isinstance(bn, InstanceBatchNorm):
            sequence[i] = _half_convolution(layer, bn)


def _half_convolution(layer: nn.Conv2d, norm: InstanceBatchNorm) -> nn.Conv2d:
    """Fold the half that is normalised by batch; the other one depends on the picture and stays."""
    assert isinstance(norm.batch, nn.BatchNorm2d)
    weight, bias = fuse_conv_bn_weights(
        nn.Parameter(layer.weight[norm.split :]), None, *_statistics(norm.batch, slice(None))
    )
    layer.weight = nn.Parameter(torch.cat([layer.weight[: norm.split], weight]), requires_grad=False)
    layer.bias = nn.Parameter(torch.cat([torch.zeros(norm.split), bias]), requires_grad=False)
    norm.batch = nn.Identity()
    return layer


def _fold_halves(reduce: FactorizedReduce) -> None:
    """One BN over the concatenation of two convolutions: each takes its own channels of it."""
    split = reduce.even.out_channels
    for name, channels in (("even", slice(0, split)), ("odd", slice(split, None))):
        setattr(reduce, name, _convolution(getattr(reduce, name), reduce.bn, channels))
    reduce.bn = nn.Identity()  # type: ignore[assignment]


def _statistics(
    bn: nn.BatchNorm2d, channels: slice
) -> tuple[Tensor, Tensor, float, Tensor | None, Tensor | None]:
    assert bn.running_mean is not None and bn.running_var is not None
    weight, bias = (bn.weight[channels], bn.bias[channels]) if bn.affine else (None, None)
    return bn.running_mean[channels], bn.running_var[channels], bn.eps, weight, bias


def _convolution(layer: nn.Conv2d, bn: nn.BatchNorm2d, channels: slice = slice(None)) -> nn.Conv2d:
    layer.weight, layer.bias = fuse_conv_bn_weights(layer.weight, layer.bias, *_statistics(bn, channels))
    return layer


def _linear(layer: nn.Linear, bn: nn.BatchNorm2d) -> nn.Linear:
    mean, variance, eps, weight, bias = _statistics(bn, slice(None))
    assert weight is not None and bias is not None  # the neck is affine
    layer.weight, layer.bias = fuse_linear_bn_weights(
        layer.weight, layer.bias, mean, variance, eps, weight, bias
    )
    return layer
