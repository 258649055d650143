"""How the nearest rows become answers: several pictures as one query, one hit a person, another order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import Record

POOLS = ("each", "mean", "max")
GROUPS = ("person", "tracklet")
Found = tuple[NDArray[np.float32], NDArray[np.int64]]  # (Q, C) distances and ids


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer.

    Attributes:
        rank: 1 is the closest.
        id: of the row; never given to another embedding.
        distance: 1 - cosine, in [0, 2], smaller is closer.
        record: the crop.
        probability: that it shows the query's person; None without a calibration.
        unknown: at the false-positive rate that was asked for, it is too far away to be called the person.
        reranked: distance by neighbours, in [0, 1], by which hits are ordered after a re-ranking; else None.
        centred: distance without what is common to the camera, in [0, 2], where it was asked for; hits are ordered by
            it unless they are re-ranked; else None.
    """

    rank: int
    id: int
    distance: float
    record: Record
    probability: float | None = None
    unknown: bool = False
    reranked: float | None = None
    centred: float | None = None


def check(k: int, pool: str, group: str | None, rerank: int, centred: bool) -> None:
    """Refuse what cannot be asked.

    Raises:
        InputError: a number or a word is none of those expected.
    """
    if k < 1:
        raise InputError(f"expected k of 1 or more, got {k}")
    if pool not in POOLS:
        raise InputError(f"expected several pictures to be taken as {', '.join(POOLS)}, got {pool!r}")
    if group is not None and group not in GROUPS:
        raise InputError(f"expected hits to be grouped by {' or '.join(GROUPS)}, got {group!r}")
    if rerank < 0:
        raise InputError(f"expected 0 or more candidates to be re-ranked, got {rerank}")
    for asked, how in ((rerank, "re-ranking compares"), (centred, "centring by camera compares")):
        if asked and pool == "max":
            raise InputError(f"{how} one row a query with its candidates; take the mean, or each picture")


def cameras_of(cameras: Sequence[str | None], rows: int, pool: str) -> Sequence[str | None]:
    """Say which camera took each query, None where nobody knows.

    Args:
        cameras: one a picture, or none at all.
        rows: how many pictures there are.
        pool: what is asked by the mean of pictures has a camera if all of them have the same.

    Raises:
        InputError: there are others than one a picture.
    """
    if cameras and len(cameras) != rows:
        raise InputError(f"expected a camera, or None, for each of {rows} pictures, got {len(cameras)}")
    if pool == "mean":
        return [cameras[0] if len(set(cameras)) == 1 else None]
    return cameras or [None] * rows


def mean_row(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(Q, D) unit rows -> (1, D), the direction of their mean.

    Raises:
        InputError: there are none, or they cancel out.
    """
    mean: NDArray[np.float32] = rows.sum(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    if not length > 1e-6:
        raise InputError("expected pictures that have a mean, got none or such that cancel out")
    mean /= length
    return mean


def closest_of(found: Found, k: int) -> Found:
    """Make one answer of several, in which a row is as near as to the nearest of the pictures.

    The k nearest to any picture are among the k nearest of one picture each, so nothing is missed.

    Args:
        found: (Q, C) distances and ids.
        k: how many are kept.

    Returns:
        (1, min(k, S)) of the S different rows.
    """
    distance, id = found[0].reshape(-1), found[1].reshape(-1)
    order = np.lexsort((id, distance))
    _, first = np.unique(id[order], return_index=True)
    kept = order[np.sort(first)][:k]
    return distance[kept][None], id[kept][None]


def one_a_group(
    ask: Callable[[int], Found], known: Callable[[list[int]], dict[int, Record]], k: int, group: str
) -> list[tuple[list[float], list[int]]]:
    """Keep the best hit of each person or tracklet, looking as deep as k of them take.

    A crop without a label is a group of its own.

    Args:
        ask: the C nearest rows, fewer where there are no more.
        known: records by id.
        k: how many groups a query.
        group: `person` or `tracklet`.
    """
    depth = 4 * k
    while True:
        distance, id = ask(depth)
        records = known(np.unique(id).tolist())
        answers = [
            _heads(d, i, records, k, group) for d, i in zip(distance.tolist(), id.tolist(), strict=True)
        ]
        if distance.shape[1] < depth or all(len(ids) == k for _, ids in answers):
            return answers
        depth *= 4


def _heads(
    distances: Sequence[float], ids: Sequence[int], records: dict[int, Record], k: int, group: str
) -> tuple[list[float], list[int]]:
    seen: set[object] = set()
    kept: tuple[list[float], list[int]] = ([], [])
    for distance, id in zip(distances, ids, strict=True):
        record = records[id]
        label = record.pid if group == "person" else record.tracklet
        key = id if label is None else label
        if key not in seen and len(kept[1]) < k:
            seen.add(key)
            kept[0].append(distance)
            kept[1].append(id)
    return kept
