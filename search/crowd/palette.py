"""Colours as people wear them: most of it black, grey, blue and white, nearly all of it muted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from search.crowd.traits import Colour

Weights = Mapping[str, float]

# sRGB. Washed cloth, not paint: few have more than half of the saturation that the numbers could take.
GROUPS: Mapping[str, tuple[Colour, ...]] = {
    "black": ((24, 24, 27), (31, 30, 32), (20, 22, 28), (36, 34, 35)),
    "anthracite": ((56, 57, 61), (68, 68, 70), (48, 51, 56)),
    "navy": ((28, 34, 58), (36, 44, 74), (24, 30, 46), (42, 54, 88)),
    "white": ((234, 233, 229), (242, 242, 242), (224, 218, 205)),
    "grey": ((140, 141, 143), (168, 168, 167), (112, 113, 117), (188, 189, 191)),
    "blue": ((76, 100, 140), (98, 124, 160), (58, 82, 130), (146, 170, 198), (96, 148, 196)),
    "beige": ((188, 170, 140), (160, 138, 108), (206, 192, 168), (140, 120, 94)),
    "brown": ((92, 66, 48), (70, 52, 42), (116, 82, 56)),
    "khaki": ((110, 106, 78), (92, 90, 66), (130, 122, 90)),
    "red": ((150, 42, 46), (174, 52, 50), (190, 66, 62)),
    "burgundy": ((98, 34, 46), (80, 30, 40)),
    "green": ((58, 84, 64), (78, 98, 74), (44, 66, 56), (112, 138, 110), (92, 148, 92)),
    "teal": ((62, 108, 112), (84, 132, 134)),
    "pink": ((216, 168, 172), (192, 122, 138), (226, 192, 190), (200, 92, 120)),
    "purple": ((96, 76, 112), (122, 98, 138)),
    "yellow": ((206, 176, 92), (190, 158, 64), (222, 204, 144)),
    "orange": ((192, 108, 60), (170, 92, 56)),
    "denim": ((60, 76, 106), (46, 56, 78), (70, 88, 120), (40, 46, 62)),
    "light denim": ((104, 126, 156), (134, 154, 182)),
}

TOP: Weights = {
    "black": 31, "anthracite": 10, "navy": 15, "white": 19, "grey": 10, "blue": 7, "beige": 6, "brown": 2, "khaki": 2,
    "red": 4, "burgundy": 2, "green": 4, "teal": 1, "pink": 2, "purple": 1, "yellow": 1.5, "orange": 1,
}  # fmt: skip
SUMMER: Weights = {
    "black": 22, "anthracite": 5, "navy": 9, "white": 21, "grey": 10, "blue": 9, "beige": 4, "brown": 1, "khaki": 1.5,
    "red": 5.5, "burgundy": 1.5, "green": 4.5, "teal": 2, "pink": 5, "purple": 2.5, "yellow": 3, "orange": 2.5,
}  # fmt: skip
OUTER: Weights = {
    "black": 43, "anthracite": 15, "navy": 20, "white": 4, "grey": 6, "blue": 3, "beige": 6, "brown": 2.5, "khaki": 4,
    "red": 2.5, "burgundy": 2, "green": 3, "teal": 0.7, "pink": 1, "purple": 0.7, "yellow": 0.8, "orange": 0.7,
}  # fmt: skip
LEGS: Weights = {
    "black": 48, "anthracite": 18, "navy": 19, "grey": 7, "beige": 8, "khaki": 5, "brown": 3, "white": 3, "blue": 2,
    "burgundy": 1, "green": 1.5,
}  # fmt: skip
DENIM: Weights = {"denim": 58, "light denim": 15, "black": 24, "anthracite": 6, "grey": 3, "white": 1}
SKIRT: Weights = {
    "black": 32, "navy": 14, "anthracite": 8, "white": 10, "grey": 7, "beige": 8, "brown": 3, "blue": 5, "red": 4,
    "burgundy": 4, "green": 4, "teal": 1.5, "pink": 4, "purple": 2, "yellow": 2, "orange": 1.5,
}  # fmt: skip
FORMAL: Weights = {"black": 34, "navy": 27, "anthracite": 24, "grey": 9, "beige": 4, "brown": 2}
LIGHT: Weights = {"white": 62, "blue": 18, "grey": 5, "pink": 4, "black": 8, "beige": 3}
SPORT: Weights = {
    "black": 32, "navy": 13, "grey": 12, "white": 14, "anthracite": 8, "blue": 6, "red": 4, "green": 3, "teal": 2,
    "pink": 2, "yellow": 2, "orange": 2,
}  # fmt: skip
SHOES: Weights = {
    "black": 43, "white": 23, "grey": 8, "anthracite": 5, "brown": 9, "navy": 4, "beige": 4, "red": 1.5, "blue": 1.5,
    "pink": 1, "green": 0.7,
}  # fmt: skip
LEATHER: Weights = {"black": 62, "brown": 28, "anthracite": 3, "burgundy": 4, "beige": 3}
BAG: Weights = {
    "black": 46, "anthracite": 9, "grey": 7, "navy": 10, "brown": 9, "beige": 6, "red": 3, "burgundy": 2, "green": 3,
    "blue": 3, "pink": 2, "white": 2, "yellow": 1,
}  # fmt: skip
FIRM: Weights = {"red": 18, "yellow": 14, "orange": 12, "blue": 20, "green": 14, "navy": 14, "black": 8}
"""What firms dress their people in."""
SCARF: Weights = {
    "black": 26, "grey": 16, "navy": 10, "white": 9, "beige": 11, "red": 6, "burgundy": 6, "brown": 4, "blue": 4,
    "green": 4, "pink": 4, "purple": 2, "yellow": 2,
}  # fmt: skip


def pick(rng: np.random.Generator, weights: Weights) -> str:
    """One of the keys, as often as its weight says."""
    shares = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]


def colour(rng: np.random.Generator, weights: Weights, vivid: float = 1.0) -> Colour:
    """A colour of one of the groups, never twice quite the same.

    Args:
        rng: where it comes from.
        weights: group -> how often.
        vivid: factor of the saturation.
    """
    shades = GROUPS[pick(rng, weights)]
    return jittered(rng, shades[int(rng.integers(len(shades)))], vivid)


def jittered(rng: np.random.Generator, base: Colour, vivid: float = 1.0) -> Colour:
    """A colour near another one: another dye, washed more or less often."""
    values = np.asarray(base, float) * np.exp(rng.normal(0, 0.06)) + rng.normal(0, 2.5, 3)
    return _bytes(_saturated(values, vivid * rng.uniform(0.75, 1.12)))


def shaded(base: Colour, by: float) -> Colour:
    """A colour `by` (-1 to 1) of the way to black or to white, for another shade of the same dye."""
    return _bytes(np.asarray(base, float) * (1 - abs(by)) + (255 * by if by > 0 else 0))


def beside(
    rng: np.random.Generator, base: Colour, weights: Weights = TOP, least: float = 55, vivid: float = 1.0
) -> Colour:
    """A colour that can be told from another one: what is printed on it."""
    tries = [colour(rng, weights, vivid) for _ in range(6)]
    clear = [c for c in tries if abs(light(c) - light(base)) >= least]
    return clear[0] if clear else max(tries, key=lambda c: abs(light(c) - light(base)))


def light(of: Sequence[int]) -> float:
    """How light a colour is, 0 to 255."""
    return float(np.dot(of, (0.299, 0.587, 0.114)))


def nearest_group(of: Colour) -> str:
    """The group that a colour looks to be of, for statistics.

    >>> nearest_group((20, 20, 22))
    'black'
    """
    gaps = {
        name: min(float(np.linalg.norm(np.subtract(of, shade))) for shade in shades)
        for name, shades in GROUPS.items()
    }
    return min(gaps, key=gaps.__getitem__)


def _saturated(values: np.ndarray, by: float) -> np.ndarray:
    grey = float(values @ (0.299, 0.587, 0.114))
    return np.asarray(grey + by * (values - grey))


def _bytes(values: np.ndarray) -> Colour:
    r, g, b = (int(v) for v in np.clip(values, 10, 246))
    return r, g, b
