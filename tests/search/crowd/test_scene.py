import cv2
import numpy as np
import pytest

from search.crowd.config import CrowdConfig
from search.crowd.scene import Studio, make_up
from search.crowd.wardrobe import person

SEED = 3


def shoot(renderer, anatomy, numbers, cameras, settings=None, seed=0):
    settings = settings or CrowdConfig()
    studio = Studio(renderer, SEED, settings, anatomy)
    return {
        number: list(
            studio.shoot(
                person(SEED, number, settings),
                cameras,
                np.random.default_rng([seed, number]),
                lambda rng: person(SEED + 1, 1 + int(rng.integers(20)), settings),
            )
        )
        for number in numbers
    }


@pytest.fixture(scope="module")
def crops(renderer, anatomy):
    return shoot(renderer, anatomy, range(1, 7), (1, 2, 3, 4))


def test_crops_are_pictures_of_the_size_asked_for(crops):
    for crop in (crop for shot in crops.values() for crop in shot):
        image = cv2.imdecode(np.frombuffer(crop.image, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (128, 64, 3)
        assert image.std() > 3  # not one flat colour


def test_labels_say_what_was_drawn(crops):
    for shot in crops.values():
        assert [crop.camera for crop in shot] == [1, 2, 3, 4]
        for crop in shot:
            assert crop.pose in ("walk", "stride", "stand")
            assert crop.view in ("front", "left", "back", "right")
            assert 0 <= crop.occlusion <= 0.6
            hours, minutes = map(int, crop.time.split(":"))
            assert 0 <= hours < 24 and 0 <= minutes < 60
            x0, y0, x1, y1 = crop.box
            assert 0.15 < (x1 - x0) / (y1 - y0) < 1.3


def test_all_sides_are_seen(crops):
    assert len({crop.view for shot in crops.values() for crop in shot}) >= 3


def test_the_same_seed_gives_the_same_bytes_whatever_came_before(renderer, anatomy, crops):
    again = shoot(renderer, anatomy, (5, 2), (1, 2, 3, 4))
    for number, shot in again.items():
        assert [crop.image for crop in shot] == [crop.image for crop in crops[number]]


def test_another_seed_gives_other_moments(renderer, anatomy, crops):
    other = shoot(renderer, anatomy, (1,), (1, 2), seed=9)[1]
    assert all(a.image != b.image for a, b in zip(other, crops[1], strict=False))


def test_the_person_is_there(renderer, anatomy):
    """Against the same place without anybody: what differs is a person's share of the picture."""
    settings = CrowdConfig(neighbours=0.0, occlusion=0.0)
    studio = Studio(renderer, SEED, settings, anatomy)
    seen = []
    draw = renderer.picture

    def watched(*arguments):
        picture = draw(*arguments)
        seen.append(picture)
        return picture

    renderer.picture = watched
    try:
        list(
            studio.shoot(
                person(SEED, 1, settings), (1, 2, 3, 4, 5, 6), np.random.default_rng(0), lambda rng: None
            )
        )
    finally:
        renderer.picture = draw
    for picture in seen:
        assert 0.08 < picture.whole.mean() < 0.75
        assert not (picture.visible & ~picture.whole).any()


def test_neighbours_and_things_in_front_hide_people(renderer, anatomy):
    def hidden(**shares):
        shots = shoot(renderer, anatomy, range(1, 5), (1, 2, 3, 4, 5), CrowdConfig(**shares))
        return float(np.mean([crop.occlusion for shot in shots.values() for crop in shot]))

    assert hidden(neighbours=0.0, occlusion=0.0) < 0.05
    assert hidden(neighbours=0.0, occlusion=1.0) > 0.1


def test_everything_is_worn_where_it_belongs(anatomy):
    from search.crowd.garments import Tailor

    tailor = Tailor.of(anatomy)
    for number in range(1, 30):
        one = person(SEED, number, CrowdConfig())
        made = make_up(tailor, one)
        assert len(made.cloth) >= 3
        assert {prop.bone for prop in made.props} >= {"foot.L", "foot.R"} or any(
            prop.bone.startswith("lowerleg") for prop in made.props
        )
