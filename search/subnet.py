"""How well a path through the supernet finds people, with the weights that all paths share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from autoreid_deploy.metrics import Evaluation
from search.augment import normalise
from search.data import Crops
from search.genotype import Genotype
from search.network import Network
from search.relaxation import Paths
from search.scoring import BATCH, embed, score
from search.supernet import Routing, SuperTrunk, genotype_paths

# Batch norms of a path are set by so many crops; their running averages are of all paths together.
_CALIBRATION = 512


class Scorer:
    """Score paths on people whom neither weights nor alphas have seen.

    Args:
        network: around the supernet.
        trunk: the supernet in it, whose routing is set.
        train: crops that batch norm is calibrated on: the weights' own people.
        val: crops that are ranked.
        device: where the network lives.
    """

    def __init__(
        self, network: Network, trunk: SuperTrunk, train: Crops, val: Crops, device: torch.device
    ) -> None:
        self.network, self.trunk, self.val, self.device = network, trunk, val, device
        chosen = np.random.default_rng(0).permutation(len(train.images))[:_CALIBRATION]
        self._calibration = train.images[np.sort(chosen)]

    def genotype(self, genotype: Genotype) -> Evaluation:
        """Score the network that a pair of cells would be, as it stands in the supernet."""
        paths = genotype_paths(genotype)
        self.calibrate(paths)
        return self.paths(paths)

    def paths(self, paths: Mapping[str, Paths]) -> Evaluation:
        """Score paths with batch norms as they are."""
        self.trunk.routing = Routing(paths)
        return score(embed(self.network, self.val.images, self.device), self.val)

    @torch.no_grad()
    def calibrate(self, paths: Mapping[str, Paths]) -> None:
        """Let the batch norms average what these paths put out; every process takes part."""
        self.trunk.routing = Routing(paths)
        norms = [m for m in self.network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        usual = [norm.momentum for norm in norms]
        self.network.train()
        for norm in norms:
            # A plain mean over all passes: a bank of ops may run several times a batch.
            norm.momentum = None
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.zero_()
        for start in range(0, len(self._calibration), BATCH):
            batch = torch.from_numpy(self._calibration[start : start + BATCH]).to(self.device)
            self.network.features(normalise(batch))
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
