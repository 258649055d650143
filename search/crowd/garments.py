"""Dressing a body: skin where it shows, and each garment cut from the shells and set off from what is worn below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from search.crowd import fabric
from search.crowd.anatomy import NAMES, Anatomy, Floats, Indices
from search.crowd.body import Body
from search.crowd.mesh import Material, Mesh, Piece, ball, grid, mesh, normals
from search.crowd.shell import Lines, Shell, lines, whole
from search.crowd.wardrobe import Garment

_UNIT = 0.5  # metres of cloth that one copy of a texture covers


@dataclass(frozen=True)
class Cut:
    """How a kind of garment is cut.

    Attributes:
        hem: height (see `Lines`) of the lower edge at length 0 and at length 1.
        waist: height of the upper edge; 2 for what hangs from the shoulders.
        thick: metres that it stands off from what is below, worn tight.
        loose: metres more, worn loose.
        skirt: the part below the hip is one piece around both legs.
        collar: "", "shirt", "band", "hood" or "lapel".
        front: "", "buttons" or "zip".
    """

    hem: tuple[float, float]
    waist: float = 2.0
    thick: float = 0.008
    loose: float = 0.02
    skirt: bool = False
    collar: str = ""
    front: str = ""


CUTS: dict[str, Cut] = {
    "t-shirt": Cut((-0.02, -0.16)),
    "polo": Cut((-0.02, -0.14), collar="shirt"),
    "shirt": Cut((-0.04, -0.18), collar="shirt", front="buttons"),
    "blouse": Cut((0.0, -0.2), loose=0.03),
    "sweater": Cut((-0.02, -0.14), thick=0.013, collar="band"),
    "hoodie": Cut((-0.04, -0.16), thick=0.016, collar="hood"),
    "jacket": Cut((0.0, -0.2), thick=0.02, loose=0.03, collar="band", front="zip"),
    "blazer": Cut((-0.12, -0.22), thick=0.016, collar="lapel", front="buttons"),
    "puffer": Cut((0.0, -0.2), thick=0.035, loose=0.03, collar="band", front="zip"),
    "vest": Cut((-0.04, -0.16), thick=0.02, front="zip"),
    "coat": Cut((-0.3, -0.82), thick=0.022, loose=0.03, skirt=True, collar="lapel", front="buttons"),
    "raincoat": Cut((-0.25, -0.75), thick=0.02, loose=0.04, skirt=True, collar="hood", front="zip"),
    "dress": Cut((-0.3, -0.97), thick=0.007, loose=0.02, skirt=True),
    "skirt": Cut((-0.22, -0.97), waist=0.3, thick=0.01, loose=0.02, skirt=True),
    "trousers": Cut((-0.9, -0.99), waist=0.24, thick=0.008, loose=0.03),
    "jeans": Cut((-0.9, -0.99), waist=0.22, thick=0.008, loose=0.025),
    "shorts": Cut((-0.2, -0.52), waist=0.24, thick=0.012, loose=0.03),
    "leggings": Cut((-0.75, -0.98), waist=0.24, thick=0.003, loose=0.002),
}


@dataclass(frozen=True, eq=False)
class Cloth:
    """A piece that bends with the body.

    Attributes:
        vertices: (N, 3) float32, resting coordinates.
        normals: (N, 3) float32 unit.
        weights: (N, J) float32.
        faces: (F, 3) int32.
        uv: (N, 2) float32.
        material: what covers it.
    """

    vertices: Floats
    normals: Floats
    weights: Floats
    faces: Indices
    uv: Floats
    material: Material = field(repr=False)

    def posed(self, matrices: Floats) -> Piece:
        """The piece under (J, 4, 4) matrices."""
        blended = (self.weights @ matrices[:, :3].reshape(len(matrices), 12)).reshape(-1, 3, 4)
        turned = np.einsum("vij,vj->vi", blended[..., :3], self.normals)
        vertices = np.einsum("vij,vj->vi", blended[..., :3], self.vertices) + blended[..., 3]
        return Mesh(vertices, self.faces, self.uv, turned), self.material


@dataclass(frozen=True, eq=False)
class Tailor:
    """What cuts need to know of an anatomy, worked out once."""

    anatomy: Anatomy
    lines: Lines
    tights: Shell
    skirt: Shell
    skin: Shell
    feet: Shell
    around: NDArray[np.int32]

    @staticmethod
    def of(anatomy: Anatomy) -> Tailor:
        """The tailor of an anatomy."""
        return Tailor(
            anatomy,
            lines(anatomy),
            whole(anatomy.tights),
            whole(anatomy.skirt),
            whole(anatomy.skin),
            whole(anatomy.feet),
            _neighbours(np.concatenate([anatomy.tights, anatomy.skirt]), len(anatomy.template)),
        )

    def calmed(self, vertices: Floats, rounds: int) -> Floats:
        """Vertices drawn towards the mean of their neighbours, so that cloth spans hollows."""
        for _ in range(rounds):
            vertices = 0.5 * vertices + sum(vertices[column] for column in self.around) * (
                0.5 / len(self.around)
            )
        return vertices


def dress(
    tailor: Tailor, body: Body, skin: tuple[int, int, int], garments: Sequence[Garment], bare_feet: bool
) -> list[Cloth]:
    """Cloth and skin of a dressed body.

    Args:
        tailor: of the body's anatomy.
        body: whose.
        skin: sRGB bytes.
        garments: innermost first; what is worn later lies over what was worn before.
        bare_feet: draw the feet (the shoes are open).
    """
    covered_arm = max((g.sleeve for g in garments if CUTS[g.kind].waist > 1), default=0.0)
    legs = [g for g in garments if _hem(g) < -0.15 and not CUTS[g.kind].skirt]
    covered_leg = min((_hem(g) for g in legs), default=0.0)
    cloth = _skin(tailor, body, skin, covered_arm, covered_leg, bare_feet)
    # The skirt's shell lies close to the tights' one, and has to clear what they carry.
    skirt = np.isin(np.arange(len(body.vertices)), tailor.anatomy.skirt)[:, None]
    surface = np.asarray(body.vertices + np.where(skirt, 0.012, 0.0) * body.normals, np.float32)
    for garment in _by_layer(garments):
        pieces, surface = _garment(tailor, body, garment, surface)
        cloth += pieces
    return cloth


def _by_layer(garments: Sequence[Garment]) -> list[Garment]:
    """Garments from the inside out: a thin top is now and then tucked in, below the trousers or the skirt."""
    layers = list(garments)
    for i, (lower, upper) in enumerate(pairwise(layers)):
        cut = CUTS[upper.kind]
        if CUTS[lower.kind].waist < 1 and cut.waist > 1 and cut.thick < 0.012 and upper.seed % 3 == 0:
            layers[i : i + 2] = [upper, lower]
            break
    return layers


def _hem(garment: Garment) -> float:
    short, long = CUTS[garment.kind].hem
    return short + (long - short) * garment.length


def _garment(tailor: Tailor, body: Body, garment: Garment, surface: Floats) -> tuple[list[Cloth], Floats]:
    """The pieces of a garment over what is worn so far, and the surface with it."""
    cut, at = CUTS[garment.kind], tailor.lines
    hem = _hem(garment)
    slack = cut.loose * garment.looseness
    material = Material(texture=fabric.texture(garment), gloss=fabric.gloss(garment))
    # Cloth spans hollows, falls from the chest to the hip instead of following the waist, and widens down the legs.
    rest = tailor.calmed(surface, 2 + int(14 * garment.looseness) + (8 if cut.thick > 0.012 else 0))
    fall = np.where(at.arm > 0, 0.35, np.sin(np.pi * np.clip(at.height, 0, 1)) * 0.6 + 0.4)
    leg = np.clip(-at.height, 0, 1) * (0.3 + 1.4 * garment.looseness)
    stand_off = cut.thick + slack * np.where(at.height < 0, 0.4 + leg, fall)
    if garment.kind == "puffer":
        stand_off = stand_off + 0.012 * np.abs(np.sin(at.up * np.pi * 12))
    off = np.einsum("vi,vi->v", rest - surface, body.normals)
    off = np.where(np.isin(np.arange(len(off)), tailor.anatomy.skirt), np.minimum(off, 0), off)
    rest = rest + np.maximum(stand_off - off, 0).astype(np.float32)[:, None] * body.normals

    shells: list[Shell] = []
    if cut.waist > 1:
        lower = 0.05 if cut.skirt else hem
        shells.append(tailor.tights.cut(at.height, lower).cut(-at.arm, -max(garment.sleeve * 0.98, 0.05)))
    elif not cut.skirt:
        shells.append(tailor.tights.cut(at.height, hem).cut(-at.height, -cut.waist).cut(-at.arm, 0.0))
    if cut.skirt:
        shells.append(tailor.skirt.cut(at.height, hem).cut(-at.height, -min(cut.waist, 0.3)))
        below = np.clip(0.1 - at.height, 0, 1)[:, None]
        flare = (1 + (0.5 * garment.looseness - 0.12) * below).astype(np.float32)
        ring = np.unique(tailor.anatomy.skirt)
        middle = np.array([0.0, float(body.vertices[ring, 1].mean()), 0.0], np.float32)
        wide = (rest - middle) * np.where(np.arange(3) < 2, flare, 1) + middle
        rest[ring] = wide[ring]
    if garment.open:
        gap = 0.035 + 0.05 * garment.looseness
        shells = [shell.cut(at.side, gap) for shell in shells]
    pieces = [_cloth(tailor, body, shell, rest, material) for shell in shells]

    second = garment.colours[1] if len(garment.colours) > 1 else garment.colours[0]
    trim = Material(colour=_linear(second if second != garment.colours[0] else _shade(second, 0.75)))
    if cut.front and not garment.open:
        strip = 0.008 if cut.front == "zip" else 0.013
        line = [shell.cut(-at.side, -strip) for shell in shells]
        pieces += [_cloth(tailor, body, shell, rest + 0.004 * body.normals, trim) for shell in line]
    main = Material(colour=_linear(_shade(garment.colours[0], 0.9)), texture=None)
    if cut.collar:
        pieces += _collar(body, cut.collar, cut.thick + slack * 0.5, main, garment.open)
    if cut.waist > 1:
        pieces += _decals(tailor, body, garment, rest)
        covered = at.height >= hem
    else:
        covered = at.height <= cut.waist
    return pieces, np.where(covered[:, None], rest, surface)


def _decals(tailor: Tailor, body: Body, garment: Garment, rest: Floats) -> list[Cloth]:
    """The print on the chest and on the back, if the garment has one."""
    pieces = []
    at = tailor.lines
    trunk = np.where(at.arm > 0, -1.0, 1.0).astype(np.float32)
    for front in (True, False):
        image = fabric.front(garment) if front else fabric.back(garment)
        if image is None or (front and garment.open):
            continue
        facing = -body.normals[:, 1] if front else body.normals[:, 1]
        shell = tailor.tights.cut(trunk, 0.5).cut(np.asarray(facing, np.float32), 0.35)
        shell = shell.cut(at.height, 0.42).cut(-at.height, -0.9)
        if not len(shell.faces):
            continue
        piece = _cloth(tailor, body, shell, rest + 0.004 * body.normals, Material(texture=image))
        x, z = piece.vertices[:, 0], piece.vertices[:, 2]
        half = max(float(np.abs(x).max()), 1e-3)
        sign = 1.0 if front else -1.0
        uv = np.stack([0.5 + sign * x / (2 * half), (z.max() - z) / max(float(np.ptp(z)), 1e-3)], axis=1)
        pieces.append(replace(piece, uv=uv.astype(np.float32)))
    return pieces


def _collar(body: Body, kind: str, depth: float, material: Material, is_open: bool) -> list[Cloth]:
    fit = body.fit
    neck = np.array(fit.neck)
    radius = fit.neck_radius * 0.85 + depth * 0.7
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    ring = np.stack([np.sin(angle), -np.cos(angle), np.zeros_like(angle)], axis=1)  # starts at the front
    back = (1 - np.cos(angle)) / 2
    rise = {"shirt": 0.03, "band": 0.035, "lapel": 0.03, "hood": 0.025}[kind]
    low = neck + ring * [radius * 1.2, radius * 1.15, 0] + np.outer(back, [0, 0.0, 0.03]) - [0, 0.01, 0.045]
    high = low + ring * [-0.012, -0.012, 0] + np.outer(0.5 + back * 0.5, [0, 0, rise])
    sheet = grid(np.stack([high, low]).astype(np.float32), closed=not (is_open or kind in ("shirt", "lapel")))
    meshes = [sheet]
    if kind == "hood":
        meshes.append(ball((radius * 1.5, 0.06, 0.085), np.add(neck, [0, radius * 1.05, -0.02]), 5, 8))
    if kind == "lapel":
        drop = 0.2
        for sign in (1, -1):
            corners = [
                (0.9 * sign * radius, -0.8 * radius, 0.0),
                (0.012 * sign, -1.25 * radius, -drop),
                (0.085 * sign, -1.25 * radius, -0.45 * drop),
            ]
            meshes.append(mesh(np.add(neck, corners), [[0, 1, 2]], np.zeros((3, 2))))
    return [_rigid(part, "chest", material) for part in meshes]


def _skin(
    tailor: Tailor, body: Body, colour: tuple[int, int, int], arm: float, leg: float, feet: bool
) -> list[Cloth]:
    at = tailor.lines
    material = Material(texture=_face(colour))
    head = _cloth(tailor, body, tailor.skin, body.vertices, material)
    fit = body.fit
    x, y, z = (head.vertices[:, i] for i in range(3))
    front = (y < fit.head[1] + 0.01) & (z > fit.chin[2] - 0.03)
    tall = fit.crown - fit.chin[2]
    u = np.where(front, 0.5 + x / (2.6 * fit.skull[0]), 0.02)
    v = np.where(front, np.clip((fit.crown - z) / tall, 0, 0.99), 0.02)
    head = replace(head, uv=np.stack([u, v], axis=1).astype(np.float32))
    plain = Material(colour=_linear(colour))
    neck = tailor.tights.cut(at.height, 0.8).cut(-at.arm, -0.001)
    bare = [head, _cloth(tailor, body, neck, body.vertices, plain)]
    if arm < 0.95:
        bare.append(
            _cloth(tailor, body, tailor.tights.cut(at.arm, max(arm - 0.1, 0.005)), body.vertices, plain)
        )
    if leg > -0.97:
        shell = tailor.tights.cut(-at.height, max(-leg - 0.1, 0.0)).cut(-at.arm, -0.001)
        bare.append(_cloth(tailor, body, shell, body.vertices, plain))
    if feet:
        bare.append(_cloth(tailor, body, tailor.feet, body.vertices, plain))
    return bare


@lru_cache(maxsize=64)
def _face(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(64, 64, 3) a face seen from the front, crown to chin: shade under the brows, eyes, nose and mouth."""
    y, x = np.mgrid[0:64, 0:64] / 63.0
    light = np.ones((64, 64))
    for cx, cy, rx, ry, by in (
        (0.36, 0.45, 0.09, 0.035, 0.55),
        (0.64, 0.45, 0.09, 0.035, 0.55),
        (0.36, 0.39, 0.11, 0.025, 0.6),
        (0.64, 0.39, 0.11, 0.025, 0.6),
        (0.5, 0.66, 0.09, 0.03, 0.2),
        (0.5, 0.78, 0.12, 0.025, 0.25),
        (0.5, 1.0, 0.4, 0.05, 0.2),
    ):
        light *= 1 - by * np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)
    return (np.asarray(colour, float) * light[..., None]).clip(0, 255).astype(np.uint8)


