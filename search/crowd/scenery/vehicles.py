"""Cars, vans and trains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import grid, quad, tube
from search.crowd.scenery.hand import METALS, PAINTS, Hand

Floats = NDArray[np.float64]
_SQUARE = ((0, 1, 2), (0, 2, 3))
_GLASS = (44, 52, 58)
_RUBBER = (26, 26, 28)
# (along, up) of the outline, shares of length and height: bonnet, windscreen, roof, rear.
_SALOON = (
    (0, 0.35),
    (0.02, 0.52),
    (0.27, 0.6),
    (0.42, 0.97),
    (0.72, 0.99),
    (0.88, 0.64),
    (0.99, 0.6),
    (1, 0.35),
)
_HATCH = (
    (0, 0.35),
    (0.02, 0.52),
    (0.22, 0.62),
    (0.38, 0.98),
    (0.85, 0.98),
    (0.97, 0.62),
    (1, 0.58),
    (1, 0.35),
)
_VAN = ((0, 0.3), (0.01, 0.45), (0.12, 0.52), (0.24, 0.98), (0.97, 1.0), (0.99, 0.5), (1, 0.4), (1, 0.3))


def car(hand: Hand) -> None:
    """A parked car or van, its length along x."""
    length, wide, high = hand.width, hand.depth, hand.height
    outline = np.array(_VAN if high > 1.75 else (_SALOON, _HATCH)[hand.number(2)])
    along, up = (outline[:, 0] - 0.5) * length, outline[:, 1] * high
    # Above the waist the sides lean in.
    half = np.where(outline[:, 1] > 0.7, 0.4 * wide, 0.5 * wide)
    colour = hand.one(PAINTS)
    under = quad((-length / 2, -0.56 * wide, 0.007), (length, 0, 0), (0, 1.12 * wide, 0))
    hand.stage.lay(under.moved(hand.matrix), (44, 44, 46))
    left, right = (np.stack([along, side * half, up], axis=1) for side in (-1, 1))
    hand.paint(grid(np.stack([left, right]).astype(np.float32)), colour, 0.35)
    for flank in (left, right):
        fan = [[0, i, i + 1] for i in range(1, len(flank) - 1)]
        hand.flat(flank, fan, colour, 0.35)
        _panes(hand, flank, colour)
    _screens(hand, left, right)
    for x in (-0.31 * length, 0.3 * length):
        for side in (-1, 1):
            y = side * 0.46 * wide
            across = y + np.array([-0.11, -0.1, 0.1, 0.11])
            wheel = tube(np.column_stack([np.full(4, x), across, np.full(4, 0.3)]), [0, 0.31, 0.31, 0], 9)
            hand.paint(wheel, _RUBBER)
            across = y + side * np.array([0, 0.11, 0.12])
            hub = tube(np.column_stack([np.full(3, x), across, np.full(3, 0.3)]), [0.17, 0.17, 0], 7)
            hand.paint(hub, METALS[1])
    hand.box((0.96 * length, 0.86 * wide, 0.2), (0, 0, 0.17), _RUBBER)
    for end, lamp in ((-0.5, (226, 224, 210)), (0.5, (150, 34, 30))):
        for beside in (-0.36, 0.36):
            hand.box((0.06, 0.28, 0.14), (end * length * 0.985, beside * wide, 0.42 * high), lamp, 0.2)
        hand.box((0.05, 0.42, 0.12), (end * length * 0.995, 0, 0.3 * high), (206, 204, 196))


def _panes(hand: Hand, side: Floats, colour: tuple[int, int, int]) -> None:
    """Side windows: what is above the waist, shrunk, with a post in the middle."""
    base, roof = side[2:6].mean(axis=0), np.sign(side[0, 1]) * 0.012
    front, top_front, top_back, back = side[2], side[3], side[4], side[5]
    ring = np.stack([front, top_front, top_back, back])
    ring = base + 0.84 * (ring - base)
    ring[[0, 3], 2] = max(ring[0, 2], ring[3, 2])
    # Along the leaning side, a finger's width outside.
    share = (ring[:, 2] - front[2]) / max(top_front[2] - front[2], 1e-6)
    ring[:, 1] = front[1] + np.clip(share, 0, 1) * (top_front[1] - front[1]) + 2 * roof
    hand.flat(ring, _SQUARE, _GLASS, 0.5)
    middle = (ring[0, 0] + ring[3, 0]) / 2 + 0.05
    low, high = ring[0, 2], ring[1, 2]
    corners = ((0.0, 0, low), (0.08, 0, low), (0.08, 1, high), (0.0, 1, high))
    post = np.array([[middle + far, ring[i, 1] + roof, z] for far, i, z in corners], np.float32)
    hand.flat(post, _SQUARE, colour, 0.2)


def _screens(hand: Hand, left: Floats, right: Floats) -> None:
    """The windscreen and the rear window."""
    for low, high in ((2, 3), (5, 4)):
        ring = np.stack([left[low], right[low], right[high], left[high]])
        middle = ring.mean(axis=0)
        outwards = np.array([np.sign(ring[0, 0] - ring[2, 0]) * 0.03, 0, 0.03])
        hand.flat(middle + 0.86 * (ring - middle) + outwards, _SQUARE, _GLASS, 0.5)


def train(hand: Hand) -> None:
    """The side of a train: a band of windows, doors, stripes."""
    y, half = -hand.depth / 2, hand.width / 2
    body = PAINTS[hand.stage.salt % len(PAINTS)]
    hand.box(hand.thing.size, (0, 0, 0.05), body, 0.2)
    hand.box((hand.width, 0.02, 0.25), (0, y - 0.01, 0.7), hand.stage.accent, 0.2)
    x = -half + 0.4
    while x < half - 1.6:
        if int((x + half) / 1.8) % 3 == 1:
            hand.show("glass-door", x, x + 1.4, 0.1, 2.2, y - 0.03, gloss=0.2, which=hand.stage.salt)
        else:
            hand.box((1.4, 0.02, 0.85), (x + 0.7, y - 0.01, 1.2), _GLASS, 0.5)
        x += 1.8
