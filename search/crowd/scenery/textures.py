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
_DUST = 0.45  # of its colours that a surface keeps under dust, wear and weather
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_GREY: tuple[Bytes, ...] = ((128, 126, 122), (112, 112, 114), (150, 146, 138), (98, 98, 102), (162, 160, 156))
_EARTH: tuple[Bytes, ...] = ((150, 112, 92), (128, 94, 78), (164, 134, 108), (118, 84, 76), (176, 152, 122))
_PALE: tuple[Bytes, ...] = (
    (206, 198, 184), (214, 212, 208), (196, 176, 146), (178, 182, 186), (190, 196, 180), (204, 182, 168),
    (168, 160, 150), (226, 220, 204),
)  # fmt: skip
_GREEN: tuple[Bytes, ...] = ((82, 104, 54), (104, 112, 62), (66, 92, 50), (122, 118, 74))
_BARK: tuple[Bytes, ...] = ((122, 94, 68), (98, 78, 62), (150, 122, 92), (78, 62, 54))


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
    variants: int = 5
    spread: float = 0.22


@cache
def cover(name: str, variant: int) -> Image:
    """(128, 128, 3 or 4) uint8 sRGB, a tile that repeats; the same array at each call."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), variant])
    return np.ascontiguousarray(_worn(COVERS[name].paint(rng)))


def _worn(picture: Image) -> Image:
    """(H, W, 3 or 4) uint8, the same with less colour; what it hides stays hidden."""
    worn = picture.copy()
    colours = picture[..., :3].astype(np.float32)
    worn[..., :3] = finished(_DUST * colours + (1 - _DUST) * (colours @ _LUMA)[..., None])
    return worn


def noise(rng: np.random.Generator, cells: tuple[int, int], octaves: int = 3, size: int = SIZE) -> Floats:
    """(size, size) float32 in about [-1, 1], clouds that repeat: `cells` blobs down and across, then finer."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        rows, columns = (min(count * 2**octave, size) for count in cells)
        small = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        # Three copies side by side, so that the middle one joins itself.
        wide = cv2.resize(np.tile(small, (3, 3)), (3 * size, 3 * size), interpolation=cv2.INTER_CUBIC)
        total += np.asarray(wide[size : 2 * size, size : 2 * size], np.float32) / np.float32(1.7**octave)
    return total


def toned(values: Floats, colour: Bytes, amount: float) -> Floats:
    """(H, W, 3): a colour, brighter and darker by `amount` as the (H, W) values go from -1 to 1."""
    return np.asarray(np.array(colour, np.float32) * (1 + amount * values[..., None]), np.float32)


def finished(picture: NDArray[np.floating]) -> Image:
    """Bytes of what may have left [0, 255]."""
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def one_of(rng: np.random.Generator, colours: tuple[Bytes, ...]) -> Bytes:
    """One of several colours."""
    return colours[int(rng.integers(len(colours)))]


def _rough(
    rng: np.random.Generator, colours: tuple[Bytes, ...], cells: tuple[int, int], amount: float, grain: float
) -> Image:
    """A surface without a pattern: clouds and grain."""
    picture = toned(noise(rng, cells, 4), one_of(rng, colours), amount)
    return finished(picture + rng.normal(0, grain, (SIZE, SIZE, 1)))


def _blocks(
    rng: np.random.Generator,
    colours: tuple[Bytes, ...],
    rows: int,
    columns: int,
    joint: float,
    *,
    shift: float = 0.5,
    differ: float = 0.1,
    wide: int = 1,
) -> Image:
    """Blocks in rows, every other one shifted, with joints of `wide` pixels `joint` times as bright."""
    y, x = np.mgrid[:SIZE, :SIZE]
    row = y * rows // SIZE
    moved = (x + (row % 2) * shift * SIZE / columns) % SIZE
    column = (moved * columns / SIZE).astype(int)
    one, other = one_of(rng, colours), one_of(rng, colours)
    base = np.where(rng.random((rows, columns, 1)) < 0.85, one, np.array(one) * 0.6 + np.array(other) * 0.4)
    shade = (base * rng.normal(1, differ, (rows, columns, 1)))[row, column]
    edge = ((y * rows) % SIZE < wide * rows) | ((moved * columns) % SIZE < wide * columns)
    picture = np.where(edge[..., None], np.array(one) * joint, shade)
    dirt = noise(rng, (2, 2), 4)[..., None]
    return finished((picture * (1 + 0.07 * dirt) + rng.normal(0, 4, (SIZE, SIZE, 1))).astype(np.float32))


