"""Things that stand in places."""

from __future__ import annotations

import numpy as np

from search.crowd.mesh import Mesh, box
from search.crowd.places import Thing
from search.crowd.scenery.stage import Stage


def build(stage: Stage, thing: Thing) -> None:
    """Add a thing to a stage."""
    c, s = np.cos(thing.heading), np.sin(thing.heading)
    matrix = np.array([[c, -s, 0, thing.x], [s, c, 0, thing.y], [0, 0, 1, 0]])
    width, depth, height = thing.size
    rng = np.random.default_rng(thing.seed)
    solid = box(thing.size, (0, 0, height / 2)).moved(matrix)
    if thing.kind == "wall":
        stage.cover(Mesh(solid.vertices, solid.faces, solid.uv * (width, height)), "plaster", thing.style)
    else:
        stage.paint(solid, tuple(int(v) for v in rng.integers(60, 190, 3)))
