"""Re-ranking by k-reciprocal neighbours, with the published numbers and without the published matrices.

Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017, arXiv 1701.08398.
Two crops show one person if each is among the other's nearest, and if they share such neighbours. Queries and
gallery together are the crowd of M = Q + G crops. Of crop i, with d the squared Euclidean distance,

    N(i, k)  the k + 1 nearest of the crowd, itself among them
    R(i, k)  = {j in N(i, k) : i in N(j, k)}
    R*(i)    = R(i, k1) and each R(j, k1 / 2) with j in R(i, k1), |R(i, k1) & R(j, k1 / 2)| > 2/3 |R(j, k1 / 2)|
    d'(i, j) = d(i, j) / max_l d(i, l)
    V(i, j)  = exp(-d'(i, j)) / sum_l exp(-d'(i, l)) for j in R*(i), else 0; then the mean over N(i, k2 - 1)
    s(q, g)  = sum_l min(V(q, l), V(g, l)), the overlap of the two, and 1 - s / (2 - s) their Jaccard distance

    re-ranked(q, g) = (1 - lambda) (1 - s / (2 - s)) + lambda d'(q, g)

These are the authors' steps in Python, which differ from the paper in the + 1, in the scaling and in d' under exp.
They hold several M x M matrices; here V is sparse, neighbours are found a block of rows at a time, and the
result leaves a block of queries at a time. Neighbours at equal distance rank in the order of the crowd, which the
published code leaves to its sort. What float32 can't tell apart is compared in float64, so that the size of a
block changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.distances import chunks, unit_rows
from autoreid_deploy.errors import InputError
from autoreid_deploy.neighbours import nearest, ranges, squared_distances

# Rows encoded at once.
_ROWS = 256


@dataclass(frozen=True, eq=False)
class _Sparse:
    """A sparse matrix, row by row.

    Attributes:
        starts: (rows + 1,) where each row's entries start.
        columns: (entries,)
        values: (entries,) float32.
    """

    starts: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.float32]

    def entries(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give the entries of some rows, one row after the other, and (rows,) how many each has."""
        starts = self.starts[rows]
        lengths = self.starts[rows + 1] - starts
        return ranges(starts, lengths), lengths


def rerank_distances(
    query: ArrayLike,
    gallery: ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    *,
    chunk: int = 256,
) -> NDArray[np.float32]:
    """Compare each query with each gallery row by their neighbours in the crowd of both.

    Args:
        query: (Q, D) float, unit rows.
        gallery: (G, D) float, unit rows.
        k1: how many nearest may be reciprocal neighbours.
        k2: over how many nearest the encoding is averaged; 1 leaves it as it is.
        lambda_value: the share of the original distance, from 0 to 1.
        chunk: rows compared at once, which bounds the memory beside the result: about 8 bytes x chunk x (Q + G).

    Returns:
        (Q, G) float32 in [0, 1], smaller is closer.

    Raises:
        InputError: the shapes do not fit, a row is not of length 1 (that of an unreadable crop is NaN), or a
            setting is out of range.

    >>> rerank_distances([[1.0, 0.0]], [[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]], k1=1, k2=1).round(2)
    array([[0.  , 0.73, 1.  ]], dtype=float32)
    """
    blocks = rerank_blocks(query, gallery, k1, k2, lambda_value, chunk=chunk)
    return np.concatenate([np.empty((0, len(np.asarray(gallery))), np.float32), *blocks])


def rerank_blocks(
    query: ArrayLike,
    gallery: ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    *,
    chunk: int = 256,
) -> Iterator[NDArray[np.float32]]:
    """Give the rows of `rerank_distances` a few queries at a time: `evaluate_embeddings(..., compare=rerank_blocks)`.

    Args:
        query: as for `rerank_distances`, and so are all that follow.
        gallery: (G, D)
        k1: reciprocal neighbours.
        k2: neighbours averaged.
        lambda_value: share of the original distance.
        chunk: rows compared at once.

    Returns:
        Blocks of (chunk, G) float32, the last one shorter.

    Raises:
        InputError: as `rerank_distances`, at once and not only with the first block.
    """
    _check(k1, k2, lambda_value)
    left, right = unit_rows(query, gallery)
    parts = chunks(len(left), chunk)
    return _rerank(left, right, k1, k2, lambda_value, parts, chunk)


