"""Who the people of a crowd are, one by one: drawn as people are seen in streets, some of them after each other.

People come in blocks of `BLOCK` numbers: they share the season and the part of the town, and whoever looks
like somebody else looks like somebody of the same block. So those who are hard to tell apart meet the same cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from search.crowd import belongings, palette
from search.crowd.belongings import together
from search.crowd.looks import Build, Look, hair, hair_colour, look, seed, skin
from search.crowd.outfits import SEASONS, SETTINGS, legs_colour, outfit, sewn
from search.crowd.palette import light, pick, shaded
from search.crowd.props import CATEGORIES, PROPS
from search.crowd.traits import Colour, Extra, Garment, Person

if TYPE_CHECKING:
    from search.crowd.config import CrowdConfig

__all__ = ["BLOCK", "Extra", "Garment", "Person", "block", "person"]

BLOCK = 24
_LEGS = ("trousers", "jeans", "shorts", "leggings", "skirt")
_TWINS = 0.6  # of the look-alikes; the others share only what is worn above
_BAGS = (*CATEGORIES["back"], *CATEGORIES["bag"], *CATEGORIES["waist"],
         "handbag", "plastic-bag", "paper-bag", "briefcase",
         "sports-bag", "trolley", "pram", "shopping-trolley")  # fmt: skip


def block(number: int) -> range:
    """The numbers of everybody in a person's block.

    >>> block(25)
    range(25, 49)
    """
    first = (number - 1) // BLOCK * BLOCK + 1
    return range(first, first + BLOCK)


def person(seed: int, number: int, settings: CrowdConfig) -> Person:
    """Draw a person; the same for the same seed, number and settings, whoever was drawn before.

    Args:
        seed: of the crowd.
        number: from 1.
        settings: its shares of look-alikes and its garments count.
    """
    drawn = _drawn(seed, number, settings.lookalikes)
    return drawn if settings.garments == "all" else _plain(drawn)


@lru_cache(maxsize=8 * BLOCK)
def _drawn(seed: int, number: int, lookalikes: float) -> Person:
    rng = np.random.default_rng([seed, number, 11])
    chance = rng.random()
    earlier = number - block(number)[0]
    # The first of a block has nobody to look like: the others make up for it.
    if earlier and chance < lookalikes * BLOCK / (BLOCK - 1):
        base = _drawn(seed, number - int(rng.integers(1, earlier + 1)), lookalikes)
        return _after(rng, base, number, _season(seed, number))
    season = _season(seed, number) if rng.random() < 0.85 else pick(rng, dict.fromkeys(SEASONS, 1.0))
    return _somebody(rng, number, look(rng), season, pick(rng, SETTINGS))


def _season(seed: int, number: int) -> str:
    rng = np.random.default_rng([seed, block(number)[0], 12])
    return pick(rng, {"summer": 0.4, "mild": 0.3, "winter": 0.3})


def _somebody(rng: np.random.Generator, number: int, who: Look, season: str, setting: str) -> Person:
    garments = outfit(rng, who, season, setting)
    return Person(
        number=number,
        age=who.age,
        skin=who.skin,
        hair=who.hair,
        garments=garments,
        shoes=belongings.shoes(rng, who, season, setting),
        extras=belongings.extras(rng, who, season, setting, garments),
        female=who.build.female,
        height=who.build.height,
        weight=who.build.weight,
        muscle=who.build.muscle,
        proportions=who.build.proportions,
    )


def _plain(one: Person) -> Person:
    """The person in plain clothes, one layer of them, with empty hands: for the ablation."""
    below = next((i for i, g in enumerate(one.garments) if g.kind not in _LEGS), 0)
    garments = (
        replace(g, pattern="plain", colours=g.colours[:1], seed=0, open=False)
        for g in one.garments[: below + 1]
    )
    kept = tuple(e for e in one.extras if PROPS[e.kind].category in ("beard", "eyes"))
    return replace(one, garments=tuple(garments), extras=kept)


# Look-alikes.
def _after(rng: np.random.Generator, base: Person, number: int, season: str) -> Person:
    """Somebody who is easily taken for another person."""
    if rng.random() < _TWINS:
        changed = replace(_nearby(rng, base), number=number, like=base.number)
        for _ in range(20):  # most changes fit most people
            changed = _changed(rng, changed, _LARGE if changed.garments == base.garments else _ALL)
            if rng.random() < (0.45 if _differs(base, changed) else 0.0):
                break
        return changed
    # The same coat, or the same shirt, and what is below it alike.
    is_woman = base.female > 0.5
    who = look(rng, woman=is_woman if rng.random() < 0.8 else None)
    other = _somebody(rng, number, who, season, pick(rng, SETTINGS))
    garments = base.garments
    for i, garment in enumerate(garments):
        if garment.kind in _LEGS:
            garments = _swapped(garments, i, _other_legs(rng, garment))
            break
    return replace(other, garments=garments, like=base.number)


def _nearby(rng: np.random.Generator, base: Person) -> Person:
    def near(value: float, spread: float) -> float:
        return float(np.clip(value + rng.normal(0, spread), 0.02, 0.98))

    return replace(
        base,
        age=float(np.clip(base.age + rng.normal(0, 3), 4, 90)),
        female=near(base.female, 0.02),
        height=near(base.height, 0.08),
        weight=near(base.weight, 0.06),
        muscle=near(base.muscle, 0.08),
        proportions=near(base.proportions, 0.12),
    )


def _differs(base: Person, other: Person) -> bool:
    """Whether a camera can tell them: something larger than shoes or glasses is not the same."""
    small = ("beard", "eyes", "ears")

    def seen(one: Person) -> tuple[object, ...]:
        extras = {(e.kind, e.colours) for e in one.extras if PROPS[e.kind].category not in small}
        hidden = {PROPS[e.kind].hair for e in one.extras} - {"free"}
        return (
            one.garments,
            frozenset(extras),
            None if hidden or one.hair is None else (one.hair.kind, one.hair.colours),
        )

    return seen(base) != seen(other) or abs(base.weight - other.weight) > 0.22


def _swapped(garments: Sequence[Garment], i: int, by: Garment) -> tuple[Garment, ...]:
    return (*garments[:i], by, *garments[i + 1 :])


def _other_legs(rng: np.random.Generator, garment: Garment) -> Garment:
    """The same kind in another shade, or its like in another cut."""
    base = garment.colours[0]
    if rng.random() < 0.35 and garment.kind in ("trousers", "jeans"):
        kind = "jeans" if garment.kind == "trousers" else "trousers"
        return sewn(rng, kind, legs_colour(rng, kind))
    by = float(rng.choice([-1, 1])) * rng.uniform(0.22, 0.4)
    by = abs(by) if light(base) < 50 else -abs(by) if light(base) > 190 else by
    return replace(garment, colours=(shaded(base, by), *garment.colours[1:]))


_Change = Callable[[np.random.Generator, Person], Person]


def _changed(rng: np.random.Generator, one: Person, changes: Sequence[_Change]) -> Person:
    return changes[int(rng.integers(len(changes)))](rng, one)


def _legs(rng: np.random.Generator, one: Person) -> Person:
    i = next((i for i, g in enumerate(one.garments) if g.kind in _LEGS), None)
    if i is None:
        return one
    return replace(one, garments=_swapped(one.garments, i, _other_legs(rng, one.garments[i])))


def _outermost(one: Person) -> int | None:
    """Which garment shows most of what is worn above."""
    above = [i for i, g in enumerate(one.garments) if g.kind not in _LEGS]
    return above[-1] if above else None


def _print(rng: np.random.Generator, one: Person) -> Person:
    """Another print, other lettering, other checks, or some where there was none."""
    i = _outermost(one)
    if i is None:
        return one
    old = one.garments[i]
    if len(old.colours) > 1 and rng.random() < 0.5:
        return replace(
            one, garments=_swapped(one.garments, i, replace(old, seed=old.seed ^ int(rng.integers(1, 2**30))))
        )
    new = sewn(rng, old.kind, old.colours[0])
    if new.pattern == old.pattern or abs(light(new.colours[0]) - light(old.colours[0])) > 30:
        return one
    return replace(
        one,
        garments=_swapped(
            one.garments, i, replace(old, pattern=new.pattern, colours=new.colours, seed=new.seed)
        ),
    )


def _shade(rng: np.random.Generator, one: Person) -> Person:
    """The same dye, darker or lighter."""
    i = _outermost(one)
    if i is None:
        return one
    old = one.garments[i]
    by = rng.uniform(0.12, 0.25) * (1 if light(old.colours[0]) < 60 else -1)
    return replace(
        one,
        garments=_swapped(
            one.garments, i, replace(old, colours=(shaded(old.colours[0], by), *old.colours[1:]))
        ),
    )


def _layer(rng: np.random.Generator, one: Person) -> Person:
    """Open instead of closed, other things below, other sleeves, another length."""
    i = _outermost(one)
    if i is None:
        return one
    outer = one.garments[i]
    if i and one.garments[i - 1].kind not in _LEGS:
        inner = one.garments[i - 1]
        below = sewn(rng, inner.kind, palette.colour(rng, palette.TOP))
        return replace(
            one, garments=_swapped(_swapped(one.garments, i - 1, below), i, replace(outer, open=True))
        )
    if outer.kind in ("t-shirt", "shirt", "dress", "blouse") and rng.random() < 0.6:
        sleeve = 1.0 if outer.sleeve < 0.5 else 0.3
        return replace(one, garments=_swapped(one.garments, i, replace(outer, sleeve=sleeve)))
    if outer.kind in ("coat", "dress", "raincoat", "shirt"):
        length = outer.length - 0.4 if outer.length > 0.5 else outer.length + 0.4
        return replace(one, garments=_swapped(one.garments, i, replace(outer, length=length)))
    return one


def _bag(rng: np.random.Generator, one: Person) -> Person:
    """Another bag, the same in another colour, or none."""
    mine = [e for e in one.extras if e.kind in _BAGS]
    rest = [e for e in one.extras if e.kind not in _BAGS]
    if mine and rng.random() < 0.3:
        return replace(one, extras=tuple(rest))
    if mine and rng.random() < 0.4:
        other = replace(
            mine[0], colours=(palette.beside(rng, mine[0].colours[0], palette.BAG, 40), *mine[0].colours[1:])
        )
        return replace(one, extras=together([*rest, other, *mine[1:]]))
    new = belongings.bag(rng, _seen(one), "casual")
    return replace(one, extras=together([*rest, *([new] if new is not None else [])]))


def _hair(rng: np.random.Generator, one: Person) -> Person:
    """Another cut, or the same in another colour."""
    who = _seen(one)
    grown = hair_colour(rng, pick(rng, {"europe": 60, "east asia": 40}), one.age)
    if one.hair is not None and rng.random() < 0.4:
        return replace(one, hair=replace(one.hair, colours=(grown,)))
    old: Colour = one.hair.colours[0] if one.hair is not None else grown
    return replace(one, hair=hair(rng, who.woman, one.age, "europe", old))


def _hat(rng: np.random.Generator, one: Person) -> Person:
    rest = [e for e in one.extras if PROPS[e.kind].category != "hat"]
    if len(rest) < len(one.extras):
        return replace(one, extras=tuple(rest))
    kind = pick(rng, {"cap": 60, "beanie": 30, "brim": 10})
    new = Extra(kind, (palette.colour(rng, palette.BAG),), seed(rng), float(rng.beta(2, 2)))
    return replace(one, extras=together([new, *rest]))


def _build(rng: np.random.Generator, one: Person) -> Person:
    by = rng.uniform(0.25, 0.4) * (1 if one.weight < 0.5 else -1)
    taller = float(np.clip(one.height + rng.normal(0, 0.2), 0.02, 0.98))
    return replace(one, weight=float(np.clip(one.weight + by, 0.03, 0.97)), height=taller)


def _shoes(rng: np.random.Generator, one: Person) -> Person:
    return replace(
        one, shoes=belongings.shoes(rng, _seen(one), pick(rng, dict.fromkeys(SEASONS, 1.0)), "casual")
    )


def _skin(rng: np.random.Generator, one: Person) -> Person:
    return replace(
        one, skin=skin(rng, pick(rng, {"europe": 30, "east asia": 30, "latin america": 20, "south asia": 20}))
    )


def _seen(one: Person) -> Look:
    """What can be told of a person who was drawn before."""
    return Look(one.female > 0.5, one.age, "europe", one.skin, one.hair, None, Build())


_LARGE: tuple[_Change, ...] = (_legs, _print, _layer, _bag, _bag, _hair, _shade, _build, _hat)
_ALL: tuple[_Change, ...] = (*_LARGE, _shoes, _shoes, _skin)
