"""Cloth, painted: weaves, stripes, checks and prints as tiles of 128 x 128 pixels that repeat without a seam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from search.crowd.traits import Colour

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Paint = Callable[[np.random.Generator, Sequence[Colour]], Floats]
"""(draws, colours) -> (128, 128, 3) sRGB, 0 to 255, without folds."""

SIZE = 128
_BANK = 12  # folds and weaves are worked out this many times, then only shifted and mirrored
_Y, _X = (a.astype(np.float32) / SIZE for a in np.mgrid[0:SIZE, 0:SIZE])


# What all cloth has.
@lru_cache(maxsize=_BANK)
def fold(k: int) -> Floats:
    """(128, 128) about -1 to 1: creases that mostly hang."""
    rng = np.random.default_rng([k, 2])
    total = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(7):
        across, down = int(rng.integers(1, 5)), int(rng.integers(-2, 3))
        wave = (
            across * _X + down * _Y + 0.12 * np.sin(2 * np.pi * (_Y * int(rng.integers(1, 3)) + rng.random()))
        )
        wave = np.sin(2 * np.pi * (wave + rng.random()))
        # A crease is a sharp valley between broad swells.
        total += (1 - 2 * np.abs(wave) ** 0.7 if rng.random() < 0.4 else wave) / across**0.5
    return np.asarray((total - total.mean()) / (2 * total.std()), np.float32)


@lru_cache(maxsize=_BANK)
def thread(k: int) -> Floats:
    """(128, 128) about -1 to 1: threads."""
    noise = np.random.default_rng([k, 3]).standard_normal((SIZE, SIZE), np.float32)
    return np.asarray(0.5 * (noise + np.roll(noise, 1, 0)), np.float32)


@lru_cache(maxsize=16 * _BANK)
def _cloud(k: int, scale: int) -> Floats:
    coarse = np.random.default_rng([k, scale, 4]).standard_normal((scale, scale), np.float32)
    wide = cv2.resize(np.tile(coarse, (3, 3)), (3 * SIZE, 3 * SIZE), interpolation=cv2.INTER_CUBIC)
    middle = wide[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    order = np.empty(SIZE * SIZE, np.float32)
    order[middle.ravel().argsort(kind="stable")] = np.linspace(0, 1, SIZE * SIZE)
    return order.reshape(SIZE, SIZE)


def varied(kind: Callable[[int], Floats], rng: np.random.Generator) -> Floats:
    """One of the tiles of a kind, shifted and perhaps mirrored."""
    tile = kind(int(rng.integers(_BANK)))
    tile = np.roll(tile, rng.integers(SIZE, size=2), (0, 1))
    return tile[:, ::-1] if rng.random() < 0.5 else tile


def clouds(rng: np.random.Generator, scale: int) -> Floats:
    """(128, 128) in [0, 1], evenly spread: smooth patches of about 128 / `scale` pixels."""
    return varied(lambda k: _cloud(k, scale), rng)


def _flat(colour: Colour) -> Floats:
    return np.full((SIZE, SIZE, 3), colour, np.float32)


def mixed(share: Floats, low: Colour, high: Colour) -> Floats:
    """`low` where the share is 0, `high` where it is 1."""
    a, b = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return a + share[..., None] * (b - a)


def _shade(colour: Colour, by: float, plus: float = 0) -> Colour:
    r, g, b = (int(min(max(c * by + plus, 0), 255)) for c in colour)
    return r, g, b


def second(colours: Sequence[Colour]) -> Colour:
    """The second colour, or one that goes with the first."""
    return colours[1] if len(colours) > 1 else _shade(colours[0], 0.7, 40)


def _bars(position: Floats, count: int, duty: float) -> Floats:
    """1 within `count` bars a unit that fill a share `duty`, else 0, with soft edges."""
    edge = count * 2.5 / SIZE
    off = np.abs((position * count) % 1 - 0.5)
    return np.asarray(np.clip((duty / 2 - off) / edge + 0.5, 0, 1), np.float32)


# Cloths.
def _plain(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    return _flat(colours[0])


def _knit(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count = int(rng.choice([8, 11, 16, 22]))
    wave = np.abs(np.sin(np.pi * (count * _X))) ** 0.5
    if count < 12 and rng.random() < 0.5:  # cables
        wave = 0.6 * wave + 0.4 * np.sin(np.pi * (count * _X + 0.4 * np.sin(2 * np.pi * 4 * _Y))) ** 2
    return mixed(np.asarray(wave, np.float32), _shade(colours[0], 0.72), _shade(colours[0], 1.08, 6))


def _corduroy(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    wave = np.sin(np.pi * int(rng.choice([20, 28, 36])) * _X) ** 2
    return mixed(np.asarray(wave, np.float32), _shade(colours[0], 0.75), _shade(colours[0], 1.08, 8))


def _melange(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    noise = cv2.blur(varied(thread, rng), (5, 1), borderType=cv2.BORDER_REFLECT_101)
    other = _shade(colours[0], 0.55, 60)
    return mixed(np.clip(0.45 + 0.5 * noise, 0, 1), colours[0], other)


def _denim(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    worn = 0.35 * rng.random() * clouds(rng, 3) ** 2 + 0.08 * (varied(thread, rng) + 1)
    return mixed(np.clip(worn, 0, 1), colours[0], _shade(colours[0], 0.5, 110))


def _stripes(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count, duty = int(rng.choice([2, 3, 4, 5, 6, 8, 10])), rng.uniform(0.25, 0.6)
    cloth = mixed(_bars(_Y, count, duty), colours[0], second(colours))
    if len(colours) > 2:
        line = _bars(_Y + np.float32(0.5 / count), count, 0.4 * (1 - duty))
        cloth += line[..., None] * (np.asarray(colours[2], np.float32) - cloth)
    return cloth


def _breton(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    return mixed(_bars(_Y, int(rng.integers(9, 16)), rng.uniform(0.25, 0.5)), colours[0], second(colours))


def _pinstripe(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    wide = rng.random() < 0.4
    count = int(rng.integers(5, 10) if wide else rng.integers(10, 20))
    return mixed(_bars(_X, count, 0.4 if wide else 0.22), colours[0], second(colours))


def _tartan(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count, duty = int(rng.integers(2, 6)), rng.uniform(0.3, 0.55)
    twill = 0.35 + 0.3 * (((np.mgrid[0:SIZE, 0:SIZE].sum(0)) // 2) % 2)
    share = twill * _bars(_X, count, duty) + (1 - twill) * _bars(_Y, count, duty)
    cloth = mixed(share.astype(np.float32), colours[0], second(colours))
    line = colours[2] if len(colours) > 2 else _shade(colours[0], 0.6, 90)
    thin = 0.6 * np.maximum(
        _bars(_X + np.float32(0.3 / count), count, 0.09), _bars(_Y + np.float32(0.3 / count), count, 0.09)
    )
    return cloth + thin[..., None] * (np.asarray(line, np.float32) - cloth)


def _gingham(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count = int(rng.integers(5, 15))
    return mixed(0.5 * (_bars(_X, count, 0.5) + _bars(_Y, count, 0.5)), colours[0], second(colours))


def _windowpane(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count = int(rng.integers(4, 9))
    lines = np.float32(0.7) * np.maximum(_bars(_X, count, 0.12), _bars(_Y, count, 0.12))
    return mixed(lines, colours[0], second(colours))


def _dots(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count, radius = int(rng.integers(4, 12)), rng.uniform(0.16, 0.3)
    near = np.full((SIZE, SIZE), 9.0, np.float32)
    for offset in (0.0, 0.5):
        x, y = ((a * count + offset) % 1 - 0.5 for a in (_X, _Y))
        near = np.minimum(near, np.hypot(x, y))
    return mixed(np.clip((radius - near) * SIZE / count + 0.5, 0, 1), colours[0], second(colours))


def _floral(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    cloth = _flat(colours[0])
    inks = [second(colours), colours[-1], _shade(second(colours), 0.7), (90, 110, 70)]
    big = rng.uniform(4, 13)
    for i in range(int(900 / big**1.7) + 3):
        x, y = rng.uniform(0, SIZE, 2)
        reach, turn = big * rng.uniform(0.6, 1.2), rng.uniform(0, 6.3)
        petals = np.arange(5) * 2 * np.pi / 5 + turn
        ink = inks[3] if i % 4 == 3 else inks[int(rng.integers(3))]
        spots = [(x + 0.6 * reach * np.cos(a), y + 0.6 * reach * np.sin(a), 0.5 * reach, ink) for a in petals]
        for px, py, radius, colour in [*spots, (x, y, 0.35 * reach, _shade(ink, 0.5, 110))]:
            _blot(cloth, px, py, radius, colour)
    return cloth


def _blot(cloth: Floats, x: float, y: float, radius: float, colour: Colour) -> None:
    """A disc that goes on at the other side where it crosses an edge."""
    for dx in (-SIZE, 0, SIZE):
        for dy in (-SIZE, 0, SIZE):
            if -radius < x + dx < SIZE + radius and -radius < y + dy < SIZE + radius:
                cv2.circle(cloth, (int(x + dx), int(y + dy)), max(int(radius), 1), colour, -1)


def _print(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    """Blots, brush strokes or marble in two or three colours."""
    style, scale = rng.random(), int(rng.choice([6, 10, 14, 20]))
    field = clouds(rng, scale)
    if style < 0.35:
        field = 0.5 + 0.5 * np.sin(
            2 * np.pi * (2 * field + int(rng.integers(1, 4)) * (_X if rng.random() < 0.5 else _Y))
        )
    share = np.clip((field - rng.uniform(0.45, 0.7)) * 12, 0, 1).astype(np.float32)
    cloth = mixed(share, colours[0], second(colours))
    if len(colours) > 2:
        spots = np.clip((clouds(rng, scale + 3) - 0.8) * 12, 0, 1)
        cloth += spots[..., None] * (np.asarray(colours[2], np.float32) - cloth)
    return cloth


def _wax(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    """A large mirrored print, as on African wax cloth, batik or saris."""
    field = clouds(rng, int(rng.choice([10, 14, 18])))[: SIZE // 2, : SIZE // 2]
    field = np.concatenate([field, field[:, ::-1]], 1)
    field = np.concatenate([field, field[::-1]], 0)
    cloth = mixed(np.clip((field - 0.55) * 14, 0, 1), colours[0], second(colours))
    rim = np.clip(1 - np.abs(field - 0.35) * 22, 0, 1)
    cloth += rim[..., None] * (np.asarray(colours[-1], np.float32) - cloth)
    return cloth


def _camouflage(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    cloth = _flat(colours[0])
    inks = (second(colours), colours[-1], _shade(colours[0], 0.35))
    for ink, least in zip(inks, (0.6, 0.72, 0.8), strict=True):
        cloth[clouds(rng, int(rng.choice([7, 10]))) > least] = ink
    return cloth


def _quilted(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    """Down in pockets, lit from above: bands, or diamonds."""
    count = int(rng.choice([4, 5, 6, 8]))
    where = count * _Y + 0.06 * np.sin(2 * np.pi * (3 * _X + rng.random()))
    pocket = where % 1
    light = 0.35 * np.cos(np.pi * pocket) - 0.55 * (np.abs(pocket - 0.5) > 0.44)
    if rng.random() < 0.2:
        up, down = (count * (_X + _Y)) % 1, (count * (_X - _Y)) % 1
        seam = np.minimum(np.minimum(up, 1 - up), np.minimum(down, 1 - down))
        light = 0.25 * np.minimum(seam * 4, 1) - 0.5 * (seam < 0.06)
    # Tucks run into the seams.
    tucks = (
        0.12 * np.sin(2 * np.pi * (int(rng.integers(12, 20)) * _X + rng.random())) * np.abs(pocket - 0.5) * 2
    )
    shade = (light + tucks).astype(np.float32)[..., None]
    return np.asarray(_flat(colours[0]) * (1 + 0.75 * shade) + 26 * shade, np.float32)


def _leather(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    creases = np.abs(clouds(rng, 9) - 0.5) * 2
    shine = 35 * (clouds(rng, 5) > 0.86)
    cloth = _flat(colours[0]) * (0.8 + 0.3 * creases)[..., None] + shine[..., None]
    return np.asarray(cloth, np.float32)


def _hi_vis(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    cloth = _flat(colours[0])
    tall = int(rng.integers(10, 16))
    rows = [40] if rng.random() < 0.4 else [34, 34 + 2 * tall]
    for row in rows:
        cloth[row : row + tall] = second(colours)
        if len(colours) > 2:  # the band's border
            cloth[row - 5 : row] = cloth[row + tall : row + tall + 5] = colours[2]
    if rng.random() < 0.5:
        cloth[:, 26 : 26 + tall] = cloth[:, SIZE - 26 - tall : SIZE - 26] = second(colours)
    return cloth


CLOTHS: dict[str, tuple[Paint, float, float]] = {
    "plain": (_plain, 0.13, 0.035),
    "knit": (_knit, 0.08, 0.04),
    "corduroy": (_corduroy, 0.1, 0.04),
    "melange": (_melange, 0.1, 0.06),
    "denim": (_denim, 0.12, 0.05),
    "stripes": (_stripes, 0.11, 0.03),
    "breton": (_breton, 0.11, 0.03),
    "pinstripe": (_pinstripe, 0.11, 0.03),
    "tartan": (_tartan, 0.11, 0.03),
    "gingham": (_gingham, 0.11, 0.03),
    "windowpane": (_windowpane, 0.11, 0.03),
    "dots": (_dots, 0.12, 0.03),
    "floral": (_floral, 0.12, 0.03),
    "print": (_print, 0.12, 0.03),
    "wax": (_wax, 0.13, 0.03),
    "camouflage": (_camouflage, 0.12, 0.04),
    "quilted": (_quilted, 0.06, 0.02),
    "leather": (_leather, 0.16, 0.02),
    "hi-vis": (_hi_vis, 0.08, 0.02),
    # Plain cloth with something printed on the chest or the back.
    "logo": (_plain, 0.13, 0.035),
    "lettering": (_plain, 0.13, 0.035),
    "picture": (_plain, 0.13, 0.035),
    "back-print": (_plain, 0.12, 0.03),
    "yoke": (_plain, 0.12, 0.03),
}
"""pattern -> its painter, the strength of its folds and of its threads."""
