"""What a crowd is told to be like: one TOML file, read into a frozen dataclass. docs/crowd.md lists every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoreid_deploy.errors import InputError
from search.recipe import check_limits

_LIMITS: Mapping[str, tuple[float, float]] = {
    "people": (1, 99_999),
    "crops": (1, 9_999),
    "cameras": (1, 9_999),
    "lookalikes": (0, 1),
    "occlusion": (0, 1),
    "neighbours": (0, 1),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "garments": ("all", "plain"),
    "sensors": ("own", "one"),
    "backgrounds": ("own", "plain"),
}


@dataclass(frozen=True)
class CrowdConfig:
    """A crowd and the cameras that it passes.

    Attributes:
        people: how many.
        crops: a person.
        cameras: how many there are; everybody passes some of them.
        met: (fewest, most) cameras that a person passes, of those there are.
        size: (height, width) of a crop, pixels.
        lookalikes: share of people who are drawn after somebody else.
        occlusion: share of crops with something in front.
        neighbours: share of crops with somebody else near.
        garments: `all`, or `plain`: no patterns, prints, layers or bags.
        sensors: `own`: each camera renders colours, noise and blur in its own way; `one`: all alike.
        backgrounds: `own`: each camera looks at a place; `plain`: at a grey floor.
    """

    people: int = 4000
    crops: int = 20
    cameras: int = 120
    met: tuple[int, ...] = (6, 8)
    size: tuple[int, ...] = (128, 64)
    lookalikes: float = 0.35
    occlusion: float = 0.18
    neighbours: float = 0.35
    garments: str = "all"
    sensors: str = "own"
    backgrounds: str = "own"

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS, "crowd")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"crowd: {name} is {' or '.join(known)}, got {getattr(self, name)!r}")
        if len(self.met) != 2 or not 1 <= self.met[0] <= self.met[1]:
            raise InputError(f"crowd: met is [fewest, most] cameras, from 1 upwards, got {list(self.met)}")
        if len(self.size) != 2 or not all(16 <= side <= 1024 for side in self.size):
            raise InputError(
                f"crowd: size is [height, width] in pixels, from 16 to 1024 each, got {list(self.size)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as they are kept beside the crops."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def load(cls, path: str | Path) -> CrowdConfig:
        """Read a crowd's TOML file.

        Raises:
            InputError: the file is missing, is no TOML, or holds an unknown key, a wrong type or an impossible value.
        """
        # It comes with the network's module, thus with torch, which those who draw do without.
        from search.config import load_table

        return load_table(cls, path)
