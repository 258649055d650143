"""Collects what a place is built of and merges it, so that a place takes few draw calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material, Mesh, Piece, merged
from search.crowd.scenery.textures import COVERS, cover

Bytes = tuple[int, int, int]
_PALETTE = 16  # cells to a side
_CELLS = 4  # of the sheet of pictures, to a side
_CELL = 64  # pixels


class Stage:
    """The pieces of a place.

    Args:
        rng: picks variants and colours.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._looks: dict[tuple[str, str], tuple[int, tuple[float, float, float]]] = {}
        self._covered: dict[tuple[str, str, bool], list[Mesh]] = {}
        self._painted: dict[tuple[float, float], list[Mesh]] = {}
        self._palette = np.zeros((_PALETTE, _PALETTE, 3), np.uint8)
        self._colours: dict[Bytes, int] = {}
        self._sheets: list[NDArray[np.uint8]] = []
        self._pictures: dict[tuple[int, float, float], list[Mesh]] = {}
        self._cells: dict[str, tuple[int, int]] = {}

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

    def paint(self, mesh: Mesh, colour: Bytes, *, gloss: float = 0.0, glow: float = 0.0) -> None:
        """Add a mesh of one colour, sRGB bytes."""
        if colour not in self._colours:
            # Beyond the last cell, colours share.
            self._colours[colour] = cell = len(self._colours) % _PALETTE**2
            self._palette[cell // _PALETTE, cell % _PALETTE] = colour
        row, column = divmod(self._colours[colour], _PALETTE)
        uv = np.tile(
            np.float32([[(column + 0.5) / _PALETTE, (row + 0.5) / _PALETTE]]), (len(mesh.vertices), 1)
        )
        self._painted.setdefault((gloss, glow), []).append(Mesh(mesh.vertices, mesh.faces, uv))

    def picture(
        self, mesh: Mesh, name: str, draw: Sequence[object] = (), *, gloss: float = 0.0, glow: float = 0.0
    ) -> None:
        """Add a mesh whose uv in [0, 1] show one picture, a key of `pictures.PICTURES`."""
        raise NotImplementedError

    def pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What takes shadows and what does not."""
        floor: list[Piece] = []
        rest: list[Piece] = []
        for (name, group, ground), meshes in self._covered.items():
            variant, tint = self._look(name, group)
            material = Material(tint, cover(name, variant), COVERS[name].gloss)
            (floor if ground else rest).append((merged(meshes), material))
        for (gloss, glow), meshes in self._painted.items():
            rest.append((merged(meshes), Material((1.0, 1.0, 1.0), self._palette, gloss, glow)))
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
