import zlib

import numpy as np
import pytest

from search.crowd.camera import camera
from search.crowd.kinds import KINDS
from search.crowd.mesh import Material, box
from search.crowd.places import Thing
from search.crowd.scenery import frame, obstacles, scenery
from search.crowd.scenery.pictures import PICTURES, corners, sheet
from search.crowd.scenery.stage import Stage
from search.crowd.scenery.textures import COVERS, cover
from search.crowd.scenery.things import MAKERS, build
from search.crowd.scenery.walls import WALLS

SEED = 11
NUMBERS = range(1, len(KINDS) + 1)


@pytest.fixture(scope="module")
def places():
    return [(at, scenery(at)) for at in (camera(SEED, number) for number in NUMBERS)]


def test_scenery_belongs_to_the_camera(places):
    at, pieces = places[3]
    again = scenery(camera(SEED, at.number))
    for side, other in zip(pieces, again, strict=True):
        for (mesh, material), (same, alike) in zip(side, other, strict=True):
            assert (mesh.vertices == same.vertices).all() and (mesh.uv == same.uv).all()
            assert material.colour == alike.colour
            assert material.texture is not None and (material.texture == alike.texture).all()


def test_scenery_is_cheap_to_draw(places):
    for _, (ground, rest) in places:
        assert 1 <= len(ground) <= 8 and len(ground) + len(rest) <= 48
        assert sum(len(mesh.faces) for mesh, _ in ground + rest) <= 16_000
        for mesh, material in ground + rest:
            assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()
            assert material.texture is not None and max(material.texture.shape[:2]) <= 256
    triangles = [sum(len(mesh.faces) for mesh, _ in ground + rest) for _, (ground, rest) in places]
    assert np.mean(triangles) <= 4000


def test_no_triangle_is_drawn_that_lies_beyond_a_border_of_the_frame(places):
    for at, (ground, rest) in places:
        for mesh, _ in ground + rest:
            ends = mesh.vertices @ at.clip()[:, :3].T + at.clip()[:, 3]
            for axis in (0, 1):
                for side in (-1, 1):
                    beyond = side * ends[:, axis] > 1.26 * ends[:, 3]
                    assert not beyond[mesh.faces].all(axis=1).any()


def test_people_stand_on_ground(places):
    """Straight below every spot there is ground, at z = 0 or a hand's breadth off."""
    for at, _ in places:
        own = at.plan.own(at.spots)
        covered = np.zeros(len(own), bool)
        for strip in at.plan.strips:
            if abs(strip.rise) < 0.1:
                covered |= (own[:, 1] >= strip.start) & (own[:, 1] <= strip.stop)
        assert covered.all()


def test_everything_that_stands_in_places_can_be_made(places):
    kinds = {thing.kind for at, _ in places for thing in (*at.plan.things, *at.plan.marks)}
    assert kinds <= set(MAKERS)
    for kind in MAKERS:
        for style in WALLS if kind == "wall" else ("carpet" if kind == "rug" else "",):
            for seed in range(4):
                stage = Stage(np.random.default_rng(seed))
                build(stage, Thing(kind, 3.0, 8.0, 0.4, (2.0, 0.8, 2.4), style, seed))
                ground, rest = stage.pieces()
                assert ground + rest
                points = np.concatenate([mesh.vertices for mesh, _ in ground + rest])
                assert np.isfinite(points).all()
                assert np.abs(points[:, :2] - (3.0, 8.0)).max() < 6 and points[:, 2].min() > -0.3


@pytest.mark.parametrize("name", COVERS)
def test_covers_repeat_without_a_seam(name):
    """Across the border neighbours differ no more than they do where the tile differs most."""
    image = cover(name, 0)[..., :3].astype(float)
    assert image.shape[:2] == (128, 128)
    for turned in (image, image.swapaxes(0, 1)):
        inner = np.abs(np.diff(turned, axis=0)).mean(axis=(1, 2))
        assert np.abs(turned[0] - turned[-1]).mean() <= 1.5 * inner.max() + 2


def test_textures_are_shared_and_differ():
    assert cover("brick", 1) is cover("brick", 1) and sheet("walls", 0) is sheet("walls", 0)
    assert (cover("brick", 1) != cover("brick", 2)).any()
    for name in PICTURES:
        left, top, right, bottom = corners(name, 5)
        assert 0 < left < right < 1 and 0 < top < bottom < 1


def test_obstacles_hide_a_part_of_who_stands_behind(renderer):
    """Averaged over cameras and moments: a fifth to a half of a person-sized box."""
    shown = []
    for number in (1, 2, 3, 8):
        at, rng = camera(SEED, number), np.random.default_rng(number)
        for _ in range(12):
            spot = at.spot(rng)
            who = [(box((0.45, 0.3, 1.7), (*spot, 0.85)), Material())]
            pixels = at.project(who[0][0].vertices)
            view = at.window((*pixels.min(axis=0), *pixels.max(axis=0)), 128, 64)
            picture = renderer.picture(view, at.light(rng)[0], who, obstacles(at, spot, rng))
            shown.append(picture.visible.sum() / picture.whole.sum())
    assert 0.5 < np.mean(shown) < 0.85
    assert np.mean(np.array(shown) > 0.98) < 0.2


def test_a_frame_shows_the_place_and_who_is_there(renderer):
    at = camera(SEED, 2)
    x, y = at.spots[0]
    who = [(box((0.6, 0.6, 1.8), (x, y, 0.9)), Material((0.9, 0.1, 0.1)))]
    empty, peopled = (frame(renderer, at, np.random.default_rng(0), 180, people) for people in ((), who))
    assert empty.shape == peopled.shape == (180, round(180 * at.frame[0] / at.frame[1]), 3)
    assert empty.dtype == np.uint8 and empty.std() > 10
    column, row = at.project([[x, y, 0.9]])[0] * 180 / at.frame[1]
    redder = peopled.astype(int)[int(row), int(column)] - empty.astype(int)[int(row), int(column)]
    assert redder[0] - redder[1:].mean() > 20


@pytest.mark.parametrize("name", sorted(COVERS))
def test_surfaces_are_worn_to_less_than_half_of_their_colour(name):
    fresh = COVERS[name].paint(np.random.default_rng([zlib.crc32(name.encode()), 0]))
    worn = cover(name, 0)
    chroma, left = (np.ptp(picture[..., :3].astype(float), axis=2).mean() for picture in (fresh, worn))
    assert left <= 0.5 * chroma + 1
    assert abs(worn[..., :3].mean() - fresh[..., :3].mean()) < 12  # as bright as it was
    np.testing.assert_array_equal(worn[..., 3:], fresh[..., 3:])
