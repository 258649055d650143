"""Shoes: a sole of its own colour, an upper from the sole to its opening, a shaft, straps. They replace the feet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.mesh import Material, Mesh, Piece, grid, merged
from search.crowd.props import cover
from search.crowd.props.build import Colour, colour, plain, ribbon, shade
from search.crowd.props.parts import Fit, Foot, Prop
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]
_COLUMNS = 14
# Half the sole's width, as shares of the foot's, from heel (0) to toe (1).
_STATIONS = (0.0, 0.15, 0.45, 0.7, 0.88, 1.0)
_HALF = (0.42, 0.42, 0.47, 0.57, 0.54, 0.5)


@dataclass(frozen=True)
class Last:
    """What a kind of shoe is built over; metres for an adult's foot, scaled with the foot.

    Attributes:
        sole: its height at the toe and at the heel.
        rim: by how much the sole juts out.
        point: 0.6 for a round toe, 1 for a pointed one.
        beyond: how far the toe reaches beyond the foot.
        toe: height of the toe cap.
        collar: height of the opening at the back and at the front.
        mouth: where the opening begins and ends along the foot, [0, 1] from heel to toe.
        gloss: of the upper.
    """

    sole: tuple[float, float] = (0.018, 0.024)
    rim: float = 0.004
    point: float = 0.65
    beyond: float = 0.012
    toe: float = 0.055
    collar: tuple[float, float] = (0.085, 0.1)
    mouth: tuple[float, float] = (0.0, 0.5)
    gloss: float = 0.0


_LASTS = {
    "sneaker": Last((0.02, 0.03), 0.005, 0.6, 0.014, 0.058, (0.09, 0.105)),
    "leather": Last((0.01, 0.024), 0.003, 0.8, 0.025, 0.05, (0.075, 0.088), (0.0, 0.49), 0.35),
    "ankle-boot": Last((0.015, 0.034), 0.003, 0.72, 0.016, 0.058, (0.155, 0.155), (-0.05, 0.49), 0.2),
    "boot": Last((0.018, 0.03), 0.003, 0.68, 0.016, 0.06, (0.13, 0.13), (-0.05, 0.49), 0.2),
    "pump": Last((0.004, 0.02), 0.0, 1.0, 0.022, 0.035, (0.06, 0.034), (0.01, 0.72), 0.35),
    "flat": Last((0.006, 0.01), 0.001, 0.68, 0.008, 0.036, (0.052, 0.036), (0.01, 0.72), 0.1),
}


def make(extra: Extra, fit: Fit, rng: np.random.Generator) -> tuple[Prop, ...]:
    """A pair: each shoe moves with its foot, and a boot's shaft with its lower leg."""
    state = rng.bit_generator.state
    props: list[Prop] = []
    for side, foot in (("L", fit.foot_left), ("R", fit.foot_right)):
        rng.bit_generator.state = state  # both shoes are alike
        if extra.kind in ("sandal", "slipper"):
            props.append(Prop(tuple(_open(extra, foot, rng)), f"foot.{side}"))
            continue
        props.append(Prop(tuple(_closed(extra, foot, rng)), f"foot.{side}"))
        if extra.kind == "boot":
            props.append(Prop((_shaft(extra, fit, foot),), f"lowerleg.{side}"))
    return tuple(props)


@dataclass(frozen=True)
class _Ground:
    """Coordinates of a foot: along it from heel (0) to toe (1), across it to its left, and up."""

    heel: Numbers
    along: Numbers
    across: Numbers
    length: float
    width: float
    out: float  # 1 or -1: the direction across that is away from the other foot

    def at(self, along: ArrayLike, across: ArrayLike, up: ArrayLike) -> Numbers:
        a, c, z = np.broadcast_arrays(*(np.asarray(v, float) for v in (along, across, up)))
        flat = self.heel + a[..., None] * self.length * self.along + c[..., None] * self.across
        return np.asarray(flat + np.stack([0 * z, 0 * z, z], axis=-1))


def _ground(foot: Foot, beyond: float) -> _Ground:
    heel, toe = np.array(foot.heel), np.array(foot.toe)
    length = float(np.linalg.norm(toe - heel))
    along = (toe - heel) / length
    across = np.array([-along[1], along[0], 0.0])
    back = 0.008 * length / 0.28
    out = float(np.sign(foot.ankle[0] * across[0]))
    return _Ground(
        heel - back * along, along, across, length + back + beyond * length / 0.28, foot.width, out
    )


def _outline(ground: _Ground, point: float, more: float) -> tuple[Numbers, Numbers]:
    """Along and across of the sole's edge, from the toe around."""
    angle = np.linspace(0, 2 * np.pi, _COLUMNS, endpoint=False)
    s = 0.5 + 0.5 * np.cos(angle)
    half = ground.width * np.interp(s, _STATIONS, _HALF) + more
    round_ = np.where(s > 0.5, point, 0.55)
    return s, half * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** round_ + _bulge(ground, s)


