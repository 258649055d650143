"""Where cameras hang, as plans: what stands where, before anything is drawn.

A place is a band of ground that people walk along, between two sides. Its own coordinates are (s, t) metres: s along
the band, t across it, away from the camera; (0, 0) is where the camera's axis meets the ground.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
Span = tuple[float, float]

CROWN = 3.6  # metres across a tree's leaves
LENGTH = 26.0  # of a place, to either side; further on nobody is tall enough to be cut out


@dataclass(frozen=True)
class Thing:
    """Something that stands in a place.

    Attributes:
        kind: a key of `things.MAKERS`.
        x: of its middle, metres in the world; so is `y`.
        y: see `x`.
        heading: radians by which it is turned about z; at 0 its front faces -y.
        size: (width, depth, height) metres.
        style: which sort of the kind.
        seed: of its looks.
        solid: hides what is behind it and cannot be stood in.
    """

    kind: str
    x: float
    y: float
    heading: float
    size: tuple[float, float, float]
    style: str = ""
    seed: int = 0
    solid: bool = True

    def local(self, points: ArrayLike) -> Points:
        """(N, 2) points of the world as (N, 2) of the thing's own, its middle at the origin."""
        away = np.asarray(points, np.float64)[:, :2] - (self.x, self.y)
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.asarray(away @ np.array([[c, -s], [s, c]]), np.float64)

    @property
    def hulls(self) -> tuple[tuple[float, float, float, float], ...]:
        """Boxes around its parts: (width, depth, lowest, highest) metres, over its middle."""
        width, depth, height = self.size
        if self.kind == "tree":
            return (width, depth, 0.0, 2.4), (CROWN, CROWN, 1.9, height)
        return ((width, depth, 0.0, height),)


