from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from search.genotype import OPS, load_genotype
from search.network import NetworkConfig, build_network
from search.ops import (
    BUILD,
    DepthwiseConv,
    FactorizedReduce,
    InstanceBatchNorm,
    PartAware,
    build_op,
    diagonal,
)


def random_map(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_every_op_of_the_space_can_be_built():
    assert set(BUILD) == set(OPS)


@pytest.mark.parametrize(
    ("name", "stride", "size"), list(product(OPS, (1, 2), ((8, 4), (7, 5), (13, 4), (4, 1))))
)
def test_an_op_keeps_channels_and_divides_the_map_rounding_up(name: str, stride: int, size: tuple[int, int]):
    out = build_op(name, 6, stride)(random_map(2, 6, *size))
    assert out.shape == (2, 6, -(-size[0] // stride), -(-size[1] // stride))
    assert name != "none" or not out.any()


@pytest.mark.parametrize(("stride", "height", "width"), list(product((1, 2), (8, 9), (4, 7, 1))))
def test_a_dilated_convolution_by_phases_is_the_plain_one_and_so_is_its_gradient(
    stride: int, height: int, width: int
):
    ours = DepthwiseConv(5, stride, dilation=2)
    plain = nn.Conv2d(5, 5, 3, stride, padding=2, dilation=2, groups=5, bias=False)
    plain.load_state_dict(ours.state_dict())
    results = []
    for op in (ours, plain):
        x = random_map(3, 5, height, width).requires_grad_()
        out = op(x)
        out.backward(random_map(*out.shape))
        results.append((out, x.grad, op.weight.grad))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_phases_are_really_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch):
    seen = []
    conv2d = F.conv2d
    monkeypatch.setattr(
        F, "conv2d", lambda x, *rest, **options: seen.append(x.shape) or conv2d(x, *rest, **options)
    )
    DepthwiseConv(5, 1, dilation=2)(random_map(3, 5, 8, 6))
    DepthwiseConv(5, 2, dilation=2)(random_map(3, 5, 8, 6))
    assert seen == [(12, 5, 4, 3), (3, 5, 4, 3)]


def by_hand_bn(values: Tensor, bn: nn.BatchNorm2d) -> Tensor:
    """Training-mode BN of (N, C)."""
    deviation = (values.var(0, unbiased=False) + bn.eps).sqrt()
    return (values - values.mean(0)) / deviation * bn.weight + bn.bias


def literal_part_aware(op: PartAware, x: Tensor, stride: int) -> Tensor:
    """The op as the paper's figure tells it: stripe by stripe, crop by crop, row by row."""
    batch, channels, height, width = x.shape
    hidden = channels // 3
    rows = [range(int(i * height / 4), int((i + 1) * height / 4)) for i in range(4)]
    vectors = []
    for i in range(4):  # unshared weights
        weight = op.local.weight[i * hidden : (i + 1) * hidden, :, 0, 0]
        bias = op.local.bias[i * hidden : (i + 1) * hidden]
        mean = sum(x[:, :, row, column] for row in rows[i] for column in range(width)) / (
            len(rows[i]) * width
        )
        before = mean.clamp(min=0) @ weight.T + bias
        deviation = (before.var(0, unbiased=False) + op.local_bn.eps).sqrt()
        own = slice(i * hidden, (i + 1) * hidden)
        vectors.append(
            (before - before.mean(0)) / deviation * op.local_bn.weight[own] + op.local_bn.bias[own]
        )
    context = torch.zeros(batch, hidden, height, width)
    for n in range(batch):
        parts = torch.stack([vector[n] for vector in vectors])  # (4, h)
        key = parts @ op.key.weight.T + op.key.bias
        query = parts @ op.query.weight.T + op.query.bias
        for i in range(4):
            scores = torch.stack([key[i] @ query[j] for j in range(4)]).exp()
            heard = sum(scores[j] / scores.sum() * parts[j] for j in range(4))
            for row in rows[i]:
                for column in range(width):
                    context[n, :, row, column] = heard
    wide = torch.cat([x, context], dim=1).clamp(min=0)
    if stride == 1:
        projections = [(op.project[0].weight[:, :, 0, 0], wide)]
        bn = op.project[1]
    else:
        even = (op.project.even.weight[:, :, 0, 0], wide[:, :, 0::2, 0::2])
        odd = (op.project.odd.weight[:, :, 0, 0], wide[:, :, 1::2, 1::2])
        projections, bn = [even, odd], op.project.bn
    out = torch.cat([torch.einsum("oc,nchw->nohw", weight, part) for weight, part in projections], dim=1)
    flat = out.permute(0, 2, 3, 1).reshape(-1, channels)
    return by_hand_bn(flat, bn).reshape(batch, *out.shape[2:], channels).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("stride", "height"), [(1, 8), (1, 13), (2, 12), (2, 18)])
def test_part_aware_is_what_the_paper_says(stride: int, height: int):
    op = PartAware(9, stride)
    for parameter in op.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    x = random_map(3, 9, height, 4)
    with torch.no_grad():
        torch.testing.assert_close(op(x), literal_part_aware(op, x, stride), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["max_pool_3x3", "avg_pool_3x3"])
def test_the_norm_after_a_pool_has_no_weights(name: str):
    assert not list(build_op(name, 6, 1).parameters())
    assert any(isinstance(module, nn.BatchNorm2d) for module in build_op(name, 6, 1).modules())


def test_an_average_does_not_count_the_padding():
    pool = build_op("avg_pool_3x3", 2, 1)[0]
    torch.testing.assert_close(pool(torch.ones(1, 2, 5, 4)), torch.ones(1, 2, 5, 4))


def test_a_factorized_reduce_sees_every_row_parity():
    reduce = FactorizedReduce(1, 2).eval()
    for layer in (reduce.even, reduce.odd):
        nn.init.ones_(layer.weight)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    scale = (1 + reduce.bn.eps) ** -0.5
    with torch.no_grad():
        torch.testing.assert_close(reduce(x)[0, 0], scale * torch.tensor([[0.0, 2], [8, 10]]))
        torch.testing.assert_close(reduce(x)[0, 1], scale * torch.tensor([[5.0, 7], [13, 15]]))


def test_a_diagonal_is_two_slices_and_so_is_its_gradient():
    x = torch.randn(2, 4, 6, 8).to(memory_format=torch.channels_last).requires_grad_()
    plain = x.detach().clone().requires_grad_()
    weights = torch.randn(2, 2, 4, 3, 4)
    sum((part * w).sum() for part, w in zip(diagonal(x), weights, strict=True)).backward()
    slices = (plain[:, :, ::2, ::2], plain[:, :, 1::2, 1::2])
    sum((part * w).sum() for part, w in zip(slices, weights, strict=True)).backward()
    torch.testing.assert_close(x.grad, plain.grad, rtol=0, atol=0)


def test_gradients_stay_in_the_layout_that_is_quick():
    torch.manual_seed(0)
    config = NetworkConfig(channels=8, cells=(2, 1), height=32, width=16, stem_stride=2, dim=10)
    network = build_network(load_genotype("autoreid_s"), config, 4).to(memory_format=torch.channels_last)
    x = torch.randn(4, 3, 32, 16).to(memory_format=torch.channels_last)
    layouts = _Layouts()
    with layouts:
        torch.autograd.backward(network(x)[2].square().sum())
    assert layouts.seen > 20
    assert layouts.slow == []


class _Layouts(TorchDispatchMode):
    """Notes where a ReLU, a BN, a pool or a convolution gets a gradient that is not in NHWC, or a slice of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.slow = 0, list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if "_backward" in name and isinstance(args[0], Tensor) and args[0].dim() == 4:
            gradient = args[0]
            self.seen += 1
            if gradient.shape[2:] != (1, 1) and gradient.stride(1) != 1:
                self.slow.append(f"{name} {tuple(gradient.shape)} {gradient.stride()}")
        return func(*args, **(kwargs or {}))


def test_instance_batch_norm_takes_a_picture_s_light_away_from_half_of_its_channels():
    norm = InstanceBatchNorm(6).train()
    nn.init.uniform_(norm.instance.weight)
    nn.init.uniform_(norm.instance.bias)
    x = torch.randn(5, 6, 7, 3, generator=torch.Generator().manual_seed(0))
    out = norm(x)
    torch.testing.assert_close(out[:, :3], norm.instance(x[:, :3]))
    torch.testing.assert_close(out[:, 3:], nn.BatchNorm2d(3)(x[:, 3:]))
    brighter = (
        x * torch.linspace(0.5, 2, 5)[:, None, None, None] + torch.linspace(-1, 1, 5)[:, None, None, None]
    )
    torch.testing.assert_close(norm.eval()(brighter)[:, :3], out[:, :3], atol=1e-3, rtol=1e-3)
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_only_stem_and_first_block_have_instance_norm():
    genotype = load_genotype("auto_reid_2019")
    config = NetworkConfig(channels=8, cells=(2, 2), height=64, width=32, stem_stride=2, ibn=True)
    network = build_network(genotype, config, 3)
    names = [name for name, module in network.named_modules() if isinstance(module, InstanceBatchNorm)]
    assert {name.split(".")[1] for name in names} == {"stem", "cells"}
    assert {name.split(".")[2] for name in names if "cells" in name} == {"0", "1"}
    assert (
        build_network(genotype, replace(config, ibn=False), 3).state_dict().keys()
        != network.state_dict().keys()
    )
