"""Cloth as textures: weaves, stripes, checks, prints, and what is lettered on a chest or a back.

A texture is a tile of 0.5 m x 0.5 m of cloth, 128 x 128 pixels, and repeats without a seam. It carries its own soft
folds: light and dark along the hang of the cloth, which no mesh of a few thousand triangles has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from search.crowd.traits import Colour, Garment

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
_Paint = Callable[[np.random.Generator, Sequence[Colour]], Floats]

SIZE = 128
_BANK = 12  # folds and weaves are worked out this many times, then only shifted and mirrored
_Y, _X = (a.astype(np.float32) / SIZE for a in np.mgrid[0:SIZE, 0:SIZE])


def texture(garment: Garment) -> Image:
    """(128, 128, 3) uint8 sRGB, read-only: the cloth of a garment.

    >>> texture(Garment("shirt", ((20, 30, 60), (230, 230, 230)), "stripes")).shape
    (128, 128, 3)
    """
    return _texture(garment.pattern, garment.colours, garment.seed)


def gloss(garment: Garment) -> float:
    """How much the cloth shines, as `Material.gloss`."""
    return 0.2 if garment.kind == "raincoat" else _GLOSS.get(garment.pattern, 0.0)


def front(garment: Garment) -> Image | None:
    """(128, 128, 4) uint8 sRGB with holes: what is printed on the chest, its top at the collar bones; None: nothing."""
    return _decal(garment.pattern, garment.colours, garment.seed, True)


def back(garment: Garment) -> Image | None:
    """(128, 128, 4) uint8 sRGB with holes: what is printed between the shoulders; None: nothing."""
    return _decal(garment.pattern, garment.colours, garment.seed, False)


@lru_cache(maxsize=256)
def _texture(pattern: str, colours: tuple[Colour, ...], seed: int) -> Image:
    rng = np.random.default_rng([seed, 1])
    paint, folds, weave = _CLOTHS[pattern]
    cloth = paint(rng, colours)
    # Dark cloth shows its folds by what it reflects, light cloth by its shade: hence a sum as well as a product.
    shade = folds * _varied(_fold, rng) + weave * _varied(_thread, rng)
    image = cloth * (1 + shade)[..., None] + 22 * shade[..., None]
    made: Image = image.clip(0, 255).astype(np.uint8)
    made.setflags(write=False)
    return made


# What all cloth has.
@lru_cache(maxsize=_BANK)
def _fold(k: int) -> Floats:
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
def _thread(k: int) -> Floats:
    """(128, 128) about -1 to 1: threads."""
    noise = np.random.default_rng([k, 3]).standard_normal((SIZE, SIZE), np.float32)
    return np.asarray(0.5 * (noise + np.roll(noise, 1, 0)), np.float32)


@lru_cache(maxsize=16 * _BANK)
def _cloud(k: int, scale: int) -> Floats:
    """(128, 128) in [0, 1], evenly spread: smooth patches of about 128 / `scale` pixels."""
    coarse = np.random.default_rng([k, scale, 4]).standard_normal((scale, scale), np.float32)
    wide = cv2.resize(np.tile(coarse, (3, 3)), (3 * SIZE, 3 * SIZE), interpolation=cv2.INTER_CUBIC)
    middle = wide[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    order = np.empty(SIZE * SIZE, np.float32)
    order[middle.ravel().argsort(kind="stable")] = np.linspace(0, 1, SIZE * SIZE)
    return order.reshape(SIZE, SIZE)


def _varied(kind: Callable[[int], Floats], rng: np.random.Generator) -> Floats:
    tile = kind(int(rng.integers(_BANK)))
    tile = np.roll(tile, rng.integers(SIZE, size=2), (0, 1))
    return tile[:, ::-1] if rng.random() < 0.5 else tile


def _clouds(rng: np.random.Generator, scale: int) -> Floats:
    return _varied(lambda k: _cloud(k, scale), rng)


def _flat(colour: Colour) -> Floats:
    return np.full((SIZE, SIZE, 3), colour, np.float32)


def _mixed(share: Floats, low: Colour, high: Colour) -> Floats:
    """`low` where the share is 0, `high` where it is 1."""
    a, b = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return a + share[..., None] * (b - a)


def _shade(colour: Colour, by: float, plus: float = 0) -> Colour:
    r, g, b = (int(min(max(c * by + plus, 0), 255)) for c in colour)
    return r, g, b


def _second(colours: Sequence[Colour]) -> Colour:
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
    return _mixed(np.asarray(wave, np.float32), _shade(colours[0], 0.72), _shade(colours[0], 1.08, 6))


def _corduroy(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    wave = np.sin(np.pi * int(rng.choice([20, 28, 36])) * _X) ** 2
    return _mixed(np.asarray(wave, np.float32), _shade(colours[0], 0.75), _shade(colours[0], 1.08, 8))


def _melange(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    noise = cv2.blur(_varied(_thread, rng), (5, 1), borderType=cv2.BORDER_REFLECT_101)
    other = _shade(colours[0], 0.55, 60)
    return _mixed(np.clip(0.45 + 0.5 * noise, 0, 1), colours[0], other)


def _denim(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    worn = 0.35 * rng.random() * _clouds(rng, 3) ** 2 + 0.08 * (_varied(_thread, rng) + 1)
    return _mixed(np.clip(worn, 0, 1), colours[0], _shade(colours[0], 0.5, 110))


def _stripes(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count, duty = int(rng.choice([2, 3, 4, 5, 6, 8, 10])), rng.uniform(0.25, 0.6)
    cloth = _mixed(_bars(_Y, count, duty), colours[0], _second(colours))
    if len(colours) > 2:
        line = _bars(_Y + np.float32(0.5 / count), count, 0.4 * (1 - duty))
        cloth += line[..., None] * (np.asarray(colours[2], np.float32) - cloth)
    return cloth


def _breton(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    return _mixed(_bars(_Y, int(rng.integers(9, 16)), rng.uniform(0.25, 0.5)), colours[0], _second(colours))


def _pinstripe(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    wide = rng.random() < 0.4
    count = int(rng.integers(5, 10) if wide else rng.integers(10, 20))
    return _mixed(_bars(_X, count, 0.4 if wide else 0.22), colours[0], _second(colours))


def _tartan(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count, duty = int(rng.integers(2, 6)), rng.uniform(0.3, 0.55)
    twill = 0.35 + 0.3 * (((np.mgrid[0:SIZE, 0:SIZE].sum(0)) // 2) % 2)
    share = twill * _bars(_X, count, duty) + (1 - twill) * _bars(_Y, count, duty)
    cloth = _mixed(share.astype(np.float32), colours[0], _second(colours))
    line = colours[2] if len(colours) > 2 else _shade(colours[0], 0.6, 90)
    thin = 0.6 * np.maximum(
        _bars(_X + np.float32(0.3 / count), count, 0.09), _bars(_Y + np.float32(0.3 / count), count, 0.09)
    )
    return cloth + thin[..., None] * (np.asarray(line, np.float32) - cloth)


def _gingham(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count = int(rng.integers(5, 15))
    return _mixed(0.5 * (_bars(_X, count, 0.5) + _bars(_Y, count, 0.5)), colours[0], _second(colours))


def _windowpane(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count = int(rng.integers(4, 9))
    lines = np.float32(0.7) * np.maximum(_bars(_X, count, 0.12), _bars(_Y, count, 0.12))
    return _mixed(lines, colours[0], _second(colours))


def _dots(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    count, radius = int(rng.integers(4, 12)), rng.uniform(0.16, 0.3)
    near = np.full((SIZE, SIZE), 9.0, np.float32)
    for offset in (0.0, 0.5):
        x, y = ((a * count + offset) % 1 - 0.5 for a in (_X, _Y))
        near = np.minimum(near, np.hypot(x, y))
    return _mixed(np.clip((radius - near) * SIZE / count + 0.5, 0, 1), colours[0], _second(colours))


def _floral(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    cloth = _flat(colours[0])
    inks = [_second(colours), colours[-1], _shade(_second(colours), 0.7), (90, 110, 70)]
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
    field = _clouds(rng, scale)
    if style < 0.35:
        field = 0.5 + 0.5 * np.sin(
            2 * np.pi * (2 * field + int(rng.integers(1, 4)) * (_X if rng.random() < 0.5 else _Y))
        )
    share = np.clip((field - rng.uniform(0.45, 0.7)) * 12, 0, 1).astype(np.float32)
    cloth = _mixed(share, colours[0], _second(colours))
    if len(colours) > 2:
        spots = np.clip((_clouds(rng, scale + 3) - 0.8) * 12, 0, 1)
        cloth += spots[..., None] * (np.asarray(colours[2], np.float32) - cloth)
    return cloth


def _wax(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    """A large mirrored print, as on African wax cloth, batik or saris."""
    field = _clouds(rng, int(rng.choice([10, 14, 18])))[: SIZE // 2, : SIZE // 2]
    field = np.concatenate([field, field[:, ::-1]], 1)
    field = np.concatenate([field, field[::-1]], 0)
    cloth = _mixed(np.clip((field - 0.55) * 14, 0, 1), colours[0], _second(colours))
    rim = np.clip(1 - np.abs(field - 0.35) * 22, 0, 1)
    cloth += rim[..., None] * (np.asarray(colours[-1], np.float32) - cloth)
    return cloth


def _camouflage(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    cloth = _flat(colours[0])
    inks = (_second(colours), colours[-1], _shade(colours[0], 0.35))
    for ink, least in zip(inks, (0.6, 0.72, 0.8), strict=True):
        cloth[_clouds(rng, int(rng.choice([7, 10]))) > least] = ink
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
    creases = np.abs(_clouds(rng, 9) - 0.5) * 2
    shine = 35 * (_clouds(rng, 5) > 0.86)
    cloth = _flat(colours[0]) * (0.8 + 0.3 * creases)[..., None] + shine[..., None]
    return np.asarray(cloth, np.float32)


def _hi_vis(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    cloth = _flat(colours[0])
    tall = int(rng.integers(10, 16))
    rows = [40] if rng.random() < 0.4 else [34, 34 + 2 * tall]
    for row in rows:
        cloth[row : row + tall] = _second(colours)
        if len(colours) > 2:  # the band's border
            cloth[row - 5 : row] = cloth[row + tall : row + tall + 5] = colours[2]
    if rng.random() < 0.5:
        cloth[:, 26 : 26 + tall] = cloth[:, SIZE - 26 - tall : SIZE - 26] = _second(colours)
    return cloth


_CLOTHS: dict[str, tuple[_Paint, float, float]] = {
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

PATTERNS = tuple(_CLOTHS)
"""The kinds of cloth."""

_GLOSS = {"leather": 0.3, "quilted": 0.1, "hi-vis": 0.12, "yoke": 0.04}


# Decals.
@lru_cache(maxsize=128)
def _decal(pattern: str, colours: tuple[Colour, ...], seed: int, is_front: bool) -> Image | None:
    if pattern not in _DECALS:
        return None
    rng = np.random.default_rng([seed, 5])
    image = np.zeros((SIZE, SIZE, 4), np.uint8)
    _DECALS[pattern](image, _second(colours), colours[-1], rng, is_front)
    if not image[..., 3].any():
        return None
    shade = 1 + 0.09 * _varied(_fold, rng)
    image[..., :3] = (image[..., :3] * shade[..., None]).clip(0, 255).astype(np.uint8)
    image.setflags(write=False)
    return image


def _ink(colour: Colour) -> tuple[int, int, int, int]:
    return (*colour, 255)


def _logo(image: Image, ink: Colour, other: Colour, rng: np.random.Generator, is_front: bool) -> None:
    """A badge over the heart."""
    if is_front:
        _figure(
            image, (int(rng.integers(84, 94)), int(rng.integers(40, 52))), int(rng.integers(7, 12)), ink, rng
        )


def _lettering(image: Image, ink: Colour, other: Colour, rng: np.random.Generator, is_front: bool) -> None:
    """A word or two across the chest, now and then with a number on the back."""
    if is_front:
        top = int(rng.integers(48, 66))
        _word(image, _letters(rng, 3, 8), top, int(rng.integers(60, 104)), int(rng.integers(12, 24)), ink)
        if rng.random() < 0.5:
            _word(image, _letters(rng, 5, 12), top + 22, int(rng.integers(50, 90)), 8, other)
    elif rng.random() < 0.3:
        _word(image, str(rng.integers(1, 99)), 84, 56, 52, ink)


def _picture(image: Image, ink: Colour, other: Colour, rng: np.random.Generator, is_front: bool) -> None:
    """A large figure, a patch or a band."""
    if not is_front:
        return
    middle, reach = (64 + int(rng.integers(-4, 5)), int(rng.integers(56, 78))), int(rng.integers(20, 38))
    style = rng.random()
    if style < 0.25:  # a printed photograph
        x, y = middle[0] - reach, middle[1] - reach // 2
        patch = _mixed((_clouds(rng, 6) > 0.5).astype(np.float32), ink, other)[
            : int(1.4 * reach), : 2 * reach
        ]
        patch = patch[: SIZE - max(y, 0)]
        image[max(y, 0) : max(y, 0) + len(patch), x : x + 2 * reach, :3] = patch
        image[max(y, 0) : max(y, 0) + len(patch), x : x + 2 * reach, 3] = 255
    elif style < 0.4:  # a band around the chest
        image[middle[1] - reach // 2 : middle[1] + reach // 3] = _ink(ink)
        image[middle[1] - 3 : middle[1] + 3] = _ink(other)
    else:
        _figure(image, middle, reach, ink, rng)
        _figure(image, middle, max(reach // 2, 4), other, rng)
        if rng.random() < 0.4:
            _word(image, _letters(rng, 4, 9), min(middle[1] + reach + 14, 120), 70, 12, ink)


def _back_print(image: Image, ink: Colour, other: Colour, rng: np.random.Generator, is_front: bool) -> None:
    """What a uniform says between the shoulders, and a badge in front."""
    badge = (int(rng.integers(84, 94)), int(rng.integers(42, 52)))
    word, second, tall = _letters(rng, 4, 8), _letters(rng, 5, 10), int(rng.integers(16, 26))
    if is_front:
        _figure(image, badge, int(rng.integers(6, 11)), ink, rng)
    else:
        if rng.random() < 0.3:
            image[24 : 34 + tall, 14:114] = _ink(other)
        _word(image, word, 28 + tall, 92, tall, ink)
        if rng.random() < 0.5:
            _word(image, second, 52 + tall, 80, 11, ink)


def _yoke(image: Image, ink: Colour, other: Colour, rng: np.random.Generator, is_front: bool) -> None:
    """Shoulders and chest in another colour."""
    depth, slope = int(rng.integers(34, 92)), float(rng.choice([0.0, 0.0, 0.35]))
    edge = depth - slope * np.abs(np.arange(SIZE) - 64)
    image[np.arange(SIZE)[:, None] < edge] = _ink(ink)
    if rng.random() < 0.4:
        image[np.abs(np.arange(SIZE)[:, None] - edge) < 3.5] = _ink(other)


_DECALS: dict[str, Callable[[Image, Colour, Colour, np.random.Generator, bool], None]] = {
    "logo": _logo,
    "lettering": _lettering,
    "picture": _picture,
    "back-print": _back_print,
    "yoke": _yoke,
}


def _letters(rng: np.random.Generator, fewest: int, most: int) -> str:
    return "".join(rng.choice(list("AAEEIOUBCDGHKLMNPRSTVZ"), int(rng.integers(fewest, most))))


def _word(image: Image, text: str, bottom: int, width: int, tall: int, ink: Colour) -> None:
    """Write a text in the middle, as wide and tall as asked for."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (w, h), base = cv2.getTextSize(text, font, 1.5, 5)
    mask = np.zeros((h + base + 8, w + 8), np.uint8)
    cv2.putText(mask, text, (4, h + 4), font, 1.5, 255, 5)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    sized = cv2.resize(tight, (width, tall), interpolation=cv2.INTER_AREA)
    top, left = max(bottom - tall, 0), 64 - width // 2
    part = image[top : top + tall, left : left + width]
    part[sized[: len(part)] > 100] = _ink(ink)


