"""How somebody stands or walks, and the tubes that this makes."""

from dataclasses import dataclass, replace

import numpy as np

from tests.people.outfit import tone
from tests.people.pattern import band, collar, patch
from tests.people.person import Person
from tests.people.tube import Cloth, Tube

Point = tuple[float, float, float]

# A body of 1.70 m, in metres above the ground.
HEAD_TOP, CHIN, SHOULDER, WAIST, HIP, ANKLE = 1.715, 1.475, 1.325, 1.08, 0.90, 0.075
THIGH, SHIN, UPPER_ARM, FOREARM = 0.41, 0.415, 0.275, 0.24


@dataclass(frozen=True)
class Pose:
    """A moment of a walk: angles in radians. `elbows` are the right and left bend."""

    phase: float
    stride: float
    lean: float
    nod: float
    elbows: tuple[float, float]


def random_pose(rng: np.random.Generator) -> Pose:
    """Draw a pose: mostly walking, sometimes standing, now and then holding a telephone."""
    walking = rng.random() < 0.8
    bends = [rng.uniform(1.7, 2.1) if rng.random() < 0.08 else rng.uniform(0.1, 0.6) for _ in range(2)]
    return Pose(
        phase=float(rng.uniform(0, 2 * np.pi)),
        stride=float(rng.uniform(0.25, 0.5) if walking else rng.uniform(0, 0.1)),
        lean=float(rng.uniform(0.0, 0.1)),
        nod=float(rng.uniform(-0.01, 0.03)),
        elbows=(float(bends[0]), float(bends[1])),
    )


def build(person: Person, pose: Pose) -> list[Tube]:
    """Return the tubes of somebody in a pose, feet on the ground at the origin."""
    legs = [_leg(person, pose, side) for side in (-1, 1)]
    arms = [_arm(person, pose, side) for side in (-1, 1)]
    tubes = [
        *legs[0],
        *legs[1],
        *_trunk(person, pose),
        *arms[0],
        *arms[1],
        *_head(person, pose),
        *_bag(person, pose),
    ]
    # The lower foot carries: bring it to the ground, and lean everything above the hip.
    sink = min(tube.end[1] for leg in legs for tube in leg[:1]) - ANKLE

    def settle(point: Point) -> Point:
        x, y, z = point
        return x, y - sink, z + pose.lean * max(0.0, y - HIP)

    return [replace(tube, start=settle(tube.start), end=settle(tube.end)) for tube in tubes]


def _step(point: Point, length: float, angle: float, outward: float = 0.0) -> Point:
    """Go `length` down from a joint, swung forward by `angle`."""
    x, y, z = point
    return x + outward * length, y - length * float(np.cos(angle)), z + length * float(np.sin(angle))


def _between(start: Point, end: Point, share: float) -> Point:
    x, y, z = (a + share * (b - a) for a, b in zip(start, end, strict=True))
    return x, y, z


def _swing(pose: Pose, side: int) -> float:
    return pose.stride * float(np.sin(pose.phase + (np.pi if side < 0 else 0)))


def _leg(person: Person, pose: Pose, side: int) -> list[Tube]:
    skin, bottom, girth = person.body.skin, person.bottom, person.body.girth**0.8
    swing = _swing(pose, side)
    # The knee bends while its leg comes forward.
    bend = 0.06 + 1.5 * pose.stride * max(0.0, float(np.cos(pose.phase + (np.pi if side < 0 else 0))))
    hip = (side * 0.084 * girth, HIP, 0.0)
    knee = _step(hip, THIGH, swing + 0.3 * bend)
    ankle = _step(knee, SHIN, swing - 0.7 * bend)
    heel, toe = _step(ankle, 0.06, swing - 1.1 * bend - 0.9), _step(ankle, 0.17, swing - 0.7 * bend + 1.3)
    shin = Tube(knee, ankle, (0.055 * girth, 0.057 * girth, 0.047, 0.036), skin, inside=0.09)
    thigh = Tube(hip, knee, (0.082 * girth, 0.075 * girth, 0.055 * girth), skin, inside=0.09)
    tubes = [
        shin,
        Tube(heel, toe, (0.036, 0.042, 0.036), person.shoes),
        Tube(ankle, _step(ankle, 0.03, 0), (0.042, 0.044), person.shoes),
    ]
    if not bottom.leg:
        return [*tubes, thigh]
    wide = bottom.cut
    if bottom.leg <= 0.5:
        hem = _between(hip, knee, bottom.leg / 0.5)
        radii = (0.09 * girth, 0.085 * girth, 0.074 * wide * girth)
        return [*tubes, thigh, Tube(hip, hem, radii, bottom.cloth, 1.0, (True, False), 0.04)]
    hem = _between(knee, ankle, 2 * bottom.leg - 1)
    calf = (0.064 * girth * wide**0.3, 0.063 * girth * wide**0.6, 0.052 * wide)
    return [
        *tubes,
        Tube(hip, knee, (0.09 * girth, 0.083 * girth, 0.065 * girth * wide**0.3), bottom.cloth, inside=0.04),
        Tube(knee, hem, calf, bottom.cloth, 1.0, (True, False), 0.04),
    ]


