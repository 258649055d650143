"""How well a network finds people that it has not seen: what `reid-eval` would say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from autoreid_deploy.metrics import Evaluation, evaluate_records
from autoreid_deploy.protocols import heldout_split
from autoreid_deploy.records import Record
from search.augment import normalise
from search.data import Crops
from search.network import Network
from search.pixels import Images

BATCH = 128


def embed(network: Network, images: Images, device: torch.device) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 RGB -> (N, dim) float32 unit rows, in evaluation mode."""
    network.eval()
    rows = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(images[start : start + BATCH]).to(device)
            rows.append(network.embed(normalise(batch)).cpu().numpy())
    return np.concatenate(rows)


def score(rows: NDArray[np.float32], crops: Crops) -> Evaluation:
    """Score embeddings by the held-out protocol.

    Args:
        rows: (N, D), one of each crop.
        crops: N crops.

    Raises:
        InputError: nobody was seen by two cameras.
    """
    return score_people(rows, crops.records, crops.labels)


def score_people(rows: NDArray[np.float32], crops: Sequence[Record], people: NDArray[np.int64]) -> Evaluation:
    """Score embeddings by the held-out protocol.

    Args:
        rows: (N, D), one of each crop.
        crops: N crops.
        people: (N,) whom each shows; two sources may use the same id for two people.

    Raises:
        InputError: nobody was seen by two cameras.
    """
    records = [replace(r, pid=str(label)) for r, label in zip(crops, people, strict=True)]
    query, gallery = heldout_split(records)
    return evaluate_records(
        rows[query], [records[i] for i in query], rows[gallery], [records[i] for i in gallery]
    )


def validate(network: Network, crops: Crops, device: torch.device) -> Evaluation:
    """Embed held-out people and score them."""
    return score(embed(network, crops.images, device), crops)
