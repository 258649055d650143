"""What grounds and walls are covered with: small tiles of texture, made here, shared by all cameras."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Bytes = tuple[int, int, int]
SIZE = 128  # pixels to a side


@dataclass(frozen=True)
class Cover:
    """A kind of surface.

    Attributes:
        paint: makes one tile of it.
        metres: side of a tile.
        gloss: see `mesh.Material`.
        variants: how many tiles of it there are.
        spread: how much brightness differs between places, as a standard deviation of its logarithm.
    """

    paint: Callable[[np.random.Generator], Image]
    metres: float
    gloss: float = 0.0
    variants: int = 4
    spread: float = 0.2


@cache
def cover(name: str, variant: int) -> Image:
    """(128, 128, 3 or 4) uint8 sRGB, a tile that repeats; the same array at each call."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), variant])
    return np.ascontiguousarray(COVERS[name].paint(rng))


def noise(rng: np.random.Generator, cells: tuple[int, int], octaves: int = 3, size: int = SIZE) -> Floats:
    """(size, size) float32 in about [-1, 1], clouds that repeat: `cells` blobs down and across, then finer."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        rows, columns = (min(count * 2**octave, size) for count in cells)
        small = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        # Three copies side by side, so that the middle one joins itself.
        wide = cv2.resize(np.tile(small, (3, 3)), (3 * size, 3 * size), interpolation=cv2.INTER_CUBIC)
        total += wide[size : 2 * size, size : 2 * size] / 1.7**octave
    return total


def toned(values: Floats, colour: Bytes, amount: float) -> Floats:
    """(H, W, 3): a colour, brighter and darker by `amount` as the (H, W) values go from -1 to 1."""
    return np.asarray(np.array(colour, np.float32) * (1 + amount * values[..., None]), np.float32)


def finished(picture: Floats) -> Image:
    """Bytes of what may have left [0, 255]."""
    return np.clip(picture, 0, 255).astype(np.uint8)


def _asphalt(rng: np.random.Generator) -> Image:
    grey = int(rng.integers(85, 135))
    picture = toned(noise(rng, (3, 3)), (grey, grey, grey + 3), 0.12)
    return finished(picture + rng.normal(0, 9, (SIZE, SIZE, 1)))


def _grass(rng: np.random.Generator) -> Image:
    green = [(88, 110, 58), (105, 112, 62), (70, 98, 52), (120, 115, 72)][int(rng.integers(4))]
    return finished(toned(noise(rng, (6, 6), 4), green, 0.3) + rng.normal(0, 8, (SIZE, SIZE, 1)))


def _plaster(rng: np.random.Generator) -> Image:
    colour = [(196, 190, 178), (206, 204, 200), (188, 170, 140), (170, 172, 175)][int(rng.integers(4))]
    return finished(toned(noise(rng, (2, 2), 4), colour, 0.07))


COVERS: Mapping[str, Cover] = {
    "asphalt": Cover(_asphalt, 2.5),
    "paving": Cover(_asphalt, 2.5),
    "slabs": Cover(_asphalt, 2.5),
    "bricks": Cover(_asphalt, 2.5),
    "brick": Cover(_plaster, 2.5),
    "glass": Cover(_plaster, 2.5),
    "grass": Cover(_grass, 2.0),
    "plaster": Cover(_plaster, 4.0),
}
