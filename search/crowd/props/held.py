"""What hands hold: bags, umbrellas, sticks, phones and cups, around a grip at the origin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material, Mesh, Piece, box, grid, merged, tube
from search.crowd.props import cover, wheeled
from search.crowd.props.bags import sack, stuff
from search.crowd.props.build import colour, loft, oval, plain, shade, sign, smooth, turned
from search.crowd.props.parts import Fit, Prop
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]


def make(extra: Extra, fit: Fit, rng: np.random.Generator) -> tuple[Prop, ...]:
    """A thing of a kind, in the hand of its side."""
    build, pose = {
        "handbag": (_handbag, "carry"),
        "plastic-bag": (_plastic, "carry"),
        "paper-bag": (_paper, "carry"),
        "briefcase": (_briefcase, "carry"),
        "sports-bag": (_sports, "carry"),
        "umbrella": (_umbrella, "raise"),
        "umbrella-folded": (_folded, "carry"),
        "trolley": (wheeled.trolley, "pull"),
        "phone": (_phone, "hold"),
        "phone-ear": (_phone, "ear"),
        "cup": (_cup, "hold"),
        "cane": (_cane, "carry"),
        "pram": (wheeled.pram, "hold"),
        "shopping-trolley": (wheeled.cart, "hold"),
    }[extra.kind]
    props = (Prop(tuple(build(extra, fit, rng)), f"hand.{extra.side}", hangs=True, pose=pose),)
    if extra.kind in ("pram", "shopping-trolley"):  # the other hand is on the bar, too
        other = "R" if extra.side == "L" else "L"
        return (*props, Prop((), f"hand.{other}", hangs=True, pose=pose))
    return props


def _unit(fit: Fit) -> float:
    """Size of the person beside an adult, for bags; children carry smaller ones."""
    return min(fit.hand_height / 0.78, 1.1)


def _handles(gap: float, span: float, drop: float, x: float, radius: float = 0.006) -> list[Mesh]:
    """Two arcs from the hand to a bag's top, `drop` below the grip, `span` along it and `gap` across it."""
    arcs = []
    for side in (-1, 1):
        path = np.array(
            [
                [x + side * gap / 2, -span / 2, -drop],
                [0.7 * x + side * gap / 3, -0.4 * span, -0.45 * drop],
                [side * 0.008, -0.1 * span, 0.0],
                [side * 0.008, 0.1 * span, 0.0],
                [0.7 * x + side * gap / 3, 0.4 * span, -0.45 * drop],
                [x + side * gap / 2, span / 2, -drop],
            ]
        )
        arcs.append(tube(path, radius, 4))
    return arcs


def _carried(
    extra: Extra,
    fit: Fit,
    mesh: Mesh,
    material: Material,
    size: tuple[float, float, float],
    drop: float,
    span: float,
    handles: Material,
    radius: float = 0.006,
) -> list[Piece]:
    """A bag of (along, across, high) metres below the hand, beside the leg."""
    s = sign(extra)
    _, across, high = size
    x = s * (0.015 + 0.25 * across)
    body = turned(mesh, "z", -s * np.pi / 2, (x, 0.0, -drop - high / 2))
    return [(body, material), (merged(_handles(0.6 * across, span, drop + 0.02 * high, x, radius)), handles)]


