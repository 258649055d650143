"""Clothes that go together: by season, age, sex and where somebody is going."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from search.crowd import palette
from search.crowd.looks import Look, seed
from search.crowd.palette import Weights, beside, colour, pick, shaded
from search.crowd.traits import Colour, Garment

SEASONS = ("summer", "mild", "winter")
SETTINGS: Weights = {"casual": 66, "business": 11, "sport": 9, "uniform": 8, "traditional": 6}

# kind -> pattern -> how often.
_CLOTH: Mapping[str, Weights] = {
    "t-shirt": {
        "plain": 40, "logo": 13, "picture": 15, "lettering": 13, "stripes": 7, "breton": 3, "melange": 6, "print": 2,
        "yoke": 2,
    },
    "polo": {"plain": 52, "stripes": 18, "logo": 20, "yoke": 7, "melange": 3},
    "shirt": {
        "plain": 46, "tartan": 16, "gingham": 8, "pinstripe": 10, "windowpane": 5, "dots": 2, "floral": 2, "print": 3,
        "denim": 6, "corduroy": 2,
    },
    "blouse": {"plain": 57, "floral": 14, "dots": 8, "print": 6, "stripes": 7, "pinstripe": 8},
    "sweater": {"knit": 40, "plain": 20, "melange": 16, "stripes": 9, "breton": 6, "picture": 3, "yoke": 5, "print": 1},
    "hoodie": {"plain": 33, "lettering": 20, "logo": 15, "melange": 15, "picture": 10, "yoke": 5, "camouflage": 2},
    "jacket": {
        "plain": 50, "denim": 12, "leather": 12, "yoke": 9, "logo": 8, "camouflage": 3, "corduroy": 4, "tartan": 2,
    },
    "blazer": {"plain": 70, "pinstripe": 8, "windowpane": 7, "melange": 10, "tartan": 3, "corduroy": 2},
    "puffer": {"quilted": 100},
    "vest": {"quilted": 60, "knit": 22, "plain": 18},
    "coat": {"plain": 62, "melange": 19, "tartan": 6, "windowpane": 5, "leather": 2, "quilted": 6},
    "raincoat": {"plain": 82, "yoke": 10, "dots": 5, "camouflage": 3},
    "dress": {"plain": 54, "floral": 14, "dots": 6, "print": 4, "stripes": 6, "knit": 7, "gingham": 4, "denim": 5,
    },
    "skirt": {"plain": 66, "denim": 13, "tartan": 6, "floral": 6, "print": 2, "dots": 3, "leather": 4},
    "trousers": {
        "plain": 76, "pinstripe": 4, "corduroy": 6, "melange": 7, "windowpane": 2, "camouflage": 2, "print": 2,
    },
    "jeans": {"denim": 100},
    "shorts": {"plain": 60, "denim": 22, "camouflage": 4, "floral": 3, "print": 3, "tartan": 4, "melange": 4},
    "leggings": {"plain": 90, "print": 4, "melange": 6},
}  # fmt: skip

# (season, woman) -> kind -> how often.
_LEGS: Mapping[tuple[str, bool], Weights] = {
    ("summer", False): {"jeans": 24, "trousers": 26, "shorts": 50},
    ("mild", False): {"jeans": 46, "trousers": 47, "shorts": 7},
    ("winter", False): {"jeans": 46, "trousers": 54},
    ("summer", True): {"jeans": 18, "trousers": 14, "leggings": 8, "shorts": 22, "skirt": 15, "dress": 23},
    ("mild", True): {"jeans": 36, "trousers": 25, "leggings": 15, "skirt": 12, "dress": 12},
    ("winter", True): {"jeans": 40, "trousers": 30, "leggings": 17, "skirt": 7, "dress": 6},
}
_TOPS: Mapping[tuple[str, bool], Weights] = {
    ("summer", False): {"t-shirt": 68, "polo": 16, "shirt": 16},
    ("mild", False): {"t-shirt": 30, "shirt": 22, "sweater": 18, "hoodie": 22, "polo": 8},
    ("winter", False): {"t-shirt": 14, "shirt": 18, "sweater": 40, "hoodie": 28},
    ("summer", True): {"t-shirt": 60, "blouse": 26, "shirt": 9, "polo": 5},
    ("mild", True): {"t-shirt": 26, "blouse": 20, "shirt": 12, "sweater": 25, "hoodie": 17},
    ("winter", True): {"t-shirt": 10, "blouse": 10, "shirt": 7, "sweater": 52, "hoodie": 21},
}
_OUTER: Mapping[tuple[str, bool], Weights] = {
    ("mild", False): {"jacket": 56, "blazer": 12, "coat": 6, "raincoat": 5, "vest": 9, "hoodie": 12},
    ("winter", False): {"puffer": 40, "coat": 19, "jacket": 33, "raincoat": 3, "vest": 5},
    ("mild", True): {"jacket": 46, "blazer": 15, "coat": 16, "raincoat": 6, "vest": 6, "hoodie": 11},
    ("winter", True): {"puffer": 42, "coat": 35, "jacket": 18, "raincoat": 2, "vest": 3},
}
_OPEN: Weights = {
    "jacket": 0.4,
    "blazer": 0.5,
    "coat": 0.28,
    "puffer": 0.2,
    "raincoat": 0.15,
    "vest": 0.4,
    "hoodie": 0.55,
}
_LOOSE: Mapping[str, tuple[float, float]] = {
    "leggings": (0.1, 0.06), "jeans": (0.26, 0.18), "trousers": (0.36, 0.2), "shorts": (0.45, 0.2),
    "blazer": (0.35, 0.15), "hoodie": (0.6, 0.18),
}  # fmt: skip
_CAMOUFLAGE: tuple[tuple[Colour, ...], ...] = (
    ((92, 98, 70), (60, 66, 46), (124, 112, 84)),
    ((150, 138, 110), (112, 98, 74), (178, 166, 138)),
    ((108, 110, 112), (70, 72, 75), (150, 152, 153)),
)
_VIVID = 1.25  # saturation of what children and sportspeople wear, beside other people's


def outfit(rng: np.random.Generator, who: Look, season: str, setting: str) -> tuple[Garment, ...]:
    """What somebody wears, from the inside out, the legs first."""
    if setting == "business" and who.age > 20:
        return _business(rng, who, season)
    if setting == "sport" and who.age < 75:
        return _sport(rng, who, season)
    if setting == "uniform":
        return _school(rng, who, season) if who.age < 18 else _service(rng, who, season)
    if setting == "traditional":
        return _traditional(rng, who, season)
    return _casual(rng, who, season)


def sewn(
    rng: np.random.Generator,
    kind: str,
    base: Colour,
    pattern: str | None = None,
    *,
    woman: bool = False,
    vivid: float = 1.0,
) -> Garment:
    """A garment of a kind and main colour; the pattern is drawn if none is named, and the other colours with it."""
    cloth = pattern or pick(rng, _CLOTH[kind])
    if cloth == "camouflage":
        colours: tuple[Colour, ...] = _CAMOUFLAGE[int(rng.integers(len(_CAMOUFLAGE)))]
    elif cloth == "denim" and kind not in ("jeans",):
        colours = (colour(rng, palette.DENIM),)
    elif cloth == "leather":
        colours = (colour(rng, palette.LEATHER),)
    elif cloth in ("plain", "knit", "corduroy", "melange", "denim", "quilted"):
        colours = (base,)
    elif cloth in ("pinstripe", "windowpane") and kind != "shirt":
        colours = base, shaded(base, 0.25)
    else:
        second = beside(rng, base, palette.TOP, 55 if cloth != "breton" else 110, vivid)
        colours = base, second, colour(rng, palette.TOP, vivid)
    middle, spread = _LOOSE.get(kind, (0.45, 0.2))
    return Garment(
        kind,
        colours,
        cloth,
        seed(rng),
        looseness=_share(rng, middle - 0.08 * woman, spread),
        length=_length(rng, kind, woman),
        sleeve=_sleeve(rng, kind, woman),
    )


def worn_open(rng: np.random.Generator, garment: Garment) -> Garment:
    """The garment, open as often as its kind is."""
    return replace(garment, open=bool(rng.random() < _OPEN.get(garment.kind, 0)))


def legs_colour(rng: np.random.Generator, kind: str) -> Colour:
    """A colour for what is worn on the legs."""
    return colour(rng, {"jeans": palette.DENIM, "skirt": palette.SKIRT}.get(kind, palette.LEGS))


def _share(rng: np.random.Generator, middle: float, spread: float) -> float:
    return float(np.clip(rng.normal(middle, spread), 0, 1))


def _length(rng: np.random.Generator, kind: str, woman: bool) -> float:
    if kind in ("skirt", "dress"):
        # Above the knee, at the knee, at the calf, at the ankle.
        middle = (0.18, 0.4, 0.66, 0.95)[int(rng.choice(4, p=(0.36, 0.3, 0.22, 0.12)))]
        return _share(rng, middle - (0.08 if kind == "dress" else 0), 0.06)
    if kind == "coat":
        return _share(rng, 0.45 + 0.1 * woman, 0.28)
    if kind == "shorts":
        return _share(rng, 0.25 if woman else 0.72, 0.2)
    if kind in ("trousers", "jeans", "leggings"):
        return _share(rng, 0.75, 0.25)
    if kind == "t-shirt" and woman and rng.random() < 0.2:
        return 0.05
    return _share(rng, 0.5, 0.22)


def _sleeve(rng: np.random.Generator, kind: str, woman: bool) -> float:
    if kind in ("trousers", "jeans", "shorts", "leggings", "skirt", "vest"):
        return 0.0
    if kind in ("t-shirt", "polo"):
        if rng.random() < (0.2 if woman else 0.04):
            return 0.02
        return 1.0 if rng.random() < 0.12 else _share(rng, 0.29, 0.05)
    if kind in ("dress", "blouse"):
        return float((0.02, 0.28, 0.6, 1.0)[int(rng.choice(4, p=(0.25, 0.35, 0.12, 0.28)))])
    if kind == "shirt":
        return float((0.3, 0.55, 1.0)[int(rng.choice(3, p=(0.25, 0.15, 0.6)))])
    return 0.72 if rng.random() < 0.08 else 1.0


def _casual(rng: np.random.Generator, who: Look, season: str) -> tuple[Garment, ...]:
    bright = 0.5 if who.age < 13 else {"summer": 0.5, "mild": 0.2, "winter": 0.12}[season]
    vivid = rng.uniform(1.3, 2.2) if rng.random() < bright else 1.0
    upper = palette.SUMMER if season == "summer" else palette.TOP
    kind = pick(rng, _LEGS[season, who.woman])
    if who.age > 62 and kind in ("shorts", "leggings") and rng.random() < 0.75:
        kind = "trousers"
    worn: list[Garment] = []
    if kind == "dress":
        if season != "summer":
            worn.append(_stockings(rng))
        dress = sewn(rng, "dress", colour(rng, palette.SKIRT, vivid), woman=True, vivid=vivid)
        worn.append(replace(dress, sleeve=1.0) if season == "winter" else dress)
    else:
        legs = sewn(rng, kind, legs_colour(rng, kind), woman=who.woman)
        if kind == "skirt" and season == "winter":
            worn.append(_stockings(rng))
        worn.append(legs)
        top = pick(rng, _TOPS[season, who.woman])
        worn.append(sewn(rng, top, colour(rng, upper, vivid), woman=who.woman, vivid=vivid))
        if season == "summer" and top == "shirt" and rng.random() < 0.5:
            worn[-1] = replace(worn[-1], sleeve=0.3)
    return (*worn, *_over(rng, who, season, worn[-1], vivid))


def _stockings(rng: np.random.Generator) -> Garment:
    return replace(
        sewn(rng, "leggings", colour(rng, {"black": 80, "anthracite": 12, "brown": 8}), "plain"), length=1.0
    )


def _over(
    rng: np.random.Generator, who: Look, season: str, below: Garment, vivid: float = 1.0
) -> tuple[Garment, ...]:
    """What is worn over a top: a jacket, or a shirt that is not buttoned."""
    share = {"summer": 0.05, "mild": 0.5, "winter": 0.93}[season]
    if season != "winter" and below.kind == "t-shirt" and rng.random() < 0.08:
        shirt = sewn(rng, "shirt", colour(rng, palette.TOP), woman=who.woman)
        return (replace(shirt, open=True),)
    if rng.random() >= share:
        return ()
    kind = pick(rng, _OUTER[season if season == "winter" else "mild", who.woman])
    if kind == "hoodie" and below.kind == "hoodie":
        kind = "jacket"
    outer = worn_open(rng, sewn(rng, kind, colour(rng, palette.OUTER, vivid), woman=who.woman))
    return (outer,)


def _business(rng: np.random.Generator, who: Look, season: str) -> tuple[Garment, ...]:
    dark = colour(rng, palette.FORMAL)
    kind = pick(rng, {"trousers": 58, "skirt": 26, "dress": 16} if who.woman else {"trousers": 100})
    cloth = pick(rng, {"plain": 74, "pinstripe": 9, "windowpane": 7, "melange": 10})
    if kind == "dress":
        worn = [replace(sewn(rng, "dress", dark, cloth, woman=True), length=_share(rng, 0.3, 0.06))]
    else:
        legs = sewn(rng, kind, dark, cloth if kind == "trousers" else "plain", woman=who.woman)
        if kind == "skirt":
            legs = replace(legs, length=_share(rng, 0.36, 0.05), looseness=0.1)
        top = "blouse" if who.woman and rng.random() < 0.6 else "shirt"
        plain = pick(rng, {"plain": 70, "pinstripe": 16, "gingham": 6, "windowpane": 8})
        worn = [legs, replace(sewn(rng, top, colour(rng, palette.LIGHT), plain, woman=who.woman), sleeve=1.0)]
    if season == "summer" and rng.random() < 0.6:
        return (*worn[:-1], replace(worn[-1], sleeve=float(rng.choice([0.3, 0.55, 1.0]))))
    suit = rng.random() < 0.6
    jacket = sewn(rng, "blazer", dark if suit else colour(rng, palette.FORMAL), cloth if suit else None)
    worn.append(worn_open(rng, jacket))
    if season == "winter" and rng.random() < 0.75:
        over = sewn(rng, pick(rng, {"coat": 80, "puffer": 20}), colour(rng, palette.FORMAL), woman=who.woman)
        worn.append(worn_open(rng, over))
    return tuple(worn)


def _sport(rng: np.random.Generator, who: Look, season: str) -> tuple[Garment, ...]:
    choice = (
        {"leggings": 58, "shorts": 26, "trousers": 16}
        if who.woman
        else {"shorts": 55, "trousers": 40, "leggings": 5}
    )
    if season == "winter":
        choice = {"leggings": 60, "trousers": 40} if who.woman else {"trousers": 85, "leggings": 15}
    kind = pick(rng, choice)
    legs = sewn(
        rng, kind, colour(rng, palette.SPORT), "plain" if rng.random() < 0.85 else "melange", woman=who.woman
    )
    cloth = pick(rng, {"plain": 34, "logo": 22, "lettering": 16, "yoke": 18, "stripes": 6, "melange": 4})
    shirt = sewn(rng, "t-shirt", colour(rng, palette.SPORT, _VIVID), cloth, woman=who.woman, vivid=_VIVID)
    worn = [legs, shirt]
    if rng.random() < {"summer": 0.08, "mild": 0.55, "winter": 0.9}[season]:
        # A track suit has its jacket from the same cloth.
        same = legs.colours[0] if rng.random() < 0.45 else colour(rng, palette.SPORT)
        over = pick(rng, {"jacket": 60, "hoodie": 34, "vest": 6})
        cloth = pick(rng, {"plain": 36, "yoke": 36, "logo": 28}) if over != "vest" else "quilted"
        worn.append(worn_open(rng, sewn(rng, over, same, cloth, woman=who.woman)))
    return tuple(worn)


def _school(rng: np.random.Generator, who: Look, season: str) -> tuple[Garment, ...]:
    """One school's clothes: few choices, which many wear."""
    dark = palette.GROUPS[pick(rng, {"navy": 60, "anthracite": 20, "burgundy": 8, "green": 12})][0]
    if rng.random() < 0.45:  # the track suit of East Asian schools
        white = palette.GROUPS["white"][0]
        top = replace(sewn(rng, "jacket", dark, "yoke"), colours=(dark, white))
        shirt = sewn(rng, "polo", white, "plain")
        legs = replace(sewn(rng, "trousers", dark, "plain"), looseness=0.6)
        return (legs, shirt) if season == "summer" else (legs, shirt, worn_open(rng, top))
    kind = "skirt" if who.woman and rng.random() < 0.7 else "trousers"
    legs = sewn(rng, kind, dark, pick(rng, {"plain": 65, "tartan": 35}) if kind == "skirt" else "plain")
    legs = replace(legs, length=_share(rng, 0.3, 0.05)) if kind == "skirt" else legs
    shirt = sewn(rng, pick(rng, {"shirt": 60, "polo": 40}), palette.GROUPS["white"][1], "plain")
    if season == "summer":
        return legs, replace(shirt, sleeve=0.3)
    over = sewn(rng, pick(rng, {"sweater": 45, "blazer": 40, "vest": 15}), dark, "plain")
    return legs, shirt, worn_open(rng, over)