def _cloth(tailor: Tailor, body: Body, shell: Shell, rest: Floats, material: Material) -> Cloth:
    at = tailor.lines
    normal = shell.of(body.normals)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    uv = np.stack([shell.of(at.across), -shell.of(at.up)], axis=1) / _UNIT
    return Cloth(
        shell.of(rest), normal, shell.of(tailor.anatomy.weights), shell.faces, uv.astype(np.float32), material
    )


def _rigid(mesh: Mesh, joint: str, material: Material) -> Cloth:
    weights = np.zeros((len(mesh.vertices), len(NAMES)), np.float32)
    weights[:, NAMES.index(joint)] = 1
    return Cloth(mesh.vertices, normals(mesh.vertices, mesh.faces), weights, mesh.faces, mesh.uv, material)


def _neighbours(faces: Indices, count: int, most: int = 8) -> NDArray[np.int32]:
    """(most, V) neighbours of each vertex, repeated to fill up; a vertex without any has itself."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    start = np.searchsorted(edges[:, 0], np.arange(count))
    size = np.bincount(edges[:, 0], minlength=count)
    place = start[:, None] + np.arange(most) % np.maximum(np.minimum(size, most), 1)[:, None]
    table = edges[np.minimum(place, len(edges) - 1), 1]
    return np.where(size[:, None] > 0, table, np.arange(count)[:, None]).astype(np.int32).T.copy()


def _linear(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    r, g, b = ((c / 255) ** 2.0 for c in colour)
    return r, g, b


def _shade(colour: tuple[int, int, int], by: float) -> tuple[int, int, int]:
    r, g, b = (min(int(c * by), 255) for c in colour)
    return r, g, b