def _trunk(person: Person, pose: Pose) -> list[Tube]:
    body, top, bottom = person.body, person.top, person.bottom
    hem = max(HIP * top.hem, 0.3)
    heights = (1.475, 1.45, 1.425, 1.4, 1.37, 1.32, 1.2, WAIST, 0.93, 0.3)
    shape = np.array((0, 0, 0.46, 0.7, 0.84, 0.88, 0.82, 0.72, 0, 0)) * body.shoulders
    shape = np.maximum(shape, (0.05, 0.065, 0, 0, 0, 0, 0, body.waist, body.hips, 1.12 * body.hips))
    levels = np.linspace(1.475, hem, 20)
    radii = np.interp(-levels, -np.array(heights), shape)
    radii += top.ease * np.clip((1.475 - levels) / 0.1, 0, 1)
    neckline = (collar(0.1), body.skin.colour)
    flat = min(0.85, 0.6 * body.girth**0.8 + top.ease)
    cloth = replace(top.cloth, paints=(neckline, *top.cloth.paints))
    tubes = [
        Tube((0, 1.475, 0), (0, hem, 0), tuple(radii.tolist()), cloth, flat, rounded=(True, False)),
        Tube((0, 1.5, 0.005), (0, 1.42, 0), (0.05, 0.055), body.skin),
        Tube(
            (0, 1.0, 0), (0, 0.85, 0), (0.14, body.hips * 0.97, 0.13), bottom.cloth, 0.6, (False, True), 0.04
        ),
    ]
    if bottom.skirt < 1:
        low = HIP * bottom.skirt
        flare = body.hips * 1.05 + 0.12 * (HIP - low) + 0.1 * pose.stride
        widths = (body.waist, body.hips * 1.04, (body.hips + flare) / 2, flare)
        thick = 0.72 + 0.4 * pose.stride
        tubes.append(Tube((0, 1.0, 0), (0, low, 0), widths, bottom.cloth, thick, (True, False), 0.04))
    if top.hood:
        tubes.append(Tube((-0.06, 1.43, -0.075), (0.06, 1.43, -0.075), (0.055, 0.065, 0.055), top.arms))
    return tubes


def _arm(person: Person, pose: Pose, side: int) -> list[Tube]:
    body, top = person.body, person.top
    thick = body.girth**0.7
    swing = -0.75 * _swing(pose, side)
    bend = pose.elbows[side > 0]
    shoulder = (side * (body.shoulders - 0.028), SHOULDER, 0.0)
    elbow = _step(shoulder, UPPER_ARM, swing, 0.14 * side)
    wrist = _step(elbow, FOREARM, swing + bend, 0.02 * side)
    hand = _step(wrist, 0.085, swing + bend * 1.1)
    palm = Tube(wrist, hand, (0.027, 0.036, 0.028), body.skin, 0.6)
    bare = [
        palm,
        Tube(shoulder, elbow, (0.044 * thick, 0.045 * thick, 0.038 * thick), body.skin),
        Tube(elbow, wrist, (0.039 * thick, 0.038 * thick, 0.027), body.skin),
    ]
    if not top.sleeve:
        return bare
    loose = 0.005 + 0.55 * top.ease
    if top.sleeve <= 0.5:
        hem = _between(shoulder, elbow, top.sleeve / 0.52)
        radii = (0.044 * thick + loose, 0.05 * thick + loose * 1.3)
        return [*bare, Tube(shoulder, hem, radii, top.arms, rounded=(True, False))]
    cuff = _between(elbow, wrist, 2 * top.sleeve - 1)
    return [
        palm,
        Tube(
            shoulder, elbow, (0.043 * thick + loose, 0.048 * thick + loose, 0.041 * thick + loose), top.arms
        ),
        Tube(elbow, cuff, (0.041 * thick + loose, 0.032 + loose), top.arms, rounded=(True, False)),
    ]


