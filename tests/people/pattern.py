"""Where a paint lies on a tube: stripes, checks, prints, openings, straps."""

import numpy as np

from tests.people.tube import Floats, Where


def patch(azimuth: float, half_width: float, top: float, bottom: float) -> Where:
    """Return a rectangle around `azimuth` (radians), from `top` to `bottom` along the tube."""

    def where(phi: Floats, along: Floats) -> np.ndarray:
        turn = np.abs((phi - azimuth + np.pi) % (2 * np.pi) - np.pi)
        return (turn < half_width) & (along > top) & (along < bottom)

    return where


def band(top: float, bottom: float) -> Where:
    """Return a ring around the tube."""
    return lambda _, along: (along > top) & (along < bottom)


def stripes(count: float, share: float, *, upright: bool = False) -> Where:
    """Return `count` stripes along the tube (or per radian around it) that fill `share` of it."""
    if upright:
        return lambda phi, _: (phi * count) % 1 < share
    return lambda _, along: (along * count + 0.5) % 1 < share


def checks(count: float, strength: float) -> Where:
    """Return a woven check: half strength on each stripe, full where they cross."""

    def where(phi: Floats, along: Floats) -> np.ndarray:
        return strength * ((along * count % 1 < 0.5) * 0.5 + (phi * count / 3.5 % 1 < 0.5) * 0.5)

    return where


def flowers(seed: int, share: float) -> Where:
    """Return irregular blots, the same on each view."""
    knots = np.random.default_rng(seed).uniform(0, 2 * np.pi, (3, 2))

    def where(phi: Floats, along: Floats) -> np.ndarray:
        wave = sum(
            np.sin((3 + 2 * i) * phi + a) * np.sin((19 - 4 * i) * along + b) for i, (a, b) in enumerate(knots)
        )
        return np.clip(2 + 6 * (np.asarray(wave) - 2 * (0.5 - share)), 0, 1)

    return where


def opening(half_width: float, top: float = 0.0, bottom: float = 1.0) -> Where:
    """Return the gap of an open jacket, wider at the neck."""
    return lambda phi, along: (np.abs(phi) < half_width * (1.5 - along)) & (along >= top) & (along <= bottom)


def collar(depth: float) -> Where:
    """Return the skin above a round neckline that reaches lower in front."""
    return lambda phi, along: along < depth * (0.55 + 0.45 * np.cos(phi))


def braces() -> Where:
    """Return the two straps of a backpack, seen in front."""
    return lambda phi, along: (np.abs(np.abs(np.sin(phi)) - 0.5) < 0.13) & (np.cos(phi) > 0) & (along < 0.62)


def sling(side: float) -> Where:
    """Return a strap from one shoulder across to the hip on `side` (1: the wearer's left), front and back."""
    return lambda phi, along: np.abs(side * np.sin(phi) + 0.62 - 1.45 * along) < 0.1