@dataclass(frozen=True)
class Strip:
    """A strip of ground along the place.

    Attributes:
        cover: what it is of, a key of `textures.COVERS`.
        start: t where it begins, metres.
        stop: t where it ends.
        rise: height, metres.
    """

    cover: str
    start: float
    stop: float
    rise: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a camera looks at.

    Attributes:
        kind: a key of `kinds.KINDS`.
        indoor: under a roof.
        turn: radians from the world's x axis to the place's s axis.
        middle: the world's (x, y) of the place's (0, 0).
        half: half the width of the band that people walk on, metres.
        strips: the ground, from near to far.
        things: what stands on it.
        marks: what is painted on it.
        backdrop: what closes the view: `town`, `trees`, `water` or nothing.
        ceiling: its height, metres; None outdoors.
    """

    kind: str
    indoor: bool
    turn: float
    middle: tuple[float, float]
    half: float
    strips: tuple[Strip, ...]
    things: tuple[Thing, ...] = field(repr=False)
    marks: tuple[Thing, ...] = field(repr=False)
    backdrop: str = ""
    ceiling: float | None = None

    def own(self, points: ArrayLike) -> Points:
        """(N, 2) points of the world as (N, 2) of the place: (s, t)."""
        away = np.asarray(points, np.float64)[:, :2] - self.middle
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.asarray(away @ np.array([[c, -s], [s, c]]), np.float64)

    def walkable(self, points: ArrayLike, margin: float = 0.4) -> NDArray[np.bool_]:
        """(N,) whether somebody can stand at each of (N, 2) points, `margin` metres from everything."""
        own = self.own(points)
        free = (np.abs(own[:, 1]) <= self.half) & (np.abs(own[:, 0]) < LENGTH - 1)
        for thing in self.things:
            if thing.solid:
                half = np.array(thing.size[:2]) / 2 + margin
                free &= ~(np.abs(thing.local(points)) < half).all(axis=1)
        return free

    def without(self, gone: set[int]) -> Plan:
        """The plan without the things of these indices."""
        return replace(self, things=tuple(thing for i, thing in enumerate(self.things) if i not in gone))


def hides(thing: Thing, eye: ArrayLike, points: ArrayLike) -> NDArray[np.bool_]:
    """(N,) whether a thing, taken as its hulls, stands between an eye and each of (N, 3) points."""
    start = np.append(thing.local(np.asarray(eye)[None, :2])[0], np.asarray(eye)[2])
    ends = np.column_stack([thing.local(points), np.asarray(points)[:, 2]])
    way = np.where(np.abs(ends - start) < 1e-9, 1e-9, ends - start)
    hidden = np.zeros(len(ends), np.bool_)
    for width, depth, lowest, highest in thing.hulls:
        low, high = np.array([-width / 2, -depth / 2, lowest]), np.array([width / 2, depth / 2, highest])
        a, b = (low - start) / way, (high - start) / way
        enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
        hidden |= (enter < leave) & (leave > 0) & (enter < 1)
    return hidden


class Layout:
    """A plan in the making, in the place's own coordinates.

    Args:
        rng: where it is drawn from.
        turn: see `Plan`.
        middle: see `Plan`.
        lens: height of the camera, metres.
        half: half the width of the band.
    """

    def __init__(
        self, rng: np.random.Generator, turn: float, middle: tuple[float, float], lens: float, half: float
    ) -> None:
        self.rng, self.half, self.lens = rng, half, lens
        self.turn, self.middle = turn, middle
        c, s = np.cos(turn), np.sin(turn)
        away = -np.array(middle)
        self.camera = (float(away @ (c, s)), float(away @ (-s, c)))
        # The near side is where the camera is, or behind it.
        self.near = min(-half, self.camera[1] - 0.6)
        self.things: list[Thing] = []
        self.marks: list[Thing] = []
        self.strips: list[Strip] = []
        self.backdrop = ""
        self.ceiling: float | None = None

    def uniform(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Whether something that happens so often happens."""
        return bool(self.rng.random() < share)

    def pick(self, *names: str) -> str:
        """One of several."""
        return names[int(self.rng.integers(len(names)))]

    def pick_number(self, *numbers: float) -> float:
        """One of several."""
        return numbers[int(self.rng.integers(len(numbers)))]

    def ground(self, cover: str, start: float, stop: float, rise: float = 0.0) -> None:
        """A strip of ground between two values of t."""
        self.strips.append(Strip(cover, start, stop, rise))

    def roof(self, height: float) -> None:
        """A ceiling, as high as asked for or just above the camera."""
        self.ceiling = max(height, self.lens + 0.25)

    def put(
        self,
        kind: str,
        s: float,
        t: float,
        size: tuple[float, float, float],
        style: str = "",
        *,
        turn: float = 0.0,
        solid: bool = True,
        mark: bool = False,
    ) -> None:
        """Stand something at (s, t), its front towards -t, or lay it flat."""
        c, sn = np.cos(self.turn), np.sin(self.turn)
        x, y = self.middle[0] + c * s - sn * t, self.middle[1] + sn * s + c * t
        thing = Thing(
            kind, float(x), float(y), self.turn + turn, size, style, int(self.rng.integers(2**31)), solid
        )
        (self.marks if mark else self.things).append(thing)

    def row(
        self,
        kind: str,
        t: float,
        size: tuple[float, float, float],
        gap: Span,
        style: str = "",
        *,
        turn: float = 0.0,
        wobble: float = 0.15,
        span: Span = (-LENGTH, LENGTH),
        solid: bool = True,
        mark: bool = False,
    ) -> None:
        """Things one beside the other along s, `gap` metres apart."""
        along = size[0] * abs(np.cos(turn)) + size[1] * abs(np.sin(turn))
        s = span[0] + self.uniform(0, gap[1])
        while s < span[1]:
            at = s + along / 2
            self.put(
                kind,
                at,
                t + self.rng.normal(0, wobble / 3),
                size,
                style,
                turn=turn + self.rng.normal(0, wobble / 4),
                solid=solid,
                mark=mark,
            )
            s += along + self.uniform(*gap)

    def far_wall(self, t: float, height: float, style: str) -> None:
        """A wall along the far side, in lengths of 3 to 8 metres that differ."""
        self._wall(t, height, style, 0.0)

    def near_wall(self, height: float, style: str) -> None:
        """A wall along the near side, or behind the camera."""
        self._wall(self.near, height, style, np.pi)

    def ends(self, height: float, style: str, reach: Span = (10.0, 24.0)) -> None:
        """Walls across both ends."""
        low, high = self.near - 1, self.half + 1
        for side in (-1, 1):
            s = side * max(self.uniform(*reach), side * self.camera[0] + 0.6)
            self.put("wall", s, (low + high) / 2, (high - low, 0.3, height), style, turn=-side * np.pi / 2)

    def _wall(self, t: float, height: float, style: str, turn: float) -> None:
        s = -LENGTH
        while s < LENGTH:
            length = self.uniform(3, 8)
            outwards = 0.15 if turn == 0 else -0.15
            self.put("wall", s + length / 2, t + outwards, (length, 0.3, height), style, turn=turn)
            s += length

    def plan(self, kind: str, *, indoor: bool) -> Plan:
        """What it came to."""
        return Plan(
            kind,
            indoor,
            self.turn,
            self.middle,
            self.half,
            tuple(self.strips),
            tuple(self.things),
            tuple(self.marks),
            self.backdrop,
            self.ceiling,
        )
