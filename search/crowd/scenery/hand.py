"""Puts together one thing: simple solids in the thing's own coordinates, added to a stage."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from search.crowd.mesh import Mesh, ball, box, quad, tube
from search.crowd.places import Thing
from search.crowd.scenery.stage import Bytes, Stage
from search.crowd.scenery.textures import one_of

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
    (176, 52, 44), (40, 92, 150), (220, 180, 60), (60, 120, 84), (226, 224, 218), (200, 110, 50), (96, 70, 120),
    (44, 46, 52), (140, 144, 148),
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

    def pole(
        self, radius: float, top: float, colour: Bytes, at: tuple[float, float] = (0, 0), low: float = 0
    ) -> None:
        """A round pole."""
        self.paint(tube([[*at, low], [*at, top]], radius, 6), colour, 0.1)

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
        self.stage.cover(Mesh(mesh.vertices, mesh.faces, mesh.uv + (step, 0)).moved(self.matrix), name, group)

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
