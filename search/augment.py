"""Random views of a whole batch at once, from uint8 crops in memory.

The draws for a batch come from (seed, epoch, step) alone and are made for the whole batch before it is cut
into the slices of the processes, so one process and many see the same pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.degrade import Damage, degrade, draw_damage
from search.recipe import Recipe

# ImageNet's statistics: what peers use, and close to what crops of people measure.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_GREY = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Draws:
    """What happens to each crop of a batch.

    Attributes:
        flip: (N,) bool.
        shift: (N, 2) int64, rows and columns of the crop's corner in the padded picture, 0 to 2 * pad.
        light: (N, 3) float32, factors of brightness, contrast and saturation; no saturation leaves grey.
        erase: (N, 4) int64, top, left, bottom, right of the erased rectangle; empty where there is none.
        hue: (N,) float32, turn of the colours around grey, in radians.
        grey: (N, 4) int64, the rectangle without colour, as `erase`.
        damage: what happens to the bytes before all that.
    """

    flip: NDArray[np.bool_]
    shift: NDArray[np.int64]
    light: NDArray[np.float32]
    erase: NDArray[np.int64]
    hue: NDArray[np.float32]
    grey: NDArray[np.int64]
    damage: Damage

    def __getitem__(self, part: slice) -> Draws:
        """The draws of a slice of the batch."""
        return Draws(
            self.flip[part],
            self.shift[part],
            self.light[part],
            self.erase[part],
            self.hue[part],
            self.grey[part],
            self.damage[part],
        )


def draw(recipe: Recipe, key: tuple[int, int], batch: int, height: int, width: int) -> Draws:
    """Draw for `batch` crops; `key` is (epoch, step)."""
    rng = np.random.default_rng([recipe.seed, *key, 1])
    flip = rng.random(batch) < recipe.flip
    shift = rng.integers(0, 2 * recipe.pad + 1, (batch, 2))
    light = rng.uniform(1 - recipe.jitter, 1 + recipe.jitter, (batch, 3)).astype(np.float32)
    erase = _rectangles(rng, recipe.erase, batch, height, width)
    light[rng.random(batch) < recipe.grey, 2] = 0
    turn = np.radians(recipe.hue)
    return Draws(
        flip,
        shift,
        light,
        erase,
        hue=rng.uniform(-turn, turn, batch).astype(np.float32),
        grey=_rectangles(rng, recipe.grey_patch, batch, height, width),
        damage=draw_damage(rng, recipe, batch, height),
    )


def _rectangles(
    rng: np.random.Generator, probability: float, batch: int, height: int, width: int
) -> NDArray[np.int64]:
    """Random erasing's rectangles (arXiv 1708.04896): 2 to 40 % of the area, aspect 0.3 to 3.3."""
    area = rng.uniform(0.02, 0.4, batch) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3), batch))
    h = np.clip(np.sqrt(area * aspect), 1, height).astype(np.int64)
    w = np.clip(np.sqrt(area / aspect), 1, width).astype(np.int64)
    top = (rng.random(batch) * (height - h + 1)).astype(np.int64)
    left = (rng.random(batch) * (width - w + 1)).astype(np.int64)
    boxes = np.stack([top, left, top + h, left + w], axis=1)
    boxes[rng.random(batch) >= probability] = 0
    return boxes


def normalise(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 or float 0..255 -> (N, 3, H, W) float32, normalised, in channels_last memory."""
    mean, std = images.new_tensor(MEAN, dtype=torch.float32), images.new_tensor(STD, dtype=torch.float32)
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def training_input(images: NDArray[np.uint8], draws: Draws, pad: int, device: torch.device) -> Tensor:
    """Crops as they lie in memory -> what `augment` gives, on a device."""
    return augment(torch.from_numpy(degrade(images, draws.damage)).to(device), draws, pad)


def augment(images: Tensor, draws: Draws, pad: int) -> Tensor:
    """Turn crops into training input; the damage of the draws is done already.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        draws: for these N crops.
        pad: pixels of black around a crop before it is cut back to H x W.

    Returns:
        (N, 3, H, W) float32, normalised, channels_last.
    """
    batch, height, width, _ = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    shift = torch.from_numpy(draws.shift).to(device)
    flip = torch.from_numpy(draws.flip).to(device)
    rows = shift[:, :1] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(batch, -1)
    columns = shift[:, 1:] + torch.where(flip[:, None], width - 1 - columns, columns)
    which = torch.arange(batch, device=device)[:, None, None]
    moved = padded[which, rows[:, :, None], columns[:, None, :]]  # one gather: shift, crop and mirror
    colours = moved.float()
    if draws.hue.any():
        colours = _turn(colours, torch.from_numpy(draws.hue).to(device))
    lit = _light(colours, torch.from_numpy(draws.light).to(device))
    for i, (top, left, bottom, right) in enumerate(draws.grey.tolist()):
        if bottom:
            patch = lit[i, top:bottom, left:right]
            patch.copy_((patch @ _GREY.to(device))[..., None].expand_as(patch))
    x = normalise(lit)
    for i, (top, left, bottom, right) in enumerate(draws.erase.tolist()):
        x[i, :, top:bottom, left:right] = 0  # the mean colour, after normalisation
    return x


def _turn(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each crop's colours around the axis of greys, (1, 1, 1) / sqrt(3), which stay as they are.

    x is (N, H, W, 3), 0..255; Rodrigues, with J all ones and K the cross product with the axis:

        R = cos(a) I + (1 - cos(a)) J / 3 + sin(a) K
    """
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    cross = x.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    rotation = cosine * torch.eye(3, device=x.device) + (1 - cosine) / 3 + sine * cross
    return (x.flatten(1, 2) @ rotation.mT).clamp_(0, 255).view_as(x)


def _light(x: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast around the crop's mean grey, saturation around each pixel's grey.

    x is (N, H, W, 3), 0..255; the three are one affine map of colour:

        s c b x + (1 - s) c b grey + (1 - c) b mean
    """
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    grey = (x @ _GREY.to(x.device))[..., None]
    mean = grey.mean(dim=(1, 2), keepdim=True)
    scaled = x * (saturation * contrast * brightness)
    scaled += grey * ((1 - saturation) * contrast * brightness)
    scaled += mean * ((1 - contrast) * brightness)
    return scaled.clamp_(0, 255)
