"""Rounded tubes with a depth buffer: the one solid from which a pedestrian is built."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Floats = NDArray[np.float32]
Where = Callable[[Floats, Floats], NDArray]
"""(azimuth, along) -> how much of a paint lies there. Azimuth 0 is the front, positive the wearer's left."""

LEVELS = np.linspace(0, 1, 48)


@dataclass(frozen=True)
class Cloth:
    """A surface: its RGB colour (0..1), how deep its folds are (metres), and paints laid over the colour."""

    colour: Colour
    folds: float = 0.0
    paints: tuple[tuple[Where, Colour], ...] = ()


@dataclass(frozen=True)
class Tube:
    """A tube from `start` to `end` (metres; x to the wearer's left, y up, z forward), `radii` along it.

    `flat` is thickness over width; `rounded` says which ends are caps (a hem is not one); `inside` is how
    far (metres) it gives way to what is worn over it.
    """

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radii: tuple[float, ...]
    cloth: Cloth
    flat: float = 1.0
    rounded: tuple[bool, bool] = (True, True)
    inside: float = 0.0


@dataclass(frozen=True)
class View:
    """Where a body stands in the picture (pixels) and from where it is seen (radians)."""

    height: int
    width: int
    x: float
    y: float
    scale: float
    yaw: float
    tilt: float

    def project(self, points: Floats) -> Floats:
        """Map (N, 3) body metres to (N, 3) x, y and depth towards the camera, in pixels."""
        left, up, forward = points.T
        across = left * np.cos(self.yaw) + forward * np.sin(self.yaw)
        near = forward * np.cos(self.yaw) - left * np.sin(self.yaw)
        rise = up * np.cos(self.tilt) - near * np.sin(self.tilt)
        depth = near * np.cos(self.tilt) + up * np.sin(self.tilt)
        return np.stack(
            [self.x + self.scale * across, self.y - self.scale * rise, self.scale * depth], axis=1
        )


@dataclass(frozen=True)
class Surface:
    """What each pixel sees, all (H, W): depth (pixels), number of the tube or 0, side -1..1, along 0..1."""

    depth: Floats
    part: NDArray[np.uint8]
    side: Floats
    along: Floats


@dataclass(frozen=True)
class Light:
    """A lamp direction (x right, y down, z towards the camera) and the light that comes from everywhere."""

    direction: tuple[float, float, float]
    ambient: float


def rasterise(tubes: Sequence[Tube], view: View) -> Surface:
    """Draw tubes into a depth buffer; the nearest wins each pixel."""
    shape = (view.height, view.width)
    surface = Surface(
        np.full(shape, -1e6, np.float32),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
    )
    ends = view.project(np.array([p for tube in tubes for p in (tube.start, tube.end)])).reshape(-1, 2, 3)
    for number, (tube, (start, end)) in enumerate(zip(tubes, ends, strict=True), start=1):
        _rasterise_one(surface, number, tube, start, end, view)
    return surface


def _rasterise_one(surface: Surface, number: int, tube: Tube, start: Floats, end: Floats, view: View) -> None:
    # A flat tube, turned: its half-width in the picture, and its half-thickness towards the camera.
    wide = math.hypot(math.cos(view.yaw), tube.flat * math.sin(view.yaw))
    thick = math.hypot(math.sin(view.yaw), tube.flat * math.cos(view.yaw)) / wide
    profile = _profile(tube.radii) * np.float32(view.scale * wide)
    reach = float(profile.max()) + 1
    (x0, y0, z0), (x1, y1, z1) = start.tolist(), end.tolist()
    left, right = max(0, int(min(x0, x1) - reach)), min(view.width, int(max(x0, x1) + reach) + 1)
    top, bottom = max(0, int(min(y0, y1) - reach)), min(view.height, int(max(y0, y1) + reach) + 1)
    if left >= right or top >= bottom:
        return
    box = np.s_[top:bottom, left:right]
    length = max(math.hypot(x1 - x0, y1 - y0), 1e-3)
    ax, ay = (x1 - x0) / length, (y1 - y0) / length
    xs = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x0)
    ys = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y0))[:, None]
    along = xs * np.float32(ax) + ys * np.float32(ay)
    across = xs * np.float32(ay) - ys * np.float32(ax)
    inner = np.minimum(np.maximum(along, 0), np.float32(length))
    over = along - inner
    inner /= np.float32(length)
    radius = np.take(profile, (inner * np.float32(len(LEVELS) - 1)).astype(np.intp))
    across /= radius
    bulge = 1 - across * across - (over / radius) ** 2
    seen = bulge > 0
    bulge = np.sqrt(np.maximum(bulge, 0))
    # A hem hangs a little lower in front than at its sides, seen from above.
    if not tube.rounded[0]:
        seen &= over >= 0
    if not tube.rounded[1]:
        seen &= over <= np.float32(0.15) * radius * bulge
    depth = (
        bulge * radius * np.float32(thick)
        + inner * np.float32(z1 - z0)
        + np.float32(z0 - tube.inside * view.scale)
    )
    seen &= depth > surface.depth[box]
    np.copyto(surface.depth[box], depth, where=seen)
    np.copyto(surface.part[box], np.uint8(number), where=seen)
    np.copyto(surface.side[box], across, where=seen)
    np.copyto(surface.along[box], inner, where=seen)


