"""Cameras that do not exist: where each hangs, what it looks at, in which light, and how its pixels lie."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.kinds import KINDS, plan
from search.crowd.lighting import Lighting
from search.crowd.places import Plan, Thing, hides
from search.crowd.render import Light, View
from search.crowd.sensor import Sensor

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]

TALL = 1.7  # metres, of the person that sizes are given for
SMALLEST, LARGEST = 40.0, 400.0  # pixels of such a person in the frame
LOWEST, STEEPEST = 5.0, 35.0  # degrees that a camera looks down
_NEAR, _FAR = 0.1, 150.0
_FRAMES = ((1920, 1080), (1280, 720), (1280, 960), (704, 576), (640, 480))
_TOP, _ASIDE = 2.0, 0.45  # metres around somebody that must be in the frame
_SPOTS = 300
_FEWEST = 60
_CANDIDATES = 1000
_TRIES = 60


@dataclass(frozen=True, eq=False)
class Camera:
    """One camera, at (0, 0, height), looking towards +y and down.

    Attributes:
        number: from 1.
        seed: of the cameras it is one of.
        plan: the place.
        height: of the lens above the ground, metres.
        elevation: degrees that it looks down by, 5 to 35.
        roll: degrees that it hangs askew.
        focal: focal length, pixels.
        frame: (width, height) of its pictures, pixels.
        lighting: the light of the place.
        sensor: how it sees.
        spots: (S, 2) metres, where a person can be seen standing.
    """

    number: int
    seed: int
    plan: Plan = field(repr=False)
    height: float
    elevation: float
    roll: float
    focal: float
    frame: tuple[int, int]
    lighting: Lighting
    sensor: Sensor
    spots: Floats = field(repr=False)

    @property
    def place(self) -> str:
        """The kind of place, a key of `kinds.KINDS`."""
        return self.plan.kind

    @property
    def eye(self) -> Floats:
        """(3,) where the lens is, metres."""
        return np.array([0.0, 0.0, self.height])

    def spot(self, rng: np.random.Generator) -> tuple[float, float]:
        """Where somebody can stand: (x, y) metres, outside scenery, wholly inside the frame."""
        x, y = self.spots[int(rng.integers(len(self.spots)))] + rng.uniform(-0.1, 0.1, 2)
        return float(x), float(y)

    def project(self, points: ArrayLike) -> Floats:
        """Where points of the world appear.

        Args:
            points: (N, 3) metres, in front of the lens.

        Returns:
            (N, 2) pixels of the frame: to the right and down from its upper left corner; they may lie outside.
        """
        return _project(self.clip(), self.frame, points)

    def clip(self) -> Floats:
        """(4, 4) from the world to OpenGL's clip coordinates of the whole frame."""
        return _clip(self.height, self.elevation, self.roll, self.focal, self.frame)

    def window(self, box: Box, height: int, width: int) -> View:
        """A view of one part of the frame alone.

        Args:
            box: (x0, y0, x1, y1) pixels of the frame; it may reach beyond it.
            height: of the view, pixels.
            width: of the view, pixels.
        """
        x0, y0, x1, y1 = box
        across, down = self.frame
        # From the frame's [-1, 1] to the window's: x -> (x - middle) * zoom.
        zoom = np.array([across / (x1 - x0), down / (y1 - y0)])
        middle = np.array([(x0 + x1) / across - 1, 1 - (y0 + y1) / down])
        crop = np.eye(4)
        crop[0, 0], crop[1, 1] = zoom
        crop[:2, 3] = -zoom * middle
        return View(crop @ self.clip(), self.eye, height, width)

    def whole(self, height: int) -> View:
        """A view of the whole frame, `height` pixels tall."""
        across, down = self.frame
        return self.window((0, 0, across, down), height, round(height * across / down))

    def light(self, rng: np.random.Generator) -> tuple[Light, str]:
        """The light of one moment, and the time of day as `HH:MM`."""
        return self.lighting.moment(rng)


def camera(seed: int, number: int, *, one_sensor: bool = False) -> Camera:
    """One of any number of cameras.

    Args:
        seed: of the cameras.
        number: from 1.
        one_sensor: all cameras render colours, noise and blur alike.
    """
    for attempt in range(_TRIES):
        rng = np.random.default_rng([seed, number, attempt])
        # The first cameras are of every kind; later ones as common as their kinds are.
        names = list(KINDS)
        shares = np.array([KINDS[name].share for name in names])
        kind = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        if number <= len(names):
            kind = names[number - 1]
        indoor = KINDS[kind].indoor
        height, elevation, distance = _hung(rng, indoor)
        frame = _FRAMES[int(rng.choice(len(_FRAMES), p=(0.3, 0.3, 0.1, 0.15, 0.15)))]
        slant = np.hypot(distance, height - TALL / 2)
        # Wider than this and a person at the edge would be drawn out of shape.
        focal = max(frame[1] * np.exp(rng.uniform(np.log(0.14), np.log(0.42))) * slant / TALL, 0.8 * frame[1])
        roll = float(np.clip(rng.normal(0, 1.2), -4, 4))
        lighting, sensor = Lighting.drawn(rng, indoor=indoor), Sensor.drawn(rng)
        place = plan(kind, rng, (0.0, distance), height)
        geometry = (height, elevation, roll, float(focal), frame)
        place, spots = _cleared(place, rng, geometry)
        if len(spots) >= _FEWEST:
            return Camera(number, seed, place, *geometry, lighting, Sensor() if one_sensor else sensor, spots)
    raise RuntimeError(f"no place for camera {number} of seed {seed} in {_TRIES} tries")


