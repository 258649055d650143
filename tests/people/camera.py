"""A camera: where it hangs, its light, its colours, and how it spoils what it sees."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.people.scene import Scene, random_scene
from tests.people.tube import Floats, Light


@dataclass(frozen=True)
class Camera:
    """What all pictures of one camera share."""

    scene: Scene
    light: Light
    tilt: float  # radians that it looks down
    gains: tuple[float, float, float]  # of red, green and blue
    gamma: float
    contrast: float
    saturation: float
    softness: float  # Gaussian blur, in pixels of a picture 128 high
    noise: float
    quality: int  # of JPEG, 1..100

    def expose(self, picture: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Turn a clean (H, W, 3) RGB picture, 0..1, into the (H, W, 3) BGR bytes that leave this camera."""
        unit = picture.shape[0] / 128
        sight = cv2.GaussianBlur(picture, (0, 0), unit * self.softness * rng.uniform(0.8, 1.4))
        if rng.random() < 0.35:
            sight = _smear(sight, unit * rng.uniform(1.5, 4.0), rng.uniform(-0.3, 0.3))
        # Saturation, white balance and exposure are one matrix on the colours.
        mix = self.saturation * np.eye(3) + (1 - self.saturation) / 3
        sight = cv2.transform(sight, np.array(self.gains)[:, None] * mix * rng.normal(1, 0.05))
        sight = np.power(np.clip(sight, 0, 1), np.float32(self.gamma))
        grain = rng.standard_normal(sight.shape, dtype=np.float32)
        grain = 0.7 * grain + 0.6 * grain[..., :1]
        sight += np.float32(self.noise) * cv2.blur(grain, (2, 2))
        # Surveillance cameras sharpen what they have blurred.
        soft = cv2.GaussianBlur(sight, (0, 0), 1.2 * unit)
        sight = 0.5 + self.contrast * (1.5 * sight - 0.5 * soft - 0.5)
        return np.clip(sight[..., ::-1] * 255 + 0.5, 0, 255).astype(np.uint8)


def random_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera and the place that it watches."""
    side = rng.choice((-1, 1))
    return Camera(
        scene=random_scene(rng),
        light=Light(
            (side * rng.uniform(0.3, 1.0), -rng.uniform(0.4, 1.0), rng.uniform(0.5, 1.0)),
            rng.uniform(0.35, 0.65),
        ),
        tilt=float(rng.uniform(0.05, 0.3)),
        gains=tuple((rng.uniform(0.95, 1.18) * (1 + rng.normal(0, 0.026, 3))).tolist()),
        gamma=float(rng.uniform(0.85, 1.12)),
        contrast=float(rng.uniform(0.85, 1.08)),
        saturation=float(rng.uniform(0.75, 1.1)),
        softness=float(rng.uniform(0.5, 0.9)),
        noise=float(rng.uniform(0.004, 0.014)),
        quality=int(rng.integers(60, 92)),
    )


def _smear(picture: Floats, length: float, angle: float) -> Floats:
    """Blur along a line: somebody walks while the shutter is open."""
    size = 2 * int(length) + 1
    kernel = np.zeros((size, size), np.float32)
    dx, dy = length / 2 * np.cos(angle), length / 2 * np.sin(angle)
    middle = size // 2
    cv2.line(
        kernel, (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy)), 1.0, 1
    )
    return cv2.filter2D(picture, -1, kernel / kernel.sum())
