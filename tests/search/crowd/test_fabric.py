import numpy as np
import pytest

from search.crowd import fabric
from search.crowd.decals import DECALS
from search.crowd.traits import Garment

COLOURS = ((60, 70, 100), (220, 215, 205), (140, 50, 50))


def cloth(pattern, seed=0, colours=COLOURS, kind="shirt"):
    return Garment(kind, colours, pattern, seed)


@pytest.mark.parametrize("pattern", fabric.PATTERNS)
def test_cloth_repeats_without_a_seam(pattern):
    """What lies across an edge differs no more than what lies across the lines within."""
    for seed in range(4):
        image = fabric.texture(cloth(pattern, seed)).astype(float)
        assert image.shape == (128, 128, 3)
        for axis in (0, 1):
            steps = np.abs(np.diff(np.concatenate([image, image.take([0], axis)], axis), axis=axis))
            steps = steps.mean(axis=(1 - axis, 2))
            assert steps[-1] <= 1.15 * steps[:-1].max() + 1


@pytest.mark.parametrize("pattern", fabric.PATTERNS)
def test_cloth_is_the_same_for_the_same_seed_and_another_for_another(pattern):
    first = fabric.texture(cloth(pattern, 3)).copy()
    fabric._texture.cache_clear()
    assert np.array_equal(fabric.texture(cloth(pattern, 3)), first)
    assert not np.array_equal(fabric.texture(cloth(pattern, 4)), first)


@pytest.mark.parametrize("colour", [(24, 24, 27), (234, 233, 229), (150, 42, 46), (60, 76, 106)])
def test_plain_cloth_keeps_its_colour_and_has_folds(colour):
    for seed in range(8):
        image = fabric.texture(cloth("plain", seed, (colour,))).astype(float)
        assert np.abs(image.mean(axis=(0, 1)) - colour).max() < 8
        # Folds are wider than threads: they are still there in the mean over 8 x 8 pixels.
        assert image.mean(axis=2).reshape(16, 8, 16, 8).mean(axis=(1, 3)).std() > 1.2


@pytest.mark.parametrize(
    "pattern", ["stripes", "breton", "pinstripe", "tartan", "gingham", "dots", "floral", "print", "wax"]
)
def test_patterns_show_both_colours(pattern):
    for seed in range(5):
        light = fabric.texture(cloth(pattern, seed)).mean(axis=2)
        assert light.std() > 12
        assert light.min() < 100 < 150 < light.max()


def test_a_puffer_has_bands_and_denim_has_none():
    def rows(pattern):
        return fabric.texture(cloth(pattern, 1, ((90, 90, 100),))).mean(axis=(1, 2)).std()

    assert rows("quilted") > 4 * rows("denim")


def test_hi_vis_cloth_has_bands_of_silver():
    image = fabric.texture(cloth("hi-vis", 0, ((202, 214, 70), (188, 190, 188)))).astype(int)
    silver = np.abs(image[..., 2] - image[..., 0]) < 25
    assert 0.1 < silver.mean() < 0.5
    assert silver[:, 64].any() and not silver[:, 64].all()


@pytest.mark.parametrize("pattern", ["logo", "lettering", "picture", "back-print", "yoke"])
def test_decals_have_holes_and_lie_where_they_should(pattern):
    sides = [(fabric.front(cloth(pattern, seed)), fabric.back(cloth(pattern, seed))) for seed in range(12)]
    for side in (image for pair in sides for image in pair if image is not None):
        assert side.shape == (128, 128, 4)
        assert set(np.unique(side[..., 3])) == {0, 255}
    fronts = [front for front, _ in sides if front is not None]
    assert len(fronts) >= (0 if pattern == "back-print" else 10)
    if pattern in ("logo", "back-print"):  # over the heart, which a viewer sees on the right
        for front in fronts:
            assert np.nonzero(front[..., 3])[1].min() > 64
    if pattern in ("back-print", "yoke"):
        assert all(back is not None for _, back in sides)
    if pattern in ("logo", "picture"):
        assert all(back is None for _, back in sides)


@pytest.mark.parametrize("pattern", sorted(set(fabric.PATTERNS) - set(DECALS)))
def test_other_cloth_has_nothing_printed_on_it(pattern):
    assert fabric.front(cloth(pattern)) is None and fabric.back(cloth(pattern)) is None


def test_leather_and_raincoats_shine_and_cotton_does_not():
    assert fabric.gloss(cloth("leather")) > 0.2
    assert fabric.gloss(cloth("plain", kind="raincoat")) > 0.1
    assert fabric.gloss(cloth("plain")) == 0
