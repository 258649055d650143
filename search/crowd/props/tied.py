"""Hair that is tied: ponytails and buns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Floats, Mesh, ball, tube
from search.crowd.props import skull, trunk
from search.crowd.props.build import smooth
from search.crowd.props.parts import Fit
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]


def tails(extra: Extra, fit: Fit, rng: np.random.Generator, worn: str) -> tuple[list[Mesh], list[Mesh]]:
    """A ponytail, or two, and what ties them."""
    unit = skull.tall(fit)
    two = rng.random() < 0.15
    height = 1.25 if two or worn == "flat" else float(rng.choice([0.6, 0.95, 1.35]))
    length = (0.7 + (0.3 if two else 1.3) * extra.size) * unit
    wide = unit * float(rng.uniform(0.1, 0.15))
    hanging, ties = [], []
    for a in (0.62 * np.pi, 1.38 * np.pi) if two else (np.pi,):
        root = skull.on(fit, a, height, 0.0)
        out = root - np.array(fit.head)
        out[2] = max(out[2], 0.0)
        out /= np.linalg.norm(out)
        t = np.linspace(0, 1, 7)[:, None]
        path = root + out * 0.24 * unit * (1 - (1 - np.minimum(t * 2.2, 1)) ** 2) * (1.2 - 0.35 * t)
        path[:, 2] -= (length * t**1.4 - 0.1 * unit * (height < 0.8) * np.sin(np.pi * t) ** 2)[:, 0]
        path[:, 0] += (0.03 * rng.normal() * t)[:, 0]
        radius = wide * np.array([0.5, 0.55, 0.95, 1.0, 0.9, 0.6, 0.12])
        path = trunk.outside(fit, path)
        hanging.append(_tail(path, radius, 4 if two else 7))
        knot = 0.75 * path[0] + 0.25 * path[1]
        ties.append(ball(np.full(3, 0.62 * wide), knot, 2, 5))
    return hanging, ties


def bun(extra: Extra, fit: Fit, rng: np.random.Generator, worn: str) -> Mesh:
    """A ball of hair, low under a hat."""
    unit = skull.tall(fit)
    height = 1.35 if worn == "flat" else float(rng.choice([0.35, 0.7, 1.0, 1.35]))
    radius = unit * (0.16 + 0.14 * extra.size)
    centre = skull.on(fit, np.pi, height, 0.55 * radius)
    mesh = ball(radius * np.array([1.0, 0.85, 0.85]), centre, 6, 9)
    bumps: Floats = 1 + 0.12 * smooth(rng, 7, 9, (3, 4))
    around = np.concatenate([bumps, bumps[:, :1]], axis=1).reshape(-1, 1)
    vertices = (mesh.vertices - centre) * around + centre
    return Mesh(vertices, mesh.faces, np.stack([mesh.uv[:, 0] * 2, 0.1 + 0.7 * mesh.uv[:, 1]], axis=1))


def _tail(path: Numbers, radius: Numbers, sides: int) -> Mesh:
    mesh = tube(path, radius, sides, 0.8)
    uv = np.stack([mesh.uv[:, 0] * 1.5, 0.1 + 0.8 * mesh.uv[:, 1]], axis=1)
    return Mesh(mesh.vertices, mesh.faces, uv.astype(np.float32))
