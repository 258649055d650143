"""What somebody wears, drawn from what is common in a street."""

from dataclasses import dataclass, replace

import numpy as np

from tests.people.pattern import band, checks, flowers, opening, patch, stripes
from tests.people.tube import Cloth, Colour, Where

# (RGB, how often above the waist, how often below it)
DYES: tuple[tuple[Colour, float, float], ...] = (
    ((0.07, 0.07, 0.08), 18, 22),  # black
    ((0.20, 0.20, 0.22), 8, 10),  # charcoal
    ((0.44, 0.45, 0.46), 8, 8),  # grey
    ((0.68, 0.68, 0.67), 5, 3),  # light grey
    ((0.92, 0.91, 0.89), 15, 4),  # white
    ((0.10, 0.13, 0.27), 9, 10),  # navy
    ((0.16, 0.32, 0.62), 6, 2),  # blue
    ((0.55, 0.70, 0.86), 5, 2),  # sky
    ((0.76, 0.66, 0.50), 5, 9),  # beige
    ((0.36, 0.25, 0.17), 3, 5),  # brown
    ((0.34, 0.36, 0.22), 4, 5),  # olive
    ((0.13, 0.42, 0.27), 3, 1),  # green
    ((0.76, 0.12, 0.14), 6, 1),  # red
    ((0.42, 0.09, 0.15), 3, 1),  # burgundy
    ((0.90, 0.58, 0.64), 4, 1),  # pink
    ((0.93, 0.76, 0.20), 3, 0),  # yellow
    ((0.88, 0.45, 0.15), 2, 0),  # orange
    ((0.42, 0.24, 0.52), 3, 1),  # purple
    ((0.12, 0.50, 0.54), 2, 1),  # teal
)
DENIMS: tuple[Colour, ...] = ((0.13, 0.18, 0.30), (0.22, 0.30, 0.46), (0.36, 0.47, 0.64), (0.58, 0.68, 0.80))


@dataclass(frozen=True)
class Top:
    """A garment above the waist. `sleeve`: share of the arm covered; `hem`: height as a share of the leg."""

    cloth: Cloth
    arms: Cloth
    sleeve: float
    ease: float  # metres that it stands off the body
    hem: float
    hood: bool = False


@dataclass(frozen=True)
class Bottom:
    """A garment below the waist. `leg`: share of it covered; `cut`: its width; `skirt`: hem height, or 1."""

    cloth: Cloth
    leg: float
    cut: float = 1.1
    skirt: float = 1.0


def dye(rng: np.random.Generator, *, below: bool = False) -> Colour:
    """Draw a colour as people wear it above or below the waist."""
    odds = np.array([row[2 if below else 1] for row in DYES], float)
    return vary(DYES[rng.choice(len(DYES), p=odds / odds.sum())][0], rng)


def vary(colour: Colour, rng: np.random.Generator, spread: float = 0.035) -> Colour:
    """Move a colour a little: no two dye lots are equal."""
    shift = rng.normal(0, spread) + rng.normal(0, spread * 0.6, 3)
    red, green, blue = np.clip(np.array(colour) + shift, 0.03, 0.96).tolist()
    return red, green, blue


def tone(colour: Colour, factor: float) -> Colour:
    """Return a darker (factor < 1) or lighter colour."""
    red, green, blue = (min(1.0, 0.02 + channel * factor) for channel in colour)
    return red, green, blue


