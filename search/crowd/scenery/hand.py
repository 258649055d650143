"""Puts together one thing: simple solids in the thing's own coordinates, added to a stage."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from search.crowd.mesh import Mesh, ball, box, quad, tube
from search.crowd.places import Thing
from search.crowd.scenery.stage import Stage
from search.crowd.scenery.textures import Bytes, one_of

METALS: tuple[Bytes, ...] = (
    (74, 78, 80), (128, 132, 134), (52, 54, 56), (60, 78, 70), (160, 162, 160), (96, 88, 76),
)  # fmt: skip
WOODS: tuple[Bytes, ...] = ((120, 88, 60), (92, 68, 50), (150, 120, 88), (104, 92, 80))
STONES: tuple[Bytes, ...] = ((150, 148, 142), (122, 120, 118), (172, 166, 154))
PAINTS: tuple[Bytes, ...] = (
    (200, 202, 204), (158, 162, 166), (96, 100, 104), (40, 42, 46), (22, 23, 26), (120, 36, 36), (44, 60, 92),
    (190, 188, 176), (66, 82, 74), (222, 222, 220), (124, 108, 88),
)  # fmt: skip
GAY: tuple[Bytes, ...] = (
    (150, 58, 50), (52, 84, 126), (188, 160, 84), (70, 106, 84), (206, 204, 198), (172, 106, 66), (88, 74, 104),
    (54, 56, 62), (132, 136, 140),
)  # fmt: skip


class Hand:
    """One thing being made.

    Args:
        stage: what it is added to.
        thing: what and where it is.
    """

    def __init__(self, stage: Stage, thing: Thing) -> None:
        self.stage, self.thing = stage, thing
        self.rng = np.random.default_rng(thing.seed)
        self.width, self.depth, self.height = thing.size
        c, s = np.cos(thing.heading), np.sin(thing.heading)
        self.matrix = np.array([[c, -s, 0, thing.x], [s, c, 0, thing.y], [0, 0, 1, 0]])

    def one(self, colours: tuple[Bytes, ...]) -> Bytes:
        """One of several colours."""
        return one_of(self.rng, colours)

    def chance(self, share: float) -> bool:
        """Whether something that happens so often happens."""
        return bool(self.rng.random() < share)

    def number(self, count: int = 10_000) -> int:
        """A number below `count`."""
        return int(self.rng.integers(count))

    def paint(self, mesh: Mesh, colour: Bytes, gloss: float = 0.0, glow: float = 0.0) -> None:
        """A solid of one colour."""
        self.stage.paint(mesh.moved(self.matrix), colour, gloss=gloss, glow=glow)

    def box(
        self, size: ArrayLike, low: ArrayLike, colour: Bytes, gloss: float = 0.0, glow: float = 0.0
    ) -> None:
        """A box over the middle (x, y, z) of its lower side."""
        x, y, z = np.asarray(low, np.float64)
        self.paint(box(size, (x, y, z + np.asarray(size)[2] / 2)), colour, gloss, glow)

    def flat(self, corners: ArrayLike, faces: ArrayLike, colour: Bytes, gloss: float = 0.0) -> None:
        """Triangles of one colour over (N, 3) corners."""
        points = np.asarray(corners, np.float32)
        empty = np.zeros((len(points), 2), np.float32)
        self.paint(Mesh(points, np.asarray(faces, np.int32), empty), colour, gloss)

    def pole(
        self, radius: float, top: float, colour: Bytes, at: tuple[float, float] = (0, 0), low: float = 0
    ) -> None:
        """A round pole."""
        self.paint(tube([[*at, low], [*at, top]], radius, 6), colour, 0.1)

    def ring(
        self, low: float, high: float, radii: ArrayLike, colour: Bytes, sides: int = 8, gloss: float = 0
    ) -> None:
        """A round, hollow solid between two heights, as wide below and above as its two radii say."""
        self.paint(tube(np.array([[0.0, 0.0, low], [0.0, 0.0, high]]), radii, sides), colour, gloss)

    def lump(self, radii: ArrayLike, middle: ArrayLike, name: str) -> None:
        """A covered ellipsoid with dents."""
        mesh = ball(radii, middle, 5, 8)
        dents = 1 + 0.18 * self.rng.standard_normal((len(mesh.vertices), 1))
        # The seam's two ends stay together.
        dents = dents.reshape(6, 9)
        dents[:, -1] = dents[:, 0]
        dents[0], dents[-1] = 1, 1
        bumpy = (mesh.vertices - np.asarray(middle)) * dents.reshape(-1, 1) + np.asarray(middle)
        spread = mesh.uv * (2 * np.pi * np.asarray(radii)[0], 2 * np.asarray(radii)[2])
        self.stage.cover(Mesh(bumpy.astype(np.float32), mesh.faces, spread).moved(self.matrix), name)

    def sheet(
        self,
        name: str,
        left: float,
        right: float,
        low: float,
        high: float,
        y: float,
        group: str = "",
        step: float = 0,
    ) -> None:
        """An upright covered sheet that faces the front; `step` moves the texture."""
        mesh = quad((left, y, low), (right - left, 0, 0), (0, 0, high - low), (right - left, high - low))
        self.stage.cover(
            Mesh(mesh.vertices, mesh.faces, mesh.uv + np.array([step, 0], np.float32)).moved(self.matrix),
            name,
            group,
        )

    def covered(
        self, name: str, size: ArrayLike, low: ArrayLike, group: str = "", floor: float = 1.0
    ) -> None:
        """A covered box over the middle (x, y, z) of its lower side."""
        w, d, h = np.asarray(size, np.float64)
        x, y, z = np.asarray(low, np.float64)
        corners = [(-w, -d, w, 0), (w, -d, 0, d), (w, d, -w, 0), (-w, d, 0, -d)]
        for cx, cy, rx, ry in corners:
            side = quad((x + cx / 2, y + cy / 2, z), (rx, ry, 0), (0, 0, h), (abs(rx) + abs(ry), h))
            self.stage.cover(side.moved(self.matrix), name, group)
        top = quad((x - w / 2, y - d / 2, z + h), (w, 0, 0), (0, d, 0), (w * floor, d * floor))
        self.stage.cover(top.moved(self.matrix), name, group)

    def show(
        self, name: str, left: float, right: float, low: float, high: float, y: float, *, glow: float = 0.0,
        gloss: float = 0.0, which: int | None = None, sheets: int = 1,
    ) -> None:  # fmt: skip
        """A picture on an upright sheet that faces the front."""
        mesh = quad((left, y, low), (right - left, 0, 0), (0, 0, high - low))
        number = self.number() if which is None else which
        self.stage.picture(mesh.moved(self.matrix), name, number, gloss=gloss, glow=glow, sheets=sheets)
