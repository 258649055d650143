"""What is on walls and seen but once: doors, windows, shops, posters, signs; and cut-out cards of bikes and plants.

They are drawn on sheets that all cameras share, a few of each kind, so that a place needs one draw call for each.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from search.crowd.scenery.textures import Bytes, Floats, Image, finished, noise, one_of

SHEETS = 8  # variants of each kind of sheet
_SIDE = 256  # pixels of a sheet

_FRAMES: tuple[Bytes, ...] = ((222, 220, 214), (96, 98, 100), (58, 56, 54), (150, 128, 104), (178, 180, 182))
_DOORS: tuple[Bytes, ...] = (
    (118, 84, 60), (150, 116, 84), (196, 190, 180), (88, 96, 104), (70, 92, 84), (120, 54, 48), (52, 60, 84),
    (168, 170, 172),
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    Attributes:
        paint: makes one, `side` pixels to a side, (side, side, 3 or 4) in [0, 255].
        sheet: the name of the sheet it is on.
        side: pixels.
        count: how many of them a sheet has.
    """

    paint: Callable[[np.random.Generator, int], Floats]
    sheet: str
    side: int
    count: int


@cache
def sheet(name: str, variant: int) -> Image:
    """(256, 256, 3 or 4) uint8 sRGB; the same array at each call."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), variant])
    picture = np.zeros((_SIDE, _SIDE, 4 if name == "cards" else 3), np.uint8)
    for kind, (x, y, side) in _cells(name):
        picture[y : y + side, x : x + side] = finished(PICTURES[kind].paint(rng, side))
    return picture


def corners(name: str, which: int) -> tuple[float, float, float, float]:
    """(u0, v0, u1, v1) of one picture of a kind on its sheet."""
    sort = PICTURES[name]
    own = [cell for kind, cell in _cells(sort.sheet) if kind == name]
    x, y, side = own[which % len(own)]
    return (x + 0.5) / _SIDE, (y + 0.5) / _SIDE, (x + side - 0.5) / _SIDE, (y + side - 0.5) / _SIDE


@cache
def _cells(name: str) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """Every kind on a sheet and its (x, y, side), pixels."""
    kinds = [(kind, sort) for kind, sort in PICTURES.items() if sort.sheet == name for _ in range(sort.count)]
    row = _SIDE // kinds[0][1].side
    return tuple(
        (kind, (i % row * sort.side, i // row * sort.side, sort.side)) for i, (kind, sort) in enumerate(kinds)
    )


def _lit(rng: np.random.Generator, side: int, colour: Bytes, amount: float = 0.12) -> Floats:
    clouds = noise(rng, (2, 2), 2, side)[..., None]
    return np.asarray(np.array(colour, np.float32) * (1 + amount * clouds), np.float32)


def _bright(rng: np.random.Generator, dull: float = 0.0) -> Bytes:
    hue = np.array([[[rng.integers(180), rng.integers(20, 165), rng.integers(60, 230)]]], np.uint8)
    colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0] * (1 - dull) + 120 * dull
    red, green, blue = (int(value) for value in colour)
    return red, green, blue


def _door(rng: np.random.Generator, side: int) -> Floats:
    picture = _lit(rng, side, one_of(rng, _DOORS), 0.06)
    rim = one_of(rng, _FRAMES)
    cv2.rectangle(picture, (0, 0), (side - 1, side - 1), rim, 4)
    dark = (picture[side // 2, side // 2] * 0.75).tolist()
    if rng.random() < 0.5:
        for y in (8, side // 2 + 3):
            cv2.rectangle(picture, (12, y), (side - 13, y + side // 2 - 14), dark, 2)
    elif rng.random() < 0.7:
        cv2.rectangle(picture, (16, 8), (side - 17, 30), (72, 84, 92), -1)
    cv2.rectangle(picture, (side - 14, side // 2), (side - 8, side // 2 + 4), (190, 186, 176), -1)
    return picture


def _glass_door(rng: np.random.Generator, side: int) -> Floats:
    picture = _lit(rng, side, one_of(rng, ((38, 42, 46), (58, 66, 72), (28, 28, 30), (84, 92, 94))), 0.3)
    rim = one_of(rng, _FRAMES)
    cv2.rectangle(picture, (0, 0), (side - 1, side - 1), rim, 3)
    cv2.line(picture, (side // 2, 0), (side // 2, side), rim, 3)
    for x in (side // 2 - 7, side // 2 + 6):
        cv2.line(picture, (x, side // 2 - 6), (x, side // 2 + 12), (200, 200, 196), 2)
    return picture


def _window(rng: np.random.Generator, side: int) -> Floats:
    picture = _lit(
        rng, side, one_of(rng, ((72, 82, 92), (48, 52, 58), (110, 120, 128), (140, 130, 112))), 0.35
    )
    rim = one_of(rng, _FRAMES)
    if rng.random() < 0.4:  # curtains
        for x in (0, side - side // 4):
            cv2.rectangle(
                picture, (x, 0), (x + side // 4, side), one_of(rng, ((200, 194, 182), (150, 140, 130))), -1
            )
    cv2.rectangle(picture, (0, 0), (side - 1, side - 1), rim, 4)
    for x in range(side // 2, side, side // int(rng.choice([1, 2, 3]) + 1)):
        cv2.line(picture, (x, 0), (x, side), rim, 2)
    if rng.random() < 0.5:
        cv2.line(picture, (0, side // 2), (side, side // 2), rim, 2)
    return picture


def _poster(rng: np.random.Generator, side: int) -> Floats:
    picture = _lit(rng, side, _bright(rng, 0.25), 0.25)
    for _ in range(int(rng.integers(2, 5))):
        x, y = (int(v) for v in rng.integers(0, side, 2))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), int(rng.integers(5, side // 3)), _bright(rng, 0.15), -1)
        else:
            w, h = (int(v) for v in rng.integers(6, side // 2, 2))
            cv2.rectangle(picture, (x, y), (x + w, y + h), _bright(rng, 0.15), -1)
    _write(rng, picture, int(rng.integers(2, 5)))
    return picture


def _sign(rng: np.random.Generator, side: int) -> Floats:
    """A board with a name on it, twice as wide as high once it hangs."""
    picture = _lit(rng, side, _bright(rng, 0.2), 0.05)
    ink = (240, 238, 230) if picture.mean() < 130 else (30, 30, 34)
    word = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUVXYZ"), int(rng.integers(3, 7))))
    (wide, tall), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
    size = 0.9 * side / wide
    board = finished(picture)
    at = (int(0.05 * side), int(side / 2 + size * tall / 2))
    cv2.putText(board, word, at, cv2.FONT_HERSHEY_DUPLEX, size, ink, 3)
    return board.astype(np.float32)


def _notice(rng: np.random.Generator, side: int) -> Floats:
    picture = _lit(rng, side, one_of(rng, ((150, 118, 84), (90, 110, 96), (180, 180, 176))), 0.05)
    for _ in range(9):
        x, y = (int(v) for v in rng.integers(2, side - 18, 2))
        paper = (226, 224, 216) if rng.random() < 0.7 else _bright(rng, 0.2)
        cv2.rectangle(
            picture, (x, y), (x + int(rng.integers(8, 16)), y + int(rng.integers(10, 18))), paper, -1
        )
    cv2.rectangle(picture, (0, 0), (side - 1, side - 1), one_of(rng, _FRAMES), 3)
    return picture


def _machine(rng: np.random.Generator, side: int) -> Floats:
    """A vending machine or a cash point."""
    picture = _lit(rng, side, _bright(rng, 0.2), 0.08)
    cv2.rectangle(picture, (5, 5), (side - 22, side - 16), (44, 48, 54), -1)
    for y in range(9, side - 22, 11):
        for x in range(8, side - 27, 6):
            cv2.rectangle(picture, (x, y), (x + 3, y + 7), _bright(rng), -1)
    cv2.rectangle(picture, (side - 17, 14), (side - 6, 30), (180, 190, 190), -1)
    return picture


def _shop(rng: np.random.Generator, side: int) -> Floats:
    """A shop's window: a lit or dark room, shelves or dummies or posters in it, a frame."""
    lit = rng.random() < 0.6
    picture = _lit(rng, side, (150, 136, 112) if lit else (64, 66, 68), 0.3)
    kind = int(rng.integers(4))
    if kind == 0:  # dressed dummies
        for _ in range(int(rng.integers(2, 5))):
            x, cloth = int(rng.integers(8, side - 20)), _bright(rng, 0.4)
            cv2.rectangle(picture, (x, side // 3), (x + 13, 2 * side // 3), cloth, -1)
            cv2.rectangle(picture, (x + 2, 2 * side // 3), (x + 11, side - 8), _bright(rng, 0.6), -1)
            cv2.circle(picture, (x + 6, side // 3 - 7), 5, (190, 170, 150), -1)
    elif kind == 1:  # goods in rows
        for y in range(side // 4, side - 8, side // 5):
            x = 4
            while x < side - 8:
                w, h = int(rng.integers(5, 16)), int(rng.integers(8, side // 6))
                cv2.rectangle(picture, (x, y - h + 14), (x + w, y + 14), _bright(rng, 0.3), -1)
                x += w + int(rng.integers(1, 4))
            picture[y + 14 : y + 17] *= 0.5
    elif kind == 2:  # tables of a cafe, lamps
        for x in range(10, side, 30):
            cv2.circle(picture, (x, 24), 6, (250, 230, 180), -1)
            cv2.rectangle(picture, (x, side - 40), (x + 18, side - 36), (90, 64, 48), -1)
            cv2.rectangle(picture, (x + 7, side - 36), (x + 10, side - 6), (60, 50, 44), -1)
    else:  # posters on the glass
        for _ in range(3):
            x, y = (int(v) for v in rng.integers(4, side - 44, 2))
            cv2.rectangle(picture, (x, y), (x + int(rng.integers(18, 42)), y + 40), _bright(rng, 0.2), -1)
    # The glass mirrors the street's other side.
    glare = np.clip(noise(rng, (1, 3), 2, side), 0, 1)[..., None]
    picture = picture * (1 - 0.35 * glare) + 170 * 0.35 * glare
    rim = one_of(rng, _FRAMES)
    cv2.rectangle(picture, (0, 0), (side - 1, side - 1), rim, 5)
    if rng.random() < 0.5:
        cv2.line(picture, (side // 2, 0), (side // 2, side), rim, 4)
    return np.asarray(picture, np.float32)


def _write(rng: np.random.Generator, picture: Floats, lines: int) -> None:
    """Something like text: rows of strokes."""
    side = picture.shape[0]
    ink = (245, 244, 240) if rng.random() < 0.6 else (25, 25, 30)
    y = int(rng.integers(4, side // 2))
    for _ in range(lines):
        tall, x = int(rng.integers(2, 7)), 6
        while x < side - 10:
            w = int(rng.integers(2, 9))
            cv2.rectangle(picture, (x, y), (x + w, y + tall), ink, -1)
            x += w + 3
        y += tall + 4


def _bike(rng: np.random.Generator, side: int) -> Floats:
    """A bicycle from its side, cut out."""
    picture = np.zeros((side, side, 4), np.float32)
    colour, dark = (*_bright(rng, 0.55), 255.0), (34.0, 34.0, 36.0, 255.0)
    wheel, hub = int(0.19 * side), side - int(0.2 * side)
    back, front = int(0.21 * side), int(0.79 * side)
    for x in (back, front):
        cv2.circle(picture, (x, hub), wheel, dark, 4)
        for angle in np.linspace(0, np.pi, 4, endpoint=False):
            dx, dy = int(wheel * np.cos(angle)), int(wheel * np.sin(angle))
            cv2.line(picture, (x - dx, hub - dy), (x + dx, hub + dy), (150.0, 150.0, 150.0, 255.0), 1)
    crank, seat, head = (
        (int(0.45 * side), hub),
        (int(0.36 * side), int(0.42 * side)),
        (int(0.7 * side), int(0.45 * side)),
    )
    for a, b in (
        (crank, seat),
        (crank, head),
        (seat, head),
        ((back, hub), crank),
        ((back, hub), seat),
        (head, (front, hub)),
    ):
        cv2.line(picture, a, b, colour, 4)
    cv2.line(picture, (seat[0] - 10, seat[1] - 5), (seat[0] + 9, seat[1] - 5), dark, 6)
    cv2.line(picture, head, (head[0] - 4, head[1] - 16), dark, 4)
    cv2.line(picture, (head[0] - 14, head[1] - 17), (head[0] + 6, head[1] - 15), dark, 4)
    if rng.random() < 0.5:  # a basket
        cv2.rectangle(
            picture, (head[0] + 4, head[1] - 12), (head[0] + 27, head[1] + 6), (90.0, 88.0, 84.0, 255.0), -1
        )
    return picture


def _plant(rng: np.random.Generator, side: int) -> Floats:
    """Leaves out of a pot's mouth, cut out; the pot is the thing's own."""
    picture = np.zeros((side, side, 4), np.float32)
    green = np.array(one_of(rng, ((70, 100, 52), (54, 84, 50), (92, 112, 60))), np.float64)
    for _ in range(70):
        angle, reach = rng.normal(0, 0.55), rng.uniform(0.4, 0.98) * side
        tip = (int(side / 2 + reach * np.sin(angle)), int(side - reach * np.cos(angle)))
        middle = (int((side / 2 + tip[0]) / 2), int((side + tip[1]) / 2 - 8))
        shade = (*(green * rng.uniform(0.6, 1.4)), 255.0)
        cv2.polylines(
            picture,
            [np.array([(side // 2, side), middle, tip], np.int32)],
            False,
            shade,
            int(rng.integers(2, 7)),
        )
    return picture


PICTURES: Mapping[str, Kind] = {
    "door": Kind(_door, "walls", 64, 3),
    "glass-door": Kind(_glass_door, "walls", 64, 2),
    "window": Kind(_window, "walls", 64, 3),
    "poster": Kind(_poster, "walls", 64, 4),
    "sign": Kind(_sign, "walls", 64, 2),
    "notice": Kind(_notice, "walls", 64, 1),
    "machine": Kind(_machine, "walls", 64, 1),
    "shop": Kind(_shop, "shops", 128, 4),
    "bike": Kind(_bike, "cards", 128, 3),
    "plant": Kind(_plant, "cards", 128, 1),
}
