"""Lengths of wall, a few metres each, with what hangs on them or opens in them. Their front faces -y."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from search.crowd.mesh import quad
from search.crowd.scenery.hand import GAY, METALS, Hand


def wall(hand: Hand) -> None:
    """One length of wall in the thing's style."""
    WALLS[hand.thing.style](hand)


def _base(hand: Hand, cover: str, group: str = "") -> float:
    """The bare wall; where its front is."""
    y = -hand.depth / 2
    hand.sheet(cover, -hand.width / 2, hand.width / 2, 0, hand.height, y, group, hand.number(8) / 4)
    return y


def _foot(hand: Hand, y: float) -> None:
    if hand.chance(0.5):
        hand.box((hand.width, 0.06, 0.35), (0, y, 0), hand.one(METALS))


def _plain(cover: str) -> Callable[[Hand], None]:
    def make(hand: Hand) -> None:
        y = _base(hand, cover)
        if hand.chance(0.3):
            left = hand.rng.uniform(-0.4, 0.2) * hand.width
            hand.show("poster", left, left + 0.9, 1.0, 2.2, y - 0.02, sheets=2)
        if hand.chance(0.25):
            hand.box(
                (0.1, 0.1, hand.height),
                (hand.rng.uniform(-0.5, 0.5) * hand.width, y - 0.05, 0),
                hand.one(METALS),
            )

    return make


def _house(hand: Hand) -> None:
    """Each length is another house: ground floor with doors and windows, storeys of windows above."""
    covers = ("brick", "plaster", "stone", "plaster", "concrete")
    group = str(hand.number(3))
    cover = covers[(hand.stage.salt + int(group)) % len(covers)]
    y = -hand.depth / 2
    low = min(3.2, hand.height)
    hand.sheet(cover, -hand.width / 2, hand.width / 2, 0, low, y, group)
    if hand.height > low:
        hand.sheet("windows", -hand.width / 2, hand.width / 2, low, hand.height, y, group)
    _foot(hand, y - 0.02)
    x = -hand.width / 2 + 0.4
    while x < hand.width / 2 - 1.2:
        if hand.chance(0.3):
            hand.show("door", x, x + 1.0, 0, 2.15, y - 0.03)
        elif hand.chance(0.8):
            hand.show("window", x, x + 1.2, 0.95, 2.4, y - 0.03, gloss=0.1)
        x += hand.rng.uniform(1.5, 2.4)


def _shops(hand: Hand) -> None:
    """A shop: windows and a door under a board with its name."""
    group = str(hand.number(3))
    y = -hand.depth / 2
    top = min(3.1, hand.height - 0.3)
    colour = hand.one((*METALS, *GAY[:3], (196, 190, 178)))
    hand.sheet("plaster", -hand.width / 2, hand.width / 2, 0, 3.6, y, group)
    if hand.height > 3.6:
        hand.sheet("windows", -hand.width / 2, hand.width / 2, 3.6, hand.height, y, group)
    hand.box((hand.width - 0.1, 0.08, top), (0, y, 0), colour)
    glow = 0.35 if hand.chance(0.4) else 0.05
    front, x = y - 0.06, -hand.width / 2 + 0.2
    door = hand.rng.uniform(x, hand.width / 2 - 1.4)
    while x < hand.width / 2 - 0.9:
        wide = min(hand.rng.uniform(1.6, 2.8), hand.width / 2 - 0.2 - x)
        if x <= door < x + wide:
            hand.show("glass-door", x, x + 1.1, 0.02, 2.3, front, gloss=0.2)
            x += 1.2
        else:
            hand.show("shop", x, x + wide, hand.rng.choice([0.05, 0.45]), 2.45, front, glow=glow, sheets=2)
            x += wide + 0.1
    hand.show("sign", -0.4 * hand.width, 0.4 * hand.width, 2.55, top - 0.05, front, glow=glow, sheets=2)
    if hand.chance(0.3):
        _awning(hand, y, top)


def _awning(hand: Hand, y: float, top: float) -> None:
    roof = quad((-hand.width / 2, y - 1.3, top - 0.6), (hand.width, 0, 0), (0, 1.3, 0.5))
    hand.paint(roof, hand.one(GAY))