def _asphalt(rng: np.random.Generator) -> Image:
    picture = _rough(rng, _GREY[:4], (3, 3), 0.13, 10).astype(np.float32)
    if rng.random() < 0.25:  # a crack
        points = np.cumsum(rng.normal([0, 12], [9, 4], (14, 2)), axis=0).astype(np.int32)[:, ::-1]
        cv2.polylines(picture, [points + np.array([0, 60])], False, (55, 55, 58), 1)
    return finished(picture)


def _cobbles(rng: np.random.Generator) -> Image:
    return _blocks(rng, _GREY + _EARTH[:2], 10, 10, 0.55, differ=0.16, wide=2)


def _paving(rng: np.random.Generator) -> Image:
    size = int(rng.choice([3, 4, 6]))
    return _blocks(rng, _GREY + _EARTH[2:3], size, size, 0.7, shift=0.0, differ=0.06)


def _slabs(rng: np.random.Generator) -> Image:
    return _blocks(rng, _GREY + _EARTH[2:], 4, 3, 0.68, differ=0.08)


def _pavers(rng: np.random.Generator) -> Image:
    return _blocks(rng, _EARTH + _GREY[:3], 16, 8, 0.72, differ=0.12)


def _planks(rng: np.random.Generator) -> Image:
    picture = _blocks(rng, _BARK + _EARTH, 10, 1, 0.45, differ=0.12).astype(np.float32)
    return finished(picture * (1 + 0.1 * noise(rng, (32, 3), 2)[..., None]))


