"""Bags that the trunk carries: on the back, across the chest, under the shoulder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material, Mesh, Piece, merged, tube
from search.crowd.props import cover, trunk
from search.crowd.props.build import colour, loft, oval, plain, ribbon, shade, sign, smooth, turned
from search.crowd.props.parts import Fit, Prop
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]

# Half width and depth of a bag, as shares of its largest, from the top down.
_SHAPES = {
    "school": ((0.55, 0.3), (0.86, 0.62), (0.97, 0.85), (1.0, 1.0), (0.98, 0.98), (0.86, 0.6)),
    "square": ((0.9, 0.55), (1.0, 0.85), (1.0, 0.95), (1.0, 1.0), (1.0, 1.0), (0.95, 0.7)),
    "drop": ((0.35, 0.25), (0.62, 0.5), (0.82, 0.8), (0.97, 1.0), (1.0, 0.95), (0.8, 0.5)),
    "round": ((0.45, 0.35), (0.85, 0.75), (1.0, 0.95), (1.0, 1.0), (0.88, 0.85), (0.55, 0.45)),
    "roll": ((0.9, 0.3), (0.85, 0.5), (0.95, 0.85), (1.0, 1.0), (1.0, 1.0), (0.92, 0.75)),
    "sack": ((0.3, 0.25), (0.75, 0.5), (0.95, 0.8), (1.0, 1.0), (1.0, 0.95), (0.75, 0.4)),
    "lid": ((0.75, 0.75), (0.95, 1.0), (0.9, 0.8), (1.0, 0.95), (0.98, 1.0), (0.8, 0.7)),
}


def make(extra: Extra, fit: Fit, rng: np.random.Generator) -> tuple[Prop, ...]:
    """A bag of a kind."""
    if extra.kind in ("shoulder-bag", "messenger-bag"):
        return (Prop(tuple(_across(extra, fit, rng)), "chest"),)
    if extra.kind == "tote":
        # The arm keeps it in place.
        return Prop(tuple(_tote(extra, fit, rng)), "chest"), Prop((), f"hand.{extra.side}", pose="shoulder")
    return (Prop(tuple(_on_back(extra, fit, rng)), "chest"),)


def sack(
    shape: str,
    size: tuple[float, float, float],
    rng: np.random.Generator,
    power: float = 4.0,
    rough: float = 0.02,
    columns: int = 12,
) -> Mesh:
    """A bag of (x, y, z) metres, its middle at the origin; the whole texture lies on its outer side, towards +y."""
    table = np.array(_SHAPES[shape])
    w, d, h = size
    z = h / 2 - h * np.array([0.0, 0.1, 0.35, 0.62, 0.88, 1.0])
    ring = oval(columns, power, -np.pi / 2)
    bumps = 1 + rough * smooth(rng, 6, columns, (3, 5))[..., None]
    # The side to the body is flat.
    flat = table[:, None, :] * ring * bumps
    y = np.where(flat[..., 1] < 0, -1.0, flat[..., 1] * 2 - 1) * d / 2
    mesh = loft(np.stack([flat[..., 0] * w / 2, y, np.broadcast_to(z[:, None], y.shape)], axis=-1))
    sheet = 6 * (columns + 1)
    uv = mesh.uv.copy()
    uv[:sheet, 0] = np.clip((uv[:sheet, 0] - 0.22) / 0.56, 0.02, 0.98)
    uv[:sheet, 1] = np.clip(uv[:sheet, 1], 0.02, 0.98)
    uv[sheet:] = 0.03
    return Mesh(mesh.vertices, mesh.faces, uv)


def stuff(extra: Extra, rng: np.random.Generator, gloss: float = 0.05) -> Material:
    """What a bag is made of: canvas with seams and pockets, leather, or a pattern."""
    draw = rng.random()
    if len(extra.colours) > 1 and draw < 0.2:
        kind = str(rng.choice(["stripes", "bands", "checks", "dots", "print"]))
        return Material(texture=cover.pattern(kind, extra.colours[:3], rng), gloss=gloss)
    if draw < 0.35:
        return cover.grey(cover.hide(int(rng.integers(0, 4))), extra.colours[0], 0.25)
    return Material(texture=cover.panel(extra.colours[:3], rng), gloss=gloss)


def _on_back(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    long = fit.shoulder_left[2] - fit.hip[2]
    wide = 2 * fit.chest_radii[0]
    if extra.kind == "rucksack":
        shape, h, w, d = "lid", long * (0.95 + 0.35 * extra.size), 0.82 * wide, 0.48 * wide
    elif extra.kind == "drawstring-bag":
        shape, h, w, d = "sack", long * (0.62 + 0.2 * extra.size), 0.8 * wide, 0.2 * wide
    else:
        shape = str(rng.choice(["school", "school", "square", "drop", "round", "roll"]))
        h = long * (0.76 + 0.32 * extra.size) * (0.8 if shape == "round" else 1.0)
        w, d = wide * (0.7 + 0.24 * extra.size), wide * (0.36 + 0.16 * rng.random())
    high = fit.neck[2] - 0.02 - 0.1 * long * rng.random() + (0.12 * long if extra.kind == "rucksack" else 0.0)
    zs = np.linspace(high - 0.85 * h, min(high, fit.shoulder_left[2]), 6)
    # It rests on what stands out most of the back.
    y0 = float(trunk.surface(fit, np.full(6, 0.15 * w), zs, back=True, off=0.0).max())
    bag = sack(shape, (w, d, h), rng)
    at = np.array([0.0, y0 + d / 2 - 0.004, high - h / 2])
    material = stuff(extra, rng)
    pieces: list[Piece] = [(turned(bag, "x", -0.04, at), material)]
    if extra.kind != "drawstring-bag" and rng.random() < 0.75:
        size = (w * rng.uniform(0.6, 0.85), 0.3 * d, h * rng.uniform(0.3, 0.42))
        pocket = sack("square", size, rng, columns=8)
        spot = at + np.array([0, d * 0.55, -h * 0.42 + size[2] / 2])
        other = plain(shade(colour(extra, 1), 0.9))
        pieces.append((turned(pocket, "x", -0.04, spot), material if rng.random() < 0.5 else other))
    dark = (
        colour(extra, 2, shade(extra.colours[0], 0.7)) if rng.random() < 0.5 else shade(extra.colours[0], 0.8)
    )
    straps = _straps(extra, fit, w, y0, high, h, thin=extra.kind == "drawstring-bag")
    if extra.kind != "drawstring-bag":
        top = at + np.array([0, -0.35 * d, h / 2])
        loop = np.linspace(0, np.pi, 5)
        path = top + np.column_stack([0.045 * np.cos(loop), 0 * loop, 0.035 * np.sin(loop)])
        straps.append(ribbon(path, (0, 1, 0), 0.02))
    pieces.append((merged(straps), plain(dark)))
    if extra.kind == "rucksack" and rng.random() < 0.5:  # a mat under it, or over it
        roll = np.array([[-0.55 * w, 0, 0], [-0.55 * w, 0, 0], [0.55 * w, 0, 0], [0.55 * w, 0, 0]])
        roll[:, 0] += [-0.001, 0, 0, 0.001]
        place = np.array([0, 0.1 * d, h / 2 + 0.15 * wide if rng.random() < 0.5 else -h / 2 - 0.13 * wide])
        mat = tube(roll + at + place, np.array([0, 0.17, 0.17, 0]) * wide, 7)
        pieces.append((mat, plain(colour(extra, 1))))
    return pieces


def _straps(extra: Extra, fit: Fit, w: float, y0: float, high: float, h: float, *, thin: bool) -> list[Mesh]:
    """From the bag's top over each shoulder, down beside the chest and under the arm to its foot."""
    rx = fit.chest_radii[0]
    x = max(0.5 * fit.shoulder_left[0], fit.neck_radius * 0.95)
    width = (0.04 + 0.03 * extra.size) * rx / 0.19
    straps = []
    for s in (1, -1):
        armpit = fit.chest[2]
        front = np.array(
            [
                [s * 1.0 * rx, armpit - 0.3 * (armpit - fit.waist[2])],
                [s * 0.86 * rx, armpit - 0.12 * (armpit - fit.waist[2])],
                [s * 0.72 * rx, armpit + 0.25 * (fit.shoulder_left[2] - armpit)],
                [s * (0.35 * rx + 0.4 * x), armpit + 0.65 * (fit.shoulder_left[2] - armpit)],
                [s * x, fit.shoulder_left[2] + 0.1 * (fit.neck[2] - fit.shoulder_left[2])],
            ]
        )
        back = np.array([[s * min(0.35 * w, x), min(high - 0.05, fit.shoulder_left[2])]])
        path, out = trunk.over_shoulder(fit, s * x, front, back, 0.012)
        low = np.array([[s * 0.42 * w, y0 + 0.01, high - 0.85 * h]])
        path, out = np.concatenate([low, path]), np.concatenate([[[s, 0.0, 0.0]], out])
        widths = np.full(len(path), 0.008 if thin else width)
        widths[:2] *= 1.0 if thin else 0.5
        straps.append(ribbon(path, out, widths, 0.0 if thin else 0.006))
    return straps