def _handbag(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    u = _unit(fit)
    size = (u * (0.24 + 0.14 * extra.size), u * rng.uniform(0.09, 0.15), u * (0.17 + 0.12 * extra.size))
    mesh = sack(str(rng.choice(["roll", "school", "square"])), size, rng)
    trim = plain(colour(extra, 1, shade(extra.colours[0], 0.7)), 0.2)
    return _carried(
        extra,
        fit,
        mesh,
        stuff(extra, rng, 0.2),
        size,
        u * rng.uniform(0.06, 0.16),
        0.4 * size[0],
        trim,
        0.007,
    )


def _briefcase(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    u = _unit(fit)
    size = (u * (0.36 + 0.08 * extra.size), u * rng.uniform(0.06, 0.11), u * (0.26 + 0.05 * extra.size))
    mesh = sack("square", size, rng, power=8.0, rough=0.0)
    leather = cover.grey(cover.hide(int(rng.integers(0, 4))), extra.colours[0], 0.3)
    trim = plain(colour(extra, 1, shade(extra.colours[0], 0.6)), 0.2)
    return _carried(extra, fit, mesh, leather, size, 0.045, 0.3 * size[0], trim, 0.009)


def _plastic(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """A thin bag, drawn together at the hand and out of shape by what is in it."""
    u = _unit(fit)
    high = min(u * (0.26 + 0.16 * extra.size), 0.85 * fit.hand_height)
    wide = u * (0.13 + 0.08 * extra.size)
    t = np.array([0.0, 0.12, 0.3, 0.55, 0.8, 0.95, 1.0])
    half = wide * np.array([0.12, 0.3, 0.7, 1.0, 1.05, 0.85, 0.4])
    bumps = 1 + 0.16 * smooth(rng, 7, 12, (4, 5))
    ring = oval(12, 2.4)
    points = np.empty((7, 12, 3))
    points[..., 0] = ring[:, 0] * half[:, None] * 0.62 * bumps + sign(extra) * 0.25 * wide * t[:, None]
    points[..., 1] = ring[:, 1] * half[:, None] * bumps
    points[..., 2] = -t[:, None] * high * (1 + 0.03 * bumps)
    if len(extra.colours) > 1:
        kind = str(rng.choice(["logo", "logo", "stripes", "print"]))
        material = Material(texture=cover.pattern(kind, extra.colours[:2], rng), gloss=0.25)
    else:
        material = cover.grey(cover.hide(int(rng.integers(4, 8))), extra.colours[0], 0.25)
    return [(loft(points), material)]


def _paper(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    u = _unit(fit)
    base = np.array([0.22, 0.09, 0.26]) + np.array([0.12, 0.05, 0.12]) * extra.size
    long, across, high = map(float, u * base * rng.uniform(0.85, 1.15, 3))
    x = sign(extra) * (0.015 + 0.3 * across)
    drop = 0.09 * u
    mesh = box((across, long, high), (x, 0, -drop - high / 2))
    kind = "logo" if rng.random() < 0.7 else "stripes"
    ink = colour(extra, 1, shade(extra.colours[0], 0.5))
    printed = Material(texture=cover.pattern(kind, (extra.colours[0], ink), rng), gloss=0.1)
    return [(mesh, printed), (merged(_handles(0.9 * across, 0.4 * long, drop, x, 0.004)), plain(ink))]


def _sports(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    u = _unit(fit)
    long, radius = u * (0.42 + 0.18 * extra.size), u * (0.11 + 0.05 * extra.size)
    drop = 0.13 * u
    t = np.array([-1.0, -0.97, -0.8, 0.0, 0.8, 0.97, 1.0])
    ring = oval(12, 2.6)
    share = np.array([0.75, 0.92, 1.0, 1.03, 1.0, 0.92, 0.75]) * (1 + 0.03 * rng.normal(0, 1, 7))
    x = sign(extra) * (0.02 + 0.45 * radius)
    points = np.empty((7, 12, 3))
    points[..., 0] = x + ring[:, 0] * radius * 0.9 * share[:, None]
    points[..., 1] = (t * long / 2)[:, None]
    points[..., 2] = ring[:, 1] * radius * share[:, None] - drop - radius
    material = Material(
        texture=cover.pattern(str(rng.choice(["logo", "bands"])), extra.colours[:2], rng), gloss=0.1
    )
    trim = plain(colour(extra, 1, shade(extra.colours[0], 0.6)))
    return [
        (loft(points), material),
        (merged(_handles(0.8 * radius, 0.4 * long, drop + 0.03, x, 0.01)), trim),
    ]


def _umbrella(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """Open, over the head."""
    head = fit.crown - fit.shoulder_left[2]
    radius = 0.42 + 0.2 * extra.size
    deep = radius * rng.uniform(0.36, 0.5)
    rim = head + 0.08 + 0.1 * rng.random()
    sides, panels = 16, 8
    a = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    t = np.linspace(0, 1, 5)[:, None]
    # Between its ribs the cloth is drawn in.
    rib = 1 - 0.06 * (np.arange(sides) % 2) * t
    points = np.stack(
        [
            radius * t * rib * np.cos(a),
            radius * t * rib * np.sin(a),
            rim + deep * (1 - t**2.2) + 0.05 * radius * (np.arange(sides) % 2) * t,
        ],
        axis=-1,
    )
    canopy = grid(points.astype(np.float32), closed=True)
    if len(extra.colours) > 1:
        style = int(rng.integers(0, 3))
        if style == 0:  # each panel in turn
            image = np.empty((4, 2 * panels, 3), np.uint8)
            image[:] = np.array([extra.colours[i // 2 % 2] for i in range(2 * panels)], np.uint8)
            image = image.repeat(4, 1).repeat(4, 0)
        elif style == 1:  # a border
            image = np.full((32, 32, 3), extra.colours[0], np.uint8)
            image[26:30] = extra.colours[1]
        else:
            image = cover.pattern(str(rng.choice(["dots", "checks", "print"])), extra.colours[:3], rng)
        canopy = Mesh(canopy.vertices, canopy.faces, canopy.uv * np.float32(1 if style < 2 else 3))
        cloth = Material(texture=image, gloss=0.15)
    else:
        cloth = plain(extra.colours[0], 0.2)
    metal = plain((70, 70, 74), 0.3)
    shaft = tube(np.array([[0, 0, 0.05], [0, 0, rim + deep + 0.05]]), 0.007, 5)
    grip = tube(np.array([[0, 0, 0.06], [0, 0, -0.06]]), 0.014, 6)
    lean, back = -sign(extra) * rng.uniform(0.08, 0.25), rng.uniform(0.2, 0.48)
    parts: list[Piece] = [(canopy, cloth), (shaft, metal), (grip, plain(colour(extra, 1, (40, 32, 28))))]
    # Over the head: to the other side and to the back.
    return [(turned(turned(mesh, "y", lean), "x", -back), material) for mesh, material in parts]


def _folded(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """Rolled up, hanging by its handle."""
    if rng.random() < 0.3:  # a short one
        half = rng.uniform(0.11, 0.15)
        path = np.array([[0, s * half, -0.012] for s in (-1.08, -1.0, 1.0, 1.08)])
        return [(tube(path, [0.012, 0.03, 0.034, 0.02], 8), plain(extra.colours[0], 0.15))]
    long = min(0.6 + 0.25 * extra.size, 0.95 * fit.hand_height)
    thick = rng.uniform(0.75, 1.25)
    z = -np.array([0.0, 0.1, 0.14, 0.6, 0.93, 1.0]) * long
    radius = thick * np.array([0.01, 0.012, 0.028, 0.036, 0.016, 0.004])
    roll = tube(np.column_stack([0 * z, 0 * z, z]) + np.array([0.0, 0.0, 0.02]), radius, 8)
    hook = np.linspace(0, np.pi, 5)
    handle = tube(
        np.column_stack([0 * hook, 0.035 * (1 - np.cos(hook)), 0.02 + 0.05 * np.sin(hook)]), 0.01, 6
    )
    return [
        (turned(roll, "x", -0.12), plain(extra.colours[0], 0.15)),
        (handle, plain(colour(extra, 1, (45, 35, 28)), 0.2)),
    ]


def _phone(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    size = (0.072, 0.009, 0.15) if rng.random() < 0.8 else (0.135, 0.009, 0.2)
    tilt = -rng.uniform(0.3, 0.8)
    if extra.kind == "phone-ear":
        upright = turned(turned(box((0.072, 0.01, 0.15)), "z", np.pi / 2), "x", 0.6 * tilt)
        return [(upright, plain(extra.colours[0], 0.4))]
    case = turned(box(size), "x", tilt, (0, -0.02, 0.05))
    glass = turned(box((size[0] * 0.9, 0.002, size[2] * 0.92), (0, 0.0055, 0)), "x", tilt, (0, -0.02, 0.05))
    return [
        (case, plain(extra.colours[0], 0.3)),
        (glass, Material(colour=(0.25, 0.3, 0.38), gloss=0.5, glow=0.5)),
    ]


def _cup(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    h = (0.09 + 0.045 * extra.size) * rng.uniform(0.9, 1.1)
    path = np.array(
        [[0, 0, h + 0.012], [0, 0, h + 0.01], [0, 0, h], [0, 0, 0.5 * h], [0, 0, 0.0], [0, 0, -0.001]]
    )
    radius = np.array([0.0, 0.036, 0.041, 0.036, 0.03, 0.0])
    cup = turned(tube(path, radius, 10), "z", 0.0, (0, -0.02, -0.03))
    image = np.full((16, 16, 3), extra.colours[0], np.uint8)
    image[:3] = colour(extra, 1, (240, 240, 240))
    image[7:11] = colour(extra, 1, shade(extra.colours[0], 0.8))
    return [(cup, Material(texture=image, gloss=0.1))]


def _cane(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    low = -fit.hand_height * rng.uniform(0.95, 0.99)
    crook = rng.random() < 0.6
    hook = np.linspace(0, np.pi, 5) if crook else np.linspace(0, 0.4, 5)
    top = np.column_stack([0 * hook, 0.045 * (1 - np.cos(hook)) - 0.05, 0.02 + 0.04 * np.sin(hook)])
    path = np.concatenate([[[0, -0.12, low]], [[0, -0.085, 0.5 * low]], top])
    return [(tube(path, [0.011, 0.011, *[0.013] * 5], 6), plain(extra.colours[0], 0.25))]
