"""Cloth as textures: weaves, stripes, checks, prints, and what is lettered on a chest or a back.

A texture is a tile of 0.5 m x 0.5 m of cloth, 128 x 128 pixels, and repeats without a seam. It carries its own soft
folds: light and dark along the hang of the cloth, which no mesh of a few thousand triangles has.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from search.crowd.decals import decal
from search.crowd.traits import Colour, Garment
from search.crowd.weave import CLOTHS, Image, fold, thread, varied

PATTERNS = tuple(CLOTHS)
"""The kinds of cloth."""

_GLOSS = {"leather": 0.3, "quilted": 0.1, "hi-vis": 0.12, "yoke": 0.04}


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
    return decal(garment.pattern, garment.colours, garment.seed, True)


def back(garment: Garment) -> Image | None:
    """(128, 128, 4) uint8 sRGB with holes: what is printed between the shoulders; None: nothing."""
    return decal(garment.pattern, garment.colours, garment.seed, False)


@lru_cache(maxsize=256)
def _texture(pattern: str, colours: tuple[Colour, ...], seed: int) -> Image:
    rng = np.random.default_rng([seed, 1])
    paint, folds, weave = CLOTHS[pattern]
    cloth = paint(rng, colours)
    # Dark cloth shows its folds by what it reflects, light cloth by its shade: hence a sum as well as a product.
    shade = folds * varied(fold, rng) + weave * varied(thread, rng)
    image = cloth * (1 + shade)[..., None] + 22 * shade[..., None]
    made: Image = image.clip(0, 255).astype(np.uint8)
    made.setflags(write=False)
    return made
