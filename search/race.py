"""Short trainings as a score: dear, but honest where the shared weights of a supernet are not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from search.config import RunConfig
from search.data import Crops
from search.genotype import Genotype
from search.trainer import Trainer


def short_training(
    told: RunConfig, train: Crops, val: Crops, epochs: int, device: torch.device
) -> Callable[[Genotype], float]:
    """A function that trains a pair of cells for a few epochs, from nothing, and returns its mAP.

    Args:
        told: network and recipe; its schedule is squeezed into so many epochs.
        train: crops to learn from.
        val: crops of other people.
        epochs: of each training.
        device: where it trains.
    """
    recipe = replace(
        told.recipe, epochs=epochs, warmup=min(told.recipe.warmup, epochs / 5), val_every=epochs, ema=0.99
    )
    brief = RunConfig(name="race", network=told.network, recipe=recipe, val=told.val)

    def score(genotype: Genotype) -> float:
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                config=brief, genotype=genotype, train=train, val=val, folder=Path(folder), device=device
            )
            for epoch in range(epochs):
                for indices in trainer.sampler.epoch(epoch):
                    trainer.train_step(indices)
                    trainer.step += 1
                trainer.finish_epoch()
            return float(trainer.history[-1]["mAP"])

    return score
