"""What is printed on chests and backs: badges, words, pictures, yokes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from search.crowd.traits import Colour
from search.crowd.weave import SIZE, Image, clouds, fold, mixed, second, varied


@lru_cache(maxsize=128)
def decal(pattern: str, colours: tuple[Colour, ...], seed: int, is_front: bool) -> Image | None:
    """(128, 128, 4) uint8 sRGB with holes: what a pattern prints on the chest, or on the back; None: nothing."""
    if pattern not in DECALS:
        return None
    rng = np.random.default_rng([seed, 5])
    image = np.zeros((SIZE, SIZE, 4), np.uint8)
    DECALS[pattern](image, second(colours), colours[-1], rng, is_front)
    if not image[..., 3].any():
        return None
    shade = 1 + 0.09 * varied(fold, rng)
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
        patch = mixed((clouds(rng, 6) > 0.5).astype(np.float32), ink, other)[: int(1.4 * reach), : 2 * reach]
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
    word, below, tall = _letters(rng, 4, 8), _letters(rng, 5, 10), int(rng.integers(16, 26))
    if is_front:
        _figure(image, badge, int(rng.integers(6, 11)), ink, rng)
    else:
        if rng.random() < 0.3:
            image[24 : 34 + tall, 14:114] = _ink(other)
        _word(image, word, 28 + tall, 92, tall, ink)
        if rng.random() < 0.5:
            _word(image, below, 52 + tall, 80, 11, ink)


def _yoke(image: Image, ink: Colour, other: Colour, rng: np.random.Generator, is_front: bool) -> None:
    """Shoulders and chest in another colour."""
    depth, slope = int(rng.integers(34, 92)), float(rng.choice([0.0, 0.0, 0.35]))
    edge = depth - slope * np.abs(np.arange(SIZE) - 64)
    image[np.arange(SIZE)[:, None] < edge] = _ink(ink)
    if rng.random() < 0.4:
        image[np.abs(np.arange(SIZE)[:, None] - edge) < 3.5] = _ink(other)


DECALS: dict[str, Callable[[Image, Colour, Colour, np.random.Generator, bool], None]] = {
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
