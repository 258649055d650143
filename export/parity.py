"""Does the file say what the network says? Torch and ONNX Runtime on the same crops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.errors import ModelError
from autoreid_deploy.records import scan
from autoreid_deploy.session import ModelSession
from search.augment import normalise
from search.network import Network

BATCHES = (1, 2, 7, 32)
MAX_DIFFERENCE = 1e-4
MIN_COSINE = 0.9999


@dataclass(frozen=True)
class Parity:
    """One comparison.

    Attributes:
        crops: what was embedded, `random` or `real`.
        batch: crops a batch.
        difference: largest absolute difference of two unit rows' entries.
        cosine: smallest cosine of two rows that should be equal.
    """

    crops: str
    batch: int
    difference: float
    cosine: float

    @property
    def holds(self) -> bool:
        """Whether both sides agree; a NaN does not."""
        return self.difference < MAX_DIFFERENCE and self.cosine > MIN_COSINE


def random_crops(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """(count, height, width, 3) uint8: half noise, half flat colours, which noise alone would never test."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count - count // 2, height, width, 3), np.uint8)
    flat = np.broadcast_to(
        rng.integers(0, 256, (count // 2, 1, 1, 3), np.uint8), (count // 2, height, width, 3)
    )
    return np.concatenate([noise, flat])


def real_crops(folder: str | Path, count: int, height: int, width: int) -> NDArray[np.uint8]:
    """(up to count, height, width, 3) uint8, spread over a folder, prepared as the embedder does."""
    records = scan(folder)
    step = max(1, len(records) // count)
    return np.stack([resize_crop(read_crop(r.path), height, width) for r in records[::step][:count]])


def compare(
    network: Network, model: Path, crops: dict[str, NDArray[np.uint8]], mirrored: bool = False
) -> list[Parity]:
    """Embed every set of crops at every batch size with the unfolded network in torch and with the file.

    Args:
        network: in evaluation mode.
        model: the ONNX file.
        crops: name -> (N, height, width, 3) uint8.
        mirrored: the file embeds mirror images too.
    """
    session = ModelSession(model, "cpu")
    results = []
    for name, images in crops.items():
        with torch.no_grad():
            expected = network.embed(normalise(torch.from_numpy(images)), mirrored).numpy()
        for batch in BATCHES:
            starts = range(0, len(images), batch)
            came = np.concatenate([session.run(images[start : start + batch]) for start in starts])
            difference = float(np.abs(came - expected).max())
            results.append(Parity(name, batch, difference, float((came * expected).sum(1).min())))
    return results


def require(results: Iterable[Parity]) -> None:
    """Refuse a file that differs from its network.

    Raises:
        ModelError: names the worst comparison and both limits.
    """
    failed = [result for result in results if not result.holds]
    if failed:
        worst = min(failed, key=lambda result: result.cosine)
        raise ModelError(
            f"parity failed on {worst.crops} crops at batch {worst.batch}: difference {worst.difference:.2e} "
            f"(limit {MAX_DIFFERENCE:.0e}), cosine {worst.cosine:.6f} (limit {MIN_COSINE}); no file was written"
        )


def table(results: Iterable[Parity]) -> str:
    """A Markdown table of the comparisons."""
    rows = ["| crops | batch | largest difference | smallest cosine | |", "|---|---:|---:|---:|---|"]
    for result in results:
        verdict = "ok" if result.holds else "FAILED"
        rows.append(
            f"| {result.crops} | {result.batch} | {result.difference:.2e} | {result.cosine:.7f} | {verdict} |"
        )
    return "\n".join(rows)