@lru_cache(maxsize=4096)
def _profile(radii: tuple[float, ...]) -> Floats:
    """Return the radius at each of LEVELS, float32."""
    return np.maximum(np.interp(LEVELS * (len(radii) - 1), np.arange(len(radii)), radii), 1e-4).astype(
        np.float32
    )


def shade(
    surface: Surface, tubes: Sequence[Tube], view: View, light: Light, rng: np.random.Generator
) -> Floats:
    """Paint and light a surface: (H, W, 4), RGB times coverage and coverage, 0..1."""
    layer = np.zeros((*surface.part.shape, 4), np.float32)
    left, top, width, height = cv2.boundingRect(surface.part)
    if not width:
        return layer
    box = np.s_[top : top + height, left : left + width]
    part = surface.part[box]
    seen = Surface(surface.depth[box], part, surface.side[box], surface.along[box])
    bright = _brightness(seen, tubes, view.scale, light, rng)
    colours = _paint(seen, tubes, view.yaw)
    layer[box] = np.dstack([colours * bright[..., None], (part > 0).astype(np.float32)])
    return layer


def _brightness(
    seen: Surface, tubes: Sequence[Tube], scale: float, light: Light, rng: np.random.Generator
) -> Floats:
    """Return how much light each pixel gives back, (h, w), about 1 where the lamp shines straight."""
    mask = (seen.part > 0).astype(np.float32)
    folds = np.array([0.0, *(tube.cloth.folds for tube in tubes)], np.float32) * np.float32(scale)
    depth = seen.depth * mask
    # Hidden corners are darker: compare each pixel with the mean depth of the body around it.
    around = (2 * int(0.035 * scale) + 1,) * 2
    hidden = cv2.blur(depth, around) / np.maximum(cv2.blur(mask, around), np.float32(1e-3)) - depth
    hidden = np.clip(hidden / np.float32(0.13 * scale), -0.1, 0.6)
    depth += np.take(folds, seen.part) * _wrinkles(depth.shape, scale, rng)
    depth = cv2.blur(depth, (2 * int(0.01 * scale) + 1,) * 2)
    gx = np.clip(cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=1 / 8), -1.5, 1.5)
    gy = np.clip(cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=1 / 8), -1.5, 1.5)
    x, y, z = (np.array(light.direction) / np.linalg.norm(light.direction)).astype(np.float32)
    lambert = np.maximum(z - gx * x - gy * y, 0) / np.sqrt(1 + gx * gx + gy * gy)
    return (np.float32(light.ambient) + np.float32(1.05 - light.ambient) * lambert) * (1 - hidden)


def _paint(seen: Surface, tubes: Sequence[Tube], yaw: float) -> Floats:
    """Return the unlit (h, w, 3) RGB colours, paints included."""
    table = np.array([(0, 0, 0), *(tube.cloth.colour for tube in tubes)], np.float32)
    colours = np.take(table, seen.part, axis=0)
    # Pixels sorted by tube, so that each tube's own are one slice.
    order = np.argsort(seen.part, axis=None, kind="stable")
    cuts = np.searchsorted(seen.part.ravel()[order], np.arange(len(tubes) + 2))
    for number, tube in enumerate(tubes, start=1):
        own = order[cuts[number] : cuts[number + 1]]
        if not tube.cloth.paints or not own.size:
            continue
        # The visible side of a tube spans half a turn around the direction that faces the camera.
        azimuth = np.arcsin(np.clip(seen.side.ravel()[own], -1, 1)) - np.float32(yaw)
        azimuth = (azimuth + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)
        along, pixels = seen.along.ravel()[own], colours.reshape(-1, 3)[own]
        for where, colour in tube.cloth.paints:
            pixels += where(azimuth, along).astype(np.float32)[:, None] * (
                np.array(colour, np.float32) - pixels
            )
        colours.reshape(-1, 3)[own] = pixels
    return colours


def _wrinkles(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> Floats:
    """Return low-frequency noise of about unit size: folds a hand wide, and finer ones."""
    total = np.zeros(shape, np.float32)
    for size, weight in ((0.13, 1.0), (0.06, 0.4)):
        step = max(2.0, size * scale)
        grid = rng.standard_normal(
            (int(shape[0] / step) + 2, int(shape[1] / step / 1.5) + 2), dtype=np.float32
        )
        total += np.float32(weight) * cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return total
