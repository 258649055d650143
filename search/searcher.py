"""The search: weights and alphas move in turn, each on people of its own, and other people score what they find."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autoreid_deploy.errors import InputError
from search import checkpoint, distributed, monitor
from search.augment import draw, training_input
from search.data import Crops
from search.derive import Budget, by_weight, within_budgets
from search.engine import Means, Run, batch_slice
from search.genotype import CHOSEN_OPS, FREE_OPS, Genotype, save_genotype
from search.latency import LatencyTable, edge_costs, predict
from search.network import Network
from search.objective import CentreMemory, LatencyTerm, Losses, mean_over_processes, retrieval_loss
from search.optim import learning_rate, optimiser, precision
from search.relaxation import KINDS, NONE, Paths, mixture, probabilities, relax, temperature
from search.sampler import sampler_of
from search.scoring import score
from search.search_config import SearchConfig
from search.subnet import Scorer
from search.supernet import Routing, SuperTrunk, initial_alphas

# The auxiliary skip is gone before the last quarter, in which the ops are compared without it.
_AUXILIARY_ENDS = 0.75


@dataclass(kw_only=True)
class Searcher(Run):
    """A search from its first step to its last.

    Attributes:
        config: what was asked for.
        train: crops that the weights learn from.
        alphas_crops: crops that the alphas learn from; other people, unless `split` is `images`.
        val: crops of a third set of people.
        table: measured latencies, where there is a budget.
    """

    kind: ClassVar[checkpoint.Kind] = checkpoint.SEARCH

    config: SearchConfig
    train: Crops
    alphas_crops: Crops
    val: Crops
    table: LatencyTable | None = None

    def __post_init__(self) -> None:
        recipe, how = self.config.recipe, self.config.search
        torch.manual_seed(recipe.seed)
        self.trunk = SuperTrunk(self.config.network)
        network = Network(self.trunk, self.config.network.dim, self.train.people)
        self.network: Network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.alphas = initial_alphas().to(self.device)
        self.optimiser = optimiser(self.network, recipe)
        self.alpha_optimiser = torch.optim.Adam(
            self.alphas.parameters(), lr=how.alpha_lr, betas=(0.5, 0.999), weight_decay=how.alpha_decay
        )
        self.memory = CentreMemory(
            self.alphas_crops.people, self.network.dim, how.centre_momentum, how.temperature, self.device
        )
        self.dtype = precision(recipe, self.device)
        self.sampler = sampler_of(self.train, self.config.train, recipe, recipe.seed)
        others = self.config.alphas or self.config.train
        self.alpha_sampler = sampler_of(self.alphas_crops, others, recipe, recipe.seed + 1)
        score(np.ones((len(self.val.records), 1), np.float32), self.val)  # an error now, and not epochs later
        self.slice = batch_slice(recipe.people * recipe.shots, "recipe")
        self.latency = self._latency_term()
        self.parallel: nn.Module = self.network
        if distributed.world_size() > 1:
            # A step runs some of the ops, the same ones in every process; the others have no gradient.
            self.parallel = DistributedDataParallel(self.network, find_unused_parameters=True)
        self._means, self._alpha_means = Means(2), Means(2)
        self.scorer = Scorer(self.network, self.trunk, self.train, self.val, self.device)
        self.curves: list[dict[str, list[list[float]]]] = []

    def _latency_term(self) -> LatencyTerm | None:
        how = self.config.search
        if self.table is None or not how.latency_budget:
            return None
        costs = edge_costs(self.table)
        return LatencyTerm(self.table.frame_ms, costs, how.latency_budget, how.latency_weight)

    @property
    def frozen_epochs(self) -> int:
        """Epochs in which the alphas wait for weights that are worth comparing."""
        return math.floor(self.config.search.frozen * self.epochs + 1e-9)

    @property
    def progress(self) -> float:
        """How far the search is, from 0 to 1."""
        return (self.epoch + self.step / len(self.sampler)) / self.epochs

    def images_in(self, epoch: int) -> int:
        """An alpha step sees as many as a step of the weights."""
        batch = self.config.recipe.people * self.config.recipe.shots
        return len(self.sampler) * batch * (1 if epoch < self.frozen_epochs else 2)

    def steps_of(self, epoch: int) -> Iterator[Callable[[], tuple[int, str]]]:
        """One step of the weights, and one of the alphas once they are free."""
        alpha_batches = self._alpha_batches(epoch)
        for number, indices in enumerate(self.sampler.epoch(epoch)):
            if number >= self.step:
                yield partial(self._step, indices, alpha_batches[number] if len(alpha_batches) else None)

    def _alpha_batches(self, epoch: int) -> NDArray[np.int64]:
        """As many batches as the weights get, from as many rounds over the alphas' crops as that takes."""
        if epoch < self.frozen_epochs:
            return np.empty((0, 0), np.int64)
        rounds = -(-len(self.sampler) // len(self.alpha_sampler))
        return np.concatenate([self.alpha_sampler.epoch(epoch * rounds + i) for i in range(rounds)])

    def _step(self, indices: NDArray[np.int64], alpha_indices: NDArray[np.int64] | None) -> tuple[int, str]:
        weights = self.weight_step(indices)
        if alpha_indices is None:
            return len(indices), f"ce {weights[0]:.3f} triplet {weights[1]:.3f} alphas frozen"
        alphas = self.alpha_step(alpha_indices)
        summary = f"ce {weights[0]:.3f} triplet {weights[1]:.3f} | alphas {alphas[0]:.3f} {alphas[1]:.3f}"
        return 2 * len(indices), summary

    def weight_step(self, indices: NDArray[np.int64]) -> list[float]:
        """One step of the weights through one sample of the paths.

        Args:
            indices: (P * K,) crops of `train`.

        Returns:
            Cross-entropy and triplet loss of the whole batch.
        """
        rate = learning_rate(self.config.recipe, self.epoch + self.step / len(self.sampler))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            self._route(0)
        self.parallel.train()
        x, labels = self._batch(self.train, indices, 0)
        with self._autocast():
            features, _, logits = self.parallel(x)
        losses = self._losses(logits, features, labels, self.config.recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.total)
        self.optimiser.step()
        return self._log(losses, self._means)

    def alpha_step(self, indices: NDArray[np.int64]) -> list[float]:
        """One step of the alphas on people whom the weights do not learn.

        Args:
            indices: (P * K,) crops of `alphas_crops`.

        Returns:
            Cross-entropy towards the centres and triplet loss of the whole batch.
        """
        self._route(1)
        self.network.train()
        x, labels = self._batch(self.alphas_crops, indices, 1)
        with self._autocast():
            before, after = self.network.features(x)
        logits = self.memory.logits(after)
        losses = self._losses(logits, before, labels, 0.0)
        loss = losses.total
        if self.latency is not None:
            loss = loss + self.latency.penalty(self.latency.expected_ms(self.probabilities()))
        # Only the alphas' gradients are asked for, so no convolution computes those of its weights.
        # A macro may lack normal cells, whose alphas then have none.
        alphas = list(self.alphas.values())
        gradients = torch.autograd.grad(loss, alphas, allow_unused=True)
        for alpha, gradient in zip(alphas, gradients, strict=True):
            found = torch.zeros_like(alpha) if gradient is None else gradient
            alpha.grad = mean_over_processes(found, distributed.world_size())
        self.alpha_optimiser.step()
        self.memory.update(after, labels)
        return self._log(losses, self._alpha_means)

    def _losses(self, logits: Tensor, features: Tensor, labels: Tensor, smoothing: float) -> Losses:
        balance, margin = self.config.search.balance, self.config.recipe.margin
        return retrieval_loss(logits, features, labels, balance, margin, smoothing)

    def _log(self, losses: Losses, sums: Means) -> list[float]:
        pair = [float(losses.cross_entropy.detach()), float(losses.triplet.detach())]
        means = distributed.mean(pair, self.device)
        if not math.isfinite(sum(means)):
            raise InputError(
                f"the loss is {means} in epoch {self.epoch + 1}; search anew with a lower recipe.lr or "
                "search.alpha_lr"
            )
        sums.add(*means)
        return means

    def probabilities(self) -> dict[str, Tensor]:
        """By kind of cell, (E, O) of each op on each edge."""
        how = self.config.search
        return {kind: probabilities(self.alphas[kind], how.none, how.without) for kind in KINDS}

    def _route(self, turn: int) -> None:
        """Sample the paths of one step: a pure function of (seed, epoch, step, turn), alike in every process."""
        how = self.config.search
        seeds = np.random.SeedSequence([self.config.recipe.seed, self.epoch, self.step, turn, 2])
        noise = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        begin = self.frozen_epochs / self.epochs
        tau = temperature(how.tau_first, how.tau_last, (self.progress - begin) / (1 - begin))
        paths = {k: relax(how.relaxation, p, how.none, tau, noise) for k, p in self.probabilities().items()}
        auxiliary = how.auxiliary * max(0.0, 1 - self.progress / _AUXILIARY_ENDS)
        self.trunk.routing = Routing(paths, auxiliary)

    def _batch(self, crops: Crops, indices: NDArray[np.int64], turn: int) -> tuple[Tensor, Tensor]:
        config, part = self.config, indices[self.slice]
        key = (self.epoch, 2 * self.step + turn)
        draws = draw(config.recipe, key, len(indices), config.network.height, config.network.width)
        x = training_input(crops.images[part], draws[self.slice], config.recipe.pad, self.device)
        return x, torch.from_numpy(crops.labels[part]).to(self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """The probabilities as plain arrays."""
        with torch.no_grad():
            return {kind: p.cpu().double().numpy() for kind, p in self.probabilities().items()}

    def derived(self) -> Genotype:
        """The cells that the alphas stand for now, made to fit the budget."""
        return self.fit(by_weight(self.weights(), self.config.name, self.config.search.weighted))

    def budgets(self, table: LatencyTable | None = None) -> list[Budget]:
        """What the derived network may take, in the macro of a table: the search's own, if it has one."""
        how, table = self.config.search, table or self.table
        found = [Budget.latency(table, how.latency_budget)] if table and how.latency_budget else []
        if how.parameter_budget:
            network = table.network if table else self.config.network
            found.append(Budget.parameters(network, how.parameter_budget))
        return found

    def fits(self, genotype: Genotype, table: LatencyTable | None = None) -> bool:
        """Whether cells are within the budgets, as far as there are any."""
        return all(budget.holds(genotype) for budget in self.budgets(table))

    def fit(self, genotype: Genotype) -> Genotype:
        """The same cells where they are within the budgets, else cheaper ones nearby."""
        return within_budgets(genotype, self.weights(), self.budgets(), self.config.search.weighted)

    def mixture_score(self) -> Callable[[Mapping[str, NDArray[np.float64]]], float]:
        """A function that scores all paths at once, mixed by weight: mAP on the third set of people."""

        def paths(weights: Mapping[str, NDArray[np.float64]]) -> dict[str, Paths]:
            return {k: Paths(torch.from_numpy(w).float().to(self.device), None) for k, w in weights.items()}

        self.scorer.calibrate(paths(self.op_weights()))
        return lambda weights: self.scorer.paths(paths(weights)).mAP

    def op_weights(self) -> dict[str, NDArray[np.float64]]:
        """(E, O) weights of the ops that can be derived; a structural `none` has none."""
        how = self.config.search
        with torch.no_grad():
            found = {kind: mixture(p, how.none).weights for kind, p in self.probabilities().items()}
        return {kind: p.cpu().double().numpy() for kind, p in found.items()}

    def finish_epoch(self) -> None:
        """Log the epoch, score what would be derived now if it is time to, and turn to the next one."""
        recipe = self.config.recipe
        row: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "lr": learning_rate(recipe, self.epoch + 1),
            **dict(zip(("cross_entropy", "triplet"), self._means.take(), strict=True)),
        }
        if self.epoch >= self.frozen_epochs:
            row |= zip(("alpha_cross_entropy", "alpha_triplet"), self._alpha_means.take(), strict=True)
        self.epoch, self.step = self.epoch + 1, 0
        with torch.no_grad():
            probability = self.probabilities()
        self.curves.append({kind: p.cpu().tolist() for kind, p in probability.items()})
        found = self.derived()
        row |= describe_alphas(probability, found, frozen=self.epoch <= self.frozen_epochs)
        if self.latency is not None and self.table is not None:
            row["expected_ms"] = float(self.latency.expected_ms(probability))
            row["derived_ms"] = predict(self.table, found)
        if self.epoch % recipe.val_every == 0 or self.epoch == recipe.epochs:
            scored = self.scorer.genotype(found)
            row |= {"rank1": scored.rank(1), "mAP": scored.mAP}
        self.history.append(row)
        if distributed.rank() == 0:
            monitor.write_log(self.history, self.folder / "log.csv")
            save_genotype(found, self.folder / "genotype.json")
            if row["alarm"]:
                monitor.say(f"alarm after epoch {self.epoch}: {row['alarm']}")

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the search, or a derivation, depends on."""
        return {
            "config": self.config.to_dict(),
            "table": self.table.to_dict() if self.table else None,
            "people": [self.train.people, self.alphas_crops.people, self.val.people],
            "network": self.network.state_dict(),
            "alphas": self.alphas.state_dict(),
            "centres": self.memory.centres,
            "optimiser": self.optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "sums": [self._means.sums.tolist(), self._alpha_means.sums.tolist()],
            "history": self.history,
            "curves": self.curves,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint stopped.

        Raises:
            InputError: the checkpoint is of another configuration, other latencies or other crops.
        """
        self.refuse_another(state, ("people", "table"))
        self.network.load_state_dict(state["network"])
        self.alphas.load_state_dict(state["alphas"])
        self.memory.centres.copy_(state["centres"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.alpha_optimiser.load_state_dict(state["alpha_optimiser"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], list(state["history"])
        self.curves = list(state["curves"])
        for means, sums in zip((self._means, self._alpha_means), state["sums"], strict=True):
            means.sums = np.array(sums)


@torch.no_grad()
def describe_alphas(probability: Mapping[str, Tensor], found: Genotype, *, frozen: bool) -> dict[str, Any]:
    """What a log says of the alphas: entropy, the ops of the cells, and an alarm where a known failure shows.

    Args:
        probability: by kind of cell, (E, O).
        found: what would be derived.
        frozen: the alphas have not moved yet, so nothing has gone wrong with them.
    """
    row: dict[str, Any] = {}
    for kind, p in probability.items():
        row[f"entropy_{kind}"] = float(-(p * p.clamp_min(1e-12).log()).sum(1).mean())
        row[f"none_{kind}"] = float(p[:, NONE].mean())
    edges = [edge.op for cell in (found.normal, found.reduce) for node in cell.nodes for edge in node]
    row |= {op: edges.count(op) for op in CHOSEN_OPS}
    alarms = []
    if sum(edges.count(op) for op in FREE_OPS) > len(edges) // 2:
        alarms.append(f"{sum(edges.count(op) for op in FREE_OPS)} of {len(edges)} ops have no weights")
    if max(row["none_normal"], row["none_reduce"]) > 0.5:
        alarms.append("none holds more than half of the weight")
    row["alarm"] = "" if frozen else "; ".join(alarms)
    return row
