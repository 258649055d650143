"""A studio that draws flat colours, for tests of everything around it; it goes to other processes."""

import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np

from search.crowd.scene import Crop


class Flat:
    """Crops in the colours of the person and of a neighbour."""

    def __init__(self, seed, settings):
        self.settings = settings

    def shoot(self, person, cameras, rng, neighbours):
        for camera in cameras:
            other = neighbours(rng)
            assert other.number != person.number
            image = np.empty((*self.settings.size, 3), np.uint8)
            image[:] = person.garments[-1].colours[0]
            image[: len(image) // 4] = other.garments[-1].colours[0]
            image[-8:, :8] = rng.integers(256, size=3)
            data = cv2.imencode(".jpg", image)[1].tobytes()
            yield Crop(data, camera, "12:30", "walk", "front", (1, 2, 3, 4), 0.25)


class Slow(Flat):
    def shoot(self, person, cameras, rng, neighbours):
        for crop in super().shoot(person, cameras, rng, neighbours):
            time.sleep(0.01)
            yield crop


class Broken(Flat):
    def shoot(self, person, cameras, rng, neighbours):
        for i, crop in enumerate(super().shoot(person, cameras, rng, neighbours)):
            if person.number == 5 and i == 2:
                raise ValueError("no such hat")
            yield crop


class Killed(Flat):
    """Ends its process in the middle of a person, as the kernel does where memory runs out."""

    def shoot(self, person, cameras, rng, neighbours):
        for i, crop in enumerate(super().shoot(person, cameras, rng, neighbours)):
            if person.number == 6 and i == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield crop


def everything(folder):
    """Path -> bytes of all files of a crowd."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()
    }
