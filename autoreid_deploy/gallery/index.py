"""Exact search over the rows of a store, through FAISS: a cache of what lies in SQLite."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import MissingExtraError


class ExactIndex:
    """An immutable flat index in memory.

    Args:
        ids: (G,) ascending.
        rows: (G, D) unit rows.

    Raises:
        MissingExtraError: FAISS is not installed.
    """

    def __init__(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        self._ids = ids
        self._flat = _flat(rows)

    def search(
        self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest rows, closest first, equals in order of their ids.

        Args:
            queries: (Q, D) unit rows.
            k: how many; fewer come back where there are fewer.
            among: (S,) ascending ids to search; None means all.

        Returns:
            (Q, min(k, S)) distances in [0, 2] and ids.
        """
        ids = self._ids if among is None else np.intersect1d(self._ids, among, assume_unique=True)
        if not len(ids):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        flat = self._flat
        if among is not None:
            # Scanning just the rows that pass is exact, and quicker than telling FAISS which to skip.
            flat = _flat(flat.reconstruct_batch(np.searchsorted(self._ids, ids)))
        similarity, position = flat.search(queries, min(k, len(ids)))
        distance = np.clip(1 - similarity, 0, 2)
        found = ids[position]
        order = np.lexsort((found, distance), axis=1)
        return np.take_along_axis(distance, order, 1), np.take_along_axis(found, order, 1)


def _flat(rows: NDArray[np.float32]) -> Any:
    try:
        faiss = importlib.import_module("faiss")
    except ImportError as error:
        raise MissingExtraError("faiss", "cpu") from error
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    return flat
