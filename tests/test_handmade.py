import importlib.util
import sys

import pytest
import torch
from torch import nn

from autoreid_deploy.errors import InputError
from benchmarks.handmade import NAMES, count, match, network, trunk
from export.deploy_model import DeployModel
from search.distributed import BatchNorm

NEEDS_TORCHVISION = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)
FROM_TORCHVISION = ("mobilenet_v2", "shufflenet_v2")
every_network = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=NEEDS_TORCHVISION) if n in FROM_TORCHVISION else n for n in NAMES],
)


@every_network
@pytest.mark.parametrize("width", [0.27, 0.55])
def test_the_last_map_is_rectified_and_a_sixteenth_of_the_input(name: str, width: float):
    made = trunk(name, width)
    with torch.no_grad():
        out = made(torch.randn(2, 3, 128, 64))
    assert out.shape == (2, made.c_out, 8, 4)
    assert out.min() >= 0 and out.max() > 0


@every_network
def test_every_trained_parameter_gets_a_gradient(name: str):
    torch.manual_seed(0)  # the hidden ReLU of a narrow gate may be dead by chance
    made = network(name, 0.5, dim=16, people=5)
    before, _, logits = made(torch.randn(4, 3, 64, 32))
    assert before.shape == (4, 16) and logits.shape == (4, 5)
    (before.square().mean() + nn.functional.cross_entropy(logits, torch.arange(4))).backward()
    without = [
        n for n, p in made.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert without == []


@every_network
def test_every_batch_norm_is_ours_and_folds_without_a_change(name: str):
    torch.manual_seed(0)
    made = network(name, 0.3, dim=16, people=5)
    assert all(isinstance(m, BatchNorm) for m in made.modules() if isinstance(m, nn.BatchNorm2d))
    made(torch.randn(8, 3, 64, 32))  # statistics that are not 0 and 1
    made.eval()
    images = torch.randint(0, 256, (3, 64, 32, 3), dtype=torch.uint8)
    deployed = DeployModel(made)
    assert not [m for m in deployed.modules() if isinstance(m, nn.BatchNorm2d)]
    pixels = (images.permute(0, 3, 1, 2).float() - deployed.mean) * deployed.scale
    with torch.no_grad():
        torch.testing.assert_close(deployed(images), made.embed(pixels), atol=1e-4, rtol=1e-3)


@every_network
def test_a_wider_network_is_larger_and_slower(name: str):
    sizes = [count(name, width, 512, 128, 64) for width in (0.4, 0.8)]
    assert sizes[0].parameters < sizes[1].parameters
    assert sizes[1].macs > 2.5 * sizes[0].macs  # every layer widens: nearly with the square


def test_osnet_has_the_published_size():
    """arXiv 1905.00953, table 1: 2.2 M parameters and 978.9 M multiply-adds with the 512-d head."""
    made = network("osnet", 1.0, dim=512, people=1)
    counted = sum(p.numel() for part in (made.backbone, made.bottleneck) for p in part.parameters())
    size = count("osnet", 1.0, 512, 256, 128)
    assert size.parameters == counted == pytest.approx(2.2e6, rel=0.02)
    assert size.macs == pytest.approx(978.9e6, rel=0.02)


def test_resnet18_has_the_published_size():
    """11.69 M with the 1000-way classifier (513,000); a 3x3 stem saves 3 * 64 * (49 - 9)."""
    assert count("resnet18", 1.0, 0, 128, 64).parameters == 11_689_512 - 513_000 - 3 * 64 * 40


@NEEDS_TORCHVISION
@pytest.mark.parametrize(
    ("name", "published"), [("mobilenet_v2", 3_504_872 - 1_281_000), ("shufflenet_v2", 2_278_604 - 1_025_000)]
)
def test_torchvisions_networks_have_the_published_size(name: str, published: int):
    assert count(name, 1.0, 0, 128, 64).parameters == published


@every_network
def test_match_finds_a_width_of_two_million_parameters(name: str):
    def parameters(width: float) -> float:
        with torch.device("meta"):
            return sum(p.numel() for p in trunk(name, width).parameters())

    # Every step of the knob is fine enough.
    assert parameters(match(parameters, 2e6, 0.3, 1.5)) == pytest.approx(2e6, rel=0.02)


def test_match_comes_closest_where_rounding_leaves_a_gap():
    asked = []

    def stairs(width: float) -> float:
        asked.append(width)
        return 100.0 * round(width)

    assert round(match(stairs, 330, 1, 9)) == 3
    assert len(asked) <= 12


def test_match_names_both_sides_of_a_target_out_of_reach():
    with pytest.raises(InputError, match=r"give 1 to 4, the target is 9"):
        match(lambda width: width, 9, 1, 4)


def test_unknown_names_and_widths_are_refused():
    with pytest.raises(InputError, match=r"resnet18, .* got vgg"):
        trunk("vgg", 1.0)
    with pytest.raises(InputError, match="width above 0"):
        trunk("osnet", 0.0)


def test_without_torchvision_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch):
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install --no-deps torchvision"):
        trunk("mobilenet_v2", 1.0)
