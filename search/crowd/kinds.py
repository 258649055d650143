"""Kinds of place: streets, parks, shops, stations and more, each laid out at random in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from search.crowd.places import Layout, Plan, Span


@dataclass(frozen=True)
class Kind:
    """A kind of place.

    Attributes:
        build: fills a layout.
        indoor: under a roof.
        half: range of half the band's width, metres.
        turn: range of the angle between the band and the picture's horizontal, degrees.
        share: how common it is.
    """

    build: Callable[[Layout], None]
    indoor: bool
    half: Span
    turn: Span
    share: float = 1.0


def plan(kind: str, rng: np.random.Generator, middle: tuple[float, float], lens: float) -> Plan:
    """Lay a place out around where a camera looks.

    Args:
        kind: a key of `KINDS`.
        rng: where it is drawn from.
        middle: the world's (x, y) that the camera's axis meets the ground at; the camera is at (0, 0).
        lens: its height, metres.
    """
    sort = KINDS[kind]
    turn = np.radians(rng.uniform(*sort.turn)) * rng.choice([-1, 1])
    layout = Layout(rng, float(turn), middle, lens, float(rng.uniform(*sort.half)))
    sort.build(layout)
    return layout.plan(kind, indoor=sort.indoor)


def _campus(at: Layout) -> None:
    at.ground(at.pick("paving", "slabs", "pavers"), -60, edge := at.half + 1.9)
    at.ground("grass", edge, 60)
    at.row("bike", at.half + 0.9, (0.6, 1.7, 1.05), (0.05, 0.8), wobble=0.5)
    at.row("hedge", at.half + 2.3, (4.0, 0.8, at.uniform(0.7, 1.3)), (0.0, 3.0))
    at.row("tree", at.half + 4.5, (0.4, 0.4, 6.0), (3.0, 7.0), wobble=1.5)
    at.row("lamp", at.half + 1.9, (0.2, 0.2, 4.5), (9.0, 15.0))
    if at.chance(0.5):
        at.row("rail", at.half + 0.0, (3.0, 0.1, 0.95), (0.5, 5.0))
    if at.chance(0.5):
        at.row("car", -at.half - 1.2, (4.3, 1.75, 1.45), (1.0, 9.0))
    at.far_wall(at.half + at.uniform(7, 14), 9.0, at.pick("house", "glass", "entrance"))
    at.backdrop = "trees"


def _street(at: Layout) -> None:
    """A pavement along houses or shops, a road on the camera's side."""
    at.ground(at.pick("asphalt", "asphalt", "cobbles"), -60, -at.half - 0.15)
    at.ground("stone", -at.half - 0.15, -at.half, 0.02)
    at.ground(at.pick("paving", "slabs", "pavers", "asphalt"), -at.half, at.half + 0.4)
    at.far_wall(at.half + 0.4, at.uniform(6, 12), at.pick("shops", "shops", "house"))
    kerb = -at.half + 0.25
    at.row("lamp", kerb, (0.2, 0.2, 5.0), (8.0, 16.0))
    kind = at.pick("tree", "bollard", "none", "bike", "sign")
    if kind == "tree":
        at.row("tree", kerb, (0.35, 0.35, 6.0), (5.0, 9.0))
    elif kind == "bollard":
        at.row("bollard", kerb, (0.15, 0.15, 0.9), (1.2, 2.5))
    elif kind == "bike":
        at.row("bike", kerb + 0.3, (0.6, 1.7, 1.05), (0.3, 4.0), turn=0.6, wobble=0.4)
    elif kind == "sign":
        at.row("sign", kerb, (0.1, 0.1, 2.6), (7.0, 14.0))
    at.row("bin", at.half - 0.1, (0.5, 0.5, 1.0), (6.0, 14.0))
    at.row("board", at.half - 0.1, (0.7, 0.1, 1.1), (7.0, 16.0), wobble=0.3)
    at.row("bike", at.half - 0.4, (1.7, 0.6, 1.05), (4.0, 14.0), wobble=0.3)
    if at.chance(0.7):
        at.row("car", -at.half - 1.3, (4.3, 1.75, 1.45), (0.8, 8.0))
    at.row("line", -at.half - 3.6, (3.0, 0.12, 0), (3.0, 3.0), mark=True, solid=False)
    at.backdrop = "town"