def _carpet(rng: np.random.Generator) -> Image:
    colour = one_of(rng, ((96, 98, 112), (120, 70, 66), (70, 82, 100), (112, 108, 100), (84, 90, 80)))
    picture = toned(noise(rng, (5, 5), 3), colour, 0.06)
    if rng.random() < 0.5:
        y, x = np.mgrid[:SIZE, :SIZE]
        tile = ((y // 32 + x // 32) % 2)[..., None]
        picture = picture * (1 + (0.1 + 0.15 * rng.random()) * (tile - 0.5))
    return finished((picture + rng.normal(0, 7, (SIZE, SIZE, 1))).astype(np.float32))


def _tiles(rng: np.random.Generator) -> Image:
    count = int(rng.choice([2, 3, 4]))
    picture = _blocks(rng, _PALE + _GREY[2:], count, count, 0.82, shift=0.0, differ=0.03).astype(np.float32)
    if rng.random() < 0.3:
        y, x = np.mgrid[:SIZE, :SIZE] * count // SIZE
        dark = ((y + x) % 2 == 0)[..., None] if count % 2 == 0 else (y % count == 0)[..., None]
        picture = np.where(dark, picture * rng.uniform(0.45, 0.8), picture)
    return finished(picture)


def _terrazzo(rng: np.random.Generator) -> Image:
    picture = _rough(rng, _PALE + _GREY[2:], (3, 3), 0.05, 3)
    for shade in (0.7, 1.15, 0.85):
        for x, y in rng.integers(0, SIZE, (90, 2)):
            cv2.circle(
                picture, (int(x), int(y)), int(rng.integers(1, 3)), (picture[0, 0] * shade).tolist(), -1
            )
    return picture


def _brick(rng: np.random.Generator) -> Image:
    return _blocks(
        rng, ((146, 92, 74), (162, 112, 88), (120, 78, 68), (176, 150, 122), (110, 104, 100)), 16, 5, 1.18
    )


def _stone(rng: np.random.Generator) -> Image:
    return _blocks(rng, _PALE + _GREY, 5, 3, 0.72, differ=0.07)


def _wall_tiles(rng: np.random.Generator) -> Image:
    colours = (*_PALE, (110, 140, 150), (90, 120, 110), (190, 170, 110), (120, 90, 84))
    return _blocks(
        rng, colours, 10, int(rng.choice([5, 10])), 0.82, shift=float(rng.choice([0, 0.5])), differ=0.04
    )


def _plaster(rng: np.random.Generator) -> Image:
    return _rough(rng, _PALE, (2, 2), 0.06, 2.5)


def _concrete(rng: np.random.Generator) -> Image:
    picture = _rough(rng, _GREY, (3, 2), 0.09, 4).astype(np.float32)
    picture[:2] *= 0.75
    picture[:, :2] *= 0.8
    # Rain has run down it.
    streaks = noise(rng, (1, 24), 2)[..., None]
    return finished(picture * (1 + 0.06 * streaks))


def _panels(rng: np.random.Generator) -> Image:
    colour = one_of(rng, (*_PALE[:5], (120, 130, 142), (96, 100, 104), (150, 92, 70), (84, 108, 120)))
    picture = toned(noise(rng, (1, 3), 3), colour, 0.04)
    wave = np.sin(np.arange(SIZE) * 2 * np.pi * rng.choice([4, 8, 16]) / SIZE)
    return finished(picture * (1 + 0.13 * wave)[None, :, None].astype(np.float32))


def _curtain(rng: np.random.Generator) -> Image:
    """A front of glass: dark panes that mirror the sky and what is around, in thin frames."""
    colour = one_of(rng, ((70, 86, 98), (58, 68, 70), (92, 108, 118), (48, 52, 58), (84, 96, 90)))
    picture = toned(noise(rng, (2, 2), 3), colour, 0.3)
    count = int(rng.choice([2, 3]))
    panes = (
        rng.normal(1, 0.18, (count, 2 * count, 1))
        .repeat(SIZE // count + 1, 0)
        .repeat(SIZE // count // 2 + 1, 1)
    )
    picture *= panes[:SIZE, :SIZE]
    frame = one_of(rng, ((180, 182, 184), (60, 60, 62), (120, 116, 110)))
    for i in range(count):
        picture[i * SIZE // count : i * SIZE // count + 4] = frame
    for i in range(2 * count):
        picture[:, i * SIZE // (2 * count) : i * SIZE // (2 * count) + 3] = frame
    return finished(picture)


def _windows(rng: np.random.Generator) -> Image:
    """A house's upper floors: two storeys of windows."""
    wall = cover(str(rng.choice(["brick", "plaster", "stone", "concrete"])), int(rng.integers(5))).astype(
        np.float32
    )
    rim = one_of(rng, ((220, 218, 212), (70, 66, 62), (150, 140, 126)))
    for row in range(2):
        for column in range(int(rng.choice([2, 3]))):
            x, y = 10 + column * 42, 12 + row * 64
            cv2.rectangle(wall, (x - 2, y - 2), (x + 24, y + 38), rim, -1)
            glass = np.array(
                one_of(rng, ((64, 74, 84), (84, 94, 104), (44, 46, 50), (130, 126, 116))), np.float64
            )
            cv2.rectangle(wall, (x, y), (x + 22, y + 36), (glass * rng.uniform(0.7, 1.3)).tolist(), -1)
            cv2.line(wall, (x + 11, y), (x + 11, y + 36), rim, 1)
    return finished(wall)


def _shutter(rng: np.random.Generator) -> Image:
    colour = one_of(rng, ((150, 152, 154), (110, 116, 122), (130, 96, 78), (96, 112, 104), (176, 172, 160)))
    picture = toned(noise(rng, (2, 2), 3), colour, 0.06)
    slats = np.where(np.arange(SIZE) % 8 < 2, 0.75, 1.05)
    return finished(picture * slats[:, None, None].astype(np.float32))


def _boards(rng: np.random.Generator) -> Image:
    picture = _blocks(rng, _BARK + _GREY[:2], 1, 8, 0.45, shift=0.0, differ=0.13, wide=2).astype(np.float32)
    return finished(picture * (1 + 0.12 * noise(rng, (3, 32), 2)[..., None]))


def _hedge(rng: np.random.Generator) -> Image:
    picture = toned(noise(rng, (16, 16), 3), one_of(rng, ((58, 80, 40), (48, 70, 42), (74, 84, 48))), 0.38)
    return finished(picture + rng.normal(0, 12, (SIZE, SIZE, 1)))


def _leaves(rng: np.random.Generator) -> Image:
    colour = _hedge(rng)
    clumps = noise(rng, (8, 8), 3)
    return np.dstack([colour, np.where(clumps > -0.25, 255, 0).astype(np.uint8)])


def _bars(rng: np.random.Generator) -> Image:
    """Upright bars between two rails; the holes are open."""
    colour = one_of(rng, ((150, 154, 156), (62, 64, 66), (80, 96, 84), (190, 190, 186), (110, 84, 62)))
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    step = int(rng.choice([16, 32]))
    alpha[:, np.arange(SIZE) % step < 4] = 255
    alpha[:8] = alpha[-14:-7] = 255
    return np.dstack([np.broadcast_to(np.array(colour, np.uint8), (SIZE, SIZE, 3)), alpha])


def _mesh(rng: np.random.Generator) -> Image:
    """A wire fence."""
    y, x = np.mgrid[:SIZE, :SIZE]
    wire = ((x + y) % 16 < 3) | ((x - y) % 16 < 3)
    colour = one_of(rng, ((130, 134, 134), (64, 84, 70)))
    return np.dstack(
        [
            np.broadcast_to(np.array(colour, np.uint8), (SIZE, SIZE, 3)),
            np.where(wire, 255, 0).astype(np.uint8),
        ]
    )


def _goods(rng: np.random.Generator) -> Image:
    """Four shelves full of packets, tins and bottles in rows of a kind."""
    picture = np.full((SIZE, SIZE, 3), rng.integers(150, 220), np.uint8)
    for shelf in range(4):
        bottom, x = 32 * shelf + 29, 0
        while x < SIZE:
            wide, tall = int(rng.integers(4, 11)), int(rng.integers(13, 26))
            colour = _vivid(rng)
            for _ in range(int(rng.integers(1, 5))):
                shade = (np.array(colour) * rng.uniform(0.85, 1.1)).clip(0, 255)
                cv2.rectangle(picture, (x, bottom - tall), (x + wide - 2, bottom), shade.tolist(), -1)
                label = (np.array(_vivid(rng)) * 0.5 + 100).clip(0, 255).tolist()
                cv2.rectangle(picture, (x, bottom - tall // 2), (x + wide - 2, bottom - tall // 4), label, -1)
                x += wide
            x += int(rng.integers(0, 2))
        picture[bottom : bottom + 3] = rng.integers(90, 230)
        picture[32 * shelf : bottom - 24] //= 2
    return picture


def _books(rng: np.random.Generator) -> Image:
    picture = np.full((SIZE, SIZE, 3), one_of(rng, _BARK), np.uint8)
    for shelf in range(4):
        x = 0
        while x < SIZE:
            wide, tall = int(rng.integers(2, 6)), int(rng.integers(18, 27))
            cv2.rectangle(
                picture, (x, 32 * shelf + 29 - tall), (x + wide - 1, 32 * shelf + 29), _vivid(rng), -1
            )
            x += wide
    return picture


def _clothes(rng: np.random.Generator) -> Image:
    """Rails full of clothes, two above each other."""
    picture = np.full((SIZE, SIZE, 3), rng.integers(60, 180), np.uint8)
    for rail in range(2):
        x = 0
        while x < SIZE:
            wide, tall = int(rng.integers(4, 12)), int(rng.integers(36, 54))
            grey = np.array(_vivid(rng)) * 0.5 + rng.integers(10, 110)
            cv2.rectangle(
                picture, (x, 64 * rail + 6), (x + wide, 64 * rail + tall), grey.clip(0, 255).tolist(), -1
            )
            x += wide
        picture[64 * rail + 3 : 64 * rail + 5] = 200
    return picture


def _water(rng: np.random.Generator) -> Image:
    return _rough(rng, ((86, 104, 112), (70, 84, 92), (104, 112, 110)), (24, 3), 0.14, 3)


def _vivid(rng: np.random.Generator) -> Bytes:
    """A colour of packets and posters."""
    hue = np.array([[[rng.integers(180), rng.integers(30, 200), rng.integers(70, 240)]]], np.uint8)
    red, green, blue = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _grass(rng: np.random.Generator) -> Image:
    return _rough(rng, _GREEN, (7, 7), 0.15, 9)


def _dirt(rng: np.random.Generator) -> Image:
    return _rough(rng, _EARTH[2:] + _GREY[2:3], (4, 4), 0.12, 9)


def _gravel(rng: np.random.Generator) -> Image:
    return _rough(rng, _GREY + _EARTH[2:], (32, 32), 0.16, 14)


COVERS: Mapping[str, Cover] = {
    "asphalt": Cover(_asphalt, 2.5),
    "concrete": Cover(_concrete, 3.0),
    "paving": Cover(_paving, 2.0),
    "slabs": Cover(_slabs, 2.0),
    "pavers": Cover(_pavers, 1.6),
    "cobbles": Cover(_cobbles, 1.4),
    "planks": Cover(_planks, 1.6),
    "carpet": Cover(_carpet, 2.0),
    "tiles": Cover(_tiles, 1.8, 0.12),
    "terrazzo": Cover(_terrazzo, 1.5, 0.15),
    "grass": Cover(_grass, 2.0),
    "dirt": Cover(_dirt, 2.5),
    "gravel": Cover(_gravel, 1.5),
    "water": Cover(_water, 4.0, 0.3),
    "brick": Cover(_brick, 1.2),
    "stone": Cover(_stone, 2.0),
    "wall-tiles": Cover(_wall_tiles, 1.5, 0.1),
    "plaster": Cover(_plaster, 4.0, spread=0.3),
    "panels": Cover(_panels, 1.6, 0.08, spread=0.3),
    "curtain": Cover(_curtain, 3.2, 0.3),
    "windows": Cover(_windows, 6.0, variants=8),
    "shutter": Cover(_shutter, 2.0, 0.05),
    "boards": Cover(_boards, 1.2),
    "hedge": Cover(_hedge, 1.2),
    "leaves": Cover(_leaves, 1.5),
    "bars": Cover(_bars, 1.0),
    "mesh": Cover(_mesh, 0.8),
    "goods": Cover(_goods, 1.8, variants=8, spread=0.1),
    "books": Cover(_books, 1.8, spread=0.1),
    "clothes": Cover(_clothes, 2.0, variants=8, spread=0.1),
}
