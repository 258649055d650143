"""Small tools of the makers: ribbons, lofts, colours, and random draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.mesh import Floats, Material, Mesh, grid
from search.crowd.traits import Extra

Colour = tuple[int, int, int]


def linear(colour: Sequence[int]) -> tuple[float, float, float]:
    """The renderer's linear RGB of sRGB bytes."""
    r, g, b = ((c / 255) ** 2 for c in colour)
    return r, g, b


def plain(colour: Sequence[int], gloss: float = 0.0) -> Material:
    """A material of one colour."""
    return Material(colour=linear(colour), gloss=gloss)


def shade(colour: Sequence[int], by: float) -> Colour:
    """A colour, darker (below 1) or lighter (above 1)."""
    r, g, b = (int(min(max(c * by, 0), 255)) for c in colour)
    return r, g, b


def colour(extra: Extra, i: int, otherwise: Colour | None = None) -> Colour:
    """The prop's i-th colour; `otherwise`, or the first one, if it has fewer."""
    if i < len(extra.colours):
        named: Colour = extra.colours[i]
        return named
    first: Colour = extra.colours[0]
    return otherwise if otherwise is not None else first


def sign(extra: Extra) -> float:
    """1 on the left, -1 on the right."""
    return 1.0 if extra.side == "L" else -1.0


def ribbon(
    path: ArrayLike, outward: ArrayLike, width: float | NDArray[np.float64], thick: float = 0.0
) -> Mesh:
    """A strap along (P, 3) points, flat towards (P, 3) outward directions; u runs across, v counts widths along it.

    Args:
        path: its middle line.
        outward: where its outer face looks; need not be unit.
        width: metres, one or (P,).
        thick: metres by which its middle stands off, with edges on the path: 0 for a flat band.
    """
    points, facing = np.asarray(path, float), np.broadcast_to(np.asarray(outward, float), np.shape(path))
    along = np.gradient(points, axis=0)
    across = np.cross(along, facing)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    half = np.broadcast_to(np.asarray(width, float), len(points))[:, None] / 2
    rows = [points - half * across, points + half * across]
    if thick:
        out = facing / np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
        left, right = rows
        inner = [left * (1 - share) + right * share + thick * out for share in (0.25, 0.75)]
        rows = [left, *inner, right]
    mesh = grid(np.stack(rows, axis=1).astype(np.float32))
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    v = np.concatenate([[0.0], np.cumsum(steps)]) / max(float(half.mean()) * 2, 1e-3)
    return Mesh(mesh.vertices, mesh.faces, np.stack([mesh.uv[:, 0], np.repeat(v, len(rows))], axis=1))


def loft(rings: ArrayLike, *, caps: bool = True) -> Mesh:
    """A solid through (R, C, 3) closed rings, from the top down; `caps` closes both ends. u runs around, v down."""
    rows = np.asarray(rings, np.float32)
    mesh = grid(rows, closed=True)
    if not caps:
        return mesh
    count = rows.shape[1]
    v, ends = [mesh.vertices], [mesh.uv]
    faces = [mesh.faces]
    total = len(mesh.vertices)
    for i in (0, -1):
        ring = rows[i]
        v.append(np.concatenate([ring, ring.mean(axis=0, keepdims=True)]))
        span = np.maximum(np.ptp(ring, axis=0), 1e-6)
        flat = ((ring - ring.min(axis=0)) / span)[:, np.argsort(span)[-2:]]
        ends.append(np.concatenate([flat, [[0.5, 0.5]]]))
        k = np.arange(count)
        faces.append(np.stack([k, (k + 1) % count, np.full(count, count)], axis=1) + total)
        total += count + 1
    return Mesh(np.concatenate(v), np.concatenate(faces), np.concatenate(ends))


def oval(count: int, power: float = 2.0, start: float = 0.0) -> NDArray[np.float64]:
    """(count, 2) points of a unit superellipse: power 2 is a circle, 4 and more a rounded square."""
    angle = start + np.linspace(0, 2 * np.pi, count, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.sign(c) * np.abs(c) ** (2 / power), np.sign(s) * np.abs(s) ** (2 / power)], axis=1)


def turned(mesh: Mesh, axis: str, angle: float, shift: ArrayLike = (0, 0, 0)) -> Mesh:
    """A mesh turned about an axis through the origin by radians, then shifted."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix = np.eye(4)
    matrix[j, j] = matrix[k, k] = np.cos(angle)
    matrix[k, j], matrix[j, k] = np.sin(angle), -np.sin(angle)
    matrix[:3, 3] = np.asarray(shift, float)
    return mesh.moved(matrix)


def smooth(rng: np.random.Generator, rows: int, columns: int, coarse: tuple[int, int]) -> Floats:
    """(rows, columns) noise about 0 of unit spread or less, smooth, that closes over the columns."""
    r, c = coarse
    lattice = rng.normal(0, 1, (r + 1, c))
    lattice = np.concatenate([lattice, lattice[:, :1]], axis=1)
    y, x = np.linspace(0, r, rows), np.linspace(0, c, columns, endpoint=False)
    i, j = np.minimum(y.astype(int), r - 1), x.astype(int)
    fy, fx = (y - i)[:, None], (x - j)[None]
    fy, fx = fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
    a, b = lattice[i][:, j], lattice[i][:, j + 1]
    d, e = lattice[i + 1][:, j], lattice[i + 1][:, j + 1]
    return np.asarray((a * (1 - fx) + b * fx) * (1 - fy) + (d * (1 - fx) + e * fx) * fy, np.float32)
