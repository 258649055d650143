"""How well does a ranking find people: CMC, mAP and mINP under Market-1501's protocol.

Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015 (CMC, mAP, junk and distractors);
Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, arXiv 2001.04193 (mINP).

Of one query's ranked gallery, junk is taken out first: crops of the same person by the same camera, and boxes
of nobody (pid "-1"). Distractors (pid "0000") stay and are wrong answers for everybody. Let the query's n
matches stand at the 1-based ranks r_1 < ... < r_n of what is left. Then

    CMC(k) = 1 if r_1 <= k else 0        AP = 1/n * sum_i i / r_i        INP = n / r_n

and CMC, mAP and mINP are the means over all queries that have a match. Equal distances rank in gallery order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.distances import chunks, distance_blocks, distance_matrix, unit_rows
from autoreid_deploy.errors import InputError
from autoreid_deploy.labels import Labels
from autoreid_deploy.protocols import heldout_split, people_of
from autoreid_deploy.records import Record

__all__ = [
    "Compare",
    "Evaluation",
    "distance_matrix",
    "evaluate",
    "evaluate_blocks",
    "evaluate_embeddings",
    "evaluate_records",
    "heldout_split",
]

# Counting beats sorting a row of 20,000 up to about 500 matches.
_FEW = 500


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


class Compare(Protocol):
    """Compares queries with a gallery: `distance_blocks`, or `rerank_blocks` for a re-ranked evaluation."""

    def __call__(self, query: ArrayLike, gallery: ArrayLike, *, chunk: int) -> Iterable[NDArray[np.float32]]:
        """Give blocks of (chunk, G) distances, queries in order, the last block shorter."""
        ...


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
        chunk: queries scored at once.

    Raises:
        InputError: sizes do not fit, a label is None, a distance is NaN, or no query has a match.

    >>> result = evaluate([[0.1, 0.2, 0.3]], ["7"], ["8", "7", "7"], ["1"], ["1", "1", "2"])
    >>> result.rank(1), result.rank(2), result.mAP  # the middle one is junk: same person, same camera
    (0.0, 1.0, 0.5)
    """
    matrix = np.asarray(distance)
    labels = Labels(q_pids, g_pids, q_camids, g_camids)
    if matrix.shape != labels.shape:
        raise InputError(f"expected distances of shape {labels.shape} as the labels say, got {matrix.shape}")
    return _evaluate((matrix[rows] for rows in chunks(len(matrix), chunk)), labels, max_rank)


def evaluate_blocks(
    blocks: Iterable[NDArray[Any]],
    q_pids: Sequence[Any] | NDArray[Any],
    g_pids: Sequence[Any] | NDArray[Any],
    q_camids: Sequence[Any] | NDArray[Any],
    g_camids: Sequence[Any] | NDArray[Any],
    *,
    max_rank: int = 50,
) -> Evaluation:
    """Score a distance matrix that comes a few queries at a time: each block is dropped once it is scored.

    Args:
        blocks: (n, G) float each, smaller is closer; together the Q queries in order.
        q_pids: as for `evaluate`, and so are all that follow.
        g_pids: (G,)
        q_camids: (Q,)
        g_camids: (G,)
        max_rank: length of the CMC curve.

    Raises:
        InputError: as `evaluate`.
    """
    return _evaluate(blocks, Labels(q_pids, g_pids, q_camids, g_camids), max_rank)


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
    compare: Compare = distance_blocks,
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
        chunk: queries compared at once, which bounds the memory: about 4 bytes x chunk x G.
        compare: gives the distances; `rerank_blocks` re-ranks them.

    Raises:
        InputError: as `distance_matrix` and `evaluate`.
    """
    left, right = unit_rows(query, gallery)
    labels = Labels(q_pids, g_pids, q_camids, g_camids)
    if (len(left), len(right)) != labels.shape:
        raise InputError(f"expected {labels.shape} rows as the labels say, got {(len(left), len(right))}")
    return _evaluate(compare(left, right, chunk=chunk), labels, max_rank)


def evaluate_records(
    query_rows: ArrayLike,
    query_records: Sequence[Record],
    gallery_rows: ArrayLike,
    gallery_records: Sequence[Record],
    *,
    max_rank: int = 50,
    chunk: int = 256,
    compare: Compare = distance_blocks,
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
        compare: as for `evaluate_embeddings`.

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
        compare=compare,
    )


def _evaluate(blocks: Iterable[NDArray[Any]], labels: Labels, max_rank: int) -> Evaluation:
    if max_rank < 1:
        raise InputError(f"expected a max_rank of at least 1, got {max_rank}")
    scores: list[tuple[float, float, float]] = []
    start = 0
    for block in blocks:
        scores += _score(block, labels, start)
        start += len(block)
    if start != labels.shape[0]:
        raise InputError(f"expected distances of {labels.shape[0]} queries as the labels say, got {start}")
    if not scores:
        raise InputError(
            f"none of the {labels.shape[0]} queries has a match among the {labels.shape[1]} gallery crops: "
            "expected the same person, by another camera"
        )
    first, average_precision, inverse_penalty = np.array(scores).T
    hits = np.bincount(first.astype(np.intp), minlength=max_rank + 1)[1 : max_rank + 1]
    return Evaluation(
        cmc=np.cumsum(hits) / len(scores),
        mAP=float(average_precision.mean()),
        mINP=float(inverse_penalty.mean()),
        queries=len(scores),
        skipped=labels.shape[0] - len(scores),
    )


def _score(block: NDArray[Any], labels: Labels, start: int) -> list[tuple[float, float, float]]:
    """Give the first match's rank, AP and INP of each query that has a match.

    Args:
        block: (n, G) float.
        labels: of all queries.
        start: the block's first query.
    """
    if block.ndim != 2 or block.shape[1] != labels.shape[1] or start + len(block) > labels.shape[0]:
        raise InputError(
            f"expected blocks of distances for {labels.shape} as the labels say, got {block.shape}"
        )
    if np.isnan(np.max(block, initial=0)):
        raise InputError("expected distances, got NaN: leave out crops that could not be read")
    if not labels.kept.all():
        block = block[:, labels.kept]
    scores = []
    for query, row in enumerate(block, start):
        matches, junk = labels.of(query)
        if n := len(matches):
            r = np.sort(1 + _places(row, matches) - _ahead(row, junk, matches))
            scores.append((float(r[0]), float(np.mean(np.arange(1, n + 1) / r)), n / float(r[-1])))
    return scores


def _places(row: NDArray[Any], columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give the 0-based places of some columns in a row's ranking, equals in order of the columns."""
    if len(columns) > _FEW:
        places = np.empty(len(row), np.intp)
        places[np.argsort(row, kind="stable")] = np.arange(len(row))
        return places[columns]
    # Whoever stands before one column: all that are closer, and equals further left. Counting needs no sort.
    return np.array(
        [
            np.count_nonzero(row[:at] <= row[at]) + np.count_nonzero(row[at:] < row[at])
            for at in columns.tolist()
        ],
        np.intp,
    )


def _ahead(row: NDArray[Any], some: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count for each of `columns` how many of `some` rank before it."""
    theirs, ours = row[some], row[columns, None]
    ahead = (theirs < ours) | (theirs == ours) & (some < columns[:, None])
    count: NDArray[np.intp] = ahead.sum(axis=1, dtype=np.intp)
    return count


def _camera(record: Record) -> str:
    return f"camera {record.camid}" if record.camid is not None else f"only {record.path}"
