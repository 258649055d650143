"""The surface of a dressed trunk, for what hangs on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.props.parts import Fit

Numbers = NDArray[np.float64]
_POWER = 2.5  # of the superellipses that trunks are cut in


def middle(fit: Fit, z: ArrayLike) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """The y of the trunk's axis, half its width, and its reach to the front and to the back, at heights z."""
    rx, ry = fit.chest_radii
    neck, shoulder = fit.neck, fit.shoulder_left
    at = [fit.hip[2], fit.waist[2], fit.chest[2], shoulder[2], neck[2]]
    axis = [fit.hip[1], fit.waist[1], fit.chest[1], neck[1], neck[1]]
    wide = [fit.hip_radii[0], fit.waist_radii[0], rx, shoulder[0], fit.neck_radius * 1.2]
    fore = [fit.hip_radii[1], fit.waist_radii[1], ry, 0.86 * ry, 0.72 * ry]
    back = [fit.hip_radii[1], fit.waist_radii[1], ry, 0.84 * ry, 0.55 * ry]
    z = np.asarray(z, float)
    y, w, f, b = (np.interp(z, at, values) for values in (axis, wide, fore, back))
    return y, w, f, b


def surface(fit: Fit, x: ArrayLike, z: ArrayLike, *, back: bool, off: float = 0.008) -> Numbers:
    """The y of the trunk's front or back at (x, z), `off` metres from it; beside the trunk, y of its axis."""
    y, wide, fore, rear = middle(fit, z)
    out = np.clip(np.abs(np.asarray(x, float)) / wide, 0, 1)
    depth = (rear if back else fore) * (1 - out**_POWER) ** (1 / _POWER) + off
    return np.asarray(y + depth if back else y - depth, float)


def around(fit: Fit, angle: ArrayLike, z: ArrayLike, off: float = 0.008) -> Numbers:
    """(N, 3) points on the trunk at angles (0 front, pi / 2 the left side) and heights."""
    y, wide, fore, back = middle(fit, z)
    s, c = np.sin(angle), np.cos(angle)
    reach = np.where(c > 0, fore, back) + off
    radius = (np.abs(s / (wide + off)) ** _POWER + np.abs(c / reach) ** _POWER) ** (-1 / _POWER)
    return np.stack(np.broadcast_arrays(radius * s, y - radius * c, np.asarray(z, float)), axis=-1)


def top(fit: Fit, x: ArrayLike, off: float = 0.012) -> Numbers:
    """The z of the shoulders' upper edge at x, `off` metres above it."""
    out = np.abs(np.asarray(x, float)) / fit.shoulder_left[0]
    rise = fit.neck[2] - fit.shoulder_left[2]
    return np.asarray(
        fit.shoulder_left[2] + rise * np.interp(out, [0.5, 0.67, 1.0], [1.1, 0.9, 0.74]) + fit.cloth + off,
        float,
    )


def over_shoulder(
    fit: Fit, x: float, front: Numbers, back: Numbers, off: float = 0.01
) -> tuple[Numbers, Numbers]:
    """The path of a strap over the shoulder at x, and its outward directions.

    Args:
        fit: whose trunk.
        x: where it crosses the shoulder.
        front: (F, 2) x and z of its points on the front, from the lowest up.
        back: (B, 2) likewise on the back.
        off: metres that it stands off.
    """
    z, y = float(top(fit, x, off)), fit.shoulder_left[1] + 0.012
    fore = np.column_stack(
        [front[:, 0], surface(fit, front[:, 0], front[:, 1], back=False, off=off), front[:, 1]]
    )
    rear = np.column_stack(
        [back[:, 0], surface(fit, back[:, 0], back[:, 1], back=True, off=off), back[:, 1]]
    )[::-1]
    reach = 0.45 * (y - fore[-1, 1]), 0.45 * (rear[0, 1] - y)
    over = np.array([[x, y - reach[0], z - 0.016], [x, y, z], [x, y + reach[1], z - 0.012]])
    path = np.concatenate([fore, over, rear])
    axis = np.column_stack(
        [path[:, 0] * 0.4, np.full(len(path), y), np.minimum(path[:, 2], fit.shoulder_left[2])]
    )
    return path, path - axis


def outside(fit: Fit, points: Numbers) -> Numbers:
    """Points that lie on the shoulders, the back or the chest instead of in them."""
    x, y, z = (points[..., i] for i in range(3))
    base = fit.neck[2] + 0.04
    low = z < np.maximum(top(fit, x, 0.0), fit.neck[2]) + 0.03
    # Within reach of the neck the back of the neck is what hair lies on.
    rear = y > fit.neck[1] - 0.01
    behind = np.maximum(y, surface(fit, x, np.minimum(z, base), back=True, off=0.02))
    before = np.minimum(y, surface(fit, x, np.minimum(z, base), back=False, off=0.022))
    return np.stack([x, np.where(low, np.where(rear, behind, before), y), z], axis=-1)
