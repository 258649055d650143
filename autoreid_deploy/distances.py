"""Unit rows and how far apart they are, whole or a few queries at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError

# A length further from 1 than this is no rounding: rows restored from fp16 stay within 1e-3.
_UNIT_TOLERANCE = 1e-2


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
    left, right = unit_rows(query, gallery)
    return _compare(left, right)


def distance_blocks(
    query: ArrayLike, gallery: ArrayLike, *, chunk: int = 256
) -> Iterator[NDArray[np.float32]]:
    """Give the rows of `distance_matrix` a few queries at a time, so that it is never held as a whole.

    Args:
        query: (Q, D) float, unit rows.
        gallery: (G, D) float, unit rows.
        chunk: queries compared at once.

    Returns:
        Blocks of (chunk, G) float32, the last one shorter.

    Raises:
        InputError: as `distance_matrix`, at once and not only with the first block.
    """
    left, right = unit_rows(query, gallery)
    return (_compare(left[rows], right) for rows in chunks(len(left), chunk))


def unit_rows(query: ArrayLike, gallery: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Check both sides once, so that chunks need not.

    Args:
        query: (Q, D) float, unit rows.
        gallery: (G, D) float, unit rows.

    Returns:
        Both as float32.

    Raises:
        InputError: the shapes do not fit, or a row is not of length 1 (that of an unreadable crop is NaN).
    """
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


def chunks(length: int, chunk: int) -> Iterator[slice]:
    """Cut `length` into slices of `chunk`, the last one shorter.

    Raises:
        InputError: `chunk` is below 1.
    """
    if chunk < 1:
        raise InputError(f"expected a chunk of at least 1 query, got {chunk}")
    return (slice(start, min(start + chunk, length)) for start in range(0, length, chunk))


def _compare(query: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    distance = query @ gallery.T
    np.subtract(np.float32(1), distance, out=distance)
    return np.clip(distance, 0, 2, out=distance)
