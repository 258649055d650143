"""Rows without what is common to their camera: its light, its lens and where it hangs.

A network takes some of a camera that it has not learnt for a part of the people, so crops of one camera are too alike
to it and those of two cameras too unlike. With r a row, m(c) the mean of the rows of its camera and m that of all,

    centred(r) = (r - m'(c)) / |r - m'(c)|        m'(c) = (n(c) m(c) + 50 m) / (n(c) + 50)

where n(c) crops speak for the camera: the mean of a few is a picture of some people, not of a camera, and would take
away what they are known by. For the same reason a camera whose rows are much more alike than all rows are, 1 - |m(c)|^2
below 0.85 (1 - |m|^2), counts as unknown: it saw one person all day, or three. A row of an unknown camera loses m.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError

# With so many crops a camera's own mean and that of all count alike.
_SHRINK = 50
# A camera's rows vary by this share of what all rows vary by, or it saw too few people. By autoreid-s-open, crops that
# one camera of Market-1501 took of three people vary by 0.54 to 0.80 of it, those of twenty by 0.85 to 1, of all of its
# people by 0.92 to 0.99.
_VARIED = 0.85
# A row nearer to its mean than this has no direction of its own left.
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class CameraMeans:
    """What is common to the rows of each camera of a gallery.

    >>> rows, cameras = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]] * 50, ["door", "door", "one person's desk"] * 50
    >>> CameraMeans.of(rows, cameras).of_cameras.keys()
    dict_keys(['door'])

    Attributes:
        overall: (D,) mean of all rows.
        of_cameras: camera -> (D,), its mean, drawn to that of all where few rows speak for it; those that saw too few
            people are left out.
    """

    overall: NDArray[np.float32]
    of_cameras: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, rows: ArrayLike, cameras: Sequence[str | None]) -> "CameraMeans":
        """Measure them.

        Args:
            rows: (N, D) float, unit rows; at least one.
            cameras: N, which camera took each crop; None where nobody knows.

        Raises:
            InputError: there are no rows, or not as many as cameras.
        """
        x = _checked(rows, cameras)
        if not len(x):
            raise InputError("expected rows to take the means of cameras from, got none")
        overall = x.mean(axis=0)
        known = np.array([camera is not None for camera in cameras])
        names, places = np.unique(
            [str(camera) for camera in cameras if camera is not None], return_inverse=True
        )
        own, counts = group_means(x[known], places, len(names))
        means = (counts * own + _SHRINK * overall) / (counts + _SHRINK)
        spread, spreads = 1 - overall @ overall, 1 - np.square(own).sum(axis=1)
        varied = spreads >= _VARIED * spread
        return cls(overall, dict(zip(names[varied].tolist(), means[varied], strict=True)))

    def centred(self, rows: ArrayLike, cameras: Sequence[str | None]) -> NDArray[np.float32]:
        """Take from each row what is common to its camera.

        Args:
            rows: (N, D) float, unit rows.
            cameras: N, which camera took each crop; of one that is not known, the mean of all is taken.

        Returns:
            (N, D) float32, unit rows; one that is its camera's mean stays as it is.

        Raises:
            InputError: there are not as many rows as cameras.
        """
        x = _checked(rows, cameras)
        if not len(x):
            return x
        means = [
            self.overall if camera is None else self.of_cameras.get(camera, self.overall)
            for camera in cameras
        ]
        left = x - np.stack(means)
        length = np.linalg.norm(left, axis=1, keepdims=True)
        own = length > _TINY
        return np.where(own, left / np.where(own, length, 1), x).astype(np.float32)


def group_means(
    rows: NDArray[np.float32], groups: NDArray[np.integer], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Take the mean row of each group.

    Args:
        rows: (N, D)
        groups: (N,) numbers from 0 to count - 1, none of which is left out.
        count: how many groups there are.

    Returns:
        (count, D) means, and (count, 1) how many rows each is of.
    """
    sums = np.zeros((count, rows.shape[1]), np.float32)
    np.add.at(sums, groups, rows)
    counts = np.bincount(groups, minlength=count).astype(np.float32)[:, None]
    return (sums / counts).astype(np.float32), counts


def _checked(rows: ArrayLike, cameras: Sequence[str | None]) -> NDArray[np.float32]:
    x = np.asarray(rows, np.float32)
    if x.ndim != 2 or len(x) != len(cameras):
        raise InputError(f"expected rows (N, D) and N cameras, got {x.shape} and {len(cameras)}")
    return x
