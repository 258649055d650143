"""How well does a ranking find people: CMC, mAP and mINP under Market-1501's protocol.

Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015 (CMC, mAP, junk and distractors);
Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, arXiv 2001.04193 (mINP).

Of one query's ranked gallery, junk is taken out first: crops of the same person by the same camera, and boxes
of nobody (pid "-1"). Distractors (pid "0000") stay and are wrong answers for everybody. Let the query's n
matches stand at the 1-based ranks r_1 < ... < r_n of what is left. Then

    CMC(k) = 1 if r_1 <= k else 0        AP = 1/n * sum_i i / r_i        INP = n / r_n

and CMC, mAP and mINP are the means over all queries that have a match. Equal distances rank in gallery order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.protocols import heldout_split, people_of
from autoreid_deploy.records import DISTRACTOR, JUNK, Record

__all__ = [
    "Evaluation",
    "distance_matrix",
    "evaluate",
    "evaluate_embeddings",
    "evaluate_records",
    "heldout_split",
]

# A length further from 1 than this is no rounding: rows restored from fp16 stay within 1e-3.
_UNIT_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one evaluation found; every value but the counts is a fraction.

    Attributes:
        cmc: (max_rank,) float64, at k - 1 the share of queries whose first match is among the first k.
        mAP: mean average precision.
        mINP: mean inverse negative penalty: how far down the hardest match lies.
        queries: how many were evaluated.
        skipped: how many had no match in the gallery and count nowhere.
    """

    cmc: NDArray[np.float64]
    mAP: float  # noqa: N815 - the field's name
    mINP: float  # noqa: N815
    queries: int
    skipped: int

    def rank(self, r: int) -> float:
        """Give rank-r accuracy: the share of queries with a match among the first `r`.

        Raises:
            InputError: `r` is not within 1 and the evaluation's max_rank.
        """
        if not 1 <= r <= len(self.cmc):
            raise InputError(f"expected a rank from 1 to max_rank={len(self.cmc)}, got {r}")
        return float(self.cmc[r - 1])


def distance_matrix(query: ArrayLike, gallery: ArrayLike) -> NDArray[np.float32]:
    """Compare each query with each gallery row.

    Args:
        query: (Q, D) float, unit rows.
        gallery: (G, D) float, unit rows.

    Returns:
        (Q, G) float32, 1 - cosine in [0, 2].

    Raises:
        InputError: the shapes do not fit, or a row is not of length 1 (that of an unreadable crop is NaN).

    >>> distance_matrix([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    array([[0., 1., 2.]], dtype=float32)
    """
    left, right = _unit_rows(query, gallery)
    return _compare(left, right)


def evaluate(
    distance: ArrayLike,
    q_pids: Sequence[Any] | NDArray[Any],
    g_pids: Sequence[Any] | NDArray[Any],
    q_camids: Sequence[Any] | NDArray[Any],
    g_camids: Sequence[Any] | NDArray[Any],
    *,
    max_rank: int = 50,
    chunk: int = 256,
) -> Evaluation:
    """Score a distance matrix.

    Args:
        distance: (Q, G) float, smaller is closer.
        q_pids: (Q,) text or integers, the person of each query.
        g_pids: (G,) the same for the gallery; -1 is junk, "0000" a distractor (the integer 0 is a person).
        q_camids: (Q,) text or integers, the camera of each query.
        g_camids: (G,) the same for the gallery.
        max_rank: length of the CMC curve; may exceed the gallery.
        chunk: queries ranked at once, which bounds the memory: about 20 bytes x chunk x G.

    Raises:
        InputError: sizes do not fit, a label is None, a distance is NaN, or no query has a match.

    >>> result = evaluate([[0.1, 0.2, 0.3]], ["7"], ["8", "7", "7"], ["1"], ["1", "1", "2"])
    >>> result.rank(1), result.rank(2), result.mAP  # the middle one is junk: same person, same camera
    (0.0, 1.0, 0.5)
    """
    matrix = np.asarray(distance)
    labels = _Labels(q_pids, g_pids, q_camids, g_camids)
    if matrix.shape != labels.shape:
        raise InputError(f"expected distances of shape {labels.shape} as the labels say, got {matrix.shape}")
    return _evaluate((matrix[rows] for rows in _chunks(len(matrix), chunk)), labels, max_rank)


def evaluate_embeddings(
    query: ArrayLike,
    gallery: ArrayLike,
    q_pids: Sequence[Any] | NDArray[Any],
    g_pids: Sequence[Any] | NDArray[Any],
    q_camids: Sequence[Any] | NDArray[Any],
    g_camids: Sequence[Any] | NDArray[Any],
    *,
    max_rank: int = 50,
    chunk: int = 256,
) -> Evaluation:
    """Score embeddings without ever holding the whole distance matrix.

    Args:
        query: (Q, D) float, unit rows.
        gallery: (G, D) float, unit rows.
        q_pids: as for `evaluate`, and so are all that follow.
        g_pids: (G,)
        q_camids: (Q,)
        g_camids: (G,)
        max_rank: length of the CMC curve.
        chunk: queries compared at once.

    Raises:
        InputError: as `distance_matrix` and `evaluate`.
    """
    left, right = _unit_rows(query, gallery)
    labels = _Labels(q_pids, g_pids, q_camids, g_camids)
    if (len(left), len(right)) != labels.shape:
        raise InputError(f"expected {labels.shape} rows as the labels say, got {(len(left), len(right))}")
    blocks = (_compare(left[rows], right) for rows in _chunks(len(left), chunk))
    return _evaluate(blocks, labels, max_rank)


