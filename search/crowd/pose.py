"""How a person stands and walks: a turn for each joint, from a phase of the gait and what the hands are busy with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.crowd.body import Body

Matrix = NDArray[np.float64]

# Where the upper arm and the forearm of the left arm point, in the person's coordinates; the right arm mirrors them.
ARMS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "": ((0.13, 0.02, -1.0), (0.06, -0.2, -1.0)),
    "carry": ((0.12, 0.03, -1.0), (0.06, -0.06, -1.0)),
    "hold": ((0.16, 0.0, -1.0), (-0.3, -1.0, 0.15)),
    "ear": ((0.4, -0.35, -0.9), (-0.42, 0.12, 1.0)),
    "raise": ((0.2, -0.3, -0.9), (-0.18, -0.55, 0.8)),
    "pull": ((0.16, 0.42, -0.9), (0.1, 0.32, -0.95)),
    "strap": ((0.34, 0.05, -0.95), (-0.5, -0.4, 0.75)),
    "shoulder": ((0.2, 0.1, -1.0), (0.02, -0.25, -1.0)),
    "pocket": ((0.28, 0.16, -1.0), (-0.1, -0.3, -1.0)),
    "behind": ((0.16, 0.34, -1.0), (-0.6, 0.16, -0.75)),
    "crossed": ((0.2, -0.2, -1.0), (-0.9, -0.5, 0.15)),
    "talk": ((0.22, -0.1, -1.0), (-0.15, -0.9, 0.1)),
}
_IDLE = ("pocket", "behind", "crossed", "talk", "hold", "")


@dataclass(frozen=True, eq=False)
class Pose:
    """One moment of a person.

    Attributes:
        name: `walk`, `stride` or `stand`.
        turns: joint -> (3, 3) rotation, for `body.place`.
    """

    name: str
    turns: Mapping[str, Matrix] = field(repr=False)


def pose(body: Body, hands: Mapping[str, str], rng: np.random.Generator, upright: float = 1.0) -> Pose:
    """Draw a moment.

    Args:
        body: whose.
        hands: side (`L`, `R`) -> what that arm does, a key of `ARMS`; sides that are not named are free.
        rng: where the moment comes from.
        upright: 1 for the young, less for who bends.
    """
    name = str(rng.choice(["walk", "stride", "stand"], p=[0.6, 0.15, 0.25]))
    phase = rng.uniform(0, 2 * np.pi)
    step = {"walk": rng.uniform(0.25, 0.42), "stride": rng.uniform(0.42, 0.58), "stand": 0.0}[name]
    turns: dict[str, Matrix] = {}

    lean = rng.normal(0.03, 0.04) + 0.08 * step + 0.5 * (1 - upright)
    sway = 0.25 * step * np.sin(phase)
    turns["pelvis"] = _about("z", sway)
    turns["waist"] = _about("x", lean * 0.5) @ _about("z", -sway * 0.8)
    turns["chest"] = _about("x", lean * 0.5) @ _about("z", -sway)
    looks_down = any(arm == "hold" for arm in hands.values()) and rng.random() < 0.7
    nod = rng.uniform(0.2, 0.5) if looks_down else rng.normal(0.02, 0.1)
    turns["neck"] = _about("x", 0.4 * nod - 0.3 * lean) @ _about("z", rng.normal(0, 0.15))
    turns["head"] = _about("x", 0.6 * nod - 0.5 * lean) @ _about("z", rng.normal(0, 0.2))

    spread = rng.uniform(0.02, 0.09)
    weight_on = rng.choice(["L", "R"])
    for side, sign in (("L", 1.0), ("R", -1.0)):
        along = phase + (0 if side == "L" else np.pi)
        if name == "stand":
            flex, knee = rng.normal(0, 0.06), 0.05 if side == weight_on else rng.uniform(0.05, 0.3)
        else:
            flex, knee = step * np.cos(along) + 0.05, 0.1 + 1.9 * step * max(0.0, -np.sin(along)) ** 1.5
        thigh = (sign * spread, -np.sin(flex), -np.cos(flex))
        shin = (sign * spread * 0.6, -np.sin(flex - knee), -np.cos(flex - knee))
        _limb(turns, body, side, ("upperleg", "lowerleg", "foot"), thigh, shin)
        pitch = flex - knee if name != "stand" else 0.0
        # The foot stays level while it bears the body.
        level = 0.8 if -np.sin(along) <= 0 else 0.3
        turns[f"foot.{side}"] = (
            turns[f"lowerleg.{side}"].T
            @ turns[f"upperleg.{side}"].T
            @ _about("x", -pitch * (1 - level))
            @ _about("z", sign * rng.uniform(0.0, 0.3))
        )

        busy = hands.get(side)
        arm = busy if busy is not None else ""
        if busy is None and rng.random() < (0.55 if name == "stand" else 0.12):
            arm = str(rng.choice(_IDLE))
        upper, fore = (np.array(d) + rng.normal(0, 0.04, 3) for d in ARMS[arm])
        # An arm goes back while the leg of its side goes forward, and bends on its way forward.
        swing = step * np.cos(along) * (1.0 if arm == "" else 0.35 if arm in ("carry", "shoulder") else 0.0)
        upper, fore = _about("x", swing) @ upper, _about("x", swing - 0.4 * max(0.0, -swing)) @ fore
        mirror = np.array([sign, 1.0, 1.0])
        _limb(turns, body, side, ("upperarm", "lowerarm", "hand"), upper * mirror, fore * mirror)
    return Pose(name, turns)


def _limb(
    turns: dict[str, Matrix],
    body: Body,
    side: str,
    chain: tuple[str, str, str],
    upper: ArrayLike,
    lower: ArrayLike,
) -> None:
    """Turn a limb's two parts so that they point where they should, as seen from the joint that bears the limb."""
    a, b, c = (body.joint(f"{part}.{side}").astype(float) for part in chain)
    first = _from_to(b - a, np.asarray(upper, float))
    turns[f"{chain[0]}.{side}"] = first
    turns[f"{chain[1]}.{side}"] = _from_to(c - b, first.T @ np.asarray(lower, float))


def _about(axis: str, angle: float) -> Matrix:
    """Rotation about x (forwards: the top goes to -y), y or z."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    turn = np.eye(3)
    turn[j, j] = turn[k, k] = np.cos(angle)
    turn[k, j] = np.sin(angle)
    turn[j, k] = -turn[k, j]
    return turn


def _from_to(source: Matrix, goal: Matrix) -> Matrix:
    """The smallest rotation from one direction to another."""
    a, b = source / np.linalg.norm(source), goal / np.linalg.norm(goal)
    across, cosine = np.cross(a, b), float(a @ b)
    skew = np.array([[0, -across[2], across[1]], [across[2], 0, -across[0]], [-across[1], across[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + max(cosine, -0.999)))