def rerank_top(
    query: ArrayLike,
    candidates: ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Put the nearest N of each query in a better order, from their rows alone.

    The crowd is one query and its N candidates: neighbours further away are not seen, so that this is not the
    head of `rerank_distances` over a whole gallery. Distances of two queries can't be compared, since each is
    scaled by its own farthest candidate.

    Args:
        query: (Q, D) float, unit rows.
        candidates: (Q, N, D) float, unit rows, the nearest of each query; N of 100 to 200 with k1 = 20.
        k1: how many nearest may be reciprocal neighbours.
        k2: over how many nearest the encoding is averaged; 1 leaves it as it is.
        lambda_value: the share of the original distance, from 0 to 1.

    Returns:
        (Q, N) places in `candidates`, closest first, equals in the order they came; and (Q, N) float32 their
        re-ranked distances in [0, 1], ascending.

    Raises:
        InputError: as `rerank_distances`.
    """
    _check(k1, k2, lambda_value)
    left, right = np.asarray(query, np.float32), np.asarray(candidates, np.float32)
    if left.ndim != 2 or right.ndim != 3 or right.shape[::2] != left.shape:
        raise InputError(
            f"expected queries (Q, D) and candidates (Q, N, D), got {left.shape} and {right.shape}"
        )
    unit_rows(left, right.reshape(-1, left.shape[1]))
    distance = np.empty(right.shape[:2], np.float32)
    for at, (asks, among) in enumerate(zip(left, right, strict=True)):
        [distance[at]] = _rerank(asks[None], among, k1, k2, lambda_value, [slice(0, 1)], len(among) + 1)
    order = np.argsort(distance, axis=1, kind="stable")
    return order, np.take_along_axis(distance, order, axis=1)


def _check(k1: int, k2: int, lambda_value: float) -> None:
    for name, value in (("k1", k1), ("k2", k2)):
        if value < 1:
            raise InputError(f"expected a {name} of at least 1, got {value}")
    if not 0 <= lambda_value <= 1:
        raise InputError(f"expected a lambda_value from 0 to 1, got {lambda_value}")


def _rerank(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k1: int,
    k2: int,
    lambda_value: float,
    parts: Iterable[slice],
    chunk: int,
) -> Iterator[NDArray[np.float32]]:
    """Give blocks of re-ranked distances, once the whole crowd is encoded."""
    if not len(query):
        return
    crowd = np.concatenate([query, gallery])
    neighbours, farthest = nearest(crowd, min(max(k1 + 1, k2), len(crowd)), chunk)
    # A crowd of equal rows has nothing to scale by.
    scale = np.where(farthest > 0, farthest, np.float32(1))
    encoded = _encode(crowd, neighbours, scale, k1)
    if k2 > 1:
        encoded = _average(encoded, neighbours[:, :k2])
    holders = _transpose(encoded, len(query))
    lengths = np.einsum("ij,ij->i", crowd, crowd)
    for part in parts:
        original = lengths[part, None] + lengths[len(query) :] - 2 * (crowd[part] @ gallery.T)
        original /= scale[part, None]
        block = lambda_value * np.clip(original, 0, 1, out=original)
        for row, asks in zip(block, range(part.start, part.stop), strict=True):
            row += (1 - lambda_value) * _jaccard(encoded, holders, asks, len(gallery))
        yield block


def _encode(
    crowd: NDArray[np.float32], neighbours: NDArray[np.int32], scale: NDArray[np.float32], k1: int
) -> _Sparse:
    """Give V, (M, M): each crop's weights over its expanded reciprocal neighbours R*."""
    size = len(crowd)
    near, nearer = neighbours[:, : k1 + 1], neighbours[:, : int(np.around(k1 / 2)) + 1]
    mutual, closely = _reciprocal(near), _reciprocal(nearer)
    parts = [_expand(near, mutual, nearer, closely, part) for part in chunks(size, _ROWS)]
    rows, columns = np.divmod(np.concatenate(parts), size)
    weights = np.exp(-squared_distances(crowd, rows, columns) / scale[rows])
    weights /= np.bincount(rows, weights, size)[rows]
    return _Sparse(np.searchsorted(rows, np.arange(size + 1)), columns, weights.astype(np.float32))


def _reciprocal(near: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell of each of a row's nearest, (M, k), whether the row is among its nearest too: R(i, k - 1)."""
    mutual = np.empty(near.shape, np.bool_)
    for part in chunks(len(near), _ROWS):
        own = np.arange(part.start, part.stop, dtype=np.int32)
        mutual[part] = (near[near[part]] == own[:, None, None]).any(axis=2)
    return mutual


def _expand(
    near: NDArray[np.int32],
    mutual: NDArray[np.bool_],
    nearer: NDArray[np.int32],
    closely: NDArray[np.bool_],
    part: slice,
) -> NDArray[np.intp]:
    """Give R* of some rows as ascending keys, row x M + column.

    Args:
        near: (M, k1 + 1) nearest.
        mutual: (M, k1 + 1) which of them are in R(i, k1).
        nearer: (M, k1 / 2 + 1) nearest.
        closely: (M, k1 / 2 + 1) which of them are in R(i, k1 / 2).
        part: the rows.
    """
    own, reciprocal = near[part], mutual[part]
    rows = np.arange(len(own))
    member = np.zeros((len(own), len(near)), np.bool_)
    member[np.nonzero(reciprocal)[0], own[reciprocal]] = True
    theirs = nearer[own]
    real = closely[own] & reciprocal[:, :, None]
    shared = real & member[rows[:, None, None], theirs]
    taken = real & (3 * shared.sum(axis=2) > 2 * real.sum(axis=2))[:, :, None]
    member[np.nonzero(taken)[0], theirs[taken]] = True
    keys: NDArray[np.intp] = np.flatnonzero(member) + part.start * len(near)
    return keys


def _average(encoded: _Sparse, near: NDArray[np.int32]) -> _Sparse:
    """Give each row the mean of its nearest rows' encodings: local query expansion."""
    size, k = near.shape
    counts, columns, values = [], [], []
    for part in chunks(size, _ROWS):
        entries, lengths = encoded.entries(near[part].ravel())
        row = np.repeat(np.arange(len(lengths)) // k, lengths)
        keys = row * size + encoded.columns[entries]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        heads = np.flatnonzero(np.diff(keys, prepend=-1))
        values.append(np.add.reduceat(encoded.values[entries[order]], heads) / np.float32(k))
        counts.append(np.bincount(keys[heads] // size, minlength=part.stop - part.start))
        columns.append(keys[heads] % size)
    starts = np.append(0, np.cumsum(np.concatenate(counts)))
    return _Sparse(starts, np.concatenate(columns), np.concatenate(values))


def _transpose(encoded: _Sparse, first: int) -> _Sparse:
    """Give the inverted index, (M, G): in whose encoding of the gallery, rows `first` on, each crop has weight."""
    begin = encoded.starts[first]
    columns = encoded.columns[begin:]
    lengths = np.diff(encoded.starts[first:])
    order = np.argsort(columns, kind="stable")
    starts = np.searchsorted(columns[order], np.arange(len(encoded.starts)))
    return _Sparse(starts, np.repeat(np.arange(len(lengths)), lengths)[order], encoded.values[begin:][order])


def _jaccard(encoded: _Sparse, holders: _Sparse, asks: int, gallery: int) -> NDArray[np.float64]:
    """Give one query's (G,) Jaccard distances; only crops that share a neighbour with it are visited."""
    own = slice(encoded.starts[asks], encoded.starts[asks + 1])
    entries, lengths = holders.entries(encoded.columns[own])
    shared = np.minimum(holders.values[entries], np.repeat(encoded.values[own], lengths))
    # A sum of float32 may pass 1 by its rounding.
    overlap: NDArray[np.float64] = np.minimum(np.bincount(holders.columns[entries], shared, gallery), 1)
    return 1 - overlap / (2 - overlap)
