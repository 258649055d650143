"""Hand-made networks to compare the searched one with, each with a width knob.

    python -m benchmarks.handmade [--dim 512] [--height 128] [--width 64] [--json]

Prints the size and the work of each at a few widths. Width 1.0 is the published network, but for the changes that
`trunk` names. MobileNetV2 and ShuffleNetV2 come from torchvision, without pre-trained weights; torchvision is no
dependency of this project: `pip install --no-deps torchvision`.
"""

import argparse
import importlib
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from autoreid_deploy.errors import InputError
from search.complexity import Complexity, count_macs
from search.distributed import BatchNorm
from search.network import Network, Trunk
from search.ops import ConvBN, DepthwiseConv

# Fine enough to come within 2 % of a size, and both halves of a ShuffleNetV2 unit keep an even width.
MULTIPLE = 4
WIDTHS = (0.25, 0.5, 0.75, 1.0, 1.5)
TOLERANCE, EVALUATIONS = 0.02, 12

# expansion, channels, repeats, stride; as in arXiv 1801.04381, table 2, but for the stride of the 160s: 1, not 2.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 1),
    (6, 320, 1, 1),
)
SHUFFLENET_V2 = (24, 116, 232, 464, 1024)  # arXiv 1807.11164, table 5, 1x
OSNET = (64, 256, 384, 512)  # arXiv 1905.00953, table 1

_registered: list[torch.library.Library] = []  # an operator lives as long as its library


def channels(base: int, width: float) -> int:
    """A layer's width at a setting of the knob: the nearest multiple of 4, at least 4."""
    return max(MULTIPLE, MULTIPLE * round(base * width / MULTIPLE))


