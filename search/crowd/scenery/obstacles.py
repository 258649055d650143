"""What stands between a camera and somebody: low things that hide legs, upright ones that hide a side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search.crowd.camera import Camera
from search.crowd.mesh import Piece
from search.crowd.places import Thing
from search.crowd.scenery.stage import Stage
from search.crowd.scenery.things import build

Span = tuple[float, float]

# kind: width, depth, lowest and highest height, metres.
_LOW_OUT: Mapping[str, tuple[float, float, Span]] = {
    "bike": (1.7, 0.4, (1.0, 1.1)),
    "car": (4.3, 1.75, (1.4, 1.5)),
    "hedge": (3.0, 0.6, (0.7, 1.4)),
    "planter": (1.2, 0.5, (0.7, 1.2)),
    "bench": (1.7, 0.55, (0.85, 0.85)),
    "railing": (3.0, 0.1, (1.0, 1.0)),
    "rail": (3.0, 0.1, (0.9, 1.1)),
    "barrier": (2.0, 0.4, (1.05, 1.05)),
    "block": (3.0, 0.3, (0.5, 1.1)),
    "bin": (0.6, 0.6, (0.9, 1.2)),
}
_LOW_IN: Mapping[str, tuple[float, float, Span]] = {
    "bench": (1.7, 0.55, (0.85, 0.85)),
    "planter": (1.2, 0.5, (0.7, 1.2)),
    "pot": (0.7, 0.7, (1.0, 1.5)),
    "counter": (1.8, 0.6, (0.9, 1.2)),
    "belt": (1.8, 0.1, (0.95, 0.95)),
    "table": (1.8, 0.8, (0.9, 0.9)),
    "crates": (0.8, 0.6, (0.6, 1.2)),
    "trolley": (1.0, 0.6, (1.05, 1.05)),
    "shelf": (2.0, 0.6, (0.9, 1.4)),
    "rail": (3.0, 0.1, (0.9, 1.1)),
}
# kind: width, depth, height, metres.
_UPRIGHT_OUT: Mapping[str, tuple[float, float, float]] = {
    "pillar": (0.35, 0.35, 3.0),
    "lamp": (0.2, 0.2, 4.0),
    "sign": (0.1, 0.1, 2.4),
    "board": (0.8, 0.15, 1.9),
    "bin": (0.5, 0.5, 1.2),
}
_UPRIGHT_IN: Mapping[str, tuple[float, float, float]] = {
    "pillar": (0.45, 0.45, 3.0),
    "board": (0.7, 0.15, 1.9),
    "machine": (0.9, 0.7, 1.9),
    "shelf": (0.6, 0.8, 2.0),
    "pot": (0.6, 0.6, 1.6),
}


def obstacles(camera: Camera, spot: tuple[float, float], rng: np.random.Generator) -> list[Piece]:
    """Things between a camera and somebody, which hide a third or so of who stands there.

    A camera has a few kinds of them, and they look the same each time.

    Args:
        camera: who looks.
        spot: (x, y) metres of who stands.
        rng: which they are and where.
    """
    own = np.random.default_rng([camera.seed, camera.number, 2])
    stage = Stage(own, fixed=False)
    low = own.choice(list(_LOW_IN if camera.plan.indoor else _LOW_OUT), 4, replace=False)
    upright = own.choice(list(_UPRIGHT_IN if camera.plan.indoor else _UPRIGHT_OUT), 3, replace=False)
    number = int(own.integers(1000)) + int(rng.integers(3))
    kind = rng.random()
    if kind < 0.62:
        build(stage, _low(camera, spot, str(rng.choice(low)), number, rng))
    if kind > 0.54:
        build(stage, _upright(camera, spot, str(rng.choice(upright)), number, rng))
    ground, rest = stage.pieces()
    return ground + rest


def _low(camera: Camera, spot: tuple[float, float], kind: str, seed: int, rng: np.random.Generator) -> Thing:
    """Something that hides legs: as far before them as its height asks for."""
    width, depth, span = (_LOW_IN if camera.plan.indoor else _LOW_OUT)[kind]
    height = float(rng.uniform(*span))
    hidden = float(rng.uniform(0.45, 1.05))
    distance = float(np.hypot(*spot))
    # The line from the eye to `hidden` metres above the spot is `height` above the ground at that distance.
    slope = max(camera.height - hidden, 0.05) / distance
    away = float(np.clip((height - hidden) / slope, depth / 2 + 0.4, min(2.5, 0.6 * distance)))
    height = min(height, hidden + away * slope)
    aside = float(rng.uniform(-0.3, 0.3) * min(width, 1.2))
    turn = float(rng.normal(0, 0.25))
    if kind == "bike":  # its length lies along y
        width, depth, turn = 0.6, 1.7, turn + np.pi / 2
    return _before(camera, spot, kind, (width, depth, height), away, aside, turn, seed)


def _upright(
    camera: Camera, spot: tuple[float, float], kind: str, seed: int, rng: np.random.Generator
) -> Thing:
    """Something that hides a side."""
    size = (_UPRIGHT_IN if camera.plan.indoor else _UPRIGHT_OUT)[kind]
    away = float(rng.uniform(size[1] / 2 + 0.4, 1.6))
    # People are half a metre wide or so; this much of one side is hidden.
    hidden = float(rng.uniform(0.08, 0.3))
    aside = float(rng.choice([-1, 1])) * (0.24 - hidden + size[0] / 2)
    return _before(camera, spot, kind, size, away, aside, float(rng.normal(0, 0.2)), seed)


def _before(
    camera: Camera,
    spot: tuple[float, float],
    kind: str,
    size: tuple[float, float, float],
    away: float,
    aside: float,
    turn: float,
    seed: int,
) -> Thing:
    """A thing `away` metres towards the camera from a spot and `aside` across, its front to the camera."""
    way = camera.eye[:2] - spot
    way /= np.linalg.norm(way)
    x, y = np.array(spot) + away * way + aside * np.array([-way[1], way[0]])
    heading = float(np.arctan2(way[0], -way[1])) + turn
    return Thing(kind, float(x), float(y), heading, size, "", seed)
