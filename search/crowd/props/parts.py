"""What props are made for, and what a maker hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from search.crowd.mesh import Piece
from search.crowd.traits import Extra

Vec3 = tuple[float, float, float]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Foot:
    """A resting foot, metres, person coordinates.

    Attributes:
        heel: rearmost point of the bare sole, on the ground.
        toe: foremost point of the bare sole, on the ground.
        ankle: the ankle's joint.
        width: of the sole at its widest.
        ankle_radius: half the leg's thickness at the ankle.
    """

    heel: Vec3
    toe: Vec3
    ankle: Vec3
    width: float
    ankle_radius: float


@dataclass(frozen=True)
class Fit:
    """Measures of a resting body: standing with arms apart, feet on z = 0, facing -y; metres, person coordinates.

    Attributes:
        crown: z of the top of the skull, without hair.
        head: centre of the skull, taken as an ellipsoid.
        skull: its (x, y, z) radii.
        chin: the chin's tip.
        neck: base of the neck, at the height of the collar bones.
        neck_radius: half the neck's width.
        shoulder_left: the left shoulder's joint.
        shoulder_right: the right shoulder's joint.
        chest: middle of the trunk at the height of the armpits.
        chest_radii: half its width and half its depth there.
        waist: middle of the trunk at the waist.
        waist_radii: half its width and half its depth there.
        hip: middle of the trunk at the hip joints.
        hip_radii: half its width and half its depth there.
        foot_left: the left foot.
        foot_right: the right foot.
        hand_height: z of what a hanging hand grips.
        cloth: metres of cloth on the trunk; the trunk's radii have it in them.
    """

    crown: float
    head: Vec3
    skull: Vec3
    chin: Vec3
    neck: Vec3
    neck_radius: float
    shoulder_left: Vec3
    shoulder_right: Vec3
    chest: Vec3
    chest_radii: Pair
    waist: Vec3
    waist_radii: Pair
    hip: Vec3
    hip_radii: Pair
    foot_left: Foot
    foot_right: Foot
    hand_height: float
    cloth: float = 0.0

    def over(self, cloth: float) -> Fit:
        """The measures with that many metres of cloth on the trunk."""

        def more(radii: Pair) -> Pair:
            return radii[0] + cloth, radii[1] + cloth

        return replace(
            self,
            chest_radii=more(self.chest_radii),
            waist_radii=more(self.waist_radii),
            hip_radii=more(self.hip_radii),
            cloth=self.cloth + cloth,
        )


@dataclass(frozen=True)
class Prop:
    """One rigid thing on one bone.

    Attributes:
        pieces: its meshes. Unless it hangs, they are in the resting person's coordinates and move with the bone.
        bone: `head`, `neck`, `chest`, `pelvis`, `foot.L`, `foot.R`, `lowerleg.L`, `lowerleg.R`,
            `hand.L` or `hand.R`.
        hangs: the pieces lie around a grip at the origin, upright (z up), front towards -y: they go to the posed
            hand and turn with the body's heading, not with the hand.
        pose: what that hand's arm does: "" nothing in particular, `carry` (straight down, still), `hold` (forearm
            level, in front), `ear` (phone), `raise` (grip before the shoulder), `pull` (arm back), `strap` (hand on
            a strap) or `shoulder` (elbow kept in).
    """

    pieces: tuple[Piece, ...] = field(repr=False)
    bone: str
    hangs: bool = False
    pose: str = ""


Maker = Callable[[Extra, Fit, np.random.Generator], tuple[Prop, ...]]


@dataclass(frozen=True)
class Kind:
    """What the wardrobe has to know of a kind of prop.

    Attributes:
        category: `hair`, `beard`, `hat`, `shoes`, `eyes`, `ears`, `neck`, `back`, `bag`, `hand` or `waist`.
        takes: places that it occupies, of which a person has one each: `hair`, `chin`, `crown`, `feet`, `eyes`, `ears`,
            `neck`, `back`, `waist`, `front`, `shoulder` and `hand` (both of the prop's own side), `hands` (both hands).
        hair: what is left of the hair under it: `free`, `flat` (pressed down where it is covered) or `hidden`.
        bare: shoes that show the feet, which are to be drawn with them.
    """

    category: str
    takes: frozenset[str]
    hair: str = "free"
    bare: bool = False
