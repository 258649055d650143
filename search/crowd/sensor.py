"""From the light at a lens to a JPEG: what a cheap camera, far away and compressed, does to colours and edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from search.crowd.camera import Camera

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_STEPS = 1024  # of the table that stands in for a power a pixel
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MIDDLE = 0.19  # what automatic exposure makes the mean of linear light, if it follows all the way
_FINEST = 1.5  # a crop is developed at no more than this many times the height asked for


@dataclass(frozen=True)
class Sensor:
    """How one camera sees, for good; `develop` adds what changes from moment to moment.

    Attributes:
        exposure: factor of the light, 1 where a sunlit white wall is just below white.
        red: gain of red against green, a white balance that is a little off.
        blue: gain of blue against green.
        mixing: share of each colour channel that leaks into the others, [0, 0.3].
        saturation: 0 grey, 1 as it is.
        gamma: exponent on top of sRGB's; above 1 darkens the middle.
        contrast: slope in the middle, 1 as it is.
        lift: grey that haze and glare add, [0, 0.15].
        blur: radius of the lens's blur, pixels of the frame.
        sharpening: strength of the halo that the camera draws around edges, [0, 2.2].
        noise: of the darkest pixels, as a share of white.
        motion: mean length of motion blur for somebody 128 pixels tall, pixels.
        interlaced: share of pictures whose even and odd lines are from two moments.
        codec: JPEG quality of the camera's own stream.
        quality: JPEG quality of the crops cut from it.
        unsteadiness: how much exposure and white balance drift between moments, [0, 1].
    """

    exposure: float = 1.0
    red: float = 1.0
    blue: float = 1.0
    mixing: float = 0.0
    saturation: float = 0.85
    gamma: float = 1.0
    contrast: float = 1.0
    lift: float = 0.02
    blur: float = 0.6
    sharpening: float = 0.4
    noise: float = 0.01
    motion: float = 1.0
    interlaced: float = 0.0
    codec: int = 75
    quality: int = 90
    unsteadiness: float = 0.5

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Sensor:
        """One of the sensors there are: most of them dull, some vivid, few sharp."""
        warmth, tint = rng.normal(0, 0.1), rng.normal(0, 0.035)
        return cls(
            exposure=float(np.exp(rng.normal(0.08, 0.2))),
            red=float(np.exp(warmth - tint)),
            blue=float(np.exp(-warmth - tint)),
            mixing=float(rng.uniform(0, 0.12)),
            saturation=float(np.clip(rng.normal(0.72, 0.17), 0.3, 1.2)),
            gamma=float(np.exp(rng.normal(0.0, 0.15))),
            contrast=float(np.clip(rng.normal(1.3, 0.17), 0.8, 1.7)),
            lift=float(np.clip(0.01 + rng.exponential(0.022), 0, 0.12)),
            blur=float(rng.uniform(0.3, 0.9)),
            sharpening=float(np.clip(rng.normal(1.1, 0.6), 0, 2.2)),
            noise=float(np.clip(rng.lognormal(-5.2, 0.5), 0.002, 0.02)),
            motion=float(rng.choice([0.4, 1.0, 1.8, 3.0], p=[0.3, 0.35, 0.25, 0.1])),
            interlaced=float(rng.choice([0.0, 0.9], p=[0.85, 0.15])),
            codec=int(rng.integers(45, 92)),
            quality=int(rng.integers(84, 96)),
            unsteadiness=float(rng.uniform(0.2, 1.0)),
        )


def develop(
    pixels: Floats, camera: Camera, rng: np.random.Generator, height: int, width: int, box_height: float
) -> Image:
    """What the camera makes of the light.

    Args:
        pixels: (H, W, 3) float32, linear RGB, 0 or more.
        camera: whose sensor it is.
        rng: where the moment's noise, shake and drift come from.
        height: of the crop, pixels.
        width: of the crop, pixels.
        box_height: how tall the crop is in the camera's own frame, pixels.

    Returns:
        (height, width, 3) uint8, sRGB.
    """
    sensor = camera.sensor
    rows = int(np.clip(min(box_height, _FINEST * height), 16, pixels.shape[0]))
    columns = max(round(rows * width / height), 8)
    seen = np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    # Later stages move in units of these pixels; the frame's own are smaller where the crop was capped.
    scale = rows / max(box_height, 1.0)
    seen = _smeared(seen, sensor, rng, scale)
    gain = _gain(seen, sensor, rng)
    image = _toned(seen, sensor, gain, rng)
    image = _grainy(image, sensor, float(np.clip(gain[1], 0.7, 3.0)), rng)
    if sensor.sharpening > 0:
        image += sensor.sharpening * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    coded = np.clip(image, 0, 255).astype(np.uint8)
    coded = _coded(coded, sensor.codec + int(rng.integers(-6, 7)))
    coarse = cv2.INTER_LINEAR if rows <= height else cv2.INTER_AREA
    return np.asarray(cv2.resize(coded, (width, height), interpolation=coarse), np.uint8)


def encode(image: Image, camera: Camera, rng: np.random.Generator) -> bytes:
    """A crop as JPEG.

    Args:
        image: (H, W, 3) uint8, sRGB.
        camera: whose quality it is.
        rng: lets the quality vary by a step or two.
    """
    quality = int(np.clip(camera.sensor.quality + rng.integers(-2, 3), 20, 98))
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _smeared(seen: Floats, sensor: Sensor, rng: np.random.Generator, scale: float) -> Floats:
    """Motion between the opening and closing of the shutter, two fields of one picture, and the lens's blur."""
    length = rng.exponential(sensor.motion) * seen.shape[0] / 128
    if length > 0.75:
        streak = _streak(length, rng.normal(0, 0.35))
        seen = np.asarray(cv2.filter2D(seen, -1, streak, borderType=cv2.BORDER_REPLICATE), np.float32)
    if rng.random() < sensor.interlaced:
        shift = float(np.clip(rng.normal(0, sensor.motion), -3, 3)) * seen.shape[0] / 128
        moved = cv2.warpAffine(
            seen, np.array([[1, 0, shift], [0, 1, 0]]), seen.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
        )
        seen = seen.copy()
        seen[1::2] = moved[1::2]
    radius = sensor.blur * scale * rng.uniform(0.85, 1.4)
    # Once in a while the camera is out of focus or somebody is past its depth.
    radius += rng.exponential(0.6) * seen.shape[0] / 128 * (rng.random() < 0.1)
    return np.asarray(cv2.GaussianBlur(seen, (0, 0), radius), np.float32) if radius > 0.3 else seen