def _crossing(at: Layout) -> None:
    """People cross a road; houses behind."""
    at.ground("asphalt", -60, at.half + 0.3)
    at.ground(at.pick("paving", "slabs"), at.half + 0.3, 60, 0.02)
    at.put("zebra", 0, 0, (at.uniform(8, 14), 2 * at.half * 0.85, 0), mark=True, solid=False)
    at.row("line", -at.half - 1.0, (3.0, 0.15, 0), (2.0, 3.0), mark=True, solid=False)
    at.row("cover", at.uniform(-1, 1), (0.7, 0.7, 0), (5.0, 15.0), mark=True, solid=False, wobble=2.0)
    at.row("lights", at.half + 0.6, (0.3, 0.3, 3.2), (6.0, 12.0))
    at.row("sign", at.half + 0.7, (0.1, 0.1, 2.6), (5.0, 14.0))
    at.row("railing", at.half + 0.9, (2.0, 0.1, 1.0), (0.1, 6.0))
    at.row("car", at.half + 2.4, (4.3, 1.75, 1.45), (1.0, 10.0))
    if at.chance(0.6):
        at.row("car", -at.half - 2.2, (4.4, 1.8, 1.9), (3.0, 14.0))
    at.far_wall(at.half + at.uniform(5, 9), at.uniform(7, 12), at.pick("shops", "house"))
    at.backdrop = "town"


def _park(at: Layout) -> None:
    at.ground("grass", -60, -at.half)
    at.ground(at.pick("gravel", "asphalt", "dirt", "pavers"), -at.half, at.half + 0.3)
    at.ground("grass", at.half + 0.3, 60)
    at.row("bench", at.half + 0.7, (1.7, 0.55, 0.85), (4.0, 10.0))
    at.row("bin", at.half + 0.6, (0.45, 0.45, 0.9), (7.0, 15.0))
    at.row("bush", at.half + 2.5, (1.6, 1.4, 1.2), (0.5, 4.0), wobble=1.5)
    at.row("tree", at.half + 4, (0.45, 0.45, 6.5), (2.0, 5.0), wobble=3.0)
    at.row("tree", at.half + 9, (0.45, 0.45, 7.5), (1.0, 4.0), wobble=4.0)
    at.row("tree", -at.half - 2, (0.45, 0.45, 6.5), (4.0, 9.0), wobble=2.0)
    at.row("bush", -at.half - 1, (1.4, 1.2, 0.9), (3.0, 9.0), wobble=1.5)
    if at.chance(0.4):
        at.row("fence", at.half + 1.4, (2.5, 0.1, 1.2), (0.0, 0.1), wobble=0.0)
    at.backdrop = "trees"


def _car_park(at: Layout) -> None:
    at.ground(at.pick("asphalt", "concrete", "pavers"), -60, 60)
    for t in (at.half + 2.4, -at.half - 2.6):
        at.row("car", t, (4.3, 1.75, 1.45), (0.6, 3.2), turn=np.pi / 2)
        at.row("line", t, (0.12, 4.8, 0), (2.6, 2.6), wobble=0.0, mark=True, solid=False)
    at.row("car", at.half + 9, (4.3, 1.75, at.pick_number(1.45, 1.9)), (0.6, 2.5), turn=np.pi / 2)
    at.row("lamp", at.half + 5.5, (0.2, 0.2, 5.5), (8.0, 16.0))
    at.row("trolley", at.half + 0.0, (1.0, 0.6, 1.05), (5.0, 14.0), wobble=0.6)
    at.row("stain", 0, (1.2, 0.9, 0), (4.0, 12.0), wobble=4.0, mark=True, solid=False)
    at.far_wall(at.half + 14, at.uniform(3, 8), at.pick("panels", "house", "boards", "shops"))
    at.backdrop = at.pick("trees", "town")


