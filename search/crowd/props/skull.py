"""The surface of a head, for what grows or sits on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.props.parts import Fit

Numbers = NDArray[np.float64]

# Half width at the sides, reach at the back and at the front, as shares of the skull's radii, by depth below its centre
# (in heads from crown to chin; the chin is at about 0.6).
_DEPTH = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75)
_SIDE = (1.0, 1.04, 1.05, 1.03, 0.88, 0.8, 0.78, 0.8)
_BACK = (1.0, 1.0, 0.93, 0.83, 0.73, 0.68, 0.7, 0.75)
_FRONT = (1.0, 1.0, 1.05, 1.08, 1.06, 1.0, 0.88, 0.5)


def tall(fit: Fit) -> float:
    """Metres from the crown to the chin."""
    return fit.crown - fit.chin[2]


def on(fit: Fit, around: ArrayLike, drop: ArrayLike, off: ArrayLike = 0.0, cling: float = 1.0) -> Numbers:
    """(..., 3) points over the head.

    Args:
        fit: whose head.
        around: angle, 0 the middle of the forehead, pi / 2 the left ear, pi the back.
        drop: 0 the crown, 1 the height of the skull's centre, above the ears; each 1 more is half a head further down.
        off: metres that they stand off.
        cling: 1 to follow cheeks and nape below the skull's centre, 0 to fall straight.
    """
    a, d, o = np.broadcast_arrays(np.asarray(around, float), np.asarray(drop, float), np.asarray(off, float))
    polar = np.minimum(d, 1) * (np.pi / 2)
    below = np.maximum(d - 1, 0) / 2
    c = np.cos(a)
    side = np.interp(below, _DEPTH, _SIDE)
    deep = np.where(c < 0, np.interp(below, _DEPTH, _BACK), np.interp(below, _DEPTH, _FRONT))
    side, deep = 1 + cling * (side - 1), 1 + cling * (deep - 1)
    x = (fit.skull[0] * side + o) * np.sin(polar) * np.sin(a)
    y = -(fit.skull[1] * deep + o) * np.sin(polar) * c
    z = (fit.skull[2] + o) * np.cos(polar) - below * tall(fit)
    return np.asarray(np.stack([x, y, z], axis=-1) + np.asarray(fit.head))


def drop_at(fit: Fit, z: float) -> float:
    """The `drop` at a height."""
    above = (z - fit.head[2]) / fit.skull[2]
    if above >= 0:
        return float(np.arccos(min(above, 1)) / (np.pi / 2))
    return 1 + 2 * (fit.head[2] - z) / tall(fit)
