import re

import numpy as np
import pytest

from search.crowd.camera import LARGEST, LOWEST, SMALLEST, STEEPEST, camera
from search.crowd.kinds import KINDS
from search.crowd.lighting import Lighting
from search.crowd.places import Thing, hides
from search.crowd.sensor import Sensor

SEED = 11


@pytest.fixture(scope="module")
def cameras():
    return [camera(SEED, number) for number in range(1, 41)]


def test_a_camera_is_the_same_whenever_it_is_made():
    one, again, other = camera(SEED, 7), camera(SEED, 7), camera(SEED + 1, 7)
    assert (one.plan, one.sensor, one.lighting) == (again.plan, again.sensor, again.lighting)
    assert (one.clip() == again.clip()).all() and (one.spots == again.spots).all()
    assert (one.clip() != other.clip()).any()
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    assert one.spot(rng) == again.spot(same)
    first, second = one.light(rng), again.light(same)
    assert first[1] == second[1] and first[0].sun == second[0].sun


def test_the_first_cameras_are_at_all_kinds_of_places(cameras):
    assert [at.place for at in cameras[: len(KINDS)]] == list(KINDS)
    assert len(KINDS) >= 12


def test_cameras_hang_and_look_as_cameras_do(cameras):
    for at in cameras:
        assert LOWEST <= at.elevation <= STEEPEST
        assert 1.5 <= at.height <= 8
        assert at.focal >= 0.8 * at.frame[1]
    elevations = [at.elevation for at in cameras]
    assert min(elevations) < 8 and max(elevations) > 20
    assert len({at.sensor for at in cameras}) == len(cameras)
    assert len({at.plan for at in cameras}) == len(cameras)


def test_one_sensor_for_all_changes_nothing_else():
    own, same = camera(SEED, 5), camera(SEED, 5, one_sensor=True)
    assert same.sensor == Sensor() != own.sensor
    assert (own.clip() == same.clip()).all() and own.plan == same.plan


def test_a_point_straight_ahead_is_in_the_middle_of_the_frame(cameras):
    for at in cameras:
        pitch = np.radians(at.elevation)
        ahead = at.eye + 5 * np.array([0, np.cos(pitch), -np.sin(pitch)])
        assert at.project(ahead[None])[0] == pytest.approx(np.array(at.frame) / 2)


def test_a_metre_is_as_long_as_the_focal_length_says():
    at = camera(SEED, 1)
    pitch, lean = np.radians(at.elevation), np.radians(at.roll)
    ahead = at.eye + 10 * np.array([0, np.cos(pitch), -np.sin(pitch)])
    up = np.array([0, np.sin(pitch), np.cos(pitch)])
    middle, beside, above = at.project([ahead, ahead + np.array([1, 0, 0]), ahead + up])
    scale = at.focal / 10
    assert beside - middle == pytest.approx([scale * np.cos(lean), scale * np.sin(lean)])
    # Rows count downwards.
    assert above - middle == pytest.approx([scale * np.sin(lean), -scale * np.cos(lean)])


@pytest.mark.parametrize("box", [(100.0, 40.0, 180.0, 260.0), (-30.0, 200.0, 50.0, 500.0)])
def test_a_window_shows_what_the_frame_shows_there(cameras, box):
    x0, y0, x1, y1 = box
    rng = np.random.default_rng(0)
    for at in cameras[:5]:
        points = np.column_stack([rng.uniform(-3, 3, 20), rng.uniform(4, 20, 20), rng.uniform(0, 2, 20)])
        view = at.window(box, 128, 64)
        ends = np.column_stack([points, np.ones(20)]) @ view.clip.T
        place = ends[:, :2] / ends[:, 3:]
        pixels = np.column_stack([(place[:, 0] + 1) / 2 * 64, (1 - place[:, 1]) / 2 * 128])
        wanted = (at.project(points) - (x0, y0)) / (x1 - x0, y1 - y0) * (64, 128)
        assert pixels == pytest.approx(wanted)


def test_people_stand_inside_the_frame_and_outside_things(cameras):
    rng = np.random.default_rng(3)
    for at in cameras:
        spots = np.array([at.spot(rng) for _ in range(100)])
        ends = np.column_stack([np.repeat(spots, 2, axis=0), np.tile([0, 1.9], 100)])
        pixels = at.project(ends)
        assert (pixels > 0).all() and (pixels < at.frame).all()
        tall = at.focal * 1.7 / np.linalg.norm(np.column_stack([spots, np.zeros(100)]) - at.eye, axis=1)
        assert tall.min() > 0.95 * SMALLEST and tall.max() < 1.05 * LARGEST
        for thing in at.plan.things:
            if thing.solid:
                assert (np.abs(thing.local(spots)) > np.array(thing.size[:2]) / 2 + 0.2).any(axis=1).all()


def test_people_stand_where_they_are_seen(cameras):
    for at in cameras[:18]:
        chest = np.column_stack([at.spots, np.full(len(at.spots), 1.2)])
        for thing in at.plan.things:
            if thing.solid:
                assert not hides(thing, at.eye, chest).any()


def test_a_thing_hides_what_is_behind_it_and_below_its_top():
    wall = Thing("block", 0, 5, 0, (2, 0.2, 1), seed=0)
    eye = (0, 0, 2)
    behind, above, before, beside = (0, 8, 0.2), (0, 8, 1.5), (0, 4, 0.2), (4, 8, 0.2)
    # The line from 2 m to (8 m away, z) passes the wall at 2 - 5/8 (2 - z): 0.875 for z = 0.2, 1.69 for 1.5.
    assert hides(wall, eye, [behind, above, before, beside]).tolist() == [True, False, False, False]
    turned = Thing("block", 0, 5, np.pi / 2, (2, 0.2, 1), seed=0)
    assert hides(turned, eye, [(0.8, 8, 0.2), (0.05, 8, 0.2)]).tolist() == [False, True]


def test_light_is_light(cameras):
    rng = np.random.default_rng(0)
    for at in cameras:
        for _ in range(10):
            light, time = at.light(rng)
            assert np.linalg.norm(light.sun) == pytest.approx(1) and light.sun[2] > 0
            assert re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", time)
            for colour in (light.sunlight, light.sky, light.bounce):
                assert all(0 <= channel < 2.5 for channel in colour)
            assert 0 <= light.shadow <= 1 and 0 < light.softness < 0.1


def test_a_place_sees_several_moments_and_nights_are_dark():
    rng = np.random.default_rng(0)
    dark, bright = (
        Lighting(usual, 0.0, 50.0, (1.0, 0.8, 0.6), 60.0, 0.4).moment(rng)[0] for usual in ("night", "lamps")
    )
    assert sum(dark.sunlight) + sum(dark.sky) < 0.7 * (sum(bright.sunlight) + sum(bright.sky))
    sunny = Lighting("sun", 0.0, 50.0, (1.0, 0.8, 0.6), 60.0, 0.4)
    moments = [sunny.moment(rng) for _ in range(30)]
    assert len({time for _, time in moments}) > 20
    assert max(max(light.sunlight) for light, _ in moments) > 3 * min(
        max(light.sunlight) for light, _ in moments
    )
