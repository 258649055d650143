"""The light of a place: sun, shade, clouds, dusk, lamps at night and indoors, and how it changes between moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.crowd.render import Light

Colour = tuple[float, float, float]

# What a place's days are like: for each usual mood, how often each mood is met.
_DAYS: Mapping[str, Mapping[str, float]] = {
    "sun": {"sun": 0.65, "shade": 0.15, "overcast": 0.15, "dusk": 0.05},
    "shade": {"shade": 0.75, "sun": 0.1, "overcast": 0.15},
    "overcast": {"overcast": 0.8, "sun": 0.12, "dusk": 0.08},
    "dusk": {"dusk": 0.6, "overcast": 0.25, "night": 0.15},
    "night": {"night": 0.85, "dusk": 0.15},
    "lamps": {"lamps": 1.0},
    "windows": {"windows": 0.7, "lamps": 0.3},
}
_USUAL: Mapping[bool, Mapping[str, float]] = {
    False: {"sun": 0.32, "shade": 0.18, "overcast": 0.34, "dusk": 0.06, "night": 0.1},
    True: {"lamps": 0.75, "windows": 0.25},
}
_HOURS: Mapping[str, tuple[float, float]] = {
    "sun": (8.0, 17.5),
    "shade": (8.0, 18.0),
    "overcast": (7.5, 18.0),
    "dusk": (17.5, 20.0),
    "night": (20.0, 28.0),
    "lamps": (7.0, 22.0),
    "windows": (9.0, 16.5),
}


@dataclass(frozen=True)
class Lighting:
    """What shines at a place.

    Attributes:
        usual: the mood that is met most: `sun`, `shade`, `overcast`, `dusk`, `night`, `lamps` or `windows`.
        south: radians about z to where the sun stands at noon.
        peak: degrees that it stands above the ground then.
        lamp: linear RGB of the place's lamps, the largest 1.
        overhead: degrees above the ground from which the strongest lamp shines.
        hardness: share of a lamp's light that comes straight from it, [0, 1].
    """

    usual: str
    south: float
    peak: float
    lamp: Colour
    overhead: float
    hardness: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, indoor: bool) -> Lighting:
        """The light of some place."""
        usual = _USUAL[indoor]
        warm = rng.choice(
            [0.0, 0.15, 0.35, 0.65], p=[0.35, 0.4, 0.2, 0.05] if indoor else [0.3, 0.2, 0.2, 0.3]
        )
        green = rng.uniform(0, 0.06)
        lamp = (1 - 0.35 * green - 0.1 * (warm == 0), 1 - 0.4 * warm**1.2, 1.0 - 0.75 * warm - green)
        return cls(
            usual=str(rng.choice(list(usual), p=list(usual.values()))),
            south=float(rng.uniform(0, 2 * np.pi)),
            peak=float(rng.uniform(30, 70)),
            lamp=(float(lamp[0]), float(lamp[1]), float(lamp[2])),
            overhead=float(rng.uniform(50, 80)),
            hardness=float(rng.uniform(0.25, 0.6)),
        )

    def moment(self, rng: np.random.Generator) -> tuple[Light, str]:
        """One moment's light and its time of day, `HH:MM`."""
        day = _DAYS[self.usual]
        mood = str(rng.choice(list(day), p=list(day.values())))
        hour = rng.uniform(*_HOURS[mood])
        strength = float(np.exp(rng.normal(0, 0.12)))
        light = getattr(self, f"_{mood}")(hour, strength, rng)
        minutes = int(hour * 60) % (24 * 60)
        return light, f"{minutes // 60:02d}:{minutes % 60:02d}"

    def _sunwards(self, hour: float, least: float) -> tuple[float, float, float]:
        """Unit vector to the sun: south at half past twelve, 15 degrees an hour."""
        swing = np.radians(15 * (hour - 12.5))
        return _toward(self.south + swing, max(self.peak * np.cos(0.85 * swing), least))

    def _sun(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        sun = self._sunwards(hour, 14.0)
        warm = 1 - sun[2]  # a low sun is yellow
        direct = (0.95, 0.93 - 0.1 * warm, 0.84 - 0.3 * warm)
        haze = rng.uniform(0.7, 1.0)
        return Light(
            sun,
            _times(direct, strength * haze),
            _times((0.33, 0.37, 0.44), strength),
            _times((0.17, 0.155, 0.135), strength),
            shadow=float(0.6 * haze),
            softness=0.006,
        )

    def _shade(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        return Light(
            self._sunwards(hour, 40.0),
            _times((0.16, 0.16, 0.16), strength),
            _times((0.52, 0.57, 0.64), strength),
            _times((0.16, 0.155, 0.145), strength),
            shadow=0.22,
            softness=0.03,
        )

    def _overcast(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        return Light(
            self._sunwards(hour, 55.0),
            _times((0.2, 0.2, 0.2), strength),
            _times((0.63, 0.65, 0.67), strength),
            _times((0.16, 0.155, 0.15), strength),
            shadow=float(rng.uniform(0.15, 0.3)),
            softness=0.04,
        )

    def _dusk(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        return Light(
            _toward(self.south + 1.6, 20.0),
            _times((0.14, 0.1, 0.07), strength),
            _times((0.26, 0.29, 0.37), strength),
            _times((0.075, 0.075, 0.08), strength),
            shadow=0.2,
            softness=0.03,
        )

    def _night(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        # A lamp post: nearer or further, so brighter or dimmer, and from another side, wherever somebody stands.
        return Light(
            _toward(
                self.south + rng.normal(0, 0.7), float(np.clip(self.overhead + rng.normal(0, 10), 30, 85))
            ),
            _times(self.lamp, 0.26 * strength * rng.uniform(0.5, 1.3)),
            _times(self.lamp, 0.07 * strength),
            _times(self.lamp, 0.05 * strength),
            shadow=0.55,
            softness=0.012,
        )

    def _lamps(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        direct, spread = self.hardness, 1 - self.hardness
        return Light(
            _toward(
                self.south + rng.normal(0, 1.0), float(np.clip(self.overhead + rng.normal(0, 8), 35, 88))
            ),
            _times(self.lamp, 0.75 * direct * strength),
            _times(self.lamp, 0.75 * spread * strength),
            _times(self.lamp, 0.2 * strength),
            shadow=0.2 + 0.4 * direct,
            softness=0.025,
        )

    def _windows(self, hour: float, strength: float, rng: np.random.Generator) -> Light:
        return Light(
            _toward(self.south + rng.normal(0, 0.2), 25.0),
            _times((0.5, 0.52, 0.56), strength * rng.uniform(0.4, 1.2)),
            _times(self.lamp, 0.32 * strength),
            _times(self.lamp, 0.14 * strength),
            shadow=0.35,
            softness=0.03,
        )


def _toward(azimuth: float, elevation: float) -> tuple[float, float, float]:
    level = np.cos(np.radians(elevation))
    return (
        float(level * np.cos(azimuth)),
        float(level * np.sin(azimuth)),
        float(np.sin(np.radians(elevation))),
    )


def _times(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
