"""What cameras look at, as triangles: the ground, walls and things of a place."""

from search.crowd.scenery.build import frame, obstacles, scenery

__all__ = ["frame", "obstacles", "scenery"]
