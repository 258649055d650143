"""Synthetic pedestrians: named crops of known people, for tests, the demo and the pictures of the README."""

from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from tests.people.camera import Camera, random_camera
from tests.people.person import Person, random_person
from tests.people.shot import take


def draw_people(
    folder: Path,
    *,
    people: int = 12,
    cameras: int = 3,
    shots: int = 2,
    seed: int = 0,
    size: tuple[int, int] = (128, 64),
) -> list[Path]:
    """Draw `shots` crops of each person by each camera, `size` (height, width), named as in Market-1501.

    The bytes of a crop follow from seed, person, camera and shot alone: more people change no earlier file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    views = [camera_of(seed, camera) for camera in range(1, cameras + 1)]
    paths = []
    for person in range(1, people + 1):
        who = person_of(seed, person)
        for camera, view in enumerate(views, start=1):
            for shot in range(1, shots + 1):
                rng = np.random.default_rng((seed, 2, person, camera, shot))
                frame = 2000 * shot + int(rng.integers(2000))
                path = folder / f"{person:04d}_c{camera}s1_{frame:06d}_{shot:02d}.jpg"
                picture = take(who, view, size, rng)
                path.write_bytes(
                    cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, view.quality))[1].tobytes()
                )
                paths.append(path)
    return paths


def hold_out(crops: list[Path], folder: Path) -> list[Path]:
    """Move the last shot of each person from one of the cameras (in turn) from the gallery into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    moved = []
    for turn, (_, group) in enumerate(groupby(crops, key=lambda path: path.name[:4])):
        by_camera = [list(shots) for _, shots in groupby(group, key=lambda path: path.name.split("_")[1])]
        last = by_camera[turn % len(by_camera)][-1]
        moved.append(last.replace(folder / last.name))
    return moved


def person_of(seed: int, person: int) -> Person:
    """Return the person with this number."""
    return random_person(np.random.default_rng((seed, 0, person)))


def camera_of(seed: int, camera: int) -> Camera:
    """Return the camera with this number."""
    return random_camera(np.random.default_rng((seed, 1, camera)))
