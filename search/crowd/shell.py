"""Cutting cloth: parts of the anatomy's shells, trimmed along a line, still bent by the joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.crowd.anatomy import NAMES, Anatomy, Floats, Indices


@dataclass(frozen=True, eq=False)
class Shell:
    """Triangles over points that lie on the anatomy's edges.

    Attributes:
        first: (N,) row of the anatomy's vertices at one end of the edge.
        second: (N,) row at the other end.
        share: (N,) float32, how far towards `second` the point lies.
        faces: (F, 3) rows of these points.
    """

    first: Indices
    second: Indices
    share: Floats
    faces: Indices

    def of(self, values: NDArray[np.float32]) -> Floats:
        """(N, ...) values at the points, of (V, ...) values at the anatomy's vertices."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(values[self.first] * (1 - share) + values[self.second] * share, np.float32)

    def cut(self, values: Floats, least: float) -> Shell:
        """What lies where the anatomy's (V,) values are `least` or more."""
        inside = self.of(values) >= least
        count = inside[self.faces].sum(axis=1)
        kept = [self.faces[count == 3]]
        first, second, share = [self.first], [self.second], [self.share]
        total = len(self.first)
        level = self.of(values)
        for has in (1, 2):
            faces = self.faces[count == has]
            if not len(faces):
                continue
            # The odd corner first, the others in turn.
            odd = np.argmax(inside[faces] if has == 1 else ~inside[faces], axis=1)
            a, b, c = (faces[np.arange(len(faces)), (odd + i) % 3] for i in range(3))
            new = []
            for end in (b, c):
                t = (least - level[a]) / np.where(level[end] == level[a], 1, level[end] - level[a])
                # A point on an edge between points is given by the nearer ends: trims are small beside the mesh.
                near = np.where(t < 0.5, a, end)
                exact = (self.share[a] == 0) & (self.share[end] == 0)
                first.append(np.where(exact, self.first[a], self.first[near]).astype(np.int32))
                second.append(np.where(exact, self.first[end], self.second[near]).astype(np.int32))
                share.append(np.where(exact, t, self.share[near]).astype(np.float32))
                new.append(np.arange(total, total + len(faces)))
                total += len(faces)
            ab, ac = new
            if has == 1:
                kept.append(np.stack([a, ab, ac], axis=1))
            else:
                kept += [np.stack([ab, b, c], axis=1), np.stack([ab, c, ac], axis=1)]
        whole = Shell(
            np.concatenate(first),
            np.concatenate(second),
            np.concatenate(share),
            np.concatenate(kept).astype(np.int32),
        )
        return whole._used()

    def _used(self) -> Shell:
        rows, faces = np.unique(self.faces, return_inverse=True)
        return Shell(
            self.first[rows], self.second[rows], self.share[rows], faces.reshape(-1, 3).astype(np.int32)
        )


def whole(faces: Indices) -> Shell:
    """A shell of all of the anatomy's faces given."""
    rows, numbered = np.unique(faces, return_inverse=True)
    rows = rows.astype(np.int32)
    return Shell(rows, rows, np.zeros(len(rows), np.float32), numbered.reshape(-1, 3).astype(np.int32))


@dataclass(frozen=True, eq=False)
class Lines:
    """Where a tailor cuts: values at the anatomy's vertices, the same for everybody.

    Attributes:
        arm: (V,) 0 on the trunk and at the shoulder, 1 at the wrist.
        height: (V,) 0 at the hip joint, 1 at the base of the neck, negative below the hip: -1 at the ankle.
        side: (V,) metres from the middle of the front; 1 on the back.
        sleeve: (V,) share of the arms in the vertex.
        up: (V,) metres along the cloth, for patterns: height, and on sleeves what is left to the wrist.
        across: (V,) metres across the cloth.
    """

    arm: Floats
    height: Floats
    side: Floats
    sleeve: Floats
    up: Floats
    across: Floats


def lines(anatomy: Anatomy) -> Lines:
    """The lines of an anatomy."""
    at = dict(zip(NAMES, anatomy.joints, strict=True))
    points, owner = anatomy.template, np.array(NAMES)[anatomy.weights.argmax(axis=1)]
    arm = np.zeros(len(points), np.float32)
    along = np.zeros(len(points), np.float32)
    sleeve = np.zeros(len(points), np.float32)
    for which in ("L", "R"):
        a, b, c = (at[f"{part}.{which}"] for part in ("upperarm", "lowerarm", "hand"))
        upper, lower = np.linalg.norm(b - a), np.linalg.norm(c - b)
        first = np.clip((points - a) @ (b - a) / upper, 0, None)
        then = upper + (points - b) @ (c - b) / lower
        mine = np.isin(owner, [f"{part}.{which}" for part in ("upperarm", "lowerarm", "hand")])
        way = np.where(owner == f"upperarm.{which}", np.minimum(first, upper), np.maximum(then, upper * 0.9))
        arm[mine] = (way / (upper + lower))[mine]
        along[mine] = way[mine]
        columns = [NAMES.index(f"{part}.{which}") for part in ("upperarm", "lowerarm", "hand")]
        sleeve += anatomy.weights[:, columns].sum(axis=1)
    hip, neck = at["upperleg.L"][2], at["neck"][2]
    ankle = at["foot.L"][2]
    z = points[:, 2]
    height = np.where(z >= hip, (z - hip) / (neck - hip), (z - hip) / (hip - ankle))
    # Arms hang beside the trunk; trunk cuts leave them alone.
    height = np.where(arm > 0, np.maximum(height, 0.75), height)
    trunk = np.isin(owner, ["chest", "waist", "pelvis"])
    middle = (points[trunk, 1].min() + points[trunk, 1].max()) / 2
    front = (points[:, 1] < middle) & (arm == 0)
    shoulder = at["upperarm.L"][2]
    up = (1 - sleeve) * z + sleeve * (shoulder - along)
    across = (1 - sleeve) * (1.3 * points[:, 0] + 0.5 * points[:, 1]) + sleeve * 1.6 * points[:, 1]
    side = np.where(front, np.abs(points[:, 0]), 1.0)
    return Lines(*(np.asarray(v, np.float32) for v in (arm, height, side, sleeve, up, across)))
