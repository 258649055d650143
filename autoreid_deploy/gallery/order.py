"""Candidates in another order than that of their distances: by camera, by neighbours, or by both."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.centring import CameraMeans
from autoreid_deploy.distances import chunks
from autoreid_deploy.gallery.answers import Found
from autoreid_deploy.gallery.store import Store
from autoreid_deploy.gallery.view import View
from autoreid_deploy.rerank import rerank_top

_TOGETHER = 64  # queries whose candidates are in memory at once

Nearest = Callable[[int], Found]  # how many -> the nearest of each query
_Distances = dict[int, dict[int, float]]  # query -> id -> the distance that hits are ordered by
# (Q, D) queries and the (Q, N, D) rows of their candidates -> (Q, N) places, closest first, and distances, ascending.
_Judge = Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.intp], NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Order:
    """Puts the candidates of some queries in order, and remembers by what.

    Attributes:
        store: tells which camera took a crop.
        view: holds the rows.
        asks: (Q, D) unit rows of the queries, centred where there are means.
        means: what is common to the crops of each camera, which is taken from candidates too; None to leave it.
        centred: query -> id -> distance without what is common to the camera.
        reranked: query -> id -> distance by neighbours.
    """

    store: Store
    view: View
    asks: NDArray[np.float32]
    means: CameraMeans | None = None
    centred: _Distances = field(default_factory=dict)
    reranked: _Distances = field(default_factory=dict)

    def by_camera(self, nearest: Nearest, candidates: int) -> Nearest:
        """Order so many candidates by their distance without what is common to their camera."""
        return self._judged(nearest, candidates, _by_distance, self.centred)

    def by_neighbours(self, nearest: Nearest, candidates: int) -> Nearest:
        """Order so many candidates by their neighbours among each other."""
        return self._judged(nearest, candidates, rerank_top, self.reranked)

    def _judged(self, nearest: Nearest, candidates: int, judge: _Judge, told: _Distances) -> Nearest:
        distances, ids = nearest(candidates)
        for part in chunks(len(ids) if ids.shape[1] > 1 else 0, _TOGETHER):
            at, judged = judge(self.asks[part], self._rows(ids[part]))
            for found in (distances, ids):
                found[part] = np.take_along_axis(found[part], at, 1)
            for query, line in enumerate(zip(ids[part].tolist(), judged.tolist(), strict=True), part.start):
                told[query] = dict(zip(*line, strict=True))
        return lambda count: (distances[:, :count], ids[:, :count])

    def _rows(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """(Q, N) ids -> (Q, N, D) unit rows."""
        rows = self.view.rows_of(ids.reshape(-1))
        if self.means is not None:
            took = self.store.cameras(np.unique(ids).tolist())
            rows = self.means.centred(rows, [took[id] for id in ids.reshape(-1).tolist()])
        return rows.reshape(*ids.shape, rows.shape[1])


def _by_distance(
    asks: NDArray[np.float32], near: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    apart = np.clip(1 - np.einsum("qd,qnd->qn", asks, near), 0, 2)
    at = np.argsort(apart, axis=1, kind="stable")
    return at, np.take_along_axis(apart, at, 1)
