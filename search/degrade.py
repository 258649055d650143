"""What happens to a picture before anybody sees it: something in front of it, gamma, little light, lost resolution,
blur, JPEG.

Each is drawn for a part of the crops and costs a few tens of microseconds for such a crop, on bytes, through OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.crops import decode
from search.recipe import Recipe

_SCALE = (0.25, 0.8)  # of the height and width that are left
_SIGMA = (0.5, 1.5)  # in pixels of a crop of 128 rows
_QUALITY = (15, 80)
_LIGHT = (-3.5, -1.0)  # binary logarithm of what is left
_BYTE_EXPONENT = 1 / 2.2  # bytes of a camera rise with this power of the light
_COVER = (0.1, 0.4)  # of the height or width
_SIDES = 3  # below, left, right


@dataclass(frozen=True)
class Damage:
    """What happens to each crop of a batch.

    Attributes:
        gamma: (N,) float64, exponents of brightness; 1 for none.
        scale: (N,) float64, part of the resolution that is left; 1 for all of it.
        sigma: (N,) float64, of the blur, in pixels; 0 for none.
        quality: (N,) int64, of the JPEG; 0 for none.
        light: (N,) float64, factor of the bytes; 1 for none.
        cover: (N,) float64, part of the height or width that something hides; 0 for nothing.
        side: (N,) int64, where that is: 0 below, 1 left, 2 right.
        colour: (N, 3) int64, of that.
    """

    gamma: NDArray[np.float64]
    scale: NDArray[np.float64]
    sigma: NDArray[np.float64]
    quality: NDArray[np.int64]
    light: NDArray[np.float64]
    cover: NDArray[np.float64]
    side: NDArray[np.int64]
    colour: NDArray[np.int64]

    @classmethod
    def none(cls, batch: int) -> Damage:
        """Nothing happens."""
        one, zero = np.ones(batch), np.zeros(batch, np.int64)
        return cls(
            one, one, zero.astype(float), zero, one, zero.astype(float), zero, np.zeros((batch, 3), np.int64)
        )

    def __getitem__(self, part: slice) -> Damage:
        """Of a slice of the batch."""
        return Damage(**{name: values[part] for name, values in vars(self).items()})


def draw_damage(rng: np.random.Generator, recipe: Recipe, batch: int, height: int) -> Damage:
    """Draw for `batch` crops of so many rows."""

    def some(probability: float, values: NDArray[np.float64], none: float) -> NDArray[np.float64]:
        return np.where(rng.random(batch) < probability, values, none)

    widest = np.log1p(recipe.gamma)
    return Damage(
        gamma=np.exp(rng.uniform(-widest, widest, batch)),
        scale=some(recipe.low, rng.uniform(*_SCALE, batch), 1),
        sigma=some(recipe.blur, rng.uniform(*_SIGMA, batch) * height / 128, 0),
        quality=some(recipe.jpeg, rng.uniform(*_QUALITY, batch), 0).astype(np.int64),
        light=some(recipe.dark, 2 ** (_BYTE_EXPONENT * rng.uniform(*_LIGHT, batch)), 1),
        cover=some(recipe.cover, rng.uniform(*_COVER, batch), 0),
        side=rng.integers(0, _SIDES, batch),
        colour=rng.integers(0, 256, (batch, 3)),
    )


def degrade(images: NDArray[np.uint8], damage: Damage) -> NDArray[np.uint8]:
    """(N, H, W, 3) uint8 RGB -> the same, as worse cameras would have seen it; `images` stays as it is."""
    out = np.array(images)  # a copy, also of what is mapped from a file
    levels = np.arange(256) / 255
    height, width = out.shape[1:3]
    for i in np.flatnonzero(damage.cover):
        rows, columns = int(damage.cover[i] * height), int(damage.cover[i] * width)
        part = (np.s_[height - rows :], np.s_[:, :columns], np.s_[:, width - columns :])[damage.side[i]]
        out[i][part] = damage.colour[i]
    for i in np.flatnonzero((damage.gamma != 1) | (damage.light != 1)):
        table = np.rint(255 * damage.light[i] * levels ** damage.gamma[i]).astype(np.uint8)
        out[i] = cv2.LUT(out[i], table)
    for i in np.flatnonzero(damage.scale < 1):
        small = max(round(width * damage.scale[i]), 1), max(round(height * damage.scale[i]), 1)
        less = cv2.resize(out[i], small, interpolation=cv2.INTER_AREA)
        out[i] = cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR)
    for i in np.flatnonzero(damage.sigma):
        out[i] = cv2.GaussianBlur(out[i], (0, 0), damage.sigma[i])
    for i in np.flatnonzero(damage.quality):
        out[i] = _compress(out[i], int(damage.quality[i]))
    return out


def _compress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Write a JPEG and read it again."""
    told = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return decode(told.tobytes(), "a crop made worse")
