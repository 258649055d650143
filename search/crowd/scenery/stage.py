"""Collects what a place is built of and merges it, so that a place takes few draw calls."""

from __future__ import annotations

import numpy as np

from search.crowd.mesh import Material, Mesh, Piece, merged
from search.crowd.scenery.pictures import PICTURES, SHEETS, corners, sheet
from search.crowd.scenery.textures import COVERS, Bytes, cover, one_of

_PALETTE = 16  # cells to a side
_ACCENTS: tuple[Bytes, ...] = (
    (170, 60, 52), (44, 86, 140), (204, 170, 70), (70, 120, 90), (196, 112, 60), (90, 96, 104), (150, 150, 148),
    (88, 66, 100), (60, 130, 140),
)  # fmt: skip


class Stage:
    """The pieces of a place.

    Args:
        rng: picks variants and colours.
        fixed: it is drawn many times, so colours go into one texture; otherwise each is a piece, and there is no
            texture to send.

    Attributes:
        salt: a number of the place's own, for choices that all its things share.
        accent: a colour of the place's own.
    """

    def __init__(self, rng: np.random.Generator, *, fixed: bool = True) -> None:
        self.rng, self._fixed = rng, fixed
        self._plain: dict[tuple[Bytes, float, float], list[Mesh]] = {}
        self.salt = int(rng.integers(10_000))
        self.accent = one_of(rng, _ACCENTS)
        self._looks: dict[tuple[str, str], tuple[int, tuple[float, float, float]]] = {}
        self._covered: dict[tuple[str, str, bool], list[Mesh]] = {}
        self._painted: dict[tuple[float, float, bool], list[Mesh]] = {}
        self._palette = np.zeros((_PALETTE, _PALETTE, 3), np.uint8)
        self._colours: dict[Bytes, int] = {}
        self._first = {name: int(rng.integers(SHEETS)) for name in ("walls", "shops", "cards")}
        self._pictures: dict[tuple[str, int, float, float], list[Mesh]] = {}

    def cover(self, mesh: Mesh, name: str, group: str = "", *, ground: bool = False) -> None:
        """Add a mesh whose uv are metres, in a repeating texture.

        Args:
            mesh: what to cover.
            name: a key of `textures.COVERS`.
            group: things of one group look alike, those of another get a variant and a tint of their own.
            ground: shadows fall on it.
        """
        metres = COVERS[name].metres
        scaled = Mesh(mesh.vertices, mesh.faces, mesh.uv / metres)
        self._covered.setdefault((name, group, ground), []).append(scaled)

    def paint(
        self, mesh: Mesh, colour: Bytes, *, gloss: float = 0.0, glow: float = 0.0, ground: bool = False
    ) -> None:
        """Add a mesh of one colour, sRGB bytes; shadows fall on it if it is `ground`."""
        if not self._fixed:
            self._plain.setdefault((colour, gloss, glow), []).append(mesh)
            return
        if colour not in self._colours:
            # Beyond the last cell, colours share.
            self._colours[colour] = cell = len(self._colours) % _PALETTE**2
            self._palette[cell // _PALETTE, cell % _PALETTE] = colour
        row, column = divmod(self._colours[colour], _PALETTE)
        middle = np.array([column + 0.5, row + 0.5], np.float32) / _PALETTE
        uv = np.asarray(np.tile(middle, (len(mesh.vertices), 1)), np.float32)
        self._painted.setdefault((gloss, glow, ground), []).append(Mesh(mesh.vertices, mesh.faces, uv))

    def lay(self, mesh: Mesh, colour: Bytes) -> None:
        """Paint the ground."""
        self.paint(mesh, colour, ground=True)

    def picture(
        self, mesh: Mesh, name: str, which: int, *, gloss: float = 0.0, glow: float = 0.0, sheets: int = 1
    ) -> None:
        """Add a mesh whose uv in [0, 1] show one picture.

        Args:
            mesh: what to show it on.
            name: a key of `pictures.PICTURES`.
            which: any number.
            gloss: see `mesh.Material`.
            glow: see `mesh.Material`.
            sheets: from how many sheets pictures of this name may come.
        """
        left, top, right, bottom = corners(name, which)
        uv = np.array([left, top]) + mesh.uv * np.array([right - left, bottom - top])
        key = (PICTURES[name].sheet, which // 7 % sheets, gloss, glow)
        self._pictures.setdefault(key, []).append(Mesh(mesh.vertices, mesh.faces, uv))

    def pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What takes shadows and what does not."""
        floor: list[Piece] = []
        rest: list[Piece] = []
        for (name, group, ground), meshes in self._covered.items():
            variant, tint = self._look(name, group)
            material = Material(tint, cover(name, variant), COVERS[name].gloss)
            (floor if ground else rest).append((merged(meshes), material))
        for (gloss, glow, ground), meshes in self._painted.items():
            (floor if ground else rest).append(
                (merged(meshes), Material((1.0, 1.0, 1.0), self._palette, gloss, glow))
            )
        for (colour, gloss, glow), meshes in self._plain.items():
            rest.append((merged(meshes), Material(linear(colour), None, gloss, glow)))
        for (name, which, gloss, glow), meshes in self._pictures.items():
            variant = (self._first[name] + which) % SHEETS
            rest.append((merged(meshes), Material((1.0, 1.0, 1.0), sheet(name, variant), gloss, glow)))
        return floor, rest

    def _look(self, name: str, group: str) -> tuple[int, tuple[float, float, float]]:
        if (name, group) not in self._looks:
            sort = COVERS[name]
            bright = np.exp(self.rng.normal(0, sort.spread))
            hue = np.exp(self.rng.normal(0, 0.3 * sort.spread, 3))
            red, green, blue = np.clip(bright * hue, 0.2, 1.6)
            self._looks[name, group] = (
                int(self.rng.integers(sort.variants)),
                (float(red), float(green), float(blue)),
            )
        return self._looks[name, group]


def linear(colour: Bytes) -> tuple[float, float, float]:
    """Linear RGB in [0, 1] of sRGB bytes, near enough."""
    red, green, blue = (float(channel / 255) ** 2 for channel in colour)
    return red, green, blue
