"""What a search is told: the TOML file of a retraining, and a `[search]` table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoreid_deploy.errors import InputError
from search.config import RunConfig, Source
from search.genotype import CHOSEN_OPS, EDGES_PER_NODE, NODES, WEIGHTED_OPS
from search.recipe import Limits, check_limits
from search.relaxation import NONES, RELAXATIONS

SPLITS = ("people", "images")
_LIMITS: Limits = {
    "balance": (0, 1),
    "alpha_lr": (0, math.inf),
    "alpha_decay": (0, math.inf),
    "alpha_share": (0.05, 0.95),
    "frozen": (0, 0.9),
    "tau_first": (1e-3, math.inf),
    "tau_last": (1e-3, math.inf),
    "auxiliary": (0, math.inf),
    "temperature": (1e-3, math.inf),
    "centre_momentum": (0, 0.999),
    "weighted": (0, EDGES_PER_NODE * NODES),
    "latency_budget": (0, math.inf),
    "latency_weight": (0, math.inf),
    "parameter_budget": (0, math.inf),
}


@dataclass(frozen=True)
class SearchRecipe:
    """How alphas move, and what they may choose from.

    Attributes:
        relaxation: `gumbel` (one op an edge runs) or `softmax` (all of them, mixed).
        balance: weight of the cross-entropy against the triplet loss, for weights and alphas.
        alpha_lr: of Adam.
        alpha_decay: weight decay of the alphas.
        alpha_share: share of the training people whom the alphas get, where `[[alphas]]` names none.
        split: `people` (alphas see people whom the weights never see) or `images` (as published searches do;
            for the ablation).
        frozen: share of the epochs in which the alphas wait.
        tau_first: temperature of the Gumbel-softmax at the first alpha step.
        tau_last: at the last; in between it falls linearly.
        auxiliary: weight of the skip beside every op at first; it falls to 0 at three quarters.
        none: `structural` (each node runs two of its edges, as a derived one does) or `learned` (as an op).
        temperature: of the memory of centres.
        centre_momentum: how much of a centre an update keeps.
        without: ops that take no part.
        weighted: fewest ops of the derived normal cell that have weights, where ops without would be too many.
        latency_budget: ms that the derived network may take; 0 for no limit. Needs a table of
            `python -m search profile`.
        latency_weight: of the latency term, for each time that the budget is exceeded.
        parameter_budget: millions of parameters that the derived network may have, without the classifier; 0 for no
            limit.
    """

    relaxation: str = "gumbel"
    balance: float = 0.5
    alpha_lr: float = 0.02
    alpha_decay: float = 1e-3
    alpha_share: float = 0.4
    split: str = "people"
    frozen: float = 1 / 3
    tau_first: float = 10.0
    tau_last: float = 0.1
    auxiliary: float = 1.0
    none: str = "structural"
    temperature: float = 0.1
    centre_momentum: float = 0.5
    without: tuple[str, ...] = ()
    weighted: int = 0
    latency_budget: float = 0.0
    latency_weight: float = 1.0
    parameter_budget: float = 0.0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS, "search")
        for key, known in (("relaxation", RELAXATIONS), ("split", SPLITS), ("none", NONES)):
            if getattr(self, key) not in known:
                raise InputError(f"search: {key} is {' or '.join(known)}, got {getattr(self, key)!r}")
        if unknown := set(self.without) - set(CHOSEN_OPS):
            raise InputError(
                f"search: without names ops of the space ({', '.join(CHOSEN_OPS)}), got {sorted(unknown)}"
            )
        if len(set(self.without)) > len(CHOSEN_OPS) - 2:
            raise InputError("search: without leaves fewer than two ops to choose from")
        if self.weighted and set(self.without) >= set(WEIGHTED_OPS):
            raise InputError(
                f"search: weighted = {self.weighted} asks for ops with weights, and without leaves none of them"
            )


@dataclass(frozen=True)
class SearchConfig(RunConfig):
    """A whole search.

    Attributes:
        search: how alphas move.
        alphas: crops of people for the alphas alone; empty: a share of those of `train`.
    """

    search: SearchRecipe = field(default_factory=SearchRecipe)
    alphas: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher.rows:
            raise InputError(
                "a search has no [teacher]; let the found cells be taught by python -m search retrain"
            )
        if any(source.tracklets for source in (*self.train, *self.alphas)):
            raise InputError("a search needs people with names, tracklets are for python -m search retrain")
        if self.recipe.heads != "one":
            raise InputError('a search compares everybody with everybody; set recipe.heads = "one"')
        if not self.val:
            raise InputError(
                "a search needs a third set of people, who score what it finds; give one or more [[val]] tables"
            )
