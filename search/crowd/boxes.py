"""Boxes as a detector draws them: mostly right, always a little off, at times cut or far too large."""

from __future__ import annotations

import numpy as np

Box = tuple[float, float, float, float]


def detected(box: Box, rng: np.random.Generator) -> Box:
    """What a detector makes of a person's true extent.

    Args:
        box: (x0, y0, x1, y1) around all that is the person's, pixels.
        rng: where its errors come from.

    Returns:
        (x0, y0, x1, y1), pixels; it overlaps the true box by 0.35 (intersection over union) or more.
    """
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    # Detectors of one shape of box (as Market-1501's) leave room beside a narrow person and cut a wide stride.
    if rng.random() < 0.65:
        wanted = height * rng.normal(0.42, 0.04)
        width += 0.85 * max(wanted - width, 0.0) + 0.35 * min(wanted - width, 0.0)
    centre = (x0 + x1) / 2 + rng.normal(0, 0.025) * height
    margin = rng.normal(0.03, 0.03, 4) * height
    # A slip of its own kind: (left, top, right, bottom), as shares of the height, outwards.
    slip = _SLIPS[int(rng.choice(len(_SLIPS), p=_SHARES))]
    margin += np.array(slip) * rng.uniform(0.4, 1.0) * height
    left, right = centre - width / 2 - margin[0], centre + width / 2 + margin[2]
    top, bottom = y0 - margin[1], y1 + margin[3]
    # Half a person's width is the least that a detector takes for somebody.
    if right - left < 0.22 * height:
        left, right = centre - 0.11 * height, centre + 0.11 * height
    found = (float(left), float(top), float(right), float(bottom))
    return found if overlap(found, box) >= 0.35 else box


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, [0, 1]."""
    across = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - across * down
    return across * down / both


_SLIPS: tuple[tuple[float, float, float, float], ...] = (
    (0.0, 0.0, 0.0, 0.0),
    (0.12, 0.14, 0.12, 0.14),  # loose
    (0.0, 0.0, 0.0, -0.28),  # without feet
    (0.0, 0.0, 0.0, -0.45),  # without legs
    (0.0, -0.1, 0.0, 0.0),  # without the head's top
    (-0.12, 0.0, 0.08, 0.0),  # to the right
    (0.08, 0.0, -0.12, 0.0),  # to the left
    (0.02, 0.14, 0.02, -0.12),  # upwards
    (0.02, -0.05, 0.02, 0.16),  # downwards
)
_SHARES = (0.72, 0.07, 0.05, 0.015, 0.025, 0.03, 0.03, 0.03, 0.03)