def _garage(at: Layout) -> None:
    at.ground("concrete", -60, 60)
    for t in (at.half + 2.6, -at.half - 2.6):
        at.row("car", t, (4.3, 1.75, 1.45), (0.6, 3.5), turn=np.pi / 2)
        at.row("yellow", t, (0.12, 4.8, 0), (2.6, 2.6), wobble=0.0, mark=True, solid=False)
    at.row("pillar", at.half + 0.6, (0.5, 0.5, 4.6), (5.0, 5.4), wobble=0.0)
    at.row("stain", 0, (1.2, 0.9, 0), (4.0, 12.0), wobble=4.0, mark=True, solid=False)
    at.far_wall(at.half + 5.6, 4.6, "concrete")
    at.near_wall(4.6, "concrete")
    at.ends(4.6, at.pick("concrete", "entrance"))
    at.roof(2.6)


def _homes(at: Layout) -> None:
    """Between houses: doors, bins, fences, bikes."""
    at.ground(at.pick("asphalt", "grass", "pavers"), -60, -at.half)
    at.ground(at.pick("pavers", "concrete", "asphalt", "slabs"), -at.half, at.half + 60)
    if at.chance(0.5):
        at.far_wall(at.half + 0.5, at.uniform(6, 10), "house")
    else:
        at.row(
            at.pick("fence", "hedge", "block"),
            at.half + 0.6,
            (3.0, 0.5, at.uniform(1.0, 1.6)),
            (0.0, 1.5),
            wobble=0.0,
        )
        at.far_wall(at.half + at.uniform(3, 6), at.uniform(6, 10), at.pick("house", "shutters"))
        at.row("bush", at.half + 2, (1.6, 1.4, 1.4), (1.0, 5.0), wobble=1.0)
    at.row("bin", at.half - 0.1, (0.6, 0.7, 1.1), (1.0, 9.0), wobble=0.2)
    at.row("bike", at.half - 0.3, (1.7, 0.6, 1.05), (3.0, 12.0), wobble=0.3)
    at.row("planter", at.half - 0.2, (0.9, 0.5, 1.0), (4.0, 12.0), wobble=0.2)
    at.row("car", -at.half - 1.4, (4.3, 1.75, 1.45), (1.0, 9.0))
    at.row("crates", at.half - 0.1, (0.6, 0.5, 0.9), (6.0, 18.0))
    at.backdrop = at.pick("trees", "town")


def _promenade(at: Layout) -> None:
    """Along water or a bridge's parapet."""
    at.ground(at.pick("planks", "slabs", "paving", "cobbles"), -60, at.half + 0.5)
    at.ground("water", at.half + 0.5, 60, -0.3)
    at.row("railing", at.half + 0.45, (4.0, 0.1, 1.0), (0.0, 0.02), wobble=0.0)
    at.row("lamp", at.half + 0.2, (0.2, 0.2, 4.5), (6.0, 12.0))
    at.row("bench", at.half - 0.2, (1.8, 0.55, 0.85), (3.0, 9.0), turn=np.pi)
    at.row("planter", at.half - 0.2, (1.2, 0.6, 1.1), (5.0, 14.0))
    at.row("parasol", -at.half - 1.0, (2.4, 2.4, 2.4), (2.0, 7.0), wobble=0.8)
    at.backdrop = at.pick("water", "town")


