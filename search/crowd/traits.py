"""What a person of the crowd is made of: body, hair, clothes and things."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Garment:
    """One piece of clothing.

    Attributes:
        kind: a key of `garments.CUTS`.
        colours: sRGB bytes, the main one first.
        pattern: a key of `fabric.PATTERNS`.
        seed: of the texture.
        looseness: 0 tight to 1 wide.
        length: 0 to 1 within what the kind allows.
        sleeve: 0 none, 0.4 to the elbow, 1 to the wrist.
        open: worn open over what is below.
    """

    kind: str
    colours: tuple[Colour, ...]
    pattern: str = "plain"
    seed: int = 0
    looseness: float = 0.5
    length: float = 0.5
    sleeve: float = 0.0
    open: bool = False


@dataclass(frozen=True)
class Extra:
    """Hair, shoes, a bag: a prop.

    Attributes:
        kind: a key of `props.PROPS`.
        colours: sRGB bytes, the main one first.
        seed: of its shape and texture.
        size: 0 to 1 within what the kind allows.
        side: `L` or `R`, where there are two.
    """

    kind: str
    colours: tuple[Colour, ...]
    seed: int = 0
    size: float = 0.5
    side: str = "R"


@dataclass(frozen=True)
class Person:
    """One identity.

    Attributes:
        number: from 1.
        female: 0 a man's shape to 1 a woman's.
        age: years, 4 to 90.
        height: 0 to 1, 0.5 the middle for age and sex; so are the next three.
        weight: 0 to 1.
        muscle: 0 to 1.
        proportions: 0 to 1.
        skin: sRGB bytes.
        hair: None for a bald or shaved head.
        garments: what is on the legs, then what is above, inner layers first; a dress alone needs nothing on the legs.
        shoes: on both feet.
        extras: hats, bags, and whatever hands hold.
        like: the number of the person that this one was drawn after, if any.
    """

    number: int
    female: float
    age: float
    height: float
    weight: float
    muscle: float
    proportions: float
    skin: Colour
    hair: Extra | None
    garments: tuple[Garment, ...]
    shoes: Extra
    extras: tuple[Extra, ...] = ()
    like: int | None = None
