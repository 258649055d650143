"""Beards, glasses, headphones, scarves, lanyards and belt bags."""

from __future__ import annotations

import numpy as np

from search.crowd.mesh import Material, Mesh, Piece, ball, box, grid, merged, tube
from search.crowd.props import cover, skull, trunk
from search.crowd.props.build import colour, linear, loft, oval, plain, ribbon, shade, sign, turned
from search.crowd.props.parts import Fit, Prop
from search.crowd.traits import Extra


def make(extra: Extra, fit: Fit, rng: np.random.Generator) -> tuple[Prop, ...]:
    """A small thing of a kind."""
    build, bone = {
        "beard": (_beard, "head"),
        "glasses": (_glasses, "head"),
        "sunglasses": (_glasses, "head"),
        "headphones": (_headphones, "head"),
        "scarf": (_scarf, "chest"),
        "lanyard": (_lanyard, "chest"),
        "belt-bag": (_belt_bag, "pelvis"),
    }[extra.kind]
    return (Prop(tuple(build(extra, fit, rng)), bone),)


def _beard(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """From ear to ear under the mouth, and over it."""
    side = np.linspace(-1.35, 1.35, 13)
    high = 1.5 + 0.27 * np.cos(side) ** 2 + 0.05 * rng.random()
    # Around the mouth it is bare: the moustache is its own strip.
    low = 2.1 + (0.08 + 0.35 * extra.size) * np.cos(side) ** 2
    t = np.array([0.0, 0.35, 0.7, 1.0])[:, None]
    thick = (0.006 + 0.03 * extra.size * np.cos(side) ** 2) * np.sin(np.pi * np.clip(0.15 + t, 0, 1)) + 0.004
    sheet = grid(skull.on(fit, side, high + t * (low - high), thick, cling=0.9).astype(np.float32))
    uv = np.column_stack([sheet.uv[:, 0] * 2, 0.2 + 0.77 * sheet.uv[:, 1]])
    meshes = [Mesh(sheet.vertices, sheet.faces, uv.astype(np.float32))]
    if rng.random() < 0.8:
        across = np.linspace(-0.42, 0.42, 5)
        lip = skull.on(fit, across, np.array([[1.5], [1.62]]) + 0.12 * np.abs(across), 0.014)
        strip = grid(lip.astype(np.float32))
        meshes.append(Mesh(strip.vertices, strip.faces, strip.uv * np.float32(0.8)))
    kind = "cropped" if extra.size < 0.35 else "wavy"
    texture = cover.strands(kind, int(rng.integers(0, 6)))
    return [(merged(meshes), Material(colour=linear(extra.colours[0]), texture=texture))]


def _glasses(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    unit = skull.tall(fit)
    z, y = fit.crown - 0.52 * unit, fit.head[1] - fit.skull[1] * 1.04
    w, h = unit * (0.27 + 0.04 * extra.size), unit * float(rng.uniform(0.14, 0.22))
    frame = colour(extra, 0)
    dark = extra.kind == "sunglasses"
    yy, xx = np.mgrid[0:32, 0:32] / 15.5 - 1
    inside = np.abs(xx) ** 3 + np.abs(yy) ** 3
    image = np.zeros((32, 32, 4), np.uint8)
    image[..., :3] = frame
    image[..., 3] = 255 * ((inside < 1) & (dark | (inside > 0.45)))
    if dark:
        image[inside < 0.55, :3] = colour(extra, 1, (24, 24, 28))
    meshes = []
    for mirror in (1, -1):
        x = mirror * unit * 0.165
        corners = np.array([[x + a * w / 2, y, z + b * h / 2] for b in (1, -1) for a in (-1, 1)])
        corners[:, 1] += 0.5 * np.abs(corners[:, 0]) ** 2 / fit.skull[0]
        meshes.append(
            Mesh(corners, np.array([[0, 1, 3], [0, 3, 2]]), np.array([[0, 0], [1, 0], [0, 1], [1, 1]]))
        )
    lenses = (merged(meshes), Material(texture=image, gloss=0.4 if dark else 0.0))
    arms = []
    for mirror in (1, -1):
        x = mirror * (fit.skull[0] * 1.06)
        start, end = np.array([x, y + 0.03, z + 0.3 * h]), np.array([x * 1.04, fit.head[1] + 0.01, z + 0.02])
        arms.append(tube(np.stack([start, end]), 0.003, 4))
    arms.append(tube(np.array([[-0.03, y, z + 0.3 * h], [0.03, y, z + 0.3 * h]]), 0.0025, 4))
    return [lenses, (merged(arms), plain(frame, 0.2))]


def _headphones(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    angle = np.linspace(-1.0, 1.0, 9) * np.pi * 0.56
    wide, high = fit.skull[0] + 0.02, fit.skull[2] + 0.02
    path = np.column_stack(
        [wide * np.sin(angle), np.full(9, fit.head[1] + 0.012), fit.head[2] + high * np.cos(angle)]
    )
    band = ribbon(path, path - np.asarray(fit.head), 0.022 + 0.012 * extra.size, 0.006)
    size = float(rng.uniform(0.026, 0.038)) * fit.skull[2] / 0.093
    z = fit.crown - 0.56 * skull.tall(fit)
    cups = [
        ball((0.016, size, size * 1.15), (m * (wide + 0.006), fit.head[1] + 0.014, z), 4, 8) for m in (1, -1)
    ]
    return [(band, plain(extra.colours[0], 0.2)), (merged(cups), plain(colour(extra, 1), 0.2))]


def _scarf(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """Turns around the neck and an end or two on the chest."""
    kinds = ["stripes", "bands", "checks", "print"]
    stuff = (
        Material(texture=cover.pattern(str(rng.choice(kinds)), extra.colours[:3], rng))
        if len(extra.colours) > 1
        else cover.grey(cover.weave("knit", int(rng.integers(0, 4))), extra.colours[0])
    )
    a = np.linspace(0, 2 * np.pi, 15)
    thick = 0.028 + 0.022 * extra.size
    thick *= fit.skull[2] / 0.093
    wide = fit.skull[0] * 0.85 + 0.3 * thick
    z = fit.neck[2] + 0.25 * (fit.chin[2] - fit.neck[2]) + 0.02 + 0.015 * np.cos(a + rng.normal())
    z = z - 0.03 * np.cos(a)
    y = fit.neck[1] - 0.1 * fit.skull[1] + 0.2 * (fit.head[1] - fit.neck[1])
    path = np.column_stack([wide * np.sin(a), y - (wide + 0.012) * np.cos(a), z])
    radii = thick * (
        1 + 0.2 * np.interp(a, np.linspace(0, 2 * np.pi, 6), [*(n := rng.normal(0, 1, 5)), n[0]])
    )
    ring = tube(path, radii, 7, 1.25)
    meshes = [Mesh(ring.vertices, ring.faces, ring.uv[:, ::-1] * np.array([1, 4], np.float32))]
    trunk_long = fit.neck[2] - fit.hip[2]
    ends = int(rng.integers(0, 3))
    for k in range(ends):
        x = sign(extra) * (0.04 + 0.03 * rng.random()) * (1 if k == 0 else -1) * fit.skull[0] / 0.078
        low = fit.neck[2] - trunk_long * (0.3 + 0.5 * extra.size * rng.random() + 0.1 * k)
        zs = np.linspace(fit.neck[2] + 0.01, low, 6)
        xs = x + 0.02 * np.linspace(0, 1, 6) * rng.normal()
        path = np.column_stack([xs, trunk.surface(fit, xs, zs, back=False, off=0.02), zs])
        path[0, 1] -= 0.02
        end = ribbon(path, (0, -1, 0), np.linspace(1.6, 2.6, 6) * thick, 0.014)
        meshes.append(Mesh(end.vertices, end.faces, end.uv))
    return [(merged(meshes), stuff)]


def _lanyard(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    low = fit.chest[2] - (fit.chest[2] - fit.waist[2]) * (0.1 + 0.8 * extra.size)
    pieces = []
    x = fit.neck_radius * rng.uniform(0.9, 1.0)
    card_size = np.array([0.062, 0.004, 0.09]) * rng.choice([0.8, 1.0, 1.3])
    for mirror in (1, -1):
        z = np.linspace(low, fit.shoulder_left[2], 5)
        front = np.column_stack([mirror * np.linspace(0.006, x * 0.75, 5), z])
        back = np.column_stack([mirror * np.array([0.01, 0.6 * x]), [fit.neck[2] - 0.02, fit.neck[2]]])
        path, out = trunk.over_shoulder(fit, mirror * x, front, back)
        pieces.append(ribbon(path, out, 0.016))
    card = box(card_size, (0, float(trunk.surface(fit, 0, low - 0.05, back=False, off=0.014)), low - 0.05))
    return [(merged(pieces), plain(extra.colours[0])), (card, plain(colour(extra, 1, (230, 230, 232)), 0.2))]


def _belt_bag(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """A pouch on a belt; worn in front, at the side or behind."""
    turn = sign(extra) * float(rng.choice([0.0, 0.35, 2.6, np.pi]))
    z = fit.hip[2] + 0.45 * (fit.waist[2] - fit.hip[2])
    a = np.linspace(0, 2 * np.pi, 21)
    belt = trunk.around(fit, a, z - 0.03 * np.cos(a - turn), 0.01)
    strap = ribbon(belt, belt - np.array([0, fit.waist[1], z]), 0.028)
    size = fit.waist_radii[0] / 0.168 * (0.8 + 0.5 * extra.size)
    w, d, h = 0.12 * size, 0.035 * size, 0.065 * size
    rings = [
        np.column_stack([oval(12, 3) * [w * s, d * q], np.full(12, k * h)])
        for k, s, q in ((1, 0.8, 0.5), (0.4, 1, 0.9), (-0.5, 0.95, 1.0), (-1, 0.7, 0.6))
    ]
    spot = trunk.around(fit, np.array([turn]), np.array([z - 0.03]), 0.01 + 0.7 * d)[0]
    pouch = turned(loft(np.array(rings)), "z", turn, spot)
    return [
        (strap, plain(shade(extra.colours[0], 0.7))),
        (pouch, Material(texture=cover.panel((extra.colours[0], colour(extra, 1)), rng), gloss=0.1)),
    ]
