"""Crops in memory: decoded once, kept as one uint8 array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.records import DISTRACTOR, JUNK, Record, read_ids, scan
from search.config import Source, find_ids


@dataclass(frozen=True)
class Crops:
    """The crops of one or more sources.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int64, people numbered from 0 over all sources.
        records: N records.
        origins: (N,) int64, which source each came from.
        failures: crops that could not be read, and why; they are not among the N.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    records: tuple[Record, ...]
    origins: NDArray[np.int64]
    failures: tuple[CropError, ...]

    @property
    def people(self) -> int:
        """How many people there are."""
        return int(self.labels.max()) + 1

    def counts(self) -> list[dict[str, int]]:
        """People and crops of each source."""
        of_source = [self.labels[self.origins == i] for i in range(int(self.origins.max()) + 1)]
        return [{"people": len(np.unique(labels)), "crops": len(labels)} for labels in of_source]


def list_people(source: Source, root: Path, beside: Path) -> list[Record]:
    """List the labelled crops of a source; junk and distractors teach nothing and are left out.

    Raises:
        InputError: nothing is there, no name tells a person, or nobody of the id list is among them.
    """
    folder = root / source.path
    labelled = [r for r in scan(folder, names=source.names) if r.pid not in (None, JUNK, DISTRACTOR)]
    if not labelled:
        raise InputError(
            f"{folder}: no crop names a person; expected PPPP_cC...jpg (Market), CUHK01 or CUHK03 names, or a CSV "
            "with path,pid,camid"
        )
    if not source.ids:
        return labelled
    wanted = read_ids(find_ids(source.ids, beside))
    kept = [record for record in labelled if record.pid in wanted]
    if not kept:
        raise InputError(f"{folder}: none of the {len(wanted)} people of {source.ids} is among the crops")
    return kept


def load_crops(
    sources: Sequence[Source],
    root: Path,
    beside: Path,
    size: tuple[int, int],
    *,
    strict: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> Crops:
    """Decode and resize every crop of the sources.

    Args:
        sources: what to take; people of two sources are never the same.
        root: where the sources' paths start.
        beside: where id lists are looked up first.
        size: (height, width) in pixels.
        strict: refuse the first unreadable crop instead of leaving it out.
        tick: called once a crop.

    Raises:
        CropError: with `strict`, a crop can't be read.
        InputError: a source holds nobody.
    """
    listed = [(i, record) for i, source in enumerate(sources) for record in list_people(source, root, beside)]

    def read(item: tuple[int, Record]) -> NDArray[np.uint8] | CropError:
        try:
            return resize_crop(read_crop(item[1].path), *size)
        except CropError as error:
            if strict:
                raise
            return error

    images = np.empty((len(listed), *size, 3), np.uint8)
    kept: list[tuple[int, Record]] = []
    failures: list[CropError] = []
    with ThreadPoolExecutor() as pool:
        for item, image in zip(listed, pool.map(read, listed), strict=True):
            if isinstance(image, CropError):
                failures.append(image)
            else:
                images[len(kept)] = image
                kept.append(item)
            tick()
    if not kept:
        raise InputError(f"none of {len(listed)} crops can be read; the first: {failures[0]}")
    people = {key: i for i, key in enumerate(sorted({(i, str(r.pid)) for i, r in kept}))}
    labels = np.array([people[i, str(record.pid)] for i, record in kept], np.int64)
    origins = np.array([i for i, _ in kept], np.int64)
    return Crops(images[: len(kept)], labels, tuple(r for _, r in kept), origins, tuple(failures))
