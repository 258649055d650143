"""Hair, hats, shoes, bags and whatever else people wear or carry.

`PROPS` says of each kind what it occupies; `make` builds one for a body.
"""

from __future__ import annotations

import numpy as np

from search.crowd.props import bags, hair, hats, held, shoes, worn
from search.crowd.props.parts import Fit, Foot, Kind, Prop
from search.crowd.traits import Extra

__all__ = ["CATEGORIES", "PROPS", "Fit", "Foot", "Kind", "Prop", "make", "places"]


def _kinds(category: str, takes: str, names: str, hair: str = "free", bare: bool = False) -> dict[str, Kind]:
    return {name: Kind(category, frozenset(takes.split()), hair, bare) for name in names.split()}


PROPS: dict[str, Kind] = {
    **_kinds(
        "hair",
        "hair",
        "hair-short hair-crop hair-bob hair-long hair-ponytail hair-bun hair-afro hair-curly hair-receding",
    ),
    **_kinds("beard", "chin", "beard"),
    **_kinds("hat", "crown", "cap beanie brim", "flat"),
    **_kinds("hat", "crown ears neck", "hood headscarf", "hidden"),
    **_kinds("hat", "crown ears", "turban", "hidden"),
    **_kinds("hat", "crown ears", "helmet", "flat"),
    **_kinds("shoes", "feet", "sneaker boot ankle-boot leather"),
    **_kinds("shoes", "feet", "pump sandal flat slipper", bare=True),
    **_kinds("eyes", "eyes", "glasses sunglasses"),
    **_kinds("ears", "ears", "headphones"),
    **_kinds("neck", "neck", "scarf"),
    **_kinds("neck", "front", "lanyard"),
    **_kinds("back", "back", "backpack rucksack drawstring-bag"),
    **_kinds("bag", "shoulder", "shoulder-bag messenger-bag"),
    **_kinds("bag", "shoulder hand", "tote"),
    **_kinds("waist", "waist", "belt-bag"),
    **_kinds(
        "hand",
        "hand",
        "handbag plastic-bag paper-bag briefcase sports-bag umbrella umbrella-folded trolley phone phone-ear cup cane",
    ),
    **_kinds("hand", "hands", "pram shopping-trolley"),
}
"""kind -> what it occupies."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    category: tuple(name for name, kind in PROPS.items() if kind.category == category)
    for category in dict.fromkeys(kind.category for kind in PROPS.values())
}
"""category -> its kinds."""


def places(extra: Extra) -> frozenset[str]:
    """What a prop occupies on its wearer: two props that share a place do not go together.

    Like `Kind.takes`, with the side for what there are two of: `hand.L`, `shoulder.R`.
    """
    taken = set(PROPS[extra.kind].takes)
    for name in ("hand", "shoulder"):
        if name in taken:
            taken = taken - {name} | {f"{name}.{extra.side}"}
    if "hands" in taken:
        taken = taken - {"hands"} | {"hand.L", "hand.R"}
    return frozenset(taken)


def make(extra: Extra, fit: Fit, hat: str | None = None) -> tuple[Prop, ...]:
    """Build a prop for a body.

    Args:
        extra: what is wanted; it is the same for the same `extra`.
        fit: the body's measures.
        hat: the kind of hat worn over it, if it is hair.
    """
    rng = np.random.default_rng([extra.seed & 0xFFFFFFFF, *extra.kind.encode()])
    category = PROPS[extra.kind].category
    if category == "hair":
        return hair.make(extra, fit, rng, "free" if hat is None else PROPS[hat].hair)
    if category == "hat":
        return hats.make(extra, fit, rng)
    if category in ("beard", "eyes", "ears", "neck", "waist"):
        return worn.make(extra, fit, rng)
    if category == "shoes":
        return shoes.make(extra, fit, rng)
    if category in ("back", "bag"):
        return bags.make(extra, fit, rng)
    return held.make(extra, fit, rng)
