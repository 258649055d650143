"""The nearest of a crowd for each of its rows: exact, a block of rows at a time, without a sort of the rest."""

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.distances import chunks

# Products of float32 unit rows that differ by less may stand in the wrong order.
_CLOSE = np.float32(1e-5)
# Columns of which only the largest is looked at first.
_GROUP = 64
# Pairs of rows compared at once.
_PAIRS = 8192


def nearest(
    rows: NDArray[np.float32], count: int, chunk: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find each row's nearest rows by Euclidean distance, and how far away the farthest is.

    Equal distances rank in the order of the rows; a row is among its own nearest. What float32 can't tell
    apart is compared in float64, so that neither the chunk nor the machine decides an order.

    Args:
        rows: (M, D) unit rows.
        count: how many nearest, from 1 to M.
        chunk: rows compared at once, which bounds the memory: about 8 bytes x chunk x M.

    Returns:
        (M, count) nearest first, and (M,) the squared distance of the farthest.
    """
    found = np.empty((len(rows), count), np.int32)
    farthest = np.empty(len(rows), np.float32)
    halves = np.einsum("ij,ij->i", rows, rows) / 2
    for part in chunks(len(rows), chunk):
        closeness = rows[part] @ rows.T
        closeness -= halves  # ascends as |x - y|^2 = |x|^2 - 2 (x.y - |y|^2 / 2) descends
        farthest[part] = 2 * (halves[part] - closeness.min(axis=1))
        found[part] = _first(rows, closeness, part.start, count)
    return found, farthest


def squared_distances(
    rows: NDArray[np.float32], left: NDArray[np.integer], right: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Compare pairs of rows, exactly alike in either order and wherever the pair stands.

    Args:
        rows: (M, D)
        left: (P,) rows of the pairs.
        right: (P,) their partners.

    Returns:
        (P,) squared Euclidean distances, 0 for equal rows.
    """
    squared = np.empty(len(left))
    for part in chunks(len(left), _PAIRS):
        apart = rows[left[part]].astype(np.float64)
        apart -= rows[right[part]]
        squared[part] = np.square(apart, out=apart).sum(axis=1)
    return squared


def ranges(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[np.intp]:
    """Count up from each start, one range after the other.

    >>> ranges(np.array([7, 0, 3]), np.array([2, 0, 3]))
    array([7, 8, 3, 4, 5])
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _first(
    rows: NDArray[np.float32], closeness: NDArray[np.float32], start: int, count: int
) -> NDArray[np.intp]:
    """Give the columns of the `count` largest of each row of `closeness`, which belongs to `rows[start:]`."""
    least = _lower_bound(closeness, count) - _CLOSE
    row, column = np.divmod(np.flatnonzero(closeness >= least[:, None]), closeness.shape[1])
    value = closeness[row, column]
    order = np.lexsort((-value, row))
    row, column, value = row[order], column[order], value[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    # Who stands too close to the one before it belongs to the same run; the order within a run is open.
    head = np.append(True, (row[1:] != row[:-1]) | (value[:-1] - value[1:] > _CLOSE))
    run = np.cumsum(head) - 1
    crowded = (np.bincount(run)[run] > 1) & (place[head][run] < count)
    exact = np.zeros(len(row))
    exact[crowded] = squared_distances(rows, row[crowded] + start, column[crowded])
    column = column[np.lexsort((column, exact, run))]
    return column[place < count].reshape(-1, count)


def _lower_bound(closeness: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Give (n,) values that at least `count` of each row reach: the count-th largest maximum of its groups."""
    size = closeness.shape[1]
    width = max(1, size // max(size // _GROUP, 4 * count))
    groups = size // width
    largest = closeness[:, :groups].copy()
    for at in range(groups, size, groups):
        members = closeness[:, at : at + groups]
        np.maximum(largest[:, : members.shape[1]], members, out=largest[:, : members.shape[1]])
    largest.partition(groups - count, axis=1)
    return largest[:, groups - count]
