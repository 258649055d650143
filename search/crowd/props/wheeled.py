"""What is pulled or pushed on wheels, around a grip at the origin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material, Mesh, Piece, grid, merged, tube
from search.crowd.props import cover
from search.crowd.props.bags import sack, stuff
from search.crowd.props.build import colour, plain, shade, sign, turned
from search.crowd.props.parts import Fit
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]


def trolley(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """A case on wheels that follows at the end of its handle."""
    reach = fit.hand_height + 0.03
    u = min(fit.crown / 1.7, 1.1) * rng.uniform(0.93, 1.07)
    h, w, d = u * (0.46 + 0.26 * extra.size), u * (0.32 + 0.12 * extra.size), u * (0.19 + 0.08 * extra.size)
    wheel = 0.035
    long = max(reach / np.cos(0.5), h + 0.25)
    # Turned about the hand, its wheels at (0.02, wheel - long) end `reach` below it.
    tilt = float(
        np.arccos(min((reach - wheel) / np.hypot(long - wheel, 0.02), 1)) + np.arctan(0.02 / (long - wheel))
    )
    case = turned(
        sack("square", (w, d, h), rng, power=6.0, rough=0.0),
        "z",
        0.0,
        (0, 0.005 + d / 2, -long + wheel + h / 2),
    )
    hard = rng.random() < 0.5
    if hard:
        image = cover.pattern("stripes", (extra.colours[0], shade(extra.colours[0], 0.75)), rng)
        cover_ = Material(texture=image, gloss=0.4)
    else:
        cover_ = stuff(extra, rng)
    bars = [tube(np.array([[x, 0, -0.01], [x, 0, -long + h]]), 0.007, 4) for x in (-0.07, 0.07)]
    bars.append(tube(np.array([[-0.075, 0, 0], [0.075, 0, 0]]), 0.013, 5))
    wheels = _wheels(np.array([[x, 0.02, -long + wheel] for x in (-0.4 * w, 0.4 * w)]), wheel)
    parts: list[Piece] = [
        (case, cover_),
        (merged(bars), plain((90, 90, 95), 0.4)),
        (wheels, plain((25, 25, 28))),
    ]
    # The foot of the case lags behind the hand.
    return [(turned(mesh, "x", tilt), material) for mesh, material in parts]


def pram(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """Pushed in front: a seat with a hood on four wheels. The grip is at one end of its bar."""
    u = min(fit.crown / 1.7, 1.1)
    x = -sign(extra) * 0.2
    ground = -_level(fit)
    r, w = 0.1 * u, 0.44 * u
    seat = np.array([x, -0.55, ground + 0.5 * u])
    body = turned(sack("round", (w, 0.34, 0.62 * u), rng, power=3.0, columns=10), "x", -1.15, seat)
    a = np.linspace(-0.2, 1.9, 6)
    side = np.linspace(-0.5, 0.5, 6)
    hood = np.stack(
        [
            np.column_stack(
                [
                    x + side * w,
                    -0.38 - 0.3 * np.full(6, np.cos(t)) * np.cos(1.6 * side),
                    ground + 0.55 * u + 0.36 * np.sin(t + 0.3) * np.cos(1.6 * side),
                ]
            )
            for t in a
        ]
    )
    spots = np.array([[x + s * w / 2, y, ground + r] for s in (1, -1) for y in (-0.25, -0.85)])
    bars = []
    for s in (0.2 * u, -0.2 * u):
        bars.append(tube(np.array([[x + s, 0, 0], [x + 1.05 * s, -0.85, ground + r]]), 0.011, 5))
        bars.append(
            tube(np.array([[x + 1.05 * s, -0.25, ground + r], [x + s, -0.6, ground + 0.5 * u]]), 0.011, 5)
        )
    bars.append(tube(np.array([[x - 0.22 * u, 0, 0], [x + 0.22 * u, 0, 0]]), 0.014, 5))
    return [
        (body, plain(extra.colours[0])),
        (grid(hood.astype(np.float32)), plain(colour(extra, 1))),
        (merged(bars), plain((60, 60, 64), 0.3)),
        (_wheels(spots, r), plain((28, 28, 30))),
    ]


def cart(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """A shop's wire trolley, pushed in front."""
    x, ground = -sign(extra) * rng.uniform(0.16, 0.2), -_level(fit)
    wide = np.array([0.5, 0.46, 0.4])
    rows = []
    for z, w, y0, y1 in (
        (-0.02, wide[0], -0.08, -0.9),
        (-0.22, wide[1], -0.14, -0.85),
        (-0.42, wide[2], -0.2, -0.78),
    ):
        rows.append(
            [[x - w / 2, y0, z], [x + w / 2, y0, z], [x + w / 2, y1, z + 0.04], [x - w / 2, y1, z + 0.04]]
        )
    rows.append([[x, -0.5, -0.42]] * 4)
    basket = grid(np.array(rows, np.float32), closed=True)
    uv = basket.uv * np.array([14, 5], np.float32)
    mesh_ = np.zeros((16, 16, 4), np.uint8)
    mesh_[..., :3] = extra.colours[0]
    mesh_[:6, :, 3], mesh_[:, :5, 3] = 255, 255
    spots = np.array([[x + s * 0.22, y, ground + 0.06] for s in (1, -1) for y in (-0.15, -0.85)])
    bars = []
    for s in (1, -1):
        post = [[x + s * 0.24, 0, 0], [x + s * 0.22, -0.2, -0.42], [x + s * 0.22, -0.15, ground + 0.1]]
        bars.append(tube(np.array(post), 0.012, 5))
        rail = [[x + s * 0.22, -0.15, ground + 0.12], [x + s * 0.2, -0.85, ground + 0.12]]
        bars.append(tube(np.array(rail), 0.012, 5))
    handle = tube(np.array([[x - 0.27, 0, 0], [x + 0.27, 0, 0]]), 0.016, 6)
    return [
        (Mesh(basket.vertices, basket.faces, uv), Material(texture=mesh_, gloss=0.4)),
        (merged(bars), plain((130, 130, 135), 0.4)),
        (handle, plain(colour(extra, 1, (170, 30, 35)))),
        (_wheels(spots, 0.06), plain((28, 28, 30))),
    ]


def _wheels(spots: Numbers, radius: float, width: float = 0.03) -> Mesh:
    side = np.array([[-1, 0, 0], [-0.95, 0, 0], [0.95, 0, 0], [1, 0, 0]]) * width / 2
    return merged([tube(side + spot, [0, radius, radius, 0], 7) for spot in spots])


def _level(fit: Fit) -> float:
    """Height of a hand whose forearm is level."""
    return fit.shoulder_left[2] - 0.52 * (fit.shoulder_left[2] - fit.hand_height) + 0.03
