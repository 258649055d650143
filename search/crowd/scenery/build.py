"""From a camera's plan to pieces to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search.crowd.camera import Camera
from search.crowd.mesh import Mesh, Piece, quad
from search.crowd.places import Strip, Thing
from search.crowd.render import Renderer
from search.crowd.scenery.stage import Stage
from search.crowd.scenery.things import build
from search.crowd.sensor import develop

Image = NDArray[np.uint8]
_MARGIN = 0.25  # of the frame's half size, kept around it: boxes reach beyond the frame a little
_SMALLEST = 14.0  # pixels of the frame that a thing must be tall to be drawn
_WIDE = 60.0  # metres of ground to either side


def scenery(camera: Camera) -> tuple[list[Piece], list[Piece]]:
    """What a camera sees while nobody is there.

    Returns:
        Pieces of ground, which take shadows, and all the others; what lies outside the frame is left out.
    """
    rng = np.random.default_rng([camera.seed, camera.number, 1])
    stage = Stage(rng)
    for strip in camera.plan.strips:
        _lay(stage, camera, strip)
    for thing in (*camera.plan.marks, *camera.plan.things):
        if _matters(thing, camera):
            build(stage, thing)
    if camera.plan.ceiling is not None:
        _roof(stage, camera, camera.plan.ceiling)
    if camera.plan.backdrop:
        _horizon(stage, camera)
    ground, rest = stage.pieces()
    clip = camera.clip()
    return _seen(ground, clip), _seen(rest, clip)


def frame(
    renderer: Renderer,
    camera: Camera,
    rng: np.random.Generator,
    height: int = 540,
    people: Sequence[Piece] = (),
) -> Image:
    """A whole frame of a camera, for looking at. The renderer keeps the scenery for good.

    Args:
        renderer: who draws.
        camera: whose frame.
        rng: where the moment comes from.
        height: of the picture, pixels.
        people: whoever is there, posed, in world coordinates.

    Returns:
        (height, width, 3) uint8, sRGB.
    """
    ground, rest = (renderer.upload(pieces) for pieces in scenery(camera))
    view = camera.whole(height)
    picture = renderer.picture(view, camera.light(rng)[0], people, [], ground, rest)
    # Nobody fills a frame: what moves does so by less of its height than in a crop.
    calm = replace(camera, sensor=replace(camera.sensor, motion=0.25 * camera.sensor.motion))
    return develop(picture.pixels, calm, rng, height, view.width, camera.frame[1])


def _matters(thing: Thing, camera: Camera) -> bool:
    """Whether a thing is in the frame, as far as its bounding box tells, and large enough to be seen."""
    width, depth, height = thing.size
    across = max(*(hull[0] for hull in thing.hulls), width)
    half = np.array([across, max(across if thing.kind == "tree" else depth, 0.4), height]) / 2
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)])
    ends = signs * half
    c, s = np.cos(thing.heading), np.sin(thing.heading)
    ends = np.column_stack([c * ends[:, 0] - s * ends[:, 1], s * ends[:, 0] + c * ends[:, 1], ends[:, 2]])
    clip = camera.clip()
    seen = (ends + np.array([thing.x, thing.y, 0])) @ clip[:, :3].T + clip[:, 3]
    if _outside(seen, 0.0).all(axis=1).any():
        return False
    away = np.hypot(thing.x, thing.y)
    return bool(camera.focal * max(thing.size) > _SMALLEST * away) or thing.kind == "wall"


def _lay(stage: Stage, camera: Camera, strip: Strip) -> None:
    c, s = np.cos(camera.plan.turn), np.sin(camera.plan.turn)
    along, across = np.array([c, s, 0]), np.array([-s, c, 0])
    corner = np.array([*camera.plan.middle, strip.rise]) - _WIDE * along + strip.start * across
    wide = strip.stop - strip.start
    sheet = quad(corner, 2 * _WIDE * along, wide * across, (2 * _WIDE, wide))
    stage.cover(sheet, strip.cover, "floor", ground=True)


def _roof(stage: Stage, camera: Camera, height: float) -> None:
    """A ceiling with rows of lamps."""
    turn, middle = camera.plan.turn, camera.plan.middle
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, -s, 0, middle[0]], [s, c, 0, middle[1]], [0, 0, 1, height]])
    sheet = quad((-30, -30, 0), (60, 0, 0), (0, 60, 0), (60, 60))
    stage.cover(sheet.moved(matrix), ("plaster", "concrete", "panels")[stage.salt % 3], "roof")
    for t in (-1.5, 1.5):
        for along in range(-24, 25, 3):
            lamp = quad((along, t - 0.15, -0.03), (1.2, 0, 0), (0, 0.3, 0))
            stage.paint(lamp.moved(matrix), (250, 248, 240), glow=0.9)


def _horizon(stage: Stage, camera: Camera) -> None:
    """What is far away all around: houses, trees, the other bank; a few sheets 35 metres off and more."""
    rng = stage.rng
    name = {"town": "windows", "trees": "hedge", "water": "windows"}[camera.plan.backdrop]
    for angle in np.arange(np.radians(20), np.radians(160), np.radians(12)):
        away = rng.uniform(36, 44) if camera.plan.backdrop != "water" else 55.0
        wide, tall = 0.25 * away, rng.uniform(7, 16) if name == "windows" else rng.uniform(6, 11)
        middle = np.array([away * np.cos(angle), away * np.sin(angle), -0.5])
        across = np.array([np.sin(angle), -np.cos(angle), 0])
        sheet = quad(middle - across * wide / 2, across * wide, (0, 0, tall), (wide / 2, tall / 2))
        # Twice its size: far trees and houses are no finer than near ones seem.
        stage.cover(sheet, name, f"far{int(rng.integers(3))}")


def _outside(ends: NDArray[np.float64], near: float) -> NDArray[np.bool_]:
    """(5, N) beyond which borders of the frame, margin and all, (N, 4) clip coordinates lie."""
    reach = (1 + _MARGIN) * ends[:, 3]
    x, y = ends[:, 0], ends[:, 1]
    return np.stack([x < -reach, x > reach, y < -reach, y > reach, ends[:, 3] < near])


def _seen(pieces: list[Piece], clip: NDArray[np.float64]) -> list[Piece]:
    """The pieces without triangles that lie wholly on the outer side of one border of the frame."""
    kept = []
    for mesh, material in pieces:
        outside = _outside(mesh.vertices @ clip[:, :3].T + clip[:, 3], 0.05)
        faces = mesh.faces[~outside[:, mesh.faces].all(axis=2).any(axis=0)]
        if len(faces):
            used, renamed = np.unique(faces, return_inverse=True)
            kept.append(
                (Mesh(mesh.vertices[used], renamed.reshape(-1, 3).astype(np.int32), mesh.uv[used]), material)
            )
    return kept