def _streak(length: float, angle: float) -> Floats:
    """A line of a pixel's width through the middle of a square kernel."""
    reach = int(np.ceil(length / 2)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    kernel = np.clip(1 - np.abs(across), 0, 1) * np.clip(length / 2 + 0.5 - np.abs(along), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _gain(seen: Floats, sensor: Sensor, rng: np.random.Generator) -> Floats:
    """(3,) factors of red, green and blue: the camera's own, the moment's drift, and an automatic exposure that follows
    the light part of the way.
    """
    level = max(float(seen.mean()), 1e-3)
    follow = float(np.clip((_MIDDLE / level) ** 0.6, 0.6, 4.0))
    drift = sensor.unsteadiness * rng.normal(0, 1, 3) * [0.16, 0.035, 0.035]
    gain = np.array([sensor.red * np.exp(drift[1]), 1.0, sensor.blue * np.exp(drift[2])], np.float32)
    return gain * np.float32(sensor.exposure * follow * np.exp(drift[0]))


def _toned(seen: Floats, sensor: Sensor, gain: Floats, rng: np.random.Generator) -> Floats:
    """(H, W, 3) in [0, 255]: colours through the filters, then the tone curve."""
    leak = sensor.mixing / 2
    mix = (1 - 3 * leak) * np.eye(3, dtype=np.float32) + leak
    chroma = sensor.saturation * np.exp(0.12 * sensor.unsteadiness * rng.normal())
    # In linear light: out = luma + chroma * (in - luma).
    mix = (chroma * np.eye(3) + (1 - chroma) * _LUMA) @ mix
    linear = cv2.transform(seen, (mix * gain).astype(np.float32))
    index = np.sqrt(np.clip(linear, 0, 1.5), dtype=np.float32) * np.float32((_STEPS - 1) / np.sqrt(1.5))
    return np.asarray(_curve(sensor)[index.astype(np.int32)], np.float32)


def _curve(sensor: Sensor) -> Floats:
    """(_STEPS,) in [0, 255] over the square root of linear light from 0 to 1.5."""
    linear = 1.5 * np.linspace(0, 1, _STEPS) ** 2
    # A shoulder keeps the brightest from clipping hard, as cameras do.
    linear = np.where(linear > 0.6, 0.6 + 0.4 * np.tanh((linear - 0.6) / 0.55), linear)
    value = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    value = value**sensor.gamma
    if sensor.contrast > 1:
        # An S that keeps black and white where they are: v^c / (v^c + (1 - v)^c).
        steep = value**sensor.contrast
        value = steep / (steep + np.maximum(1 - value, 0) ** sensor.contrast)
    else:
        value = 0.45 + sensor.contrast * (value - 0.45)
    return np.asarray(255 * (sensor.lift + (1 - sensor.lift) * np.clip(value, 0, 1)), np.float32)


def _grainy(image: Floats, sensor: Sensor, gain: float, rng: np.random.Generator) -> Floats:
    """Noise: more in the dark and under gain, that of the colours coarser than that of the brightness."""
    rows, columns = image.shape[:2]
    strength = 255 * sensor.noise * gain
    grain = rng.standard_normal((rows, columns, 1), np.float32)
    blotches = rng.standard_normal(((rows + 2) // 3, (columns + 2) // 3, 3), np.float32)
    spread = cv2.resize(blotches, (columns, rows), interpolation=cv2.INTER_LINEAR)
    fade = 1.25 - image.mean(axis=2, keepdims=True) / 255
    return np.asarray(image + strength * fade * (grain + 0.5 * spread), np.float32)


def _coded(image: Image, quality: int) -> Image:
    """Through the camera's own compression and back."""
    coding = [cv2.IMWRITE_JPEG_QUALITY, int(np.clip(quality, 10, 98))]
    stream = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), coding)[1]
    decoded = np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