def _hung(rng: np.random.Generator, indoor: bool) -> tuple[float, float, float]:
    """Height, elevation and distance to what is in the middle of the picture: metres, degrees, metres."""
    highest = 4.2 if indoor else 8.0
    while True:
        elevation = LOWEST + (STEEPEST - LOWEST) * rng.beta(0.9, 2.2)
        distance = np.exp(rng.uniform(np.log(4.0), np.log(12.0 if indoor else 22.0)))
        height = TALL / 2 + distance * np.tan(np.radians(elevation))
        if 1.5 <= height <= highest:
            return float(height), float(elevation), float(distance)


_Geometry = tuple[float, float, float, float, tuple[int, int]]


def _cleared(place: Plan, rng: np.random.Generator, geometry: _Geometry) -> tuple[Plan, Floats]:
    """The place without what would hide much of it from the lens, and where people can be seen in it."""
    height, _, _, focal, (across, down) = geometry
    eye = np.array([0.0, 0.0, height])
    clip = _clip(*geometry)
    floor = _on_ground(clip, eye, rng.uniform(-1, 1, (6000, 2)))
    offsets = [(0, -_ASIDE, 0), (0, 0, _TOP), (-_ASIDE, 0, 1), (_ASIDE, 0, 1)]
    body = floor[:, None] + np.array(offsets)
    pixels = _project(clip, (across, down), body.reshape(-1, 3)).reshape(-1, 4, 2)
    inside = ((pixels > 4) & (pixels < np.array([across, down]) - 4)).all(axis=(1, 2))
    size = focal * TALL / np.maximum(np.linalg.norm(floor - eye, axis=1), 0.1)
    floor = floor[inside & (size > SMALLEST) & (size < LARGEST)]
    floor = floor[np.abs(place.own(floor)[:, 1]) <= place.half][:_CANDIDATES]
    # What is taken away first may have stood where people can stand now.
    band = floor[:200]
    if len(band) < _FEWEST:
        return place, np.empty((0, 2))
    gone = {i for i, thing in enumerate(place.things) if thing.solid and _in_the_way(thing, eye, band)}
    place = place.without(gone)
    floor = floor[place.walkable(floor)]
    for thing in place.things:
        if thing.solid:
            for level in (0.45, 1.2, 1.65):
                floor = floor[~hides(thing, eye, floor + np.array([0, 0, level]))]
    return place, floor[:_SPOTS, :2]


def _in_the_way(thing: Thing, eye: Floats, floor: Floats) -> bool:
    """Whether a thing stands around the lens, or between it and a fifth of the places to stand."""
    half = np.array(thing.size[:2]) / 2 + 0.5
    if (np.abs(thing.local(eye[None])) < half).all():
        return True
    return bool(hides(thing, eye, floor + np.array([0, 0, 1.2])).mean() > 0.2)


def _clip(height: float, elevation: float, roll: float, focal: float, frame: tuple[int, int]) -> Floats:
    pitch, lean = np.radians(elevation), np.radians(roll)
    ahead = np.array([0.0, np.cos(pitch), -np.sin(pitch)])
    right, up = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.sin(pitch), np.cos(pitch)])
    right, up = np.cos(lean) * right + np.sin(lean) * up, np.cos(lean) * up - np.sin(lean) * right
    look = np.eye(4)
    look[:3, :3] = right, up, -ahead
    look[:3, 3] = -look[:3, :3] @ (0.0, 0.0, height)
    lens = np.zeros((4, 4))
    lens[0, 0], lens[1, 1] = 2 * focal / frame[0], 2 * focal / frame[1]
    lens[2, 2], lens[2, 3] = (_FAR + _NEAR) / (_NEAR - _FAR), 2 * _FAR * _NEAR / (_NEAR - _FAR)
    lens[3, 2] = -1
    return np.asarray(lens @ look, np.float64)


def _project(clip: Floats, frame: tuple[int, int], points: ArrayLike) -> Floats:
    points = np.asarray(points, np.float64)
    seen = points @ clip[:, :3].T + clip[:, 3]
    return np.asarray((seen[:, :2] / seen[:, 3:] * (1, -1) + 1) / 2 * frame, np.float64)


def _on_ground(clip: Floats, eye: Floats, places: Floats) -> Floats:
    """(M, 3) where rays through (N, 2) places of the frame, in [-1, 1], meet the ground, if they do."""
    back = np.linalg.inv(clip)
    ends = np.column_stack([places, np.ones(len(places)), np.ones(len(places))]) @ back.T
    ways = ends[:, :3] / ends[:, 3:] - eye
    ways = ways[ways[:, 2] < -1e-6]
    return np.asarray(eye - ways * (eye[2] / ways[:, 2:]), np.float64)