def random_top(rng: np.random.Generator, warm: bool) -> Top:
    """Draw a T-shirt, tank top, shirt, hoodie, jacket or coat."""
    kinds = ("tee", "tank", "shirt", "hoodie", "jacket", "coat")
    kind = rng.choice(kinds, p=(0.6, 0.08, 0.2, 0.05, 0.07, 0) if warm else (0.06, 0, 0.2, 0.22, 0.34, 0.18))
    colour, second = dye(rng), dye(rng)
    cloth, arms = _patterned(Cloth(colour, 0.006), second, rng)
    if kind == "tank":
        return Top(cloth, arms, 0.0, 0.004, 0.97)
    if kind == "tee":
        if rng.random() < 0.12:
            arms = Cloth(second, 0.006)  # raglan: sleeves of another colour
        return Top(cloth, arms, rng.uniform(0.3, 0.5), 0.012, rng.uniform(0.9, 1.0))
    if kind == "shirt":
        buttons = (patch(0, 0.05, 0.05, 1), tone(colour, 0.75))
        sleeve = rng.uniform(0.4, 0.5) if warm else 0.94
        return Top(
            replace(cloth, paints=(*cloth.paints, buttons)), arms, sleeve, 0.016, rng.uniform(0.9, 0.98)
        )
    cloth, arms = replace(cloth, folds=0.009), Cloth(colour, 0.009)
    if kind == "hoodie":
        return Top(cloth, arms, 0.95, 0.028, rng.uniform(0.93, 1.0), hood=True)
    zip_line = (patch(0, 0.045, 0, 1), tone(colour, 0.6))
    gap = (opening(rng.uniform(0.22, 0.5)), second)
    cloth = replace(arms, paints=(gap if rng.random() < 0.6 else zip_line,))
    if kind == "coat":
        return Top(cloth, arms, 0.95, 0.036, rng.uniform(0.45, 0.72))
    if rng.random() < 0.2:
        arms = replace(arms, colour=second if rng.random() < 0.5 else tone(colour, 0.6))
    return Top(cloth, arms, 0.95, 0.034, rng.uniform(0.9, 1.0), hood=bool(rng.random() < 0.2))


def random_bottom(rng: np.random.Generator, warm: bool, woman: bool) -> Bottom:
    """Draw trousers, jeans, shorts or a skirt."""
    odds = {
        (True, True): (0.3, 0.28, 0.22, 0.2),
        (True, False): (0.3, 0.3, 0.4, 0.0),
        (False, True): (0.45, 0.43, 0.0, 0.12),
        (False, False): (0.52, 0.48, 0.0, 0.0),
    }[warm, woman]
    kind = rng.choice(("trousers", "jeans", "shorts", "skirt"), p=odds)
    colour = dye(rng, below=True)
    if kind == "skirt":
        return Bottom(Cloth(colour, 0.008), 0.0, skirt=rng.uniform(0.3, 0.75))
    if kind == "shorts":
        return Bottom(Cloth(colour, 0.007), rng.uniform(0.32, 0.47), cut=rng.uniform(1.2, 1.5))
    if kind == "jeans":
        denim = vary(DENIMS[rng.integers(len(DENIMS))], rng)
        return Bottom(
            Cloth(denim, 0.006, ((patch(0, 0.6, 0.15, 0.75), tone(denim, 1.08)),)),
            0.97,
            cut=rng.uniform(0.95, 1.25),
        )
    seams = ((patch(side * np.pi / 2, 0.3, 0, 1), (0.9, 0.9, 0.9)) for side in (-1, 1))
    paints = tuple(seams) if rng.random() < 0.1 else ()
    return Bottom(Cloth(colour, 0.008, paints), rng.uniform(0.88, 0.98), cut=rng.uniform(1.0, 1.5))


def _patterned(cloth: Cloth, second: Colour, rng: np.random.Generator) -> tuple[Cloth, Cloth]:
    """Return the cloth of the trunk and that of the sleeves: a print is on the chest alone."""
    odds = {
        "plain": 0.42,
        "print": 0.22,
        "stripes": 0.1,
        "upright": 0.04,
        "checks": 0.1,
        "flowers": 0.07,
        "block": 0.05,
    }
    kind = rng.choice(list(odds), p=list(odds.values()))
    low, top = rng.uniform(0.3, 0.5), rng.uniform(0.18, 0.3)
    where: Where | None = {
        "stripes": stripes(rng.uniform(5, 11), rng.uniform(0.3, 0.5)),
        "upright": stripes(rng.uniform(2, 3.5), 0.4, upright=True),
        "checks": checks(rng.uniform(6, 11), rng.uniform(0.5, 0.9)),
        "flowers": flowers(int(rng.integers(1 << 16)), rng.uniform(0.25, 0.5)),
        "print": patch(0, rng.uniform(0.25, 0.6), top, top + rng.uniform(0.1, 0.3)),
        "block": band(low, low + 0.3),
    }.get(str(kind))
    if where is None:
        return cloth, cloth
    painted = replace(cloth, paints=((where, second),))
    return painted, cloth if kind in ("print", "block") else painted
