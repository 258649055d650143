"""Who somebody is: a body with clothes and a bag, the same in every picture."""

from dataclasses import dataclass, replace

import numpy as np

from tests.people.outfit import Bottom, Top, dye, random_bottom, random_top, tone, vary
from tests.people.pattern import braces, patch, sling, stripes
from tests.people.tube import Cloth, Colour

# (RGB, how often)
SKINS: tuple[tuple[Colour, float], ...] = (
    ((0.84, 0.65, 0.55), 0.3),
    ((0.77, 0.58, 0.46), 0.3),
    ((0.68, 0.49, 0.37), 0.2),
    ((0.52, 0.35, 0.25), 0.12),
    ((0.33, 0.22, 0.17), 0.08),
)
HAIRS: tuple[tuple[Colour, float], ...] = (
    ((0.05, 0.04, 0.04), 0.34),
    ((0.10, 0.07, 0.05), 0.24),
    ((0.22, 0.14, 0.09), 0.18),
    ((0.45, 0.31, 0.17), 0.1),
    ((0.72, 0.57, 0.34), 0.07),
    ((0.55, 0.54, 0.53), 0.07),
)
SHOES: tuple[tuple[Colour, float], ...] = (
    ((0.90, 0.90, 0.88), 0.3),
    ((0.10, 0.10, 0.10), 0.4),
    ((0.35, 0.25, 0.18), 0.12),
    ((0.50, 0.50, 0.55), 0.1),
    ((0.70, 0.20, 0.20), 0.08),
)


@dataclass(frozen=True)
class Body:
    """A body: `height` and half-widths in metres, scaled to 1.70 m; `girth` widens trunk and limbs."""

    height: float
    girth: float
    shoulders: float
    waist: float
    hips: float
    skin: Cloth
    hair: Cloth
    haircut: str  # bald, short, bob, long, tail or bun


@dataclass(frozen=True)
class Person:
    """Somebody, dressed. A `side` of 1 is the wearer's left."""

    body: Body
    top: Top
    bottom: Bottom
    shoes: Cloth
    bag: str  # none, backpack, sling or hand
    bag_cloth: Cloth
    bag_side: int
    hat: str  # none, cap or beanie
    hat_cloth: Cloth


def random_person(rng: np.random.Generator) -> Person:
    """Draw somebody whom one may meet in a street."""
    woman, warm = bool(rng.random() < 0.5), bool(rng.random() < 0.6)
    body = _random_body(rng, woman)
    top, bottom = random_top(rng, warm), random_bottom(rng, warm, woman)
    if woman and warm and rng.random() < 0.15:
        bottom = Bottom(top.cloth, 0.0, skirt=rng.uniform(0.35, 0.65))  # a dress
    bag = str(rng.choice(("none", "backpack", "sling", "hand"), p=(0.48, 0.25, 0.17, 0.1)))
    bag_colour, bag_side = dye(rng, below=True), int(rng.choice((-1, 1)))
    straps = {"backpack": braces(), "sling": sling(bag_side)}
    if bag in straps:
        paint = (straps[bag], tone(bag_colour, 0.8))
        top = replace(top, cloth=replace(top.cloth, paints=(*top.cloth.paints, paint)))
    pocket = (patch(np.pi, 0.7, 0.5, 0.85), tone(bag_colour, 0.65))
    return Person(
        body=body,
        top=top,
        bottom=bottom,
        shoes=Cloth(_pick(SHOES, rng)),
        bag=bag,
        bag_cloth=Cloth(bag_colour, 0.005, (pocket,)),
        bag_side=bag_side,
        hat=str(rng.choice(("none", "cap", "cap" if warm else "beanie"), p=(0.82, 0.08, 0.1))),
        hat_cloth=Cloth(dye(rng), 0.002),
    )


def _random_body(rng: np.random.Generator, woman: bool) -> Body:
    girth = float(np.clip(rng.normal(1.0, 0.11), 0.85, 1.35))
    haircuts = ("bob", "long", "long", "tail", "bun") if woman else ("short", "short", "short", "bald", "bob")
    shoulders = rng.normal(0.176 if woman else 0.2, 0.008)
    return Body(
        height=float(np.clip(rng.normal(1.63 if woman else 1.74, 0.06), 1.45, 1.95)),
        girth=girth,
        shoulders=float(shoulders * girth**0.4),
        waist=float((0.132 if woman else 0.155) * girth**1.2),
        hips=float((0.178 if woman else 0.17) * girth),
        skin=Cloth(_pick(SKINS, rng)),
        hair=_strands(_pick(HAIRS, rng)),
        haircut=str(rng.choice(haircuts)),
    )


def _strands(colour: Colour) -> Cloth:
    return Cloth(colour, 0.006, ((stripes(3.7, 0.4, upright=True), tone(colour, 0.75)),))


def _pick(palette: tuple[tuple[Colour, float], ...], rng: np.random.Generator) -> Colour:
    odds = [share for _, share in palette]
    return vary(palette[rng.choice(len(palette), p=odds)][0], rng, 0.02)