def _across(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """At the hip, on a strap from the other shoulder."""
    s = sign(extra)
    big = extra.kind == "messenger-bag"
    unit = fit.chest_radii[0] / 0.19
    scale = unit * (0.85 + 0.5 * extra.size)
    w, h = (0.3 * scale, 0.22 * scale) if big else (0.18 * scale, 0.14 * scale)
    h *= rng.uniform(0.85, 1.2)
    d = unit * ((0.075 if big else 0.055) + 0.04 * rng.random())
    turn = float(rng.choice([2.05, 2.45, 1.15] if big else [0.7, 1.1, 1.9, 2.3]))
    high = fit.hip[2] + (0.35 - 0.45 * rng.random()) * (fit.waist[2] - fit.hip[2]) + 0.45 * h
    middle = trunk.around(
        fit, np.array([s * turn]), np.array([max(high - h / 2, fit.hip[2])]), 0.004 + d / 2
    )[0]
    middle[2] = high - h / 2
    bag = sack("square" if big or rng.random() < 0.6 else "round", (w, d, h), rng, rough=0.03)
    # The bag's outer side is +y: turn it to where it lies.
    heading = s * turn + np.pi
    material = stuff(extra, rng, 0.1)
    pieces: list[Piece] = [(turned(bag, "z", heading, middle), material)]
    if rng.random() < (0.85 if big else 0.4):  # a flap
        flap = sack("square", (1.02 * w, 0.18 * d, h * rng.uniform(0.5, 0.8)), rng, rough=0.0, columns=8)
        flap = Mesh(flap.vertices + np.array([0, d * 0.52, 0.0], np.float32), flap.faces, flap.uv)
        lift = h / 2 - float(np.ptp(flap.vertices[:, 2])) / 2 + 0.004
        second = plain(shade(colour(extra, 1), 0.95), 0.1)
        pieces.append(
            (
                turned(flap, "z", heading, middle + np.array([0, 0, lift])),
                second if rng.random() < 0.4 else material,
            )
        )
    along = np.array([np.cos(heading), np.sin(heading), 0.0])
    ends = [middle + m * along * 0.46 * w + [0, 0, h * 0.46] for m in (1, -1)]
    fore, rear = sorted(ends, key=lambda end: end[1])
    x = -s * max(0.42 * fit.shoulder_left[0], fit.neck_radius * 0.9)
    t = np.linspace(0, 1, 8)[:, None]

    def slope(end: Numbers) -> Numbers:
        reach = trunk.middle(fit, end[2])[1]
        low = np.array([np.clip(end[0], -0.97 * reach, 0.97 * reach), end[2]])
        return np.asarray(low + t * (np.array([x, fit.shoulder_left[2] + 0.02]) - low))

    path, out = trunk.over_shoulder(fit, x, slope(fore), slope(rear), 0.012)
    path = np.concatenate([fore[None], path[1:-1], rear[None]])
    strap = ribbon(path, out, (0.035 if big else 0.018 + 0.02 * rng.random()) * unit, 0.004)
    pieces.append((strap, plain(colour(extra, 2, shade(extra.colours[0], 0.75)))))
    return pieces


def _tote(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """Under the shoulder, on two long handles."""
    s = sign(extra)
    unit = fit.chest_radii[0] / 0.19
    w, h = unit * (0.3 + 0.12 * extra.size), unit * (0.24 + 0.14 * extra.size) * rng.uniform(0.85, 1.1)
    d = unit * (0.06 + 0.06 * rng.random())
    high = fit.waist[2] + (0.15 + 0.45 * rng.random()) * (fit.chest[2] - fit.waist[2])
    _, wide, _, _ = trunk.middle(fit, np.array([high, high - 0.5 * h, max(high - h, fit.hip[2])]))
    x = s * (float(wide.max()) + 0.006 + d / 2)
    middle = np.array([x, fit.waist[1] + 0.06 * unit, high - h / 2])
    bag = sack("roll" if rng.random() < 0.5 else "square", (w, d, h), rng, rough=0.04)
    material = stuff(extra, rng, 0.1)
    pieces: list[Piece] = [(turned(bag, "z", -s * np.pi / 2, middle), material)]
    x = s * 0.8 * fit.shoulder_left[0]
    top = np.array([x, fit.shoulder_left[1] + 0.02, float(trunk.top(fit, x, 0.014))])
    fore, rear = (
        np.array(
            [s * 0.92 * reach, float(trunk.surface(fit, 0.8 * reach, level, back=back, off=0.01)), level]
        )
        for back in (False, True)
        for reach, level in ((fit.chest_radii[0], fit.chest[2]),)
    )
    over = np.array([0.0, 0.035, -0.02])
    lift = np.array([0.0, 0.0, 0.05])
    straps = []
    for side in (-1, 1):
        front = middle + np.array([side * 0.3 * d, -0.24 * w, h * 0.46])
        back = middle + np.array([side * 0.3 * d, 0.24 * w, h * 0.46])
        near = np.stack([front, 0.4 * front + 0.6 * fore, fore + lift])
        ridge = np.stack([top - over * [1, 1, -1], top, top + over]) + np.array([side * 0.012, 0, 0])
        path = np.concatenate([near, ridge, [rear + lift, 0.4 * back + 0.6 * rear, back]])
        straps.append(ribbon(path, path - np.array([0, fit.chest[1], fit.chest[2] - 0.1]), 0.022 * unit))
    pieces.append((merged(straps), plain(colour(extra, 1, shade(extra.colours[0], 0.8)))))
    return pieces