def evaluate_records(
    query_rows: ArrayLike,
    query_records: Sequence[Record],
    gallery_rows: ArrayLike,
    gallery_records: Sequence[Record],
    *,
    max_rank: int = 50,
    chunk: int = 256,
) -> Evaluation:
    """Score embeddings of records: what `reid-eval` and the validation during training both call.

    A record without camera takes only itself (the same path) for junk, since nothing tells who filmed it.

    Args:
        query_rows: (Q, D) float, unit rows.
        query_records: Q records.
        gallery_rows: (G, D) float, unit rows.
        gallery_records: G records.
        max_rank: length of the CMC curve.
        chunk: queries compared at once.

    Raises:
        InputError: a record has no person, or as `evaluate_embeddings`.
    """
    return evaluate_embeddings(
        query_rows,
        gallery_rows,
        people_of(query_records),
        people_of(gallery_records),
        [_camera(record) for record in query_records],
        [_camera(record) for record in gallery_records],
        max_rank=max_rank,
        chunk=chunk,
    )


class _Labels:
    """Who is a match and who is junk for whom."""

    def __init__(self, q_pids: Any, g_pids: Any, q_camids: Any, g_camids: Any) -> None:
        self.q_pids, self.g_pids = _as_numbers("person", q_pids, g_pids)
        self.q_camids, self.g_camids = _as_numbers("camera", q_camids, g_camids)
        self.shape = (len(self.q_pids), len(self.g_pids))
        if (len(self.q_camids), len(self.g_camids)) != self.shape:
            cameras = (len(self.q_camids), len(self.g_camids))
            raise InputError(f"expected a camera for each of {self.shape} people, got {cameras}")
        names = np.array([str(pid) for pid in g_pids], dtype=str)
        self.nobody, self.distractor = names == JUNK, names == DISTRACTOR

    def compare(self, rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Give the (rows, G) masks of matches and of junk."""
        same = self.q_pids[rows, None] == self.g_pids
        junk = same & (self.q_camids[rows, None] == self.g_camids) | self.nobody
        return same & ~junk & ~self.distractor, junk


def _evaluate(blocks: Iterable[NDArray[Any]], labels: _Labels, max_rank: int) -> Evaluation:
    if max_rank < 1:
        raise InputError(f"expected a max_rank of at least 1, got {max_rank}")
    scores = [np.empty((3, 0))]
    start = 0
    for block in blocks:
        scores.append(_score(block, *labels.compare(slice(start, start + len(block)))))
        start += len(block)
    first, average_precision, inverse_penalty = np.concatenate(scores, axis=1)
    queries = len(first)
    if not queries:
        raise InputError(
            f"none of the {labels.shape[0]} queries has a match among the {labels.shape[1]} gallery crops: "
            "expected the same person, by another camera"
        )
    hits = np.bincount(first.astype(np.intp), minlength=max_rank + 1)[1 : max_rank + 1]
    return Evaluation(
        cmc=np.cumsum(hits) / queries,
        mAP=float(average_precision.mean()),
        mINP=float(inverse_penalty.mean()),
        queries=queries,
        skipped=labels.shape[0] - queries,
    )


def _score(distance: NDArray[Any], match: NDArray[np.bool_], junk: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Score the queries of one block that have a match.

    Args:
        distance: (n, G) float.
        match: (n, G) bool.
        junk: (n, G) bool.

    Returns:
        (3, queries with a match): the first match's rank, AP, INP.
    """
    if np.isnan(distance).any():
        raise InputError("expected distances, got NaN: leave out crops that could not be read")
    order = np.argsort(distance, axis=1, kind="stable")
    rank = np.cumsum(np.take_along_axis(~junk, order, axis=1), axis=1, dtype=np.int32)
    # Matches are few: from here on a flat list of them, query by query and in rank order.
    rows, places = np.nonzero(np.take_along_axis(match, order, axis=1))
    r = rank[rows, places]
    n = np.bincount(rows, minlength=len(distance))
    n = n[n > 0]
    ends = np.cumsum(n)
    i = np.arange(1, len(r) + 1) - np.repeat(ends - n, n)
    average_precision = np.add.reduceat(i / r, ends - n) / n
    return np.stack([r[ends - n], average_precision, n / r[ends - 1]])


def _chunks(length: int, chunk: int) -> Iterator[slice]:
    if chunk < 1:
        raise InputError(f"expected a chunk of at least 1 query, got {chunk}")
    return (slice(start, start + chunk) for start in range(0, length, chunk))


def _compare(query: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    distance = np.float32(1) - query @ gallery.T
    return np.clip(distance, 0, 2, out=distance)


def _unit_rows(query: ArrayLike, gallery: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Check both sides once, so that chunks need not."""
    left, right = np.asarray(query, dtype=np.float32), np.asarray(gallery, dtype=np.float32)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InputError(f"expected rows of one dimension, got query {left.shape} and gallery {right.shape}")
    for side, rows in (("query", left), ("gallery", right)):
        lengths = np.linalg.norm(rows, axis=1)
        wrong = ~(np.abs(lengths - 1) < _UNIT_TOLERANCE)  # true for NaN too
        if wrong.any():
            at = int(np.argmax(wrong))
            raise InputError(f"expected {side} rows of length 1, row {at} has {lengths[at]:.4g}")
    return left, right


def _as_numbers(what: str, query: Any, gallery: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the labels of both sides, so that comparing them is fast."""
    both = [*query, *gallery]
    if any(label is None for label in both):
        raise InputError(f"expected a {what} for each row, got None")
    numbers = np.unique(np.array([str(label) for label in both], dtype=str), return_inverse=True)[1]
    return numbers[: len(query)], numbers[len(query) :]


def _camera(record: Record) -> str:
    return f"camera {record.camid}" if record.camid is not None else f"only {record.path}"
