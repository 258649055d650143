"""The place that a camera looks at: a floor, stretches of wall, and things along them."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from tests.people.tube import Floats

METRE = 80  # pixels of the panorama, at the wall
HEIGHT, WIDTH = 280, 1280


@dataclass(frozen=True)
class Scene:
    """A panorama (HEIGHT, WIDTH, 3) RGB 0..1; the wall meets the floor at row `foot`."""

    picture: Floats
    foot: int

    def crop(self, height: int, width: int, ground: float, person: float, rng: np.random.Generator) -> Floats:
        """Cut a (height, width, 3) box for somebody `person` pixels tall, with feet at row `ground`."""
        feet = rng.uniform(self.foot + 15, HEIGHT - 20)
        # Somebody nearer to the camera is larger, so that the same box covers less of the panorama.
        zoom = person / (1.7 * METRE * (1 + 0.8 * (feet - self.foot) / (HEIGHT - self.foot)))
        left = rng.uniform(0, WIDTH - width / zoom)
        matrix = np.array([[zoom, 0, -left * zoom], [0, zoom, ground - feet * zoom]])
        return cv2.warpAffine(
            self.picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )


def random_scene(rng: np.random.Generator) -> Scene:
    """Draw a place."""
    foot = int(rng.uniform(0.15, 0.62) * HEIGHT)
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    walls, floors = (_panels, _bricks, _doors, _hedge), (_tiles, _asphalt, _tiles)
    cuts = [0, *np.sort(rng.integers(0, WIDTH, 4)).tolist(), WIDTH]
    for left, right in pairwise(cuts):
        if right > left:
            wall = np.empty((foot, right - left, 3), np.float32)
            wall[:] = _mottled(foot, right - left, rng.uniform(0.2, 0.75), rng)
            walls[rng.integers(len(walls))](wall, rng)
            picture[:foot, left:right] = wall
    floor = _mottled(HEIGHT - foot, WIDTH, rng.uniform(0.3, 0.6), rng)
    floors[rng.integers(len(floors))](floor, rng)
    picture[foot:] = floor
    _furnish(picture, foot, rng)
    # Where wall and floor meet, little light comes.
    rows = np.abs(np.arange(HEIGHT) - foot)[:, None, None]
    picture *= (1 - 0.35 * np.exp(-rows / 7)).astype(np.float32)
    return Scene(np.clip(cv2.GaussianBlur(picture, (3, 3), 0.7), 0, 1), foot)


def _mottled(height: int, width: int, level: float, rng: np.random.Generator) -> Floats:
    """Return a greyish colour with stains and grain."""
    tint = level * (1 + rng.normal(0, 0.06, 3))
    spots = np.full((height, width), 1, np.float32)
    for size, weight in ((90, 0.05), (14, 0.03), (3, 0.03)):
        grid = rng.standard_normal((height // size + 2, width // size + 2), dtype=np.float32)
        spots += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    return spots[..., None] * tint.astype(np.float32)


def _panels(wall: Floats, rng: np.random.Generator) -> None:
    height, width = wall.shape[:2]
    colour = (wall.mean((0, 1)) * rng.uniform(0.6, 1.3)).tolist()
    step = int(rng.uniform(0.5, 1.8) * METRE)
    for x in range(int(rng.uniform(0, step)), width, step):
        cv2.line(wall, (x, 0), (x, height), colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    top = height - int(rng.uniform(0.3, 1.0) * METRE)
    cv2.rectangle(wall, (0, top), (width, top + int(rng.integers(2, 9))), colour, -1)


def _bricks(wall: Floats, rng: np.random.Generator) -> None:
    wall *= np.array((1.15, 0.85, 0.72), np.float32)
    mortar = (wall.mean((0, 1)) * 1.25).tolist()
    high, wide = int(rng.integers(6, 8)), int(rng.integers(14, 20))
    for row, y in enumerate(range(0, wall.shape[0], high)):
        cv2.line(wall, (0, y), (wall.shape[1], y), mortar, 1)
        for x in range(row % 2 * wide // 2, wall.shape[1], wide):
            wall[y : y + high, x : x + wide] *= np.float32(rng.uniform(0.85, 1.12))
            cv2.line(wall, (x, y), (x, y + high), mortar, 1)


def _doors(wall: Floats, rng: np.random.Generator) -> None:
    height, width = wall.shape[:2]
    x = 0
    while x < width:
        wide, top = int(rng.uniform(0.8, 1.3) * METRE), max(0, height - int(rng.uniform(2.0, 2.3) * METRE))
        inside = (rng.uniform(0.08, 0.5) * (1 + rng.normal(0, 0.1, 3))).clip(0.03, 0.8)
        wall[top:, x : x + wide] = inside * np.linspace(1.3, 0.7, height - top)[:, None, None]
        frame = [float(rng.uniform(0.1, 0.85))] * 3
        cv2.rectangle(wall, (x, top), (x + wide, height), frame, int(rng.integers(2, 6)))
        if rng.random() < 0.6:
            cv2.line(wall, (x + wide // 2, top), (x + wide // 2, height), frame, 2)
        x += wide + int(rng.uniform(0.1, 1.5) * METRE)


def _hedge(wall: Floats, rng: np.random.Generator) -> None:
    height, width = wall.shape[:2]
    shape = (height, width, 1)
    leaves = _mottled(height, width, 1.0, rng)[..., :1] ** 4
    green = np.array((0.24, 0.31, 0.17), np.float32) * np.float32(rng.uniform(0.6, 1.3))
    gleam = 0.25 * rng.standard_normal((height // 4 + 1, width // 4 + 1), dtype=np.float32)
    depth = np.linspace(1.25, 0.7, height, dtype=np.float32)[:, None, None]
    gleam = cv2.resize(gleam, (width, height), interpolation=cv2.INTER_CUBIC).reshape(shape)
    wall[:] = np.clip(green * leaves * depth * (1 + gleam), 0.01, 1)


def _tiles(floor: Floats, rng: np.random.Generator) -> None:
    """Lay paving in perspective: seams run to a vanishing point above the wall's foot."""
    height, width = floor.shape[:2]
    seam = (floor.mean((0, 1)) * rng.choice((0.7, 0.8, 1.2))).tolist()
    step, above = rng.uniform(0.35, 0.8) * METRE, rng.uniform(0.8, 3) * METRE
    for x in np.arange(-width, 2 * width, step).tolist():
        low = width / 2 + (x - width / 2) * (above + height) / above
        cv2.line(floor, (int(x), 0), (int(low), height), seam, 1, cv2.LINE_AA)
    y = 0.0
    while y < height:
        cv2.line(floor, (0, int(y)), (width, int(y)), seam, 1, cv2.LINE_AA)
        y += step * 0.35 * (1 + 1.6 * y / above)


