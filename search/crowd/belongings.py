"""Shoes, hats, bags and what hands hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.crowd import palette
from search.crowd.looks import Look, seed, side
from search.crowd.palette import Weights, beside, colour, jittered, pick
from search.crowd.props import places
from search.crowd.traits import Colour, Extra, Garment

_HOODED = ("hoodie", "raincoat", "puffer")


def shoes(rng: np.random.Generator, who: Look, season: str, setting: str) -> Extra:
    """A pair."""
    if setting == "business":
        kinds: Weights = (
            {"pump": 48, "flat": 26, "ankle-boot": 14, "leather": 12} if who.woman else {"leather": 100}
        )
    elif setting == "sport":
        kinds = {"sneaker": 100}
    elif setting == "uniform":
        kinds = {"sneaker": 40, "boot": 16, "leather": 24, "ankle-boot": 20}
    elif setting == "traditional":
        kinds = {"sandal": 40, "flat": 26, "slipper": 10, "leather": 24}
        kinds = {"leather": 60, "flat": 40} if season == "winter" else kinds
    elif who.woman:
        kinds = {
            "summer": {"sneaker": 46, "sandal": 24, "flat": 18, "pump": 6, "slipper": 6},
            "mild": {"sneaker": 56, "flat": 16, "pump": 7, "ankle-boot": 16, "boot": 5},
            "winter": {"sneaker": 38, "ankle-boot": 33, "boot": 25, "flat": 4},
        }[season]
    else:
        kinds = {
            "summer": {"sneaker": 74, "sandal": 13, "slipper": 7, "leather": 6},
            "mild": {"sneaker": 76, "leather": 15, "ankle-boot": 9},
            "winter": {"sneaker": 58, "leather": 17, "ankle-boot": 20, "boot": 5},
        }[season]
    kind = pick(rng, kinds)
    leather = kind in ("leather", "pump") or (kind in ("boot", "ankle-boot") and rng.random() < 0.7)
    base = colour(rng, palette.LEATHER if leather else palette.SHOES)
    sole: Colour = (
        (228, 227, 222) if kind == "sneaker" and rng.random() < 0.6 else beside(rng, base, palette.SHOES, 30)
    )
    return Extra(kind, (base, sole) if kind == "sneaker" else (base,), seed(rng), float(rng.beta(2, 2)))


def extras(
    rng: np.random.Generator, who: Look, season: str, setting: str, garments: Sequence[Garment]
) -> tuple[Extra, ...]:
    """Whatever else somebody wears or carries; no two things want the same place."""
    wanted = [who.beard, hat(rng, who, season, setting, garments), bag(rng, who, setting)]
    wanted += [_on_the_face(rng, who, season), _in_the_hand(rng, who, season)]
    if rng.random() < {"summer": 0.02, "mild": 0.08, "winter": 0.34}[season]:
        wanted.append(_of(rng, "scarf", palette.SCARF, 0.4))
    if rng.random() < (0.14 if setting in ("business", "uniform") else 0.02):
        wanted.append(_of(rng, "lanyard", {"blue": 40, "red": 20, "black": 40}, 1.0))
    if rng.random() < (0.06 if who.age < 40 else 0.01):
        wanted.append(_of(rng, "headphones", {"black": 70, "white": 20, "red": 10}, 0.2))
    if rng.random() < 0.1:  # a second bag
        wanted.append(bag(rng, who, setting))
    return together([extra for extra in wanted if extra is not None])


def together(wanted: Sequence[Extra]) -> tuple[Extra, ...]:
    """Those that go together: of two that want the same place, the first; the second may change hands."""
    kept: list[Extra] = []
    taken: set[str] = set()
    for extra in wanted:
        other = Extra(extra.kind, extra.colours, extra.seed, extra.size, "R" if extra.side == "L" else "L")
        for choice in (extra, other):
            if not places(choice) & taken:
                kept.append(choice)
                taken |= places(choice)
                break
    return tuple(kept)


def hat(
    rng: np.random.Generator, who: Look, season: str, setting: str, garments: Sequence[Garment]
) -> Extra | None:
    """What is on the head, if anything."""
    if setting == "traditional" and who.woman and who.origin in ("middle east", "south asia", "africa"):
        return _of(rng, "headscarf", palette.SCARF, 0.3) if rng.random() < 0.75 else None
    if (
        not who.woman
        and who.origin == "south asia"
        and rng.random() < (0.35 if setting == "traditional" else 0.04)
    ):
        return _of(
            rng, "turban", {"navy": 22, "black": 24, "burgundy": 14, "white": 18, "orange": 10, "red": 12}, 0
        )
    if who.woman and who.origin == "middle east" and rng.random() < 0.45:
        return _of(rng, "headscarf", palette.SCARF, 0.25)
    if setting == "uniform" and any(g.pattern == "hi-vis" for g in garments):
        bright: Colour = [(226, 186, 60), (226, 226, 222), (60, 96, 150), (206, 110, 50)][
            int(rng.integers(4))
        ]
        return Extra("helmet", (jittered(rng, bright),), seed(rng)) if rng.random() < 0.5 else None
    outer = garments[-1]
    if outer.kind in _HOODED and season != "summer" and rng.random() < 0.08:
        return Extra("hood", (outer.colours[0],), seed(rng), float(rng.beta(2, 2)))
    if setting == "business":
        return None
    odds = {
        "summer": {"cap": 0.13, "brim": 0.05},
        "mild": {"cap": 0.1, "beanie": 0.04, "brim": 0.01},
        "winter": {"cap": 0.06, "beanie": 0.24, "brim": 0.01},
    }[season]
    for kind, share in odds.items():
        often = 0.6 if who.woman and kind == "cap" else 1.5 if who.age > 55 and kind == "brim" else 1.0
        if rng.random() < share * often:
            return _of(rng, kind, palette.BAG, 0.5)
    return _of(rng, "helmet", palette.BAG, 0.5) if rng.random() < 0.012 else None


def bag(rng: np.random.Generator, who: Look, setting: str) -> Extra | None:
    """One bag, for two people in three."""
    if who.age < 18:
        kinds: Weights = {"": 40, "backpack": 46, "rucksack": 4, "drawstring-bag": 6, "plastic-bag": 4}
    elif setting == "business":
        kinds = {"": 34, "briefcase": 18, "messenger-bag": 12, "backpack": 14, "handbag": 4, "trolley": 6}
        kinds = (
            {**kinds, "handbag": 24, "shoulder-bag": 14, "tote": 12, "briefcase": 5} if who.woman else kinds
        )
    elif setting == "sport":
        kinds = {"": 52, "sports-bag": 18, "backpack": 20, "drawstring-bag": 6, "belt-bag": 4}
    elif who.woman:
        kinds = {
            "": 26, "shoulder-bag": 17, "handbag": 13, "tote": 11, "backpack": 17, "plastic-bag": 5, "paper-bag": 4,
            "belt-bag": 2, "trolley": 2.5, "rucksack": 1, "messenger-bag": 1.5,
        }  # fmt: skip
    else:
        kinds = {
            "": 41, "backpack": 25, "messenger-bag": 9, "shoulder-bag": 3, "plastic-bag": 7, "belt-bag": 3,
            "paper-bag": 2, "trolley": 2.5, "sports-bag": 3, "rucksack": 3, "tote": 1.5,
        }  # fmt: skip
    if who.age > 60:
        kinds = {**kinds, "shopping-trolley": 5}
    if 24 < who.age < 46 and (who.woman or rng.random() < 0.3):
        kinds = {**kinds, "pram": 2.5}
    kind = pick(rng, kinds)
    if not kind:
        return None
    if kind == "plastic-bag":
        return _of(rng, kind, {"white": 50, "red": 14, "blue": 12, "green": 10, "black": 14}, 0.4)
    if kind == "paper-bag":
        return _of(rng, kind, {"beige": 50, "white": 30, "black": 12, "red": 8}, 0.5)
    return _of(rng, kind, palette.BAG, 0.55)


def _on_the_face(rng: np.random.Generator, who: Look, season: str) -> Extra | None:
    if season == "summer" and who.age > 13 and rng.random() < 0.12:
        return _of(rng, "sunglasses", {"black": 80, "brown": 20}, 0)
    if rng.random() < 0.14 + 0.35 * float(np.clip((who.age - 15) / 60, 0, 1)):
        return _of(rng, "glasses", {"black": 60, "brown": 20, "grey": 20}, 0)
    return None


def _in_the_hand(rng: np.random.Generator, who: Look, season: str) -> Extra | None:
    if who.age > 70 and rng.random() < 0.3:
        return _of(rng, "cane", {"brown": 60, "black": 40}, 0)
    kind = pick(
        rng,
        {"": 76, "phone": 11 if who.age > 11 else 1, "phone-ear": 4 if who.age > 11 else 0, "cup": 4,
         "umbrella": 1.5 if season != "summer" else 2, "umbrella-folded": 2},
    )  # fmt: skip
    if not kind:
        return None
    if kind.startswith("phone"):
        return _of(rng, kind, {"black": 80, "white": 20}, 0)
    return _of(rng, kind, {"white": 50, "brown": 50} if kind == "cup" else palette.SCARF, 0.3)


def _of(rng: np.random.Generator, kind: str, weights: Weights, coloured: float) -> Extra:
    """A thing of a kind; `coloured`: how often it has further colours."""
    base = colour(rng, weights)
    more = (beside(rng, base), colour(rng, palette.TOP)) if rng.random() < coloured else ()
    return Extra(kind, (base, *more), seed(rng), float(rng.beta(2, 2)), side(rng))