def _entrance(hand: Hand) -> None:
    """Glass doors and dark panes in a front of stone or metal."""
    y = _base(hand, ("stone", "panels", "curtain")[hand.stage.salt % 3])
    x = -hand.width / 2 + 0.3
    while x < hand.width / 2 - 1.3:
        if hand.chance(0.65):
            hand.show("glass-door", x, x + 1.5, 0.02, 2.4, y - 0.03, gloss=0.3, sheets=2)
        else:
            hand.show("window", x, x + 1.5, 0.1, 2.4, y - 0.03, gloss=0.3)
        x += 1.6
    if hand.chance(0.5):
        hand.box((hand.width, 0.9, 0.18), (0, y - 0.4, 2.6), hand.one(METALS))


def _office(hand: Hand) -> None:
    """A corridor's wall: doors, boards, a rail."""
    y = _base(hand, "plaster", "office")
    if hand.stage.salt % 3 == 0:
        hand.box((hand.width, 0.02, 1.1), (0, y - 0.01, 0), hand.stage.accent)
    if hand.stage.salt % 4 < 2:
        hand.box((hand.width, 0.05, 0.12), (0, y - 0.05, 0.85), METALS[hand.stage.salt % len(METALS)])
    hand.box((hand.width, 0.03, 0.1), (0, y - 0.02, 0), METALS[2])
    x = -hand.width / 2 + 0.2
    while x < hand.width / 2 - 1.0:
        if hand.chance(0.5):
            hand.show("door", x, x + 0.95, 0.0, 2.1, y - 0.04, which=hand.stage.salt)
        elif hand.chance(0.35):
            hand.show("notice", x, x + 1.2, 1.0, 1.9, y - 0.04)
        elif hand.chance(0.3):
            hand.show("poster", x, x + 0.7, 1.1, 2.0, y - 0.04)
        elif hand.chance(0.3):
            hand.show("window", x, x + 1.3, 0.9, 2.2, y - 0.04, gloss=0.2)
        x += hand.rng.uniform(1.4, 2.6)


def _station(hand: Hand) -> None:
    """Tiles with a band of colour and large posters."""
    y = _base(hand, "wall-tiles")
    hand.box((hand.width, 0.02, 0.35), (0, y - 0.01, 2.3), hand.stage.accent, 0.1)
    if hand.chance(0.6):
        wide = min(2.4, 0.7 * hand.width)
        hand.show("poster", -wide / 2, wide / 2, 0.6, 2.1, y - 0.03, glow=0.25, sheets=3)
    elif hand.chance(0.4):
        hand.show("sign", -1.1, 1.1, 1.5, 2.1, y - 0.03)


def _shutters(hand: Hand) -> None:
    y = _base(hand, ("brick", "concrete", "panels")[hand.stage.salt % 3])
    wide = min(3.0, hand.width - 0.6)
    hand.sheet("shutter", -wide / 2, wide / 2, 0, 2.6, y - 0.03, str(hand.number(2)))
    hand.box((0.3, 0.25, 0.4), (wide / 2 + 0.2, y - 0.1, 1.4), hand.one(METALS))


def _booths(hand: Hand) -> None:
    """A fair's stands or an airport's desks: panels of colour with large pictures."""
    y = -hand.depth / 2
    hand.sheet("panels", -hand.width / 2, hand.width / 2, 2.6, max(hand.height, 2.7), y, "up")
    hand.box((hand.width, 0.05, 2.6), (0, y, 0), hand.one(GAY))
    hand.show("poster", -0.42 * hand.width, 0.1 * hand.width, 0.5, 2.3, y - 0.04, glow=0.2, sheets=3)
    if hand.chance(0.6):
        hand.show("sign", -0.4 * hand.width, 0.4 * hand.width, 2.35, 2.9, y - 0.06, glow=0.3, sheets=2)
    if hand.chance(0.5):
        hand.box(
            (0.3 * hand.width, 0.5, 1.05), (0.28 * hand.width, y - 0.4, 0), hand.one((*GAY, *METALS)), 0.1
        )


def _glass(hand: Hand) -> None:
    y = _base(hand, "curtain")
    if hand.chance(0.35):
        hand.show("glass-door", -0.8, 0.8, 0.02, 2.4, y - 0.03, gloss=0.3)


WALLS: Mapping[str, Callable[[Hand], None]] = {
    "brick": _plain("brick"),
    "plaster": _plain("plaster"),
    "concrete": _plain("concrete"),
    "stone": _plain("stone"),
    "panels": _plain("panels"),
    "wall-tiles": _plain("wall-tiles"),
    "boards": _plain("boards"),
    "house": _house,
    "shops": _shops,
    "entrance": _entrance,
    "office": _office,
    "station": _station,
    "shutters": _shutters,
    "booths": _booths,
    "glass": _glass,
}
