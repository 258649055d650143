from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoreid_deploy.errors import InputError
from search.cells import Cell
from search.complexity import RESNET50_MACS, RESNET50_PARAMETERS, count_macs, measure, parameter_count, table
from search.config import load_config
from search.genotype import CellGenotype, load_genotype, random_genotype
from search.network import Backbone, NetworkConfig, build_network

GENOTYPE = load_genotype("auto_reid_2019")
CONFIGS = Path(__file__).parents[2] / "search" / "configs"
SMALL = NetworkConfig(channels=6, cells=(2, 1), height=32, width=16, stem_stride=1, dim=10)


@pytest.mark.parametrize(
    ("channels", "parameters", "macs"), [(64, 9.87e6, 1.89e9), (32, 2.51e6, 0.49e9)], ids=["C64", "C32"]
)
def test_the_rebuild_has_the_published_size(channels: int, parameters: float, macs: float):
    size = measure(GENOTYPE, NetworkConfig(channels=channels))
    assert size.parameters == pytest.approx(parameters, rel=0.01)
    assert size.macs == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("macro", [SMALL, NetworkConfig(channels=8, cells=(2, 2, 1), stem_stride=4)])
def test_parameters_are_counted_op_by_op_as_in_the_network(macro: NetworkConfig):
    count, rng = parameter_count(macro), np.random.default_rng(1)
    for genotype in (GENOTYPE, *(random_genotype(rng) for _ in range(3))):
        assert count(genotype) == measure(genotype, macro).parameters


def test_the_papers_claim_beside_resnet50_holds():
    size = measure(GENOTYPE, NetworkConfig(channels=64))
    assert size.with_classifier(751) == pytest.approx(11.41e6, rel=0.01)
    assert size.with_classifier(751) <= 0.50 * RESNET50_PARAMETERS
    assert size.macs <= 0.48 * RESNET50_MACS
    assert "54.4 % fewer parameters, 52.8 % fewer MACs" in table(GENOTYPE)


@pytest.mark.parametrize(("name", "size", "parameters"), [("s", (128, 64), 0.50e6), ("m", (160, 80), 1.77e6)])
def test_the_deployment_sizes_are_half_a_million_and_under_two(
    name: str, size: tuple[int, int], parameters: float
):
    config = load_config(CONFIGS / f"autoreid-{name}.toml")
    network = config.network
    assert (network.height, network.width) == size
    assert measure(load_genotype(config.genotype), network).parameters == pytest.approx(parameters, rel=0.01)


def test_multiply_accumulates_are_counted_as_by_hand():
    conv = nn.Conv2d(4, 8, 3, padding=1, groups=2)  # 8 maps of 5 x 6, each of 2 x 3 x 3 products
    assert count_macs(conv, torch.zeros(1, 4, 5, 6)) == 8 * 30 * 18
    assert count_macs(nn.Linear(7, 3), torch.zeros(4, 7)) == 4 * 3 * 7


def raw(cell: Cell, kind: CellGenotype, stride: int, older: Tensor, newer: Tensor) -> Tensor:
    """A cell as the paper writes it: each op opens with its own ReLU, and the output is as it comes."""
    states = [cell.older(F.relu(older)), cell.newer(F.relu(newer))]
    ops = iter(cell.ops)
    for node in kind.nodes:
        total = torch.zeros(())
        for edge in node:
            halves = stride == 2 and edge.source < 2
            opens = edge.op in ("sep_conv_3x3", "dil_conv_3x3") or (edge.op == "skip_connect" and halves)
            state = states[edge.source]
            total = total + next(ops)(F.relu(state) if opens else state)
        states.append(total)
    return torch.cat(states[2:], dim=1)


def test_sharing_the_rectified_maps_changes_no_number():
    backbone = Backbone(GENOTYPE, SMALL).eval()
    x = torch.randn(2, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        older = newer = backbone.stem(x)
        kinds = [(GENOTYPE.reduce, 2), (GENOTYPE.normal, 1), (GENOTYPE.reduce, 2)]
        for cell, (kind, stride) in zip(backbone.cells, kinds, strict=True):
            older, newer = newer, raw(cell, kind, stride, older, newer)
        torch.testing.assert_close(backbone(x), F.relu(newer))


def test_the_first_block_keeps_the_width_and_later_ones_double_it():
    backbone = Backbone(GENOTYPE, replace(SMALL, cells=(1, 1, 1), stem_stride=1))
    assert [cell.c_out for cell in backbone.cells] == [24, 48, 96]
    assert backbone(torch.zeros(2, 3, 32, 16)).shape == (2, 96, 4, 2)


@pytest.mark.parametrize("dim", [0, 10])
def test_the_triplet_looks_before_the_neck_and_the_classifier_after_it(dim: int):
    network = build_network(GENOTYPE, replace(SMALL, dim=dim), people=5).eval()
    nn.init.normal_(network.neck.weight)
    network.neck.running_mean.uniform_()
    x = torch.randn(3, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pooled = network.backbone(x).mean(dim=(2, 3))
        before = pooled @ network.bottleneck.weight.T if dim else pooled
        after = network.neck(before)
        features, _, logits = network(x)
        torch.testing.assert_close(features, before)
        torch.testing.assert_close(logits, after @ network.classifier.weight.T)
        torch.testing.assert_close(network.embed(x), after / after.norm(dim=1, keepdim=True))
    assert not network.neck.bias.requires_grad


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 8}, "the last map has 2 rows, the part-aware op needs 4"),
        ({"stem_stride": 3}, "stem_stride is 1, 2 or 4, got 3"),
        ({"channels": 2}, "expected channels of 3 or more"),
        ({"cells": ()}, "1 or more cells a block"),
        ({"dim": -1}, "a dim of 0 or more"),
    ],
)
def test_an_impossible_network_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        replace(SMALL, **changes)
