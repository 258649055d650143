from dataclasses import replace

import cv2
import numpy as np
import pytest

from search.crowd.camera import camera
from search.crowd.sensor import Sensor, develop, encode

SEED = 11


@pytest.fixture(scope="module")
def light():
    """A bright figure before a dark wall, with edges both ways."""
    pixels = np.full((256, 128, 3), 0.08, np.float32)
    pixels[40:220, 40:88] = (0.5, 0.25, 0.12)
    pixels[120:220, 40:88] = (0.1, 0.15, 0.4)
    return pixels


@pytest.fixture(scope="module")
def plain():
    """A camera that adds nothing of its own."""
    quiet = Sensor(1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 98, 95, 0)
    return replace(camera(SEED, 1), sensor=quiet)


def seen(pixels, at, seed=0, tall=200.0, **changes):
    at = replace(at, sensor=replace(at.sensor, **changes))
    return develop(pixels, at, np.random.default_rng(seed), 128, 64, tall)


@pytest.mark.parametrize("number", range(1, 13))
def test_every_camera_makes_bytes_of_the_size_asked_for(light, number):
    at = camera(SEED, number)
    for tall in (12.0, 45.0, 128.0, 390.0, 2000.0):
        image = develop(light, at, np.random.default_rng(0), 128, 64, tall)
        assert image.shape == (128, 64, 3) and image.dtype == np.uint8
        # Neither black nor white nor grey all over.
        assert 15 < image.mean() < 240 and image.std() > 4


def test_a_moment_is_the_same_for_the_same_generator(light):
    at = camera(SEED, 3)
    one, again, other = (develop(light, at, np.random.default_rng(seed), 128, 64, 150) for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()
    assert encode(one, at, np.random.default_rng(1)) == encode(one, at, np.random.default_rng(1))


def test_extremes_of_light_are_survived(plain):
    for value in (0.0, 1e-6, 50.0):
        image = seen(np.full((256, 128, 3), value, np.float32), plain)
        assert image.shape == (128, 64, 3)


def test_the_order_of_colours_is_kept(light, plain):
    image = seen(light, plain)
    trunk, legs = image[40, 32].astype(int), image[90, 32].astype(int)
    assert trunk[0] > trunk[1] > trunk[2] and legs[2] > legs[1] > legs[0]


def test_brighter_light_is_not_darker(plain):
    ramp = np.repeat(np.linspace(0, 1.2, 128, dtype=np.float32)[None, :, None], 256, 0).repeat(3, 2)
    for contrast in (0.7, 1.0, 1.4):
        row = seen(ramp, plain, contrast=contrast)[64, :, 1].astype(int)
        assert (np.diff(row) >= -3).all() and row[-1] - row[0] > 120


def test_white_balance_changes_the_cast(light, plain):
    red, blue = (
        seen(light, plain, red=r, blue=b).reshape(-1, 3).mean(axis=0) for r, b in ((1.25, 0.8), (0.8, 1.25))
    )
    assert red[0] / red[2] > 1.3 * blue[0] / blue[2]


def test_saturation_contrast_and_lift_do_as_they_say(light, plain):
    def colourful(image):
        return float(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1].mean())

    assert colourful(seen(light, plain, saturation=0.4)) < 0.6 * colourful(seen(light, plain))
    assert (
        seen(light, plain, contrast=0.7).std()
        < seen(light, plain).std()
        < seen(light, plain, contrast=1.4).std()
    )
    black = np.zeros((256, 128, 3), np.float32)
    assert seen(black, plain, lift=0.1).mean() == pytest.approx(25.5, abs=2)


def test_far_people_lose_detail(plain):
    stripes = np.full((256, 128, 3), 0.1, np.float32)
    stripes[(np.arange(256) // 4) % 2 == 0] = 0.4
    near, far = (seen(stripes, plain, tall=tall)[..., 1] for tall in (300.0, 40.0))
    assert near.std() > 3 * far.std()


def test_motion_blurs_along_and_lines_are_from_two_moments(plain):
    bars = np.full((256, 128, 3), 0.05, np.float32)
    bars[:, (np.arange(128) // 12) % 2 == 0] = 0.6

    def sharp(axis, **changes):
        images = [seen(bars, plain, seed, **changes).astype(float) for seed in range(8)]
        return float(np.mean([np.abs(np.diff(image, axis=axis)).mean() for image in images]))

    assert sharp(1, motion=6.0) < 0.8 * sharp(1)
    assert sharp(0, interlaced=1.0, motion=2.0) > 2 * sharp(0)


def test_noise_is_as_strong_as_asked_for(plain):
    grey = np.full((256, 128, 3), 0.15, np.float32)
    assert seen(grey, plain).std() < 2
    assert 2 < seen(grey, plain, noise=0.03).std() < 20


def test_jpeg_holds_the_picture_and_costs_more_when_better(light):
    at = camera(SEED, 2)
    image = develop(light, at, np.random.default_rng(0), 128, 64, 150)
    sizes = []
    for quality in (40, 95):
        data = encode(
            image, replace(at, sensor=replace(at.sensor, quality=quality)), np.random.default_rng(0)
        )
        back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(back.astype(int) - image).mean() < 14
        sizes.append(len(data))
    assert sizes[0] < sizes[1] < 8000