def _head(person: Person, pose: Pose) -> list[Tube]:
    body, ahead = person.body, 0.02 + pose.nod
    skin = body.skin.colour
    eyes = ((patch(side * 0.42, 0.26, 0.46, 0.53), tone(skin, 0.45)) for side in (-1, 1))
    mouth = (patch(0, 0.32, 0.76, 0.81), tone(skin, 0.66))
    face = Cloth(skin, 0, (*eyes, mouth))
    tubes = [Tube((0, HEAD_TOP, ahead), (0, CHIN, ahead + 0.015), _dome(0.081, 0.96), face, 1.2)]
    if body.haircut != "bald":
        cheeks = (patch(0, 0.85 if body.haircut in ("bob", "long") else 1.05, 0.4, 1), skin)
        shell = replace(body.hair, paints=(*body.hair.paints, cheeks))
        tubes.append(
            Tube(
                (0, 1.735, ahead - 0.012),
                (0, 1.52, ahead - 0.02),
                _dome(0.092, 0.6),
                shell,
                1.13,
                (True, False),
            )
        )
    if body.haircut in ("bob", "long"):
        low, wide = (1.45, 0.088) if body.haircut == "bob" else (1.24, 0.1)
        back = ahead - 0.135 - person.top.ease
        tubes.append(Tube((0, 1.64, ahead - 0.06), (0, low, back), (0.09, 0.094, wide), body.hair, 0.5))
    if body.haircut == "tail":
        tubes.append(Tube((0, 1.65, ahead - 0.1), (0, 1.38, ahead - 0.13), (0.03, 0.036, 0.018), body.hair))
    if body.haircut == "bun":
        tubes.append(Tube((0, 1.7, ahead - 0.08), (0, 1.69, ahead - 0.1), (0.045, 0.045), body.hair))
    return tubes + _hat(person, ahead)


def _hat(person: Person, ahead: float) -> list[Tube]:
    if person.hat == "none":
        return []
    stretch = 0.0 if person.hat == "cap" else 0.02
    cloth = replace(person.hat_cloth, paints=((band(0.75, 1.0), tone(person.hat_cloth.colour, 0.75)),))
    top, rim = (0.0, 1.738 + stretch, ahead - 0.005), (0.0, 1.63 - stretch, ahead - 0.005)
    hat = [Tube(top, rim, _dome(0.094, 0), cloth, 1.15, (True, False))]
    if person.hat == "cap":
        z = ahead + 0.13
        hat.append(Tube((-0.04, 1.637, z), (0.04, 1.637, z), (0.028, 0.028), person.hat_cloth))
    return hat


def _bag(person: Person, pose: Pose) -> list[Tube]:
    cloth, side = person.bag_cloth, person.bag_side
    if person.bag == "backpack":
        z = -0.17 - person.top.ease
        sack = (0.06, 0.105, 0.12, 0.13, 0.135, 0.138, 0.138, 0.138, 0.135, 0.115)
        return [Tube((0, 1.41, z), (0, 0.98, z - 0.02), sack, cloth, 0.55, (False, False))]
    if person.bag == "sling":
        x = side * (person.body.hips + 0.05)
        return [
            Tube(
                (x, 1.0, -0.03),
                (x, 0.78, -0.03),
                (0.06, 0.08, 0.09, 0.09, 0.09, 0.07),
                cloth,
                0.9,
                (False, False),
            )
        ]
    if person.bag == "hand":
        z = 0.1 - 0.4 * _swing(pose, side)
        x = side * (person.body.shoulders + 0.05)
        return [
            Tube((x, 0.7, z), (x, 0.5, z), (0.02, 0.06, 0.07), cloth, 1.5),
            Tube((x, 0.58, z - 0.06), (x, 0.45, z - 0.06), (0.09, 0.1), cloth, 1.2),
        ]
    return []


def _dome(radius: float, end: float) -> tuple[float, ...]:
    """Return the profile of a ball from its pole (-1) to `end` (1: the other pole)."""
    level = np.linspace(-1, end, 48)
    return tuple((radius * np.sqrt(np.clip(1 - level**2, 0.02, 1))).tolist())