def _bulge(ground: _Ground, along: Numbers) -> Numbers:
    """How far feet lie outwards of the line from heel to toe."""
    return np.asarray(ground.out * ground.width * np.interp(along, [0, 0.45, 0.75, 1], [0.03, 0.1, 0.1, 0.0]))


def _sole(ground: _Ground, last: Last, scale: float) -> Mesh:
    s, c = _outline(ground, last.point, last.rim * scale)
    high = scale * np.interp(s, [0.25, 0.5, 1.0], [last.sole[1], last.sole[0], last.sole[0]])
    rows = [ground.at(s, c, 0.0), ground.at(s, c, high), ground.at(s, 0.0, high)]
    return grid(np.stack(rows).astype(np.float32), closed=True)


def _closed(extra: Extra, foot: Foot, rng: np.random.Generator) -> list[Piece]:
    last = _LASTS[extra.kind]
    ground = _ground(foot, last.beyond)
    scale = ground.length / 0.3
    last = replace(last, point=last.point * rng.uniform(0.92, 1.08), toe=last.toe * rng.uniform(0.93, 1.07))
    chunky = 1 + (0.8 * extra.size if extra.kind in ("sneaker", "boot", "ankle-boot") else 0.3 * extra.size)
    last = replace(last, sole=(last.sole[0] * chunky, last.sole[1] * chunky))
    if extra.kind == "sneaker" and rng.random() < 0.2:  # high ones
        last = replace(last, collar=(0.135, 0.145))
    s, c = _outline(ground, last.point, 0.003)
    low = scale * np.interp(s, [0.25, 0.5, 1.0], [last.sole[1], last.sole[0], last.sole[0]])
    low_cut = extra.kind in ("pump", "flat")
    if low_cut:
        walls = np.interp(s, [0, 0.3, 0.6, 0.8, 1], [0.05, 0.036, 0.034, last.toe * 1.15, last.toe * 0.7])
    else:
        walls = np.interp(s, [0, 0.3, 0.7, 0.88, 1], [0.062, 0.06, 0.052, last.toe * 0.92, last.toe * 0.62])
    box = scale * walls + low * 0.5

    begin, end = last.mouth
    angle = np.linspace(0, 2 * np.pi, _COLUMNS, endpoint=False)
    mouth_s = (begin + end) / 2 + (end - begin) / 2 * np.cos(angle)
    wide = 0.53 * ground.width if low_cut else 1.27 * foot.ankle_radius + 0.008
    mouth_c = wide * np.sin(angle) + ground.out * 0.1 * foot.ankle_radius
    narrow = 1.0 if low_cut else 0.98
    mouth_z = (
        scale * (last.collar[0] + (last.collar[1] - last.collar[0]) * (1 + np.cos(angle)) / 2) + low * 0.4
    )
    rows = [
        ground.at(s, c, low),
        ground.at(s, 1.03 * c, 0.5 * (low + box)),
        ground.at(s * 0.97 + 0.01, narrow * c, box),
    ]
    for t in (0.45, 1.0):
        up = box + (mouth_z - box) * t ** (1.2 if last.collar[0] < 0.1 else 0.8)
        # The ankle bones push the upper out half-way.
        wider = 1.12 if t < 1 and not low_cut else 1.0
        rows.append(ground.at(s + (mouth_s - s) * t, wider * (narrow * c + (mouth_c - narrow * c) * t), up))
    upper = grid(np.stack(rows).astype(np.float32), closed=True)
    ink = colour(extra, 1, (235, 235, 235) if extra.kind == "sneaker" else shade(extra.colours[0], 0.45))
    under = colour(extra, 2, ink)
    if extra.kind == "sneaker":
        stuff = Material(texture=_sporty(extra.colours[0], ink, rng))
    else:
        stuff = cover.grey(cover.hide(int(rng.integers(0, 4))), extra.colours[0], last.gloss)
    return [(upper, stuff), (_sole(ground, last, scale), plain(under))]


