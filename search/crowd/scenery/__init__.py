"""What cameras look at, as triangles: the ground, walls and things of a place."""

from search.crowd.scenery.build import frame, scenery
from search.crowd.scenery.obstacles import obstacles

__all__ = ["frame", "obstacles", "scenery"]
