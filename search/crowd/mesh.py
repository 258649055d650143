"""Triangles, what covers them, and small solids to build things of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with texture coordinates.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32 rows of `vertices`; both sides are drawn.
        uv: (V, 2) float32; textures repeat, one copy per unit.
        normals: (V, 3) float32 where they are known; None: worked out from the faces.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    uv: Floats
    normals: Floats | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", np.ascontiguousarray(self.vertices, np.float32))
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, np.int32))
        object.__setattr__(self, "uv", np.ascontiguousarray(self.uv, np.float32))
        if len(self.uv) != len(self.vertices):
            raise ValueError(
                f"expected a texture coordinate a vertex, got {len(self.uv)} for {len(self.vertices)}"
            )

    def moved(self, matrix: ArrayLike) -> Mesh:
        """The mesh under a (4, 4) or (3, 4) affine matrix."""
        m = np.asarray(matrix, np.float32)
        turned = None if self.normals is None else self.normals @ m[:3, :3].T
        return Mesh(self.vertices @ m[:3, :3].T + m[:3, 3], self.faces, self.uv, turned)


@dataclass(frozen=True, eq=False)
class Material:
    """What covers a mesh.

    Attributes:
        colour: linear RGB in [0, 1]; multiplies the texture.
        texture: (h, w, 3) uint8 sRGB, or (h, w, 4) whose holes (alpha below 128) are not drawn; None for plain colour.
        gloss: strength of the highlight in [0, 1]: 0 cotton, 0.3 leather, 0.6 polished stone.
        glow: share of the colour that shines by itself, for lamps, screens and windows.
    """

    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    texture: NDArray[np.uint8] | None = field(default=None, repr=False)
    gloss: float = 0.0
    glow: float = 0.0


Piece = tuple[Mesh, Material]


def mesh(vertices: ArrayLike, faces: ArrayLike, uv: ArrayLike) -> Mesh:
    """A mesh of numbers of any kind and of any shape that ends in 3, 3 and 2."""
    return Mesh(
        np.asarray(vertices, np.float32).reshape(-1, 3),
        np.asarray(faces, np.int32).reshape(-1, 3),
        np.asarray(uv, np.float32).reshape(-1, 2),
    )


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def normals(vertices: Floats, faces: NDArray[np.int32]) -> Floats:
    """(V, 3) unit normals: the mean of the faces around each vertex, weighted by their areas."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, i], 3), len(vertices)) for i in range(3)], axis=1
    )
    length = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return np.asarray(total / length, np.float32)


def grid(rows: Floats, *, closed: bool = False) -> Mesh:
    """A sheet over (R, C, 3) points; `closed` joins the last column to the first. uv runs over [0, 1] x [0, 1]."""
    count, width = rows.shape[:2]
    if closed:
        rows = np.concatenate([rows, rows[:, :1]], axis=1)
        width += 1
    corner = np.arange(count * width).reshape(count, width)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    u, v = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, count))
    return mesh(rows, faces, np.stack([u, v], -1))


def tube(path: ArrayLike, radius: ArrayLike, sides: int = 8, squash: float = 1.0) -> Mesh:
    """A tube along (P, 3) points of (P,) radii, its cross-section `squash` times as thick across as wide; open ends
    close where the radius is 0.
    """
    points = np.asarray(path, np.float32)
    radii = np.broadcast_to(np.asarray(radius, np.float32), len(points))
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    right = np.cross(along, helper)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(right, along)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.cos(angle)[:, None] * right[:, None] + squash * np.sin(angle)[:, None] * up[:, None]
    return grid((points[:, None] + radii[:, None, None] * ring).astype(np.float32), closed=True)


def box(size: ArrayLike, centre: ArrayLike = (0, 0, 0)) -> Mesh:
    """A box of (x, y, z) metres; each side has the whole texture."""
    half, middle = np.asarray(size, np.float32) / 2, np.asarray(centre, np.float32)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    vertices: list[Floats] = []
    faces: list[list[list[int]]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            # u runs level and v up on the walls.
            level, rise = [i for i in range(3) if i != axis]
            corner = np.zeros((4, 3), np.float32)
            corner[:, axis], corner[:, level], corner[:, rise] = side, square[:, 0], square[:, 1]
            start = 4 * len(faces)
            faces.append([[start, start + 1, start + 2], [start, start + 2, start + 3]])
            vertices.append(np.asarray(corner * half + middle, np.float32))
    uv = np.tile([[0, 1], [1, 1], [1, 0], [0, 0]], (6, 1))
    return mesh(np.concatenate(vertices), faces, uv)


def ball(radii: ArrayLike, centre: ArrayLike = (0, 0, 0), rings: int = 6, sides: int = 10) -> Mesh:
    """An ellipsoid of (x, y, z) radii."""
    down, around = np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, sides, endpoint=False)
    points = np.stack(
        [
            np.sin(down)[:, None] * np.cos(around),
            np.sin(down)[:, None] * np.sin(around),
            np.cos(down)[:, None] * np.ones(sides),
        ],
        axis=-1,
    )
    return grid((points * np.asarray(radii) + np.asarray(centre)).astype(np.float32), closed=True)


def quad(
    origin: ArrayLike, right: ArrayLike, up: ArrayLike, repeat: tuple[float, float] = (1.0, 1.0)
) -> Mesh:
    """A parallelogram from its lower left corner, with `repeat` copies of the texture to the right and up."""
    o, r, u = (np.asarray(x, np.float32) for x in (origin, right, up))
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]]) * repeat
    return mesh(np.stack([o, o + r, o + r + u, o + u]), [[0, 1, 2], [0, 2, 3]], uv)