def _sporty(main: Colour, second: Colour, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(32, 32, 3) a sports shoe's upper: u runs around from the toe, v from the sole to the opening."""
    v, u = np.mgrid[0:32, 0:32] / 31.0
    image = np.broadcast_to(np.array(main, float), (32, 32, 3)).copy()
    side = np.abs(((u * 2) % 1.0) - 0.5)
    style = rng.integers(0, 4)
    if style == 0:  # stripes on the sides
        image[(side < 0.2) & ((u * 64).astype(int) % 4 < 2) & (v > 0.2)] = second
    elif style == 1:  # a hook
        image[(np.abs(v - 0.35 - 0.8 * (side - 0.1)) < 0.13) & (side < 0.3)] = second
    elif style == 2:  # toe cap and heel
        image[(np.minimum(u, 1 - u) < 0.1) & (v < 0.6)] = second
        image[np.abs(u - 0.5) < 0.1] = second
    tongue = (np.minimum(u, 1 - u) < 0.06) & (v > 0.55)
    image[tongue] = second if rng.random() < 0.5 else (225, 225, 225)
    image[tongue & ((v * 32).astype(int) % 3 == 0)] *= 0.6
    return np.asarray((image * (0.94 + 0.03 * rng.normal(0, 1, (32, 32, 1)))).clip(0, 255), np.uint8)


def _shaft(extra: Extra, fit: Fit, foot: Foot) -> Piece:
    """A boot's leg, along the line from the ankle to the hip."""
    ankle = np.array(foot.ankle)
    hip = np.array([np.sign(ankle[0]) * 0.5 * fit.hip_radii[0], fit.hip[1], fit.hip[2]])
    way = (hip - ankle) / np.linalg.norm(hip - ankle)
    leg = float(np.linalg.norm(hip - ankle))
    high = leg * (0.14 + 0.27 * extra.size)
    t = np.linspace(0, 1, 3)
    share, unit = t * high / leg, foot.ankle_radius
    across = 1.14 * unit * np.interp(share, [0, 0.1, 0.2, 0.28, 0.42], [1.3, 1.3, 1.6, 1.85, 2.05])
    deep = 1.14 * unit * np.interp(share, [0, 0.1, 0.2, 0.28, 0.42], [1.6, 1.6, 1.8, 2.1, 2.2])
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.stack([np.sin(angle), -np.cos(angle), np.zeros(8)], axis=1)
    centre = ankle + np.outer(t * high, way) + unit * np.array([0.15 * np.sign(ankle[0]), 0.1, 0])
    rows = centre[:, None] + np.stack([across, deep, 0 * t], axis=1)[:, None] * ring
    rows = rows[::-1]
    rows[-1, :, 2] -= 0.02
    mesh = grid(rows.astype(np.float32), closed=True)
    return mesh, cover.grey(cover.hide(1), extra.colours[0], 0.2)


def _open(extra: Extra, foot: Foot, rng: np.random.Generator) -> list[Piece]:
    """Sandals, flip-flops and slippers, on bare feet."""
    ground = _ground(foot, 0.002)
    scale = ground.length / 0.29
    thick = (0.004 + 0.008 * extra.size) * rng.uniform(0.8, 1.2) * scale
    s, c = _outline(ground, 0.6, 0.006 * scale)
    rim = [ground.at(s, c, -0.004), ground.at(s, c, thick), ground.at(s, 0.0, thick)]
    sole = grid(np.stack(rim).astype(np.float32), closed=True)
    straps = []

    def over(back: float, front: float, high: float, width: float) -> None:
        """A band across the foot, from edge to edge, `high` in the middle."""
        angle = np.linspace(0, np.pi, 7)
        along = np.linspace(back, front, 7)
        half = ground.width * np.interp(along, _STATIONS, _HALF) + 0.006
        path = ground.at(
            along, half * np.cos(angle) + _bulge(ground, along), thick + high * scale * np.sin(angle) ** 0.7
        )
        straps.append(ribbon(path, path - ground.at(along, 0.0, 0.0), width * scale))

    style = int(rng.integers(0, 3))
    if extra.kind == "slipper":
        over(0.68, 0.68, 0.058, 0.085 + 0.04 * extra.size)
    elif style == 0:  # two bands and one around the heel
        over(0.74, 0.74, 0.045, 0.028)
        over(0.46, 0.46, 0.075, 0.026)
    elif style == 1:  # thongs
        over(0.42, 0.78, 0.05, 0.018)
        over(0.78, 0.42, 0.05, 0.018)
    else:  # crossed
        over(0.55, 0.8, 0.052, 0.03)
        over(0.8, 0.55, 0.052, 0.03)
    if extra.kind == "sandal" and style != 1:
        angle = np.linspace(0.5 * np.pi, 1.5 * np.pi, 7)
        wide = foot.ankle_radius * 1.25 + 0.004
        around = ground.at(0.26 + 0.26 * np.cos(angle), wide * np.sin(angle), 0.06 * scale + thick)
        straps.append(ribbon(around, around - ground.at(0.26, 0.0, 0.06 * scale), 0.016 * scale))
    leather = cover.grey(cover.hide(2), extra.colours[0], 0.1)
    return [(merged(straps), leather), (sole, plain(colour(extra, 1, shade(extra.colours[0], 0.6))))]
