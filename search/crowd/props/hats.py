"""What covers the head: caps, beanies, brims, hoods, headscarves, turbans and helmets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.mesh import Material, Mesh, Piece, ball, grid
from search.crowd.props import cover, skull, trunk
from search.crowd.props.build import colour, plain, shade, smooth
from search.crowd.props.parts import Fit, Prop
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]


def make(extra: Extra, fit: Fit, rng: np.random.Generator) -> tuple[Prop, ...]:
    """A hat of a kind."""
    build = {
        "cap": _cap,
        "beanie": _beanie,
        "brim": _brim,
        "hood": _hood,
        "headscarf": _headscarf,
        "turban": _turban,
        "helmet": _helmet,
    }[extra.kind]
    return (Prop(tuple(build(extra, fit, rng)), "head"),)


def _ring(count: int = 18) -> Numbers:
    return np.linspace(0, 2 * np.pi, count, endpoint=False)


def _dome(fit: Fit, edge: ArrayLike, off: ArrayLike, rows: int = 6, count: int = 18) -> Mesh:
    """A shell from the crown to a drop of each direction; `off` is one, or (rows, count) metres."""
    t = np.linspace(0, 1, rows)[:, None]
    points = skull.on(fit, _ring(count), t * np.asarray(edge), off)
    points[0] = points[0].mean(axis=0)
    return grid(points.astype(np.float32), closed=True)


def _tiled(mesh: Mesh, u: float, v: float = 1.0) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces, mesh.uv * np.array([u, v], np.float32), mesh.normals)


def _cloth(
    extra: Extra, rng: np.random.Generator, weave: str = "canvas", plain_share: float = 0.6
) -> Material:
    """The hat's stuff: plain, or a pattern where it has several colours."""
    if len(extra.colours) > 1 and rng.random() > plain_share:
        kinds = ["stripes", "bands", "checks", "dots", "print"]
        return Material(texture=cover.pattern(str(rng.choice(kinds)), extra.colours[:3], rng))
    return cover.grey(cover.weave(weave, int(rng.integers(0, 4))), extra.colours[0])