def _figure(image: Image, middle: tuple[int, int], reach: int, ink: Colour, rng: np.random.Generator) -> None:
    """A disc, box, shield, star or beast."""
    x, y = middle
    style = int(rng.integers(5))
    if style == 0:
        cv2.circle(image, middle, reach, _ink(ink), -1 if rng.random() < 0.6 else max(reach // 4, 2))
    elif style == 1:
        cv2.rectangle(image, (x - reach, y - reach // 2), (x + reach, y + reach // 2), _ink(ink), -1)
    elif style == 2:
        shield = np.array([[-1, -1], [1, -1], [0.9, 0.2], [0, 1.2], [-0.9, 0.2]]) * reach
        cv2.fillPoly(image, [(shield + middle).astype(np.int32)], _ink(ink))
    elif style == 3:
        points, turn = int(rng.choice([3, 5, 6, 8])), rng.uniform(0, 1)
        angle = np.arange(2 * points) * np.pi / points + turn
        radius = np.where(np.arange(2 * points) % 2, 0.45, 1.15) * reach
        star = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        cv2.fillPoly(image, [(star + middle).astype(np.int32)], _ink(ink))
    else:
        for _ in range(6):
            at = (x + int(rng.normal(0, 0.4) * reach), y + int(rng.normal(0, 0.4) * reach))
            axes = (max(int(rng.uniform(0.2, 0.6) * reach), 1), max(int(rng.uniform(0.15, 0.4) * reach), 1))
            cv2.ellipse(image, at, axes, float(rng.uniform(0, 180)), 0, 360, _ink(ink), -1)