def _underpass(at: Layout) -> None:
    at.ground(at.pick("concrete", "tiles", "asphalt", "slabs"), -60, 60)
    style = at.pick("concrete", "wall-tiles", "station", "brick")
    at.far_wall(at.half + 0.2, 5.0, style)
    at.near_wall(5.0, style)
    at.ends(5.0, at.pick("concrete", "station", "stone"))
    at.row("rail", at.half, (3.0, 0.1, 0.95), (0.0, 0.5), wobble=0.0)
    at.row("yellow", at.half - 0.4, (3.0, 0.35, 0), (0.0, 0.01), wobble=0.0, mark=True, solid=False)
    at.row("bin", at.half - 0.2, (0.45, 0.45, 0.9), (8.0, 18.0))
    at.roof(2.7)


def _mall(at: Layout) -> None:
    at.ground(at.pick("tiles", "terrazzo", "tiles", "planks"), -60, 60)
    at.far_wall(at.half + 0.3, 5.2, "shops")
    at.near_wall(5.2, "shops")
    at.ends(5.2, at.pick("shops", "glass", "entrance"))
    at.row("pillar", at.half - 0.3, (0.6, 0.6, 5.2), (6.0, 9.0))
    at.row("pot", at.half - 0.2, (0.7, 0.7, 1.5), (4.0, 10.0))
    at.row("bench", at.uniform(-0.3, 0.3) * at.half, (1.8, 0.55, 0.85), (7.0, 14.0), turn=at.uniform(0, 3))
    at.row("board", at.half - 0.6, (0.9, 0.15, 1.8), (6.0, 12.0), wobble=0.5)
    at.row("kiosk", -at.half - 0.4, (2.4, 1.4, 2.5), (6.0, 14.0), wobble=0.4)
    at.row("bin", at.half - 0.3, (0.45, 0.45, 0.9), (8.0, 16.0))
    at.roof(3.4)


def _market(at: Layout) -> None:
    """Between the shelves of a shop."""
    at.ground(at.pick("tiles", "terrazzo", "planks", "carpet"), -60, 60)
    tall = at.uniform(1.5, 2.2)
    t = at.half + 0.5
    for _ in range(2):
        at.row("shelf", t, (2.4, 0.7, tall), (0.0, 0.8), wobble=0.0)
        t += 2 * at.half + 1.2
    at.far_wall(t + 0.6, 4.2, at.pick("plaster", "shops", "panels"))
    at.row("shelf", -at.half - 0.5, (2.4, 0.7, tall), (0.0, 0.8), wobble=0.0)
    at.near_wall(4.2, at.pick("plaster", "shops"))
    at.ends(4.2, at.pick("shops", "plaster", "booths"), (6.0, 16.0))
    at.row("crates", at.half - 0.1, (0.7, 0.5, 0.9), (4.0, 12.0))
    at.row("trolley", -at.half + 0.2, (1.0, 0.6, 1.05), (6.0, 16.0), wobble=0.4)
    at.row("board", at.half - 0.1, (0.6, 0.1, 1.3), (6.0, 14.0))
    at.roof(3.2)


def _station(at: Layout) -> None:
    """A platform, a train or posters beyond it."""
    at.ground(at.pick("tiles", "concrete", "slabs", "terrazzo"), -60, at.half + 0.5)
    at.ground("gravel", at.half + 0.5, 60, -0.4)
    at.row("yellow", at.half - 0.1, (3.0, 0.4, 0), (0.0, 0.01), wobble=0.0, mark=True, solid=False)
    if at.chance(0.55):
        at.put("train", 0, at.half + 2.0, (50.0, 2.6, 3.3))
    at.far_wall(at.half + 4.6, 5.0, "station")
    at.near_wall(5.0, "station")
    at.ends(5.0, at.pick("station", "concrete"), (14.0, 25.0))
    at.row("pillar", at.half - 1.2, (0.5, 0.5, 5.0), (5.0, 8.0), wobble=0.0)
    at.row("bench", -at.half + 0.2, (1.8, 0.55, 0.85), (2.0, 8.0), turn=np.pi)
    at.row("machine", -at.half - 0.2, (1.0, 0.8, 1.9), (6.0, 14.0), turn=np.pi)
    at.row("bin", -at.half + 0.2, (0.45, 0.45, 0.9), (6.0, 14.0))
    at.roof(3.4)