def _asphalt(floor: Floats, rng: np.random.Generator) -> None:
    height, width = floor.shape[:2]
    floor *= 0.85 + 0.06 * rng.standard_normal((height, width, 1), dtype=np.float32)
    y = int(rng.uniform(0.1, 0.8) * height)
    shade = [float(rng.choice((0.75, 0.3)))] * 3
    cv2.line(floor, (0, y), (width, y + int(rng.normal(0, 15))), shade, int(rng.integers(2, 7)), cv2.LINE_AA)


def _furnish(picture: Floats, foot: int, rng: np.random.Generator) -> None:
    """Stand things along the wall: posts, signs, bins, shrubs and bicycles."""
    x = rng.uniform(0, 2) * METRE
    while x < WIDTH:
        thing = (_post, _sign, _bin, _shrub, _bicycle)[rng.integers(5)]
        colour = (rng.uniform(0.08, 0.65) * (1 + rng.normal(0, 0.14, 3))).clip(0.03, 0.9)
        thing(picture, int(x), foot + int(rng.uniform(0, 0.3) * METRE), colour.tolist(), rng)
        x += rng.uniform(0.8, 2.8) * METRE


def _post(picture: Floats, x: int, y: int, colour: list[float], rng: np.random.Generator) -> None:
    cv2.rectangle(picture, (x, 0), (x + int(rng.uniform(0.03, 0.15) * METRE), y), colour, -1)


def _sign(picture: Floats, x: int, y: int, colour: list[float], rng: np.random.Generator) -> None:
    low = y - int(1.1 * METRE)
    cv2.rectangle(picture, (x, low - METRE // 2), (x + int(rng.uniform(0.3, 0.8) * METRE), low), colour, -1)


def _bin(picture: Floats, x: int, y: int, colour: list[float], rng: np.random.Generator) -> None:
    wide, high = int(rng.uniform(0.35, 0.5) * METRE), int(rng.uniform(0.6, 0.9) * METRE)
    cv2.rectangle(picture, (x, y - high), (x + wide, y), colour, -1)
    cv2.rectangle(picture, (x - 2, y - high - 5), (x + wide + 2, y - high + 2), [0.6 * c for c in colour], -1)


def _shrub(picture: Floats, x: int, y: int, _: list[float], rng: np.random.Generator) -> None:
    for dx, dy in rng.normal(0, 0.17 * METRE, (120, 2)).astype(int).tolist():
        leaf = (np.array((0.2, 0.28, 0.14)) * rng.uniform(0.5, 1.4)).tolist()
        cv2.circle(picture, (x + dx, y - METRE // 3 + dy), 3, leaf, -1, cv2.LINE_AA)


def _bicycle(picture: Floats, x: int, y: int, colour: list[float], _: np.random.Generator) -> None:
    tyre, radius = (0.1, 0.1, 0.1), 0.33
    for wheel in (0.0, 1.02):
        cv2.circle(
            picture,
            (x + int(wheel * METRE), y - int(radius * METRE)),
            int(radius * METRE),
            tyre,
            2,
            cv2.LINE_AA,
        )
    corners = ((0, 0.33), (0.38, 0.36), (0.76, 0.82), (0.27, 0.8), (0.38, 0.36), (0.27, 0.8), (0, 0.33))
    for shape in (corners, ((1.02, 0.33), (0.73, 1.0), (0.64, 1.0)), ((0.11, 0.94), (0.4, 0.96))):
        points = (np.array(shape) * (METRE, -METRE) + (x, y)).astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 3, cv2.LINE_AA)
