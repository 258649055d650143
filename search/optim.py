"""How weights move: precision, learning rate, the optimiser and the average that follows it."""

from __future__ import annotations

import math

import torch
from torch import nn

from search.recipe import Recipe


def precision(recipe: Recipe, device: torch.device) -> torch.dtype:
    """The type that convolutions run in: bf16 only where the processor computes in it."""
    if recipe.precision != "auto":
        return torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    native = (
        native_bf16() if device.type == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return torch.bfloat16 if native else torch.float32


def native_bf16() -> bool:
    """Whether this CPU multiplies in bf16; without AVX-512 BF16 or AMX it emulates that, far slower."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public ones
    return any(getattr(torch.cpu, test, bool)() for test in tests)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Linear warm-up from a tenth, then half a cosine to nearly nothing; progress is in epochs."""
    if progress < recipe.warmup:
        return recipe.lr * (0.1 + 0.9 * progress / recipe.warmup)
    done = (progress - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)
    return recipe.lr * (0.002 + 0.998 * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """What the recipe says; BN and biases do not decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights and statistics; young averages follow faster."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)