def _lobby(at: Layout) -> None:
    """Before or behind the doors of a large building."""
    at.ground(at.pick("stone", "slabs", "tiles", "concrete"), -60, 60)
    at.put("rug", 0, at.half - 0.6, (at.uniform(2, 5), 1.4, 0), "carpet", mark=True, solid=False)
    at.far_wall(at.half + 0.5, at.uniform(4.5, 8), at.pick("entrance", "entrance", "glass"))
    at.row("pillar", at.half - 0.6, (0.7, 0.7, 6.0), (4.0, 8.0), wobble=0.0)
    at.row("pot", at.half - 0.2, (0.8, 0.8, 1.4), (3.0, 9.0))
    at.row("rail", at.half - 1.0, (2.4, 0.1, 0.95), (4.0, 10.0))
    at.row("board", at.half - 0.5, (0.7, 0.1, 1.3), (8.0, 16.0), wobble=0.4)
    at.row("bin", at.half - 0.1, (0.45, 0.45, 0.9), (8.0, 14.0))
    at.backdrop = "town"


def _corridor(at: Layout) -> None:
    at.ground(at.pick("carpet", "tiles", "terrazzo", "planks"), -60, 60)
    at.far_wall(at.half + 0.2, 4.4, "office")
    at.near_wall(4.4, "office")
    at.ends(4.4, at.pick("office", "entrance", "glass"), (7.0, 22.0))
    at.row("pot", at.half - 0.1, (0.5, 0.5, 1.3), (6.0, 14.0))
    at.row(at.pick("bench", "machine", "crates", "counter"), at.half - 0.2, (1.4, 0.5, 1.0), (7.0, 18.0))
    at.roof(2.7)


def _hall(at: Layout) -> None:
    """A fair or an airport."""
    at.ground(at.pick("carpet", "terrazzo", "tiles", "concrete"), -60, 60)
    at.far_wall(at.half + at.uniform(0.5, 3), 6.0, at.pick("booths", "booths", "glass"))
    at.near_wall(6.0, at.pick("booths", "plaster"))
    at.ends(6.0, at.pick("glass", "booths", "plaster"), (12.0, 25.0))
    at.row("belt", at.half - 0.3, (1.8, 0.1, 0.95), (0.2, 5.0), wobble=0.4)
    at.row("counter", at.half + 0.3, (2.0, 0.7, 1.1), (2.0, 7.0), wobble=0.2)
    at.row("board", at.uniform(-0.5, 0.8) * at.half, (0.8, 0.15, 2.0), (6.0, 12.0), wobble=0.8)
    at.row("pot", at.half - 0.4, (0.7, 0.7, 1.5), (5.0, 12.0))
    at.row("pillar", -at.half, (0.8, 0.8, 6.0), (7.0, 11.0))
    at.roof(4.4)


def _cafe(at: Layout) -> None:
    """Tables in front of houses, or of a hall's shops."""
    at.ground(at.pick("cobbles", "slabs", "pavers", "planks"), -60, 60)
    at.far_wall(at.half + 3.0, at.uniform(6, 11), "shops")
    at.row(at.pick("parasol", "table"), at.half + 1.4, (2.4, 2.4, 2.4), (0.3, 3.0), wobble=0.8)
    at.row("planter", at.half + 0.1, (1.3, 0.5, 1.0), (0.5, 5.0), wobble=0.2)
    at.row("board", at.half - 0.2, (0.7, 0.1, 1.1), (5.0, 12.0), wobble=0.3)
    at.row("table", -at.half - 0.8, (1.8, 0.9, 0.9), (2.0, 7.0), wobble=0.6)
    at.row("bollard", -at.half - 0.2, (0.15, 0.15, 0.9), (1.5, 4.0))
    at.backdrop = "town"


