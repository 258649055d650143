"""Textures of hair, canvas, leather and bags, drawn small: (64, 64) and sRGB bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material
from search.crowd.props.build import linear, smooth

Image = NDArray[np.uint8]
SIZE = 64


@lru_cache(maxsize=64)
def strands(kind: str, number: int) -> Image:
    """(64, 64, 4) grey hair, roots above and tips below; strands end at different lengths.

    Args:
        kind: `straight`, `wavy`, `curly` or `cropped`.
        number: which of the drawings.
    """
    rng = np.random.default_rng([number, 11])
    if kind in ("straight", "wavy"):
        light = 0.75 + 0.1 * smooth(rng, SIZE, SIZE, (3, 32)) + 0.07 * smooth(rng, SIZE, SIZE, (4, 8))
        if kind == "wavy":
            shift = (3 * np.sin(np.linspace(0, 6 * np.pi, SIZE))).astype(int)
            light = light[np.arange(SIZE)[:, None], (np.arange(SIZE) + shift[:, None]) % SIZE]
    elif kind == "curly":
        light = 0.7 + 0.13 * smooth(rng, SIZE, SIZE, (14, 14)) + 0.06 * smooth(rng, SIZE, SIZE, (4, 4))
    else:
        light = 0.74 + 0.09 * rng.normal(0, 1, (SIZE, SIZE))
    ends = 0.93 + 0.05 * smooth(rng, 1, SIZE, (1, 20)) + 0.03 * rng.normal(0, 1, SIZE)
    v = np.linspace(0, 1, SIZE)[:, None]
    if kind == "cropped":
        alpha = rng.random((SIZE, SIZE)) > np.clip((v - 0.8) * 3.5, 0, 0.7)
    else:
        alpha = (v < ends) | (kind == "curly")
    return _rgba(light, alpha)


@lru_cache(maxsize=32)
def hide(number: int) -> Image:
    """(64, 64, 3) grey leather: faint patches and creases."""
    rng = np.random.default_rng([number, 12])
    light = 0.86 + 0.05 * smooth(rng, SIZE, SIZE, (5, 5)) + 0.03 * smooth(rng, SIZE, SIZE, (20, 20))
    return _rgb(light)


@lru_cache(maxsize=32)
def weave(kind: str, number: int) -> Image:
    """(64, 64, 3) grey cloth: `canvas`, `rib`, `knit` or `straw`."""
    rng = np.random.default_rng([number, 13])
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    light = 0.84 + 0.04 * rng.normal(0, 1, (SIZE, SIZE)) + 0.04 * smooth(rng, SIZE, SIZE, (4, 4))
    if kind == "rib":
        light *= 0.88 + 0.12 * np.sin(2 * np.pi * x / 8)
    elif kind == "knit":
        light *= 0.86 + 0.14 * np.sin(2 * np.pi * (x / 8 + 0.25 * np.sin(2 * np.pi * y / 8)))
    elif kind == "straw":
        light *= 0.85 + 0.15 * np.sin(2 * np.pi * y / 4 + np.pi * (x // 4 % 2))
    return _rgb(light)


def pattern(kind: str, colours: Sequence[Sequence[int]], rng: np.random.Generator) -> Image:
    """(64, 64, 3) of two or more colours that tiles: `stripes`, `bands`, `checks`, `dots`, `print` or `logo`."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    count = max(len(colours), 2)
    palette = np.array([*colours, colours[0]][:count] if len(colours) > 1 else [colours[0]] * 2, float)
    period = int(rng.choice([8, 16, 32]))
    if kind == "stripes":
        which = (x // (period // 2)) % count
    elif kind == "bands":
        which = (y // (period // 2)) % count
    elif kind == "checks":
        which = ((x // (period // 2)) % 2) & ((y // (period // 2)) % 2)
    elif kind == "dots":
        half = max(period, 16) / 2
        which = ((x % (2 * half) - half) ** 2 + (y % (2 * half) - half) ** 2 < (0.5 * half) ** 2).astype(int)
    elif kind == "print":
        which = np.digitize(smooth(rng, SIZE, SIZE, (6, 6)), np.linspace(-0.3, 0.6, count))[..., :] % count
    else:
        cx, cy, r = 32 + rng.integers(-6, 7), 30 + rng.integers(-8, 9), rng.integers(6, 14)
        wide = rng.random() < 0.5
        inside = (np.abs(x - cx) < (1.6 * r if wide else r)) & (np.abs(y - cy) < (0.5 * r if wide else r))
        which = (inside & ((rng.random((SIZE // 4, SIZE // 4)) < 0.75).repeat(4, 0).repeat(4, 1))).astype(int)
    grain = 0.94 + 0.03 * rng.normal(0, 1, (SIZE, SIZE))
    return np.asarray((palette[which % count] * grain[..., None]).clip(0, 255), np.uint8)


def panel(colours: Sequence[Sequence[int]], rng: np.random.Generator) -> Image:
    """(64, 64, 3) the outer side of a bag: seams, a zip, a pocket of its own colour perhaps, a label."""
    main = np.array(colours[0], float)
    second = np.array(colours[1 % len(colours)], float)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = np.broadcast_to(main, (SIZE, SIZE, 3)).copy()
    style = rng.integers(0, 4)
    if style == 1:  # the lower part is of the second colour
        image[y > rng.integers(30, 46)] = second
    elif style == 2:  # panels at the sides
        image[np.abs(x - 32) > rng.integers(16, 26)] = second
    elif style == 3:
        image[(y > 12) & (y < 12 + rng.integers(5, 14))] = second
    dark = 0.5 if main.mean() > 40 else 1.8
    top, width = int(rng.integers(24, 36)), int(rng.integers(16, 24))
    frame = (np.abs(x - 32) < width) & (y > top) & (y < 58)
    inner = (np.abs(x - 32) < width - 2) & (y > top + 2) & (y < 56)
    image[frame & ~inner] *= dark
    if rng.random() < 0.6:
        image[(np.abs(x - 32) < width - 4) & (np.abs(y - top - 6) < 1.5)] = 0.35 * main + 60
    if rng.random() < 0.6:
        cx, cy = 32 + int(rng.integers(-8, 9)), int(rng.integers(10, 22))
        label = (np.abs(x - cx) < rng.integers(3, 9)) & (np.abs(y - cy) < rng.integers(2, 5))
        image[label] = (
            colours[2] if len(colours) > 2 else (225, 225, 220) if main.mean() < 120 else (40, 40, 45)
        )
    grain = 0.92 + 0.04 * rng.normal(0, 1, (SIZE, SIZE)) + 0.05 * smooth(rng, SIZE, SIZE, (4, 4))
    return np.asarray((image * grain[..., None]).clip(0, 255), np.uint8)


def grey(image: Image, tint: Sequence[int], gloss: float = 0.0) -> Material:
    """A grey texture in a colour."""
    return Material(colour=linear(tint), texture=image, gloss=gloss)


def _rgb(light: NDArray[np.floating]) -> Image:
    return np.repeat((light * 255).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _rgba(light: NDArray[np.floating], alpha: NDArray[np.bool_]) -> Image:
    return np.concatenate([_rgb(light), (alpha * np.uint8(255))[..., None].astype(np.uint8)], axis=2)