def _service(rng: np.random.Generator, who: Look, season: str) -> tuple[Garment, ...]:
    job = pick(rng, {"site": 28, "guard": 28, "courier": 24, "ward": 20})
    warm = season == "winter"
    if job == "ward":
        shade = colour(rng, {"teal": 30, "blue": 34, "white": 26, "navy": 10})
        top = replace(sewn(rng, "t-shirt", shade, "plain"), sleeve=0.32, looseness=0.7)
        return sewn(rng, "trousers", shade, "plain"), top
    legs = sewn(
        rng, "trousers", colour(rng, {"black": 40, "navy": 34, "anthracite": 16, "khaki": 10}), "plain"
    )
    if job == "guard":
        shirt = sewn(
            rng, "shirt", colour(rng, {"white": 34, "blue": 30, "black": 24, "navy": 12}), "back-print"
        )
        if not warm:
            return legs, shirt
        return legs, shirt, sewn(rng, "jacket", colour(rng, {"black": 60, "navy": 40}), "back-print")
    if job == "courier":
        firm = colour(rng, palette.FIRM, _VIVID)
        kind = (
            "jacket"
            if rng.random() < {"summer": 0.0, "mild": 0.5, "winter": 1.0}[season]
            else pick(rng, {"polo": 60, "t-shirt": 40})
        )
        top = sewn(rng, kind, firm, pick(rng, {"back-print": 65, "yoke": 35}))
        shirt = sewn(rng, "t-shirt", colour(rng, palette.TOP), "plain")
        return (legs, shirt, top) if kind == "jacket" else (legs, top)
    bright, band = _hi_vis(rng)
    below = sewn(rng, pick(rng, {"jacket": 55, "hoodie": 45} if warm else {"t-shirt": 60, "hoodie": 25, "shirt": 15}),
                 colour(rng, palette.TOP), "plain")  # fmt: skip
    if warm and rng.random() < 0.4:
        return legs, below, replace(sewn(rng, "jacket", bright, "plain"), colours=band, pattern="hi-vis")
    if rng.random() < 0.3:
        legs = replace(legs, colours=band, pattern="hi-vis")
    vest = replace(
        sewn(rng, "vest", bright, "plain"), colours=band, pattern="hi-vis", open=bool(rng.random() < 0.3)
    )
    return legs, below, vest


