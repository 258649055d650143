import math

import pytest
import torch
from torch import nn

from search import optim
from search.optim import follow, learning_rate, optimiser, precision
from search.recipe import Recipe


def test_the_rate_warms_up_from_a_tenth_and_falls_by_half_a_cosine():
    recipe = Recipe(epochs=20, lr=1.0, warmup=4)
    assert learning_rate(recipe, 0) == pytest.approx(0.1)
    assert learning_rate(recipe, 2) == pytest.approx(0.55)
    assert learning_rate(recipe, 4) == pytest.approx(1)
    assert learning_rate(recipe, 12) == pytest.approx((1 + 0.002) / 2)
    assert learning_rate(recipe, 20) == pytest.approx(0.002)
    rates = [learning_rate(recipe, 4 + i / 10) for i in range(161)]
    assert rates == sorted(rates, reverse=True)


def test_no_warm_up_starts_at_the_peak():
    assert learning_rate(Recipe(epochs=5, lr=0.3, warmup=0), 0) == pytest.approx(0.3)


def test_a_warm_up_longer_than_the_run_only_rises():
    assert learning_rate(Recipe(epochs=2, lr=1, warmup=5), 2) == pytest.approx(0.46)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_do_not_decay(name: str):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    decayed, free = optimiser(network, Recipe(optimiser=name, weight_decay=0.1)).param_groups
    assert [p.shape for p in decayed["params"]] == [(4, 3, 1, 1)]
    assert (len(free["params"]), free["weight_decay"]) == (3, 0)


def test_the_first_step_of_adamw_is_as_long_as_its_rate_whatever_the_gradient():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    moved = optimiser(nn.ModuleList([layer]), Recipe(optimiser="adamw", lr=0.01, weight_decay=0.5))
    layer.weight.grad = torch.tensor([[1000.0, -0.001]])
    moved.step()
    kept = 1 - 0.01 * 0.5  # the decay does not go through the gradient
    torch.testing.assert_close(
        layer.weight.detach(), torch.tensor([[kept - 0.01, kept + 0.01]]), rtol=0, atol=1e-5
    )


def test_the_average_is_the_exponential_mean_and_young_ones_hurry():
    average, network = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    expected, values = 1.0, (3.0, -1.0, 2.0)
    for step, value in enumerate(values):
        with torch.no_grad():
            network.weight.fill_(value)
        network.num_batches_tracked.fill_(step + 1)
        follow(average, network, decay=0.15, step=step)
        decay = min(0.15, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(average.weight.detach(), torch.full((2,), expected))
    assert int(average.num_batches_tracked) == 3


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_taken_only_where_the_processor_has_it(native: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(optim, "native_bf16", lambda: native)
    cpu = torch.device("cpu")
    assert precision(Recipe(), cpu) == (torch.bfloat16 if native else torch.float32)
    assert precision(Recipe(precision="bf16"), cpu) == torch.bfloat16
    assert precision(Recipe(precision="float32"), cpu) == torch.float32


def test_whether_bf16_is_native_is_known_here():
    assert isinstance(optim.native_bf16(), bool)
    assert math.isfinite(learning_rate(Recipe(), 0))
