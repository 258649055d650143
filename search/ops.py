"""The seven ops of Auto-ReID's search space (arXiv 1903.09776, section 3.2).

Each turns (N, C, H, W) into (N, C, ceil(H / stride), ceil(W / stride)). Every op with weights opens with a
ReLU and ends in an affine BN; a pool ends in a BN without weights. The opening ReLU is the same for all ops
that read a node, so it is not part of the op: a cell rectifies each node once and hands an op the node as it
is or rectified, as `reads_rectified` says. The numbers are the same, with fewer passes over the maps.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search.distributed import BatchNorm

PARTS = 4


class Zero(nn.Module):
    """`none`: nothing passes."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> zeros (N, C, ceil(H / stride), ceil(W / stride))."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class InstanceBatchNorm(nn.Module):
    """Half of the channels normalised by picture, which takes a camera's light and colours away; the others by batch
    (IBN-a, arXiv 1807.09441).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split: int = channels // 2
        self.instance = nn.InstanceNorm2d(self.split, affine=True)
        self.batch: nn.Module = BatchNorm(channels - self.split)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return torch.cat([self._by_picture(x[:, : self.split]), self.batch(x[:, self.split :])], dim=1)

    def _by_picture(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export() or x.device.type != "cpu":
            normed: Tensor = self.instance(x)
            return normed
        # torch's own would leave NHWC, in which the convolutions around it work.
        wide = x.float()
        variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)
        scale = self.instance.weight[:, None, None] * torch.rsqrt(variance + self.instance.eps)
        return ((wide - mean) * scale + self.instance.bias[:, None, None]).to(x.dtype)


def norm(channels: int, ibn: bool) -> nn.Module:
    """What follows a convolution: batch norm, or half of it instance norm."""
    return InstanceBatchNorm(channels) if ibn else BatchNorm(channels)


class ConvBN(nn.Sequential):
    """1x1 convolution of a rectified map, BN."""

    def __init__(self, c_in: int, c_out: int, ibn: bool = False) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out, ibn))


class _ChannelsLast(torch.autograd.Function):
    """The map itself, whose gradient comes back in NHWC."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].contiguous(memory_format=torch.channels_last)


class _Diagonal(torch.autograd.Function):
    """Every other pixel from the first on and from the second on, with one gradient for both, in NHWC."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.shape = x.shape
        return x[:, :, ::2, ::2], x[:, :, 1::2, 1::2]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        even, odd = grads
        whole = torch.empty(ctx.shape, dtype=even.dtype, memory_format=torch.channels_last).zero_()
        whole[:, :, ::2, ::2] = even
        whole[:, :, 1::2, 1::2] = odd
        return whole


def _learns_on_cpu(x: Tensor) -> bool:
    return torch.is_grad_enabled() and x.requires_grad and x.device.type == "cpu"


def channels_last(x: Tensor) -> Tensor:
    """x; where it is trained on a CPU, its gradient keeps the layout in which the ops around it are quick.

    A gradient that a mean or a slice leaves in NCHW makes every op behind it 5 to 15 times as slow (torch 2.13).
    """
    if not _learns_on_cpu(x):
        return x
    out: Tensor = _ChannelsLast.apply(x)  # type: ignore[no-untyped-call]
    return out


def diagonal(x: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H, W), H and W even -> x[:, :, ::2, ::2] and x[:, :, 1::2, 1::2]; see `channels_last`."""
    if not _learns_on_cpu(x):
        return x[:, :, ::2, ::2], x[:, :, 1::2, 1::2]
    both: tuple[Tensor, Tensor] = _Diagonal.apply(x)  # type: ignore[no-untyped-call]
    return both


