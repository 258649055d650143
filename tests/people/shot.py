"""One picture of somebody by one camera."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.people.body import build, random_pose
from tests.people.camera import Camera
from tests.people.person import Person, random_person
from tests.people.tube import Floats, View, rasterise, shade

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Stand:
    """Where somebody stands in a picture: feet (pixels), pixels a metre, turn of the body (radians)."""

    x: float
    y: float
    scale: float
    yaw: float


def take(
    person: Person, camera: Camera, size: tuple[int, int], rng: np.random.Generator, *, empty: bool = False
) -> NDArray[np.uint8]:
    """Take a (height, width, 3) BGR picture; `empty` leaves the person out and changes nothing else."""
    height, width = size
    # Detectors give boxes of any shape; all are stretched to one.
    narrow = round(width / rng.uniform(0.95, 1.2))
    stand = _random_stand(person, height, narrow, rng)
    tall = stand.scale * person.body.height
    picture = camera.scene.crop(height, narrow, stand.y, tall, rng)
    passer_by, pose, light = (np.random.default_rng(child) for child in rng.integers(2**63, size=3))
    if rng.random() < 0.2:
        away = rng.uniform(0.15, 0.45)
        far = Stand(
            rng.uniform(0, narrow), stand.y - 0.55 * away * tall, (1 - away) * stand.scale, rng.uniform(0, 6)
        )
        picture = _place(picture, random_person(passer_by), far, camera, passer_by)
    if not empty:
        _shadow(picture, stand, camera)
        picture = _place(picture, person, stand, camera, pose)
    return camera.expose(cv2.resize(picture, (width, height)), light)


def _random_stand(person: Person, height: int, width: int, rng: np.random.Generator) -> Stand:
    """Draw a view (front, back or side-ish) and a box that is loose, tight, or a little off."""
    facing = rng.choice((0, np.pi, np.pi / 2, -np.pi / 2), p=(0.33, 0.33, 0.17, 0.17))
    tall = height * rng.uniform(0.86, 1.02)
    return Stand(
        x=width * (0.5 + rng.normal(0, 0.05)),
        y=height * (0.985 + rng.uniform(-0.05, 0.03)) - 0.25 * (0.95 * height - tall),
        scale=float(tall / person.body.height),
        yaw=float(facing + rng.uniform(-0.5, 0.5)),
    )


def _place(picture: Floats, person: Person, stand: Stand, camera: Camera, rng: np.random.Generator) -> Floats:
    """Draw somebody over a picture."""
    height, width = picture.shape[:2]
    fine = SUPERSAMPLING
    # Tubes are those of a body of 1.70 m.
    scale = fine * stand.scale * person.body.height / 1.7
    view = View(height * fine, width * fine, stand.x * fine, stand.y * fine, scale, stand.yaw, camera.tilt)
    tubes = build(person, random_pose(rng))
    layer = shade(rasterise(tubes, view), tubes, view, camera.light, rng)
    layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
    return picture * (1 - layer[..., 3:]) + layer[..., :3]


def _shadow(picture: Floats, stand: Stand, camera: Camera) -> None:
    """Darken the ground under the feet, away from the light."""
    dark = np.zeros(picture.shape[:2], np.float32)
    away = -camera.light.direction[0] * 0.25
    centre = (int(stand.x + away * stand.scale), int(stand.y))
    cv2.ellipse(dark, centre, (int(0.42 * stand.scale), int(0.09 * stand.scale)), 0, 0, 360, 1.0, -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 0.06 * stand.scale)
    picture *= 1 - 0.5 * dark[..., None]