def _cap(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    back = rng.random() < 0.15
    a = _ring()
    edge = 0.86 + 0.1 * (1 - np.cos(a)) / 2 + 0.03 * rng.normal()
    t = np.linspace(0, 1, 6)[:, None]
    crown = (
        0.014
        + 0.012 * rng.random() * np.sin(np.pi * t)
        + 0.008 * np.maximum(np.cos(a), 0) * np.sin(np.pi * t)
    )
    texture = cover.pattern("logo", (extra.colours[0], colour(extra, 1, shade(extra.colours[0], 1.8))), rng)
    dome = _dome(fit, edge, crown)
    # The emblem lies in the middle of the forehead, where u is 0 and 1, and nowhere else.
    u = dome.uv[:, 0]
    u = np.where(u <= 0.5, 0.5 + np.minimum(4 * u, 0.48), 1.5 - np.minimum(4 * (1 - u), 0.48))
    uv = np.column_stack([u, 0.15 + 0.75 * dome.uv[:, 1]])
    pieces = [(Mesh(dome.vertices, dome.faces, uv.astype(np.float32)), Material(texture=texture))]
    around = np.linspace(-1.15, 1.15, 11) + (np.pi if back else 0.0)
    inner = skull.on(fit, around, 0.84 if not back else 0.94, 0.012)
    reach = (
        fit.skull[1] * (0.55 + 0.2 * extra.size) * np.sqrt(np.clip(np.cos(np.linspace(-1.5, 1.5, 11)), 0, 1))
    )
    way = -1.0 if not back else 1.0
    outer = inner + np.column_stack([0.1 * inner[:, 0], way * reach, -0.22 * reach])
    middle = (inner + outer) / 2 + np.column_stack([np.zeros(11), np.zeros(11), 0.1 * reach])
    peak = grid(np.stack([inner, middle, outer]).astype(np.float32))
    pieces.append((peak, plain(colour(extra, 1) if rng.random() < 0.35 else shade(extra.colours[0], 0.85))))
    return pieces


def _beanie(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    a = _ring()
    slouch = float(rng.choice([0.0, 0.02, 0.05])) * (0.5 + extra.size)
    edge = 0.9 + 0.35 * np.sin(a) ** 2 + 0.35 * np.clip(-np.cos(a), 0, 1)
    t = np.linspace(0, 1, 7)[:, None]
    off = 0.016 + 0.014 * (1 - t) + 0.003 * smooth(rng, 7, 18, (3, 6))
    dome = _dome(fit, edge, off, rows=7)
    lift = np.clip(1 - dome.uv[:, 1] * 1.8, 0, 1)[:, None]
    dome = Mesh(dome.vertices + lift * np.array([0.0, slouch, 0.6 * slouch]), dome.faces, dome.uv)
    knit = str(rng.choice(["rib", "knit"]))
    pieces = [(_tiled(dome, 6, 2), _cloth(extra, rng, knit, 0.55))]
    if rng.random() < 0.7:  # the edge is turned up
        band = np.stack(
            [skull.on(fit, a, edge - d, 0.021 + e) for d, e in ((0.28, 0.004), (0.14, 0.008), (-0.01, 0.0))]
        )
        cuff = grid(band.astype(np.float32), closed=True)
        pieces.append((_tiled(cuff, 8), cover.grey(cover.weave("rib", 1), colour(extra, 1))))
    if rng.random() < 0.3:
        pieces.append(
            (
                ball(
                    np.full(3, 0.032 + 0.01 * extra.size),
                    (0, fit.head[1] + slouch, fit.crown + 0.05 + slouch),
                    4,
                    8,
                ),
                cover.grey(cover.strands("curly", 0)[..., :3], colour(extra, 1)),
            )
        )
    return pieces


def _brim(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """A bucket hat, a sun hat of straw, or a felt hat."""
    style = str(rng.choice(["bucket", "straw", "felt"]))
    wide = {"bucket": 0.05, "straw": 0.1, "felt": 0.06}[style] * (0.75 + 0.6 * extra.size)
    fall = {"bucket": 0.8, "straw": 0.25, "felt": 0.02}[style]
    a = _ring(20)
    band = 0.82 + 0.1 * (1 - np.cos(a)) / 2
    base = skull.on(fit, a, band, 0.014)
    top = fit.crown + (0.02 if style == "bucket" else 0.035)
    middle = np.array([0.0, fit.head[1], 0.0])
    rings = [np.broadcast_to(np.array([0, fit.head[1], top]), base.shape)]
    for share, high in ((0.72, 1.0), (0.93, 0.8), (1.0, 0.35)):
        ring = middle + (base - middle) * [share, share, 0]
        ring[:, 2] = base[:, 2] + high * (top - base[:, 2])
        if style == "felt" and share == 0.72:  # pinched
            ring[:, 2] -= 0.012
            ring[:, 0] *= 0.75
        rings.append(ring)
    rings.append(base)
    weave = "straw" if style == "straw" else "canvas"
    stuff = _cloth(extra, rng, weave, 0.7)
    crown = grid(np.stack(rings).astype(np.float32), closed=True)
    out = base - middle
    out[:, 2] = 0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    wave = 1 + 0.12 * smooth(rng, 1, 20, (1, 5))[0]
    fore = 1 + 0.15 * np.abs(np.cos(a))
    rows = []
    for t in (0.0, 0.5, 1.0):
        ring = base + out * (t * wide * fore)[:, None]
        ring[:, 2] += -fall * t**1.3 * wide * wave + (
            0.12 * wide * t * np.abs(np.sin(a)) if style == "felt" else 0
        )
        rows.append(ring)
    edge = grid(np.stack(rows).astype(np.float32), closed=True)
    pieces = [(_tiled(crown, 3, 2), stuff), (_tiled(edge, 6), stuff)]
    if style != "bucket" or rng.random() < 0.3:
        low = middle + (base - middle) * [1.02, 1.02, 0] + base * [0, 0, 1] + np.array([0, 0, 0.002])
        tie = grid(np.stack([low + np.array([0, 0, 0.025]), low]).astype(np.float32), closed=True)
        pieces.append((tie, plain(colour(extra, 1, shade(extra.colours[0], 0.35)))))
    return pieces


def _wrap(fit: Fit, rng: np.random.Generator, off: float, open_to: float, low: float, loose: float) -> Mesh:
    """Cloth over the head that leaves the face: from the crown down to the neck, with folds.

    Args:
        fit: whose head.
        rng: draws of the folds.
        off: metres off the skull.
        open_to: half the face's opening, radians at the cheek.
        low: drop of the lower edge.
        loose: metres that folds vary.
    """
    a = np.sort(
        np.concatenate(
            [
                np.linspace(0, open_to * 0.8, 3),
                2 * np.pi - np.linspace(open_to * 0.8, 0.3, 2),
                np.linspace(open_to, 2 * np.pi - open_to, 15),
            ]
        )
    )
    front = np.minimum(a, 2 * np.pi - a)
    edge = np.where(front < open_to - 1e-6, 0.72 + 0.1 * front, low)
    t = np.linspace(0, 1, 8)[:, None]
    drop = t * edge
    thick = off + loose * 0.5 * smooth(rng, 8, len(a), (3, 7)) * np.minimum(3 * t, 1)
    # Loose cloth stands away from the nape and falls to the shoulders.
    points = skull.on(fit, a, drop, thick, cling=0.35)
    points[0] = points[0].mean(axis=0)
    return grid(points.astype(np.float32), closed=True)


def _hood(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    low = 2.35 + 0.1 * rng.random()
    mesh = _wrap(fit, rng, 0.03 + 0.012 * extra.size, 0.75 + 0.15 * rng.random(), low, 0.014)
    peak = np.exp(-(((mesh.vertices[:, 2] - fit.crown) / 0.06) ** 2))[:, None]
    mesh = Mesh(mesh.vertices + peak * np.array([0, 0.02, 0.012], np.float32), mesh.faces, mesh.uv)
    stuff = cover.grey(cover.weave("canvas", int(rng.integers(0, 4))), extra.colours[0])
    return [(_tiled(mesh, 4, 4), stuff), (_collar(fit, rng, 0.03, 0.012), stuff)]


def _headscarf(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    stuff = _cloth(extra, rng, "canvas", 0.5)
    mesh = _wrap(fit, rng, 0.014 + 0.008 * extra.size, 0.8 + 0.15 * rng.random(), 2.35, 0.007)
    return [
        (_tiled(mesh, 4, 4), stuff),
        (_tiled(_collar(fit, rng, 0.07 + 0.12 * extra.size, 0.02), 4, 2), stuff),
    ]


def _collar(fit: Fit, rng: np.random.Generator, drape: float, loose: float) -> Mesh:
    """Cloth around the neck, from the jaw to `drape` metres down the chest."""
    a = _ring(16)
    jaw = skull.on(fit, a, 2.0 + 0.12 * np.cos(a), 0.007)
    throat = 0.5 * jaw + 0.5 * np.array([0, fit.neck[1], fit.neck[2]])
    throat[:, 2] = fit.neck[2] + 0.4 * (fit.chin[2] - fit.neck[2])
    rows = [jaw, throat + (throat - [[0, fit.neck[1], 0]]) * np.array([0.25, 0.1, 0])]
    for t in (0.35, 1.0):
        x = np.sin(a) * (fit.skull[0] + (0.03 + 0.5 * drape) * t)
        z = fit.neck[2] + 0.01 - drape * t * (0.75 + 0.25 * np.cos(a))
        z = np.minimum(z, trunk.top(fit, x, 0.012))
        fore, rear = (trunk.surface(fit, x, z, back=back, off=0.014) for back in (False, True))
        y = np.where(
            np.abs(np.cos(a)) < 0.3, fit.neck[1] - 0.09 * np.cos(a), np.where(np.cos(a) > 0, fore, rear)
        )
        rows.append(np.column_stack([x, y, z]))
    points = np.stack(rows)
    points[1:, :, 0] *= 1 + loose * 4 * smooth(rng, 3, 16, (2, 6))
    return grid(points.astype(np.float32), closed=True)


def _turban(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    a = _ring()
    edge = 0.84 + 0.1 * np.sin(a) ** 2 + 0.35 * np.clip(-np.cos(a), 0, 1)
    t = np.linspace(0, 1, 9)[:, None]
    # Folds cross over the forehead.
    folds = 0.006 * np.sin(rng.uniform(11, 16) * t + rng.uniform(1.5, 3.5) * np.abs(np.sin(a / 2)))
    off = 0.014 + (0.03 + 0.025 * extra.size) * np.sin(np.pi * (0.3 + 0.7 * t)) ** 0.8 + folds
    dome = _dome(fit, edge, off, rows=9)
    return [
        (
            _tiled(dome, 3, 5),
            cover.grey(cover.weave("knit" if rng.random() < 0.3 else "rib", 2), extra.colours[0]),
        )
    ]


def _helmet(extra: Extra, fit: Fit, rng: np.random.Generator) -> list[Piece]:
    """A builder's hat, a cyclist's or a rider's helmet."""
    style = str(rng.choice(["site", "bicycle", "ride"], p=[0.35, 0.4, 0.25]))
    a = _ring()
    if style == "site":
        off = rng.uniform(0.02, 0.03)
        dome = _dome(fit, 0.84 + 0.1 * (1 - np.cos(a)) / 2, off)
        inner, reach = skull.on(fit, a, 0.86, off), 0.012 + 0.035 * np.clip(np.cos(a), 0, 1)
        outer = inner + np.column_stack([np.sin(a) * reach, -np.cos(a) * reach, -0.25 * reach])
        edge = grid(np.stack([inner, outer]).astype(np.float32), closed=True)
        shell = plain(extra.colours[0], 0.4)
        return [(dome, shell), (edge, shell)]
    if style == "bicycle":
        t = np.linspace(0, 1, 6)[:, None]
        dome = _dome(
            fit,
            0.78 + 0.14 * np.sin(a) ** 2 + 0.1 * np.clip(-np.cos(a), 0, 1),
            rng.uniform(0.024, 0.036) - 0.008 * t,
        )
        lines = cover.pattern("stripes", (extra.colours[0], colour(extra, 1, (25, 25, 28))), rng)
        strap = skull.on(fit, np.array([1.45, 1.1, 0.7]), np.array([0.95, 1.7, 2.2]), 0.006)
        pieces = [(_tiled(dome, 1.5), Material(texture=lines, gloss=0.3))]
        for mirror in (1, -1):
            line = strap * [mirror, 1, 1]
            band = np.stack([line, line + np.array([0, 0.012, 0])])
            pieces.append((grid(band.astype(np.float32)), plain((25, 25, 28))))
        return pieces
    front = np.minimum(a, 2 * np.pi - a)
    dome = _dome(fit, np.where(front < 0.9, 0.75, rng.uniform(1.8, 2.1)), 0.035, rows=8)
    visor = skull.on(fit, np.linspace(-0.9, 0.9, 8), np.array([[0.72], [1.0], [1.45]]), 0.036)
    return [(dome, plain(extra.colours[0], 0.5)), (grid(visor.astype(np.float32)), plain((20, 22, 26), 0.6))]
