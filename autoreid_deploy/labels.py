"""Market-1501's rule as lists: which gallery crops are right for a query, and which do not count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import DISTRACTOR, JUNK


class Labels:
    """Who is a match and who is junk for whom.

    Args:
        q_pids: (Q,) text or integers, the person of each query.
        g_pids: (G,) the same for the gallery; -1 is junk, "0000" a distractor.
        q_camids: (Q,) text or integers, the camera of each query.
        g_camids: (G,) the same for the gallery.

    Attributes:
        shape: (Q, G), the gallery as it came.
        kept: (G,) bool, false for boxes of nobody, which are junk for every query.

    Raises:
        InputError: sizes do not fit, or a label is None.
    """

    def __init__(self, q_pids: Any, g_pids: Any, q_camids: Any, g_camids: Any) -> None:
        self._q_pids, people = _as_numbers("person", q_pids, g_pids)
        self._q_camids, cameras = _as_numbers("camera", q_camids, g_camids)
        self.shape = (len(self._q_pids), len(people))
        if (len(self._q_camids), len(cameras)) != self.shape:
            sizes = (len(self._q_camids), len(cameras))
            raise InputError(f"expected a camera for each of {self.shape} people, got {sizes}")
        names = np.array([str(pid) for pid in g_pids], dtype=str)
        self.kept = names != JUNK
        self._g_camids = cameras[self.kept]
        # The kept columns person by person and in gallery order; distractors are nobody's match.
        people = np.where(names == DISTRACTOR, -1, people)[self.kept]
        self._columns = np.argsort(people, kind="stable")
        people = people[self._columns]
        self._starts = np.searchsorted(people, self._q_pids)
        self._stops = np.searchsorted(people, self._q_pids, side="right")

    def of(self, query: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give one query's matches and its junk, as ascending columns among the kept ones."""
        same = self._columns[self._starts[query] : self._stops[query]]
        junk = self._g_camids[same] == self._q_camids[query]
        return same[~junk], same[junk]


def _as_numbers(what: str, query: Any, gallery: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the labels of both sides, so that comparing them is fast."""
    both = [*query, *gallery]
    if any(label is None for label in both):
        raise InputError(f"expected a {what} for each row, got None")
    numbers = np.unique(np.array([str(label) for label in both], dtype=str), return_inverse=True)[1]
    return numbers[: len(query)], numbers[len(query) :]