class FactorizedReduce(nn.Module):
    """Halve a rectified map: two 1x1 convolutions of stride 2, the second shifted by one pixel, then BN."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_out // 2
        self.even = nn.Conv2d(c_in, half, 1, bias=False)
        self.odd = nn.Conv2d(c_in, c_out - half, 1, bias=False)
        self.bn = BatchNorm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', ceil(H / 2), ceil(W / 2)); an odd map is shifted into zeros."""
        height, width = x.shape[2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        # A 1x1 stride-2 convolution reads every other pixel: slicing first is the same and cheaper.
        even, odd = diagonal(x)
        out = torch.cat([self.even(even), self.odd(odd)], dim=1)
        normed: Tensor = self.bn(out)
        return normed


class DepthwiseConv(nn.Conv2d):
    """Depthwise 3x3; where torch's kernel is slow on a CPU, another way to the same numbers is taken.

    Dilation 2 only ever mixes pixels of the same parity. With stride 1 the map therefore splits into its four
    parity phases, each takes a plain depthwise 3x3, and the phases are put back, which is 5 to 10 times faster;
    with stride 2 only the even phase is read. A stride of 2 without dilation stays in float32: its backward pass
    in bf16 is 20 times slower (torch 2.13).
    """

    def __init__(self, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            channels, channels, 3, stride, padding=dilation, dilation=dilation, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))."""
        if x.device.type != "cpu" or torch.onnx.is_in_onnx_export():
            return super().forward(x)
        if self.dilation == (1, 1):
            if self.stride == (1, 1):
                return super().forward(x)
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(x.dtype)
        if self.stride == (2, 2):
            return F.conv2d(x[:, :, ::2, ::2], self.weight, padding=1, groups=self.groups)
        return self._by_phases(x)

    def _by_phases(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if height % 2 or width % 2:  # the convolution pads with zeros anyway
            x = F.pad(x, (0, width % 2, 0, height % 2))
        h, w = x.shape[2] // 2, x.shape[3] // 2
        # Stay in NHWC: the permutes below then move whole pixels.
        phases = x.permute(0, 2, 3, 1).reshape(batch, h, 2, w, 2, channels).permute(2, 4, 0, 1, 3, 5)
        phases = phases.reshape(4 * batch, h, w, channels).permute(0, 3, 1, 2)
        out = F.conv2d(phases, self.weight, padding=1, groups=self.groups)
        out = out.permute(0, 2, 3, 1).reshape(2, 2, batch, h, w, channels).permute(2, 3, 0, 4, 1, 5)
        out = out.reshape(batch, 2 * h, 2 * w, channels).permute(0, 3, 1, 2)
        return out[:, :, :height, :width]


def _depthwise_separable(channels: int, stride: int, dilation: int) -> list[nn.Module]:
    return [
        DepthwiseConv(channels, stride, dilation),
        nn.Conv2d(channels, channels, 1, bias=False),
        BatchNorm(channels),
    ]


def separable_conv(channels: int, stride: int) -> nn.Module:
    """`sep_conv_3x3`: (ReLU, depthwise 3x3, pointwise, BN) twice, the stride in the first."""
    first, second = _depthwise_separable(channels, stride, 1), _depthwise_separable(channels, 1, 1)
    return nn.Sequential(*first, nn.ReLU(), *second)


def dilated_conv(channels: int, stride: int) -> nn.Module:
    """`dil_conv_3x3`: (ReLU, depthwise 3x3 of dilation 2, pointwise, BN) once."""
    return nn.Sequential(*_depthwise_separable(channels, stride, 2))


def pool(kind: type[nn.Module], channels: int, stride: int) -> nn.Module:
    """A 3x3 pool, then BN without weights; an average does not count the padding."""
    uncounted = {"count_include_pad": False} if kind is nn.AvgPool2d else {}
    return nn.Sequential(kind(3, stride, padding=1, **uncounted), BatchNorm(channels, affine=False))


class PartAware(nn.Module):
    """`part_aware`: four horizontal stripes look at each other, then every pixel hears from its own stripe.

    Per stripe, with weights of its own: mean -> ReLU -> 1x1 convolution (bias) -> BN gives P (4, h), where
    h = C // 3. Then A = softmax(K Q^T) P with K = P W_K, Q = P W_Q: no values, no scaling, no residual, one
    head. The rows of A are spread over their stripes, concatenated with the input, and projected.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.hidden = channels // 3
        # Four unshared 1x1 convolutions are one convolution in four groups.
        self.local = nn.Conv2d(PARTS * channels, PARTS * self.hidden, 1, groups=PARTS)
        self.local_bn = BatchNorm(PARTS * self.hidden)
        self.key = nn.Linear(self.hidden, self.hidden)
        self.query = nn.Linear(self.hidden, self.hidden)
        reduce = FactorizedReduce if stride == 2 else ConvBN
        self.project = reduce(channels + self.hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Raw (N, C, H, W) -> (N, C, H / stride, W / stride); H must be at least 4."""
        batch, _, height, width = x.shape
        bounds = [(i * height) // PARTS for i in range(PARTS + 1)]
        stripes = [x[:, :, top:end].mean(dim=(2, 3)) for top, end in pairwise(bounds)]
        means = torch.cat(stripes, dim=1)[:, :, None, None]
        parts = self.local_bn(self.local(F.relu(means))).reshape(batch, PARTS, self.hidden)
        attention = torch.softmax(self.key(parts) @ self.query(parts).transpose(1, 2), dim=2)
        mixed = (attention @ parts).transpose(1, 2)  # (N, h, 4)
        spread = [
            mixed[:, :, i, None, None].expand(-1, -1, end - top, width)
            for i, (top, end) in enumerate(pairwise(bounds))
        ]
        context = torch.cat(spread, dim=2).to(x.dtype)
        out: Tensor = self.project(F.relu(torch.cat([x, context], dim=1)))
        return out


def skip(channels: int, stride: int) -> nn.Module:
    """`skip_connect`: identity, or a factorized reduce at stride 2."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)


BUILD: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda channels, stride: Zero(stride),
    "skip_connect": skip,
    "max_pool_3x3": lambda channels, stride: pool(nn.MaxPool2d, channels, stride),
    "avg_pool_3x3": lambda channels, stride: pool(nn.AvgPool2d, channels, stride),
    "sep_conv_3x3": separable_conv,
    "dil_conv_3x3": dilated_conv,
    "part_aware": PartAware,
}


def reads_rectified(name: str, stride: int) -> bool:
    """Whether an op opens with a ReLU, which its cell then applies for it.

    The part-aware op averages its stripes before it rectifies, so it takes the map as it is.
    """
    return name in ("sep_conv_3x3", "dil_conv_3x3") or (name == "skip_connect" and stride == 2)


def build_op(name: str, channels: int, stride: int) -> nn.Module:
    """Build one op of the space by name, (N, channels, H, W) -> (N, channels, H / stride, W / stride)."""
    return BUILD[name](channels, stride)