def _works(at: Layout) -> None:
    """A road or yard being worked on."""
    at.ground(at.pick("asphalt", "concrete", "dirt", "slabs"), -60, 60)
    at.row("barrier", at.half + 0.3, (2.0, 0.4, 1.05), (0.1, 3.0), wobble=0.3)
    at.row("cone", at.half - 0.2, (0.36, 0.36, 0.7), (1.5, 6.0), wobble=0.5)
    at.row("crates", at.half + 1.6, (1.2, 1.0, 1.2), (1.0, 6.0), wobble=0.8)
    at.row("car", at.half + 4.0, (4.9, 1.9, 2.1), (3.0, 10.0))
    at.row("stain", 0, (1.6, 1.2, 0), (3.0, 9.0), wobble=3.0, mark=True, solid=False)
    at.far_wall(at.half + 7, at.uniform(2.2, 6), at.pick("boards", "panels", "shutters", "house", "brick"))
    at.backdrop = "town"


def _bus_stop(at: Layout) -> None:
    at.ground("asphalt", -60, -at.half, 0.0)
    at.ground(at.pick("paving", "slabs", "asphalt", "pavers"), -at.half, 60)
    at.row("shelter", at.half + 0.6, (3.6, 1.3, 2.4), (4.0, 12.0))
    at.row("sign", -at.half + 0.3, (0.1, 0.1, 2.7), (6.0, 14.0))
    at.row("bin", at.half - 0.1, (0.45, 0.45, 0.9), (5.0, 12.0))
    at.row("line", -at.half - 0.4, (3.0, 0.12, 0), (0.0, 0.1), mark=True, solid=False)
    if at.chance(0.5):
        at.row("hedge", at.half + 2.0, (4.0, 0.7, 1.2), (0.0, 0.5), wobble=0.1)
        at.row("tree", at.half + 4.0, (0.4, 0.4, 6.5), (3.0, 7.0), wobble=1.5)
    at.far_wall(
        at.half + at.uniform(3.0, 8.0), at.uniform(5, 10), at.pick("brick", "house", "glass", "stone")
    )
    at.backdrop = at.pick("trees", "town")


KINDS: Mapping[str, Kind] = {
    "campus": Kind(_campus, False, (3.5, 7.0), (0, 50), 1.5),
    "street": Kind(_street, False, (1.8, 3.5), (0, 75), 2.0),
    "mall": Kind(_mall, True, (2.5, 5.0), (10, 80), 1.2),
    "crossing": Kind(_crossing, False, (2.5, 5.0), (0, 50), 1.0),
    "station": Kind(_station, True, (2.5, 4.5), (10, 75), 1.0),
    "park": Kind(_park, False, (1.5, 3.5), (0, 70), 1.0),
    "market": Kind(_market, True, (1.0, 2.0), (45, 85), 1.0),
    "lobby": Kind(_lobby, False, (2.0, 4.5), (0, 40), 1.0),
    "car-park": Kind(_car_park, False, (2.0, 4.0), (0, 70), 0.7),
    "corridor": Kind(_corridor, True, (1.0, 1.9), (50, 85), 1.0),
    "homes": Kind(_homes, False, (1.5, 3.0), (0, 70), 1.0),
    "hall": Kind(_hall, True, (3.0, 6.0), (0, 75), 1.0),
    "promenade": Kind(_promenade, False, (2.0, 4.0), (0, 65), 0.7),
    "underpass": Kind(_underpass, True, (1.5, 3.0), (35, 82), 0.7),
    "cafe": Kind(_cafe, False, (1.5, 3.0), (0, 60), 0.7),
    "garage": Kind(_garage, True, (2.0, 3.5), (30, 80), 0.5),
    "bus-stop": Kind(_bus_stop, False, (1.5, 2.8), (0, 55), 0.8),
    "works": Kind(_works, False, (2.0, 4.0), (0, 60), 0.6),
}