def _hi_vis(rng: np.random.Generator) -> tuple[Colour, tuple[Colour, ...]]:
    bright: Colour = (202, 214, 70) if rng.random() < 0.6 else (232, 112, 52)
    bright = palette.jittered(rng, bright)
    silver: Colour = (188, 190, 188)
    return bright, (bright, silver) if rng.random() < 0.6 else (bright, silver, (232, 112, 52))


def _traditional(rng: np.random.Generator, who: Look, season: str) -> tuple[Garment, ...]:
    """Long clothes of the south: robes, kurtas, printed dresses."""
    legs = sewn(rng, "trousers", colour(rng, {"white": 45, "beige": 20, "black": 20, "navy": 15}), "plain")
    wide = _share(rng, 0.65, 0.15)
    if who.woman:
        style = pick(rng, {"abaya": 36, "tunic": 34, "wax": 30})
        if style == "abaya":
            shade = colour(rng, {"black": 62, "navy": 14, "grey": 10, "brown": 6, "beige": 8})
            return legs, replace(sewn(rng, "dress", shade, "plain"), length=0.97, looseness=wide, sleeve=1.0)
        shade = colour(rng, palette.SKIRT, _VIVID)
        cloth = pick(rng, {"wax": 26, "floral": 30, "print": 10, "plain": 34})
        length = _share(rng, 0.35, 0.08) if style == "tunic" else _share(rng, 0.9, 0.06)
        dress = replace(
            sewn(rng, "dress", shade, cloth, vivid=_VIVID),
            length=length,
            sleeve=float(rng.choice([0.4, 1.0])),
        )
        return (legs, dress) if style == "tunic" else (dress,)
    style = pick(rng, {"robe": 40, "kurta": 42, "shirt": 18})
    if style == "shirt":
        top = sewn(rng, "shirt", colour(rng, palette.SKIRT, _VIVID), "wax", vivid=_VIVID)
        return legs, replace(top, sleeve=0.35, looseness=0.8)
    shade = colour(rng, {"white": 52, "beige": 16, "grey": 12, "blue": 8, "navy": 6, "black": 6})
    length = 0.93 if style == "robe" else _share(rng, 0.3, 0.06)
    robe = replace(sewn(rng, "dress", shade, "plain"), length=length, looseness=wide, sleeve=1.0)
    over = () if rng.random() < 0.7 or season == "summer" else _over(rng, who, season, robe)
    return (legs, robe, *over)
