"""From a camera's plan to pieces to draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.crowd.camera import Camera
from search.crowd.mesh import Mesh, Piece, quad
from search.crowd.places import Strip, Thing
from search.crowd.render import Renderer
from search.crowd.scenery.stage import Stage
from search.crowd.scenery.things import build

_MARGIN = 0.25  # of the frame's half size, kept around it: boxes reach beyond the frame a little
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
        build(stage, thing)
    ground, rest = stage.pieces()
    clip = camera.clip()
    return _seen(ground, clip), _seen(rest, clip)


def frame(
    renderer: Renderer, camera: Camera, rng: np.random.Generator, height: int = 540
) -> NDArray[np.float32]:
    """A whole frame of a camera, nobody in it, for looking at.

    Returns:
        (height, width, 3) float32, linear RGB; `sensor.develop` makes a picture of it.
    """
    ground, rest = (renderer.upload(pieces) for pieces in scenery(camera))
    picture = renderer.picture(camera.whole(height), camera.light(rng)[0], [], [], ground, rest)
    renderer.release([*ground, *rest])
    return picture.pixels


def _lay(stage: Stage, camera: Camera, strip: Strip) -> None:
    c, s = np.cos(camera.plan.turn), np.sin(camera.plan.turn)
    along, across = np.array([c, s, 0]), np.array([-s, c, 0])
    corner = np.array([*camera.plan.middle, strip.rise]) - _WIDE * along + strip.start * across
    wide = strip.stop - strip.start
    sheet = quad(corner, 2 * _WIDE * along, wide * across, (2 * _WIDE, wide))
    stage.cover(sheet, strip.cover, "floor", ground=True)


def _seen(pieces: list[Piece], clip: NDArray[np.float64]) -> list[Piece]:
    """The pieces without triangles that lie wholly on the outer side of one border of the frame."""
    kept = []
    for mesh, material in pieces:
        ends = mesh.vertices @ clip[:, :3].T + clip[:, 3]
        reach = (1 + _MARGIN) * ends[:, 3]
        outside = np.stack(
            [
                ends[:, 0] < -reach,
                ends[:, 0] > reach,
                ends[:, 1] < -reach,
                ends[:, 1] > reach,
                ends[:, 3] < 0.05,
            ]
        )
        faces = mesh.faces[~outside[:, mesh.faces].all(axis=2).any(axis=0)]
        if len(faces):
            used, renamed = np.unique(faces, return_inverse=True)
            kept.append((Mesh(mesh.vertices[used], renamed.reshape(-1, 3), mesh.uv[used]), material))
    return kept


def obstacles(camera: Camera, spot: tuple[float, float], rng: np.random.Generator) -> list[Piece]:
    """Things between a camera and somebody, which hide a third or so of who stands there.

    Args:
        camera: who looks.
        spot: (x, y) metres of who stands.
        rng: what they are.
    """
    way = camera.eye[:2] - spot
    way /= np.linalg.norm(way)
    away = rng.uniform(0.5, 1.4)
    x, y = np.array(spot) + away * way
    heading = np.arctan2(way[0], -way[1])
    drop = camera.height / np.linalg.norm(camera.eye[:2] - spot)
    stage = Stage(rng)
    low = rng.uniform(0.35, 0.85) + away * drop
    build(stage, Thing("block", x, y, heading, (2.0, 0.3, low)))
    return stage.pieces()[1]
