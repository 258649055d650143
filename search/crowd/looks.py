"""Skin, hair and build, of the whole world and of every age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.crowd.palette import Weights, jittered, pick
from search.crowd.traits import Colour, Extra

_SKIN = (
    (244, 222, 205), (230, 197, 172), (212, 170, 139), (188, 140, 106), (150, 106, 79), (113, 79, 59), (80, 57, 45),
    (58, 43, 36),
)  # fmt: skip
_HAIR: Mapping[str, Colour] = {
    "black": (24, 21, 21), "dark brown": (48, 35, 28), "brown": (80, 57, 41), "light brown": (120, 90, 63),
    "blond": (182, 150, 104), "red": (138, 72, 42), "grey": (136, 134, 132), "white": (206, 204, 200),
}  # fmt: skip
_DARK: Weights = {"black": 84, "dark brown": 14, "brown": 2}


@dataclass(frozen=True)
class _Origin:
    share: float
    tone: float  # of the skin, 0 light to 1 dark
    spread: float
    hair: Weights
    curls: float


_ORIGINS: Mapping[str, _Origin] = {
    "east asia": _Origin(0.25, 0.24, 0.07, {"black": 84, "dark brown": 14, "brown": 2}, 0.02),
    "south asia": _Origin(0.16, 0.56, 0.12, _DARK, 0.08),
    "europe": _Origin(
        0.26,
        0.13,
        0.07,
        {"black": 10, "dark brown": 31, "brown": 27, "light brown": 14, "blond": 14, "red": 4},
        0.1,
    ),
    "africa": _Origin(0.14, 0.8, 0.1, {"black": 96, "dark brown": 4}, 0.9),
    "middle east": _Origin(0.1, 0.33, 0.09, {"black": 66, "dark brown": 29, "brown": 5}, 0.15),
    "latin america": _Origin(0.09, 0.42, 0.13, {"black": 58, "dark brown": 32, "brown": 10}, 0.15),
}

_WOMEN: Weights = {"hair-long": 38, "hair-ponytail": 22, "hair-bob": 17, "hair-bun": 13, "hair-short": 6}
_MEN: Weights = {"hair-short": 60, "hair-crop": 31, "hair-long": 2.5, "hair-bun": 1.5, "hair-ponytail": 1.5}


@dataclass(frozen=True)
class Build:
    """A body's phenotype, as `Person` has it."""

    female: float = 0.5
    height: float = 0.5
    weight: float = 0.5
    muscle: float = 0.5
    proportions: float = 0.5


@dataclass(frozen=True)
class Look:
    """Somebody without clothes yet.

    Attributes:
        woman: whether it is one.
        age: years.
        origin: where the forebears come from.
        skin: sRGB bytes.
        hair: None where there is none.
        beard: if there is one.
        build: the body.
    """

    woman: bool
    age: float
    origin: str
    skin: Colour
    hair: Extra | None
    beard: Extra | None
    build: Build


def look(rng: np.random.Generator, *, woman: bool | None = None) -> Look:
    """Draw somebody.

    Args:
        rng: where it comes from.
        woman: None for either.
    """
    is_woman = bool(rng.random() < 0.49) if woman is None else woman
    span = pick(rng, {"4-12": 6, "13-17": 6, "18-30": 39, "31-50": 30, "51-70": 14, "71-90": 5})
    first, last = map(float, span.split("-"))
    age = float(rng.uniform(first, last + 1 if last < 90 else last))
    origin = pick(rng, {name: o.share for name, o in _ORIGINS.items()})
    shade = hair_colour(rng, origin, age)
    beard = None
    if (
        not is_woman
        and age > 18
        and rng.random() < (0.45 if origin in ("middle east", "south asia") else 0.22)
    ):
        beard = Extra("beard", (shade,), seed(rng), float(rng.beta(1.3, 2.2)))
    grown = hair(rng, is_woman, age, origin, shade)
    return Look(is_woman, age, origin, skin(rng, origin), grown, beard, build(rng, is_woman, age))


def skin(rng: np.random.Generator, origin: str) -> Colour:
    """A tone of skin."""
    tone = np.clip(rng.normal(_ORIGINS[origin].tone, _ORIGINS[origin].spread), 0, 1) * (len(_SKIN) - 1)
    low = min(int(tone), len(_SKIN) - 2)
    values = np.asarray(_SKIN[low]) + (tone - low) * np.subtract(_SKIN[low + 1], _SKIN[low])
    # Some are rosy, some are olive.
    values = values + rng.normal(0, 3) * np.array([1.0, -0.4, -0.6]) + rng.normal(0, 2)
    r, g, b = (int(v) for v in values.clip(20, 250))
    return r, g, b


def hair_colour(rng: np.random.Generator, origin: str, age: float) -> Colour:
    """Grown, greyed or dyed."""
    name = pick(rng, _ORIGINS[origin].hair)
    grey = 1 / (1 + np.exp(-(age - 57) / 6))
    if rng.random() < grey * 0.85:
        name = "white" if rng.random() < (age - 50) / 45 else "grey"
    elif 15 < age < 60 and rng.random() < 0.08:
        name = pick(rng, {"light brown": 40, "blond": 32, "red": 18, "brown": 10})
    return jittered(rng, _HAIR[name])


def hair(rng: np.random.Generator, woman: bool, age: float, origin: str, shade: Colour) -> Extra | None:
    """A shape of hair that goes with who wears it; None for a bald or shaved head."""
    if not woman and age > 20 and rng.random() < (0.2 if origin == "africa" else 0.02 + 0.12 * (age > 45)):
        return None
    if not woman and rng.random() < np.clip((age - 28) / 75, 0, 0.5):
        kind = "hair-receding"
    elif rng.random() < _ORIGINS[origin].curls * (0.75 if woman else 0.3):
        kind = "hair-afro" if origin == "africa" and rng.random() < 0.5 else "hair-curly"
    elif woman and age > 55:
        kind = pick(rng, {"hair-bob": 42, "hair-short": 36, "hair-bun": 12, "hair-long": 10})
    else:
        kind = pick(rng, _WOMEN if woman else _MEN)
    return Extra(kind, (shade,), seed(rng), float(rng.beta(2, 2)), side(rng))


def build(rng: np.random.Generator, woman: bool, age: float) -> Build:
    """A body's phenotype."""

    def around(middle: float, spread: float) -> float:
        return float(np.clip(rng.normal(middle, spread), 0.03, 0.97))

    grown = float(np.clip((age - 8) / 10, 0, 1))
    female = around(0.5 + 0.42 * grown, 0.06)
    return Build(
        female if woman else 1 - female,
        around(0.5, 0.15),
        around(0.29 + 0.13 * float(np.clip((age - 25) / 30, 0, 1)), 0.15),
        around(0.52 - 0.14 * float(np.clip((age - 50) / 30, 0, 1)), 0.13),
        around(0.5, 0.15),
    )


def seed(rng: np.random.Generator) -> int:
    """Of a texture or of a shape."""
    return int(rng.integers(2**31))


def side(rng: np.random.Generator) -> str:
    """`L` or `R`."""
    return "L" if rng.random() < 0.5 else "R"
