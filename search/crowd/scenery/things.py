"""Things that stand in places: each maker takes a hand and fills the thing's size. Fronts face -y."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from search.crowd.mesh import Mesh, ball, grid, quad, tube
from search.crowd.places import CROWN, Thing
from search.crowd.scenery.hand import GAY, METALS, STONES, WOODS, Hand
from search.crowd.scenery.stage import Stage
from search.crowd.scenery.vehicles import car, train
from search.crowd.scenery.walls import wall

_DARK = (30, 31, 33)
_WHITE = (214, 212, 204)


def build(stage: Stage, thing: Thing) -> None:
    """Add a thing to a stage."""
    MAKERS[thing.kind](Hand(stage, thing))


def _bike(hand: Hand) -> None:
    """A card of a bicycle; along y, leaning a little."""
    mesh = quad((0.03, -hand.depth / 2, 0), (0, hand.depth, 0), (0.1, 0, hand.depth * 0.98))
    if hand.chance(0.5):
        mesh = Mesh(mesh.vertices, mesh.faces, mesh.uv * (-1, 1) + (1, 0))
    hand.stage.picture(mesh.moved(hand.matrix), "bike", hand.number(), sheets=3)


def _hedge(hand: Hand) -> None:
    hand.covered("hedge", hand.thing.size, (0, 0, 0))


def _bush(hand: Hand) -> None:
    hand.lump((hand.width / 2, hand.depth / 2, hand.height / 2), (0, 0, 0.45 * hand.height), "hedge")


def _tree(hand: Hand) -> None:
    """A trunk under a crown of leaves."""
    girth, fork = hand.width / 2, hand.rng.uniform(2.0, 2.8)
    lean = hand.rng.normal(0, 0.12, 2)
    trunk = tube(
        [[0, 0, 0], [*lean / 2, fork / 2], [*lean, fork + 0.8]], [girth, 0.7 * girth, 0.5 * girth], 6
    )
    hand.paint(trunk, hand.one(WOODS[1:]))
    wide = CROWN / 2 * hand.rng.uniform(0.65, 0.95)
    hand.lump((wide, wide, 0.45 * (hand.height - fork)), (*lean, (fork + hand.height) / 2), "leaves")
    for angle in hand.rng.uniform(0, np.pi, 2):
        c, s = 1.2 * wide * np.cos(angle), 1.2 * wide * np.sin(angle)
        card = quad((-c, -s, fork - 0.3), (2 * c, 2 * s, 0), (0, 0, hand.height - fork), (2 * wide, 3))
        hand.stage.cover(card.moved(hand.matrix), "leaves")


def _lamp(hand: Hand) -> None:
    colour = hand.one(METALS)
    hand.pole(0.09, 0.9, colour)
    hand.pole(0.06, hand.height, colour)
    hand.box((0.5, 0.25, 0.12), (0, -0.3, hand.height), colour)


def _sign(hand: Hand) -> None:
    """A road sign on its pole."""
    hand.pole(0.04, hand.height, METALS[1])
    y, middle = -0.05, hand.height - 0.35
    ring = [
        [0.33 * np.cos(a), y, middle + 0.33 * np.sin(a)]
        for a in np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ]
    colour = hand.one(((170, 40, 40), (40, 70, 140), (216, 190, 60), _WHITE))
    hand.flat([[0, y, middle], *ring], [[0, i, i % 10 + 1] for i in range(1, 11)], colour)
    if hand.chance(0.4):
        hand.show("sign", -0.3, 0.3, hand.height - 1.1, hand.height - 0.8, y)


def _lights(hand: Hand) -> None:
    """Traffic lights."""
    hand.pole(0.07, hand.height, hand.one(METALS))
    hand.box((0.3, 0.25, 0.9), (0, -0.1, hand.height - 0.9), _DARK)
    lit = hand.number(3)
    for i, colour in enumerate(((200, 40, 34), (220, 160, 40), (60, 190, 110))):
        low = hand.height - 0.3 - 0.28 * i
        hand.box(
            (0.18, 0.02, 0.18), (0, -0.24, low), colour if i == lit else (60, 58, 54), glow=0.8 * (i == lit)
        )


def _bollard(hand: Hand) -> None:
    colour = hand.one((*METALS, *STONES, GAY[2]))
    hand.pole(hand.width / 2, hand.height, colour)
    hand.paint(ball((hand.width / 2,) * 3, (0, 0, hand.height), 4, 6), colour)
    if hand.chance(0.5):
        hand.ring(0.7 * hand.height, 0.85 * hand.height, 0.52 * hand.width, _WHITE, 6)


def _bench(hand: Hand) -> None:
    wood, metal = hand.one((*WOODS, *METALS[:3])), hand.one(METALS)
    for y in (-0.15, 0.0, 0.15):
        hand.box((hand.width, 0.12, 0.05), (0, y, 0.42), wood)
    for z in (0.6, 0.76):
        hand.box((hand.width, 0.04, 0.1), (0, 0.24, z), wood)
    for x in (-0.42, 0.42):
        hand.box((0.07, 0.45, 0.42), (x * hand.width, 0, 0), metal)
        hand.box((0.06, 0.05, 0.85), (x * hand.width, 0.24, 0), metal)


def _bin(hand: Hand) -> None:
    colour = hand.one((*METALS, (58, 92, 66), (44, 62, 96), (120, 98, 60), (150, 50, 44)))
    if hand.chance(0.5):
        hand.ring(0.05, hand.height, (0.4 * hand.width, hand.width / 2), colour)
        hand.paint(ball((hand.width / 2, hand.width / 2, 0.1), (0, 0, hand.height), 4, 8), _DARK)
    else:
        hand.box((hand.width, hand.depth, 0.9 * hand.height), (0, 0, 0), colour)
        hand.box((1.05 * hand.width, 1.05 * hand.depth, 0.1 * hand.height), (0, 0, 0.9 * hand.height), _DARK)


def _planter(hand: Hand) -> None:
    pot = 0.45 * hand.height
    hand.covered(
        ("concrete", "boards", "brick", "stone")[hand.number(4)],
        (hand.width, hand.depth, pot),
        (0, 0, 0),
        "pot",
    )
    _greens(hand, pot, 0.9)


def _pot(hand: Hand) -> None:
    pot = 0.35 * hand.height
    colour = hand.one((*STONES, (150, 96, 70), _DARK, _WHITE))
    hand.ring(0, pot, (0.35 * hand.width, hand.width / 2), colour, gloss=0.1)
    _greens(hand, pot, 1.6)


def _greens(hand: Hand, low: float, spread: float) -> None:
    """Crossed cards of leaves."""
    for angle in (0.5, 0.5 + np.pi / 2):
        x, y = spread * hand.width / 2 * np.cos(angle), spread * hand.width / 2 * np.sin(angle)
        card = quad((-x, -y, low), (2 * x, 2 * y, 0), (0, 0, hand.height - low))
        hand.stage.picture(card.moved(hand.matrix), "plant", hand.number())


def _railing(hand: Hand) -> None:
    hand.sheet("bars", -hand.width / 2, hand.width / 2, 0, 1.0, 0)
    hand.box((hand.width, 0.06, 0.06), (0, 0, 0.98), METALS[hand.stage.salt % len(METALS)])


def _rail(hand: Hand) -> None:
    """A bare handrail: posts and one or two tubes."""
    colour = METALS[hand.stage.salt % len(METALS)]
    for x in np.linspace(-hand.width / 2, hand.width / 2, max(int(hand.width / 1.5) + 1, 2)):
        hand.pole(0.03, hand.height, colour, (float(x), 0))
    for z in (hand.height, 0.5 * hand.height):
        hand.paint(tube([[-hand.width / 2, 0, z], [hand.width / 2, 0, z]], 0.03, 6), colour, 0.2)


def _fence(hand: Hand) -> None:
    hand.sheet("mesh", -hand.width / 2, hand.width / 2, 0, hand.height, 0)
    for x in (-hand.width / 2, 0.0):
        hand.pole(0.04, hand.height, METALS[hand.stage.salt % len(METALS)], (x, 0))


def _pillar(hand: Hand) -> None:
    cover = ("concrete", "plaster", "wall-tiles", "stone", "terrazzo")[hand.stage.salt % 5]
    if hand.stage.salt % 2:
        hand.covered(cover, hand.thing.size, (0, 0, 0), "pillar")
    else:
        round_one = tube(np.array([[0, 0, 0], [0, 0, hand.height]]), hand.width / 2, 10)
        wide = Mesh(round_one.vertices, round_one.faces, round_one.uv * (3.1 * hand.width, hand.height))
        hand.stage.cover(wide.moved(hand.matrix), cover, "pillar")
    if hand.chance(0.3):
        hand.show("poster", -0.45 * hand.width, 0.45 * hand.width, 1.1, 1.9, -hand.depth / 2 - 0.02)


def _table(hand: Hand) -> None:
    """A table with two chairs."""
    wood, chair = hand.one((*WOODS, _WHITE, *METALS)), hand.one((*WOODS, *METALS, *GAY))
    hand.box((0.7, 0.7, 0.04), (0, 0, 0.72), wood)
    hand.pole(0.04, 0.72, METALS[2])
    for side in (-1, 1):
        x = 0.62 * side
        hand.box((0.4, 0.4, 0.05), (x, 0, 0.43), chair)
        hand.box((0.05, 0.4, 0.4), (x + 0.19 * side, 0, 0.48), chair)
        for y in (-0.16, 0.16):
            for far in (-0.16, 0.16):
                hand.box((0.03, 0.03, 0.43), (x + far, y, 0), METALS[2])


def _parasol(hand: Hand) -> None:
    hand.pole(0.03, hand.height, METALS[1])
    rings = [(0.01, hand.height), (hand.width / 2, hand.height - 0.5)]
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    rows = [[(r * np.cos(a), r * np.sin(a), z) for a in angle] for r, z in rings]
    cone = grid(np.array(rows, np.float32), closed=True)
    hand.paint(cone, hand.one(GAY))
    _table(hand)


def _shelf(hand: Hand) -> None:
    """A shelf full of goods, books or clothes, on both sides."""
    name = hand.thing.style or ("goods", "goods", "books", "clothes")[hand.stage.salt % 4]
    group = str(hand.number(4))
    hand.covered(name, hand.thing.size, (0, 0, 0), group)
    hand.box((hand.width + 0.04, hand.depth + 0.04, 0.12), (0, 0, 0), METALS[hand.stage.salt % len(METALS)])
    hand.box((hand.width + 0.02, hand.depth + 0.02, 0.08), (0, 0, hand.height), hand.stage.accent)
    if hand.chance(0.3):
        hand.show(
            "sign", -0.35, 0.35, hand.height - 0.3, hand.height + 0.05, -hand.depth / 2 - 0.05, sheets=2
        )


def _counter(hand: Hand) -> None:
    hand.covered(
        ("boards", "stone", "panels", "terrazzo")[hand.stage.salt % 4], hand.thing.size, (0, 0, 0), "counter"
    )
    hand.box(
        (hand.width + 0.08, hand.depth + 0.08, 0.05),
        (0, 0, hand.height),
        hand.one((*WOODS, _DARK, _WHITE)),
        0.2,
    )
    if hand.chance(0.7):
        hand.box((0.4, 0.06, 0.32), (0.2 * hand.width, 0.1, hand.height + 0.1), _DARK, 0.2)


def _board(hand: Hand) -> None:
    """An advertisement that stands on the ground."""
    hand.box((hand.width, hand.depth, hand.height), (0, 0, 0), hand.one(METALS))
    glow = 0.4 * hand.chance(0.4)
    x, y = 0.46 * hand.width, hand.depth / 2 + 0.01
    for side in (-1, 1):
        hand.show("poster", -x, x, 0.15 * hand.height, 0.96 * hand.height, side * y, glow=glow, sheets=3)


def _machine(hand: Hand) -> None:
    hand.box(hand.thing.size, (0, 0, 0), hand.one(GAY))
    hand.show(
        "machine",
        -0.48 * hand.width,
        0.48 * hand.width,
        0.1,
        hand.height,
        -hand.depth / 2 - 0.01,
        glow=0.3,
        sheets=3,
    )


def _cone(hand: Hand) -> None:
    hand.box((0.36, 0.36, 0.03), (0, 0, 0), _DARK)
    hand.paint(tube([[0, 0, 0.03], [0, 0, 0.3], [0, 0, hand.height]], [0.14, 0.09, 0.03], 8), (196, 84, 44))
    hand.ring(0.28, 0.42, (0.105, 0.085), _WHITE)


def _barrier(hand: Hand) -> None:
    """A hoarding of red and white boards."""
    for z in (0.4, 0.8):
        for i, x in enumerate(np.arange(-hand.width / 2 + 0.2, hand.width / 2, 0.4)):
            hand.box((0.4, 0.04, 0.2), (float(x), 0, z), ((180, 60, 48), _WHITE)[i % 2])
    for x in (-0.45, 0.45):
        hand.box((0.06, 0.4, 1.05), (x * hand.width, 0, 0), METALS[1])


def _belt(hand: Hand) -> None:
    """Posts with a belt between them."""
    for x in (-hand.width / 2, hand.width / 2):
        hand.pole(0.035, 0.95, METALS[hand.stage.salt % 2])
        hand.pole(0.16, 0.03, METALS[2], (x, 0))
        hand.pole(0.035, 0.95, METALS[hand.stage.salt % 2], (x, 0))
    hand.box((hand.width, 0.02, 0.07), (0, 0, 0.86), hand.stage.accent)


def _crates(hand: Hand) -> None:
    colour = hand.one(((150, 116, 78), (168, 140, 104), *GAY[:4]))
    low = 0.0
    while low + 0.3 <= hand.height + 1e-6:
        shift = hand.rng.uniform(-0.08, 0.08, 2)
        hand.box((0.9 * hand.width, 0.9 * hand.depth, 0.29), (*shift, low), colour)
        low += 0.3


def _kiosk(hand: Hand) -> None:
    """A stall: a counter of goods under a roof."""
    colour = hand.one(GAY)
    hand.box((hand.width, hand.depth, 1.0), (0, 0, 0), colour)
    hand.sheet(
        "goods", -hand.width / 2, hand.width / 2, 1.0, hand.height - 0.5, hand.depth / 2 - 0.1, "kiosk"
    )
    for x in (-0.47, 0.47):
        hand.box((0.08, hand.depth, hand.height), (x * hand.width, 0, 0), METALS[1])
    hand.box((hand.width + 0.3, hand.depth + 0.5, 0.15), (0, 0, hand.height - 0.15), colour)
    hand.show(
        "sign", -0.4 * hand.width, 0.4 * hand.width, hand.height - 0.5, hand.height, -hand.depth / 2 - 0.27
    )


def _shelter(hand: Hand) -> None:
    """A bus stop: glass, a roof, a poster, a bench."""
    metal = hand.one(METALS)
    hand.box((hand.width, hand.depth, 0.1), (0, 0, hand.height), metal)
    for x in (-0.48, 0.0, 0.48):
        hand.box((0.08, 0.08, hand.height), (x * hand.width, hand.depth / 2, 0), metal)
    hand.show("poster", 0.05 * hand.width, 0.45 * hand.width, 0.4, 2.1, hand.depth / 2 - 0.06, glow=0.3)
    hand.box((0.8 * hand.width, 0.4, 0.06), (0, 0.2, 0.45), metal)


def _block(hand: Hand) -> None:
    """A low wall."""
    cover = ("concrete", "stone", "brick", "plaster")[hand.stage.salt % 4]
    hand.covered(cover, hand.thing.size, (0, 0, 0), "block")


def _trolley(hand: Hand) -> None:
    """A shopping cart of wire."""
    for y in (-0.27, 0.27):
        hand.sheet("mesh", -0.42, 0.42, 0.45, 1.0, y)
    hand.box((0.8, 0.5, 0.03), (0, 0, 0.3), METALS[1])
    hand.box((0.05, 0.55, 0.05), (0.47, 0, 1.02), hand.stage.accent)
    for x in (-0.35, 0.35):
        hand.box((0.03, 0.5, 0.3), (x, 0, 0.03), METALS[2])


def _flat(colour: tuple[int, int, int], low: float = 0.006) -> Callable[[Hand], None]:
    def make(hand: Hand) -> None:
        mesh = quad((-hand.width / 2, -hand.depth / 2, low), (hand.width, 0, 0), (0, hand.depth, 0))
        hand.stage.lay(mesh.moved(hand.matrix), colour)

    return make


def _zebra(hand: Hand) -> None:
    for x in np.arange(-hand.width / 2, hand.width / 2, 1.0):
        stripe = quad((x, -hand.depth / 2, 0.006), (0.5, 0, 0), (0, hand.depth, 0))
        hand.stage.lay(stripe.moved(hand.matrix), (196, 194, 186))


def _rug(hand: Hand) -> None:
    mesh = quad(
        (-hand.width / 2, -hand.depth / 2, 0.008),
        (hand.width, 0, 0),
        (0, hand.depth, 0),
        (hand.width, hand.depth),
    )
    hand.stage.cover(mesh.moved(hand.matrix), hand.thing.style, "rug", ground=True)


MAKERS: Mapping[str, Callable[[Hand], None]] = {
    "wall": wall, "car": car, "train": train, "bike": _bike, "hedge": _hedge, "bush": _bush, "tree": _tree,
    "lamp": _lamp, "sign": _sign, "lights": _lights, "bollard": _bollard, "bench": _bench, "bin": _bin,
    "planter": _planter, "pot": _pot, "railing": _railing, "rail": _rail, "fence": _fence, "pillar": _pillar,
    "table": _table, "parasol": _parasol, "shelf": _shelf, "counter": _counter, "board": _board,
    "machine": _machine, "cone": _cone, "barrier": _barrier, "belt": _belt, "crates": _crates, "kiosk": _kiosk,
    "shelter": _shelter, "block": _block, "trolley": _trolley,
    "line": _flat((190, 188, 180)), "yellow": _flat((200, 168, 72)), "stain": _flat((84, 82, 80)),
    "cover": _flat((70, 70, 72)), "zebra": _zebra, "rug": _rug,
}  # fmt: skip
