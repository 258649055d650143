"""The numbers of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoreid_deploy.errors import InputError

# Smallest and largest value of each number of a recipe.
Limits = Mapping[str, tuple[float, float]]
_LIMITS: Limits = {
    "epochs": (1, math.inf),
    "people": (2, math.inf),  # a triplet needs two people, and two crops of one
    "shots": (2, math.inf),
    "steps": (0, math.inf),
    "lr": (0, math.inf),
    "momentum": (0, 1),
    "weight_decay": (0, math.inf),
    "warmup": (0, math.inf),
    "label_smoothing": (0, 1),
    "margin": (0, math.inf),
    "triplet_weight": (0, math.inf),
    "contrastive_weight": (0, math.inf),
    "temperature": (0.01, 10),
    "flip": (0, 1),
    "pad": (0, math.inf),
    "jitter": (0, 1),
    "hue": (0, 180),
    "gamma": (0, math.inf),
    "grey": (0, 1),
    "grey_patch": (0, 1),
    "low": (0, 1),
    "blur": (0, 1),
    "jpeg": (0, 1),
    "dark": (0, 1),
    "cover": (0, 1),
    "erase": (0, 1),
    "ema": (0, 1),
    "val_every": (1, math.inf),
    "seed": (0, math.inf),
}


def check_limits(table: object, limits: Limits, where: str) -> None:
    """Make sure that a table's numbers lie where they can work.

    Raises:
        InputError: one does not.
    """
    for name, (low, high) in limits.items():
        value = getattr(table, name)
        if not (math.isfinite(value) and low <= value <= high):
            wanted = f"{low} or more" if high == math.inf else f"from {low} to {high}"
            raise InputError(f"{where}: {name} is {wanted}, got {value}")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the crops.
        people: P, people a batch.
        shots: K, crops a person in a batch.
        steps: batches an epoch; 0: as many as all crops fill.
        across_cameras: the K crops of a person are by as many cameras as there are.
        heads: `one` softmax over everybody, or `each`, in which the people of a source with a share of its own
            compete among themselves alone.
        optimiser: `sgd`, with Nesterov momentum, or `adamw` (arXiv 1711.05101), which takes a 25 times lower `lr`
            and a 100 times higher `weight_decay`.
        lr: peak learning rate.
        momentum: of SGD.
        weight_decay: on the weights of convolutions and linear layers.
        warmup: epochs of linear warm-up before the cosine.
        label_smoothing: of the cross-entropy.
        margin: of the batch-hard triplet loss, in the feature's own Euclidean distance.
        triplet_weight: of the triplet loss beside the cross-entropy.
        contrastive_weight: of the contrastive loss beside it.
        temperature: of the contrastive loss, which divides its cosines.
        flip: probability of a mirrored crop.
        pad: pixels of zero padding before a random crop back to size.
        jitter: largest relative change of brightness, contrast and saturation.
        hue: largest turn of the colours around grey, in degrees.
        gamma: exponents of brightness lie between 1 / (1 + gamma) and 1 + gamma.
        grey: probability of a crop without colour.
        grey_patch: probability of a rectangle without colour (local grayscale transfer, Gong et al. 2021).
        low: probability of a crop of a quarter to four fifths of the resolution.
        blur: probability of a blurred crop.
        jpeg: probability of a crop that is compressed to a JPEG quality of 15 to 80.
        dark: probability of a crop with half to an eleventh of the light.
        cover: probability of a crop of which a tenth to four tenths lie behind something of one colour, from below or
            from a side.
        erase: probability of an erased rectangle (arXiv 1708.04896).
        ema: decay of the averaged weights, which are validated and exported.
        norm: batch norms take the statistics of the whole `batch`, or of each process's `slice`, which is quicker where
            there are several.
        precision: `auto` (bf16 where the processor computes in it, else float32), `bf16` or `float32`.
        val_every: epochs between validations.
        seed: of the order of the data, the augmentation and the initial weights.
    """

    epochs: int = 60
    people: int = 16
    shots: int = 4
    steps: int = 0
    across_cameras: bool = False
    heads: str = "one"
    optimiser: str = "sgd"
    lr: float = 0.065
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 3.0
    label_smoothing: float = 0.1
    margin: float = 0.3
    triplet_weight: float = 1.0
    contrastive_weight: float = 0.0
    temperature: float = 0.1
    flip: float = 0.5
    pad: int = 5
    jitter: float = 0.2
    hue: float = 0.0
    gamma: float = 0.0
    grey: float = 0.0
    grey_patch: float = 0.0
    low: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0
    dark: float = 0.0
    cover: float = 0.0
    erase: float = 0.4
    ema: float = 0.999
    norm: str = "batch"
    precision: str = "auto"
    val_every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS, "recipe")
        if self.precision not in ("auto", "bf16", "float32"):
            raise InputError(f"recipe: precision is auto, bf16 or float32, got {self.precision!r}")
        if self.norm not in ("batch", "slice"):
            raise InputError(f"recipe: norm is batch or slice, got {self.norm!r}")
        if self.optimiser not in ("sgd", "adamw"):
            raise InputError(f"recipe: optimiser is sgd or adamw, got {self.optimiser!r}")
        if self.heads not in ("one", "each"):
            raise InputError(f"recipe: heads is one or each, got {self.heads!r}")
