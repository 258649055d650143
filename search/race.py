"""Short trainings as a score: dear, but honest where the shared weights of a supernet are not.

A race is evolution whose score is the mAP after a training of a few epochs from nothing, in the widest macro in
which the cells are within the budget. It begins with the cells that alphas stand for, those of one search or of
several. The best of it then run longer against each other, and the winner of that final is what is derived. Every
score is kept in a file as soon as it is known, so a race that was killed goes on.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from autoreid_deploy.errors import InputError
from search.config import RunConfig
from search.data import Crops
from search.evolution import Evolution, Scored, evolve
from search.files import replacing
from search.genotype import Genotype
from search.latency import LatencyTable, widest
from search.network import NetworkConfig
from search.recipe import Recipe
from search.searcher import Searcher
from search.trainer import Trainer


@dataclass(frozen=True)
class Race:
    """How many run, and how far.

    Attributes:
        heats: the evolution.
        epochs: of a training in it.
        finalists: how many of the best run on; 0 for no final.
        final_epochs: of a training there.
    """

    heats: Evolution = field(default_factory=lambda: Evolution(population=6, children=12, tournament=3))
    epochs: int = 2
    finalists: int = 3
    final_epochs: int = 5

    @property
    def scores(self) -> int:
        """How many trainings there are in all."""
        return self.heats.scores + self.finalists


@dataclass(frozen=True)
class Runner:
    """Cells, the macro they run in, and what they scored: in the final where they reached it."""

    genotype: Genotype
    network: NetworkConfig
    fitness: float
    finalist: bool


class Ledger:
    """Scores in a JSON file, `{"scores": [{"mAP", "genotype", ...}]}`.

    Args:
        path: of the file; it need not be there.

    Raises:
        InputError: it is there and holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scores: list[dict[str, Any]] = []
        if path.exists():
            try:
                self.scores = list(json.loads(path.read_text(encoding="utf-8"))["scores"])
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{path}: expected the scores of a race, got {error}; move it away"
                ) from error

    def score(self, genotype: Genotype, how: dict[str, Any], measure: Callable[[], float]) -> float:
        """A score that is known, or a new one, which is kept.

        Args:
            genotype: what is scored.
            how: what else a score depends on.
            measure: takes the score.
        """
        key = {**how, "genotype": genotype.to_dict()}
        for known in self.scores:
            if {k: v for k, v in known.items() if k != "mAP"} == key:
                return float(known["mAP"])
        found = measure()
        self.scores.append({"mAP": found, **key})
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps({"scores": self.scores}, indent=1), encoding="utf-8")
        return found


def race(
    searcher: Searcher,
    how: Race,
    ledger: Ledger,
    first: Sequence[Genotype],
    tables: Sequence[LatencyTable] = (),
    recipe: Recipe | None = None,
    tick: Callable[[], object] = lambda: None,
) -> list[Runner]:
    """Let cells drawn by a search's alphas run against each other.

    Args:
        searcher: done; its training people train, its third set of people scores.
        how: many and far.
        ledger: scores that are known, and where new ones go.
        first: cells that run from the beginning: what the alphas stand for, of one search or of several.
        tables: one for each macro that the cells may run in; none: that of the search.
        recipe: of every training but for its length; None: that of the search.
        tick: called once a training.

    Returns:
        All of them, finalists first, best first.

    Raises:
        InputError: all cells that were drawn are over the budget in every macro.
    """
    trained_by = replace(recipe or searcher.config.recipe, seed=searcher.config.recipe.seed)

    def macro(genotype: Genotype) -> NetworkConfig | None:
        if tables and searcher.config.search.latency_budget:
            return widest(tables, lambda table: searcher.fits(genotype, table))
        return searcher.config.network if searcher.fits(genotype) else None

    def score(epochs: int) -> Callable[[Genotype], float]:
        def trained(genotype: Genotype) -> float:
            network = macro(genotype)
            assert network is not None
            told = replace(searcher.config, network=network, recipe=trained_by)
            return ledger.score(
                genotype,
                {"epochs": epochs, "channels": network.channels, "recipe": asdict(trained_by)},
                lambda: short_training(told, genotype, searcher.train, searcher.val, epochs, searcher.device),
            )

        return trained

    heats = evolve(
        searcher.op_weights(),
        score(how.epochs),
        how.heats,
        searcher.name,
        accept=lambda genotype: macro(genotype) is not None,
        first=tuple(genotype for genotype in first if macro(genotype) is not None),
        tick=tick,
    )
    final = []
    for runner in heats[: how.finalists]:
        final.append(Scored(score(how.final_epochs)(runner.genotype), runner.genotype))
        tick()
    final.sort(key=lambda scored: -scored.fitness)
    placed = [(scored, True) for scored in final] + [(scored, False) for scored in heats[len(final) :]]
    runners = []
    for scored, finalist in placed:
        network = macro(scored.genotype)
        assert network is not None
        runners.append(Runner(scored.genotype, network, scored.fitness, finalist))
    return runners


def short_training(
    told: RunConfig, genotype: Genotype, train: Crops, val: Crops, epochs: int, device: torch.device
) -> float:
    """Train a pair of cells for a few epochs, from nothing.

    Args:
        told: network and recipe; its schedule is squeezed into so many epochs.
        genotype: the cells.
        train: crops to learn from.
        val: crops of other people.
        epochs: of the training.
        device: where it trains.

    Returns:
        mAP on `val`.
    """
    recipe = replace(
        told.recipe, epochs=epochs, warmup=min(told.recipe.warmup, epochs / 5), val_every=epochs, ema=0.99
    )
    brief = RunConfig(name="race", network=told.network, recipe=recipe, val=told.val)
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