class Chain(Trunk):
    """Layers one after another, as a trunk."""

    def __init__(self, c_out: int, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.c_out = c_out

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float, normalised -> rectified map (N, c_out, H / 16, W / 16)."""
        out: Tensor = self.layers(x)
        return out


class Residual(nn.Module):
    """ReLU(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> rectified (N, C', H', W')."""
        return torch.relu(self.body(x) + self.shortcut(x))


def conv_relu(
    c_in: int, c_out: int, kernel: int, stride: int = 1, rectify: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Convolution, BN, ReLU."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, BatchNorm(c_out), rectify())


def basic_block(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Two 3x3 convolutions and a shortcut, projected where the shape changes (arXiv 1512.03385)."""
    shortcut: nn.Module = nn.Identity()
    if stride != 1 or c_in != c_out:
        shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), BatchNorm(c_out))
    second = (nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), BatchNorm(c_out))
    return Residual(nn.Sequential(conv_relu(c_in, c_out, 3, stride), *second), shortcut)


def resnet18(width: float) -> Trunk:
    """Stem of stride 4, then two basic blocks in each of four stages."""
    c = channels(64, width)
    layers: list[nn.Module] = [conv_relu(3, c, 3, stride=2), nn.MaxPool2d(3, 2, padding=1)]
    for base, stride in ((64, 1), (128, 2), (256, 2), (512, 1)):
        c_out = channels(base, width)
        layers += [basic_block(c, c_out, stride), basic_block(c_out, c_out, 1)]
        c = c_out
    return Chain(c, *layers)


def torchvision_models() -> Any:
    """torchvision.models, beside a build of torch that PyPI's torchvision was not made for, too.

    Raises:
        InputError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.models")
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is missing; run: pip install --no-deps torchvision") from error
    except RuntimeError:
        # torchvision 0.28 from PyPI cannot load its C++ operators beside the CPU build of torch, yet it describes
        # two of them to torch at import: "operator torchvision::nms does not exist". Two names satisfy it; the
        # networks here call neither.
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
        _registered.append(library)
        return importlib.import_module("torchvision.models")


def mobilenet_v2(width: float) -> Trunk:
    """torchvision's, with the last 1x1 convolution scaled too: its own never falls below 1280."""
    made = torchvision_models().MobileNetV2(
        num_classes=1,
        width_mult=width,
        inverted_residual_setting=MOBILENET_V2,
        round_nearest=MULTIPLE,
        norm_layer=BatchNorm,
    )
    blocks, c_out = made.features[:-1], channels(1280, width)
    return Chain(c_out, *blocks, conv_relu(blocks[-1].out_channels, c_out, 1, rectify=nn.ReLU6))


def shufflenet_v2(width: float) -> Trunk:
    """torchvision's, every width scaled and the last stage at stride 1.

    Dropping the max pool would give the same last map, but all stages would run at four times the pixels; a last
    stride of 1 is what the other networks here, and BoT (arXiv 1903.07071), do.
    """
    widths = [channels(base, width) for base in SHUFFLENET_V2]
    made = torchvision_models().ShuffleNetV2([4, 8, 4], widths, num_classes=1)
    for module in made.modules():
        if type(module) is nn.BatchNorm2d:  # ours has no state of its own, and its constructor takes no type
            module.__class__ = BatchNorm
    # The unit keeps its two branches: only they can change the width.
    for module in made.stage4[0].modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    return Chain(widths[-1], made.conv1, made.maxpool, made.stage2, made.stage3, made.stage4, made.conv5)


def lite(c: int) -> nn.Sequential:
    """Lite 3x3: pointwise, then depthwise 3x3, BN, ReLU (arXiv 1905.00953, figure 3)."""
    return nn.Sequential(nn.Conv2d(c, c, 1, bias=False), DepthwiseConv(c), BatchNorm(c), nn.ReLU())


class OmniScale(nn.Module):
    """Four streams that see 3, 5, 7 and 9 pixels, summed under one gate that they share (equation 3)."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.streams = nn.ModuleList(nn.Sequential(*(lite(c) for _ in range(t))) for t in range(1, 5))
        hidden = -(-c // 16)  # rounded up: a gate of one unit is dead from the start in every second network
        # On a map of one pixel a 1x1 convolution is the paper's fully connected layer.
        self.gate = nn.Sequential(nn.Conv2d(c, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, c, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        scales = [stream(x) for stream in self.streams]
        gated = [scale * self.gate(scale.mean(dim=(2, 3), keepdim=True)) for scale in scales]
        # Additions: stacking would copy every map once more.
        total: Tensor = sum(gated[1:], gated[0])
        return total


def omni_block(c_in: int, c_out: int) -> nn.Module:
    """Omni-scale bottleneck of reduction 4 with its shortcut (arXiv 1905.00953, figure 4)."""
    middle = c_out // 4
    body = nn.Sequential(conv_relu(c_in, middle, 1), OmniScale(middle), ConvBN(middle, c_out))
    return Residual(body, nn.Identity() if c_in == c_out else ConvBN(c_in, c_out))


def osnet(width: float) -> Trunk:
    """The paper's network up to its pooling; total stride 16 as published."""
    c, *widths = (channels(base, width) for base in OSNET)
    layers: list[nn.Module] = [conv_relu(3, c, 7, stride=2), nn.MaxPool2d(3, 2, padding=1)]
    for stage, c_out in enumerate(widths, 1):
        layers += [omni_block(c, c_out), omni_block(c_out, c_out), conv_relu(c_out, c_out, 1)]
        if stage < len(widths):  # the 1x1 after the last stage is the paper's conv5, without a pool
            layers.append(nn.AvgPool2d(2))
        c = c_out
    return Chain(c, *layers)


BUILD: dict[str, Callable[[float], Trunk]] = {
    "resnet18": resnet18,
    "mobilenet_v2": mobilenet_v2,
    "shufflenet_v2": shufflenet_v2,
    "osnet": osnet,
}
NAMES = tuple(BUILD)


def trunk(name: str, width: float) -> Trunk:
    """A hand-made trunk of total stride 16: re-identification keeps the last stride at 1 (BoT, arXiv 1903.07071).

    Args:
        name: one of `NAMES`. resnet18 has a 3x3 stem convolution instead of 7x7; osnet is as published.
        width: what every layer's published width is multiplied by, before it is rounded to a multiple of 4.

    Raises:
        InputError: the name is unknown, the width is not above 0, or torchvision is missing.
    """
    if name not in BUILD or not width > 0:
        raise InputError(f"expected one of {', '.join(NAMES)} and a width above 0, got {name} and {width}")
    return BUILD[name](width)


def network(name: str, width: float, dim: int, people: int) -> Network:
    """A hand-made trunk under the head of the searched network, freshly initialised; see `trunk`."""
    return Network(trunk(name, width), dim, people)


def count(name: str, width: float, dim: int, height: int, width_px: int) -> Complexity:
    """Size and work at an input of (height, width_px) pixels, counted as `search.complexity.measure` does."""
    with torch.device("meta"):
        made = network(name, width, dim, people=1)
        macs = count_macs(made.backbone, torch.zeros(1, 3, height, width_px))
    bottleneck = sum(parameter.numel() for parameter in made.bottleneck.parameters())
    parameters = sum(parameter.numel() for parameter in made.backbone.parameters())
    return Complexity(parameters + bottleneck, made.dim, macs + bottleneck)


def match(measure: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The width at which a measure that grows with it is within 2 % of a target, by bisection.

    Returns:
        The first such width; if 12 evaluations meet none, as widths are rounded, the closest one.

    Raises:
        InputError: the target lies outside what the measure gives from `low` to `high`.
    """
    ends = measure(low), measure(high)
    if not ends[0] * (1 - TOLERANCE) <= target <= ends[1] * (1 + TOLERANCE):
        raise InputError(
            f"widths {low} to {high} give {ends[0]:.4g} to {ends[1]:.4g}, the target is {target:.4g}; "
            "widen the range"
        )
    seen = [(abs(value - target), width) for value, width in zip(ends, (low, high), strict=True)]
    while min(seen)[0] > TOLERANCE * target and len(seen) < EVALUATIONS:
        middle = (low + high) / 2
        value = measure(middle)
        seen.append((abs(value - target), middle))
        low, high = (middle, high) if value < target else (low, middle)
    return min(seen)[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()
    sizes = [
        (name, width, count(name, width, args.dim, args.height, args.width))
        for name in NAMES
        for width in WIDTHS
    ]
    if args.json:
        print(json.dumps([{"name": name, "width": width, **vars(size)} for name, width, size in sizes]))
        return
    print(f"embedding of {args.dim} at {args.height}x{args.width}")
    print(f"{'network':<14}{'width':>6}{'parameters':>12}{'MACs':>12}")
    for name, width, size in sizes:
        print(f"{name:<14}{width:>6}{size.parameters / 1e6:>10.2f} M{size.macs / 1e6:>10.1f} M")


if __name__ == "__main__":
    main()
