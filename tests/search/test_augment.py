from dataclasses import replace

import numpy as np
import pytest
import torch

from search.augment import MEAN, STD, Draws, augment, draw, normalise, training_input
from search.degrade import degrade
from search.recipe import Recipe

PLAIN = Recipe(flip=0.5, pad=3, jitter=0.0, erase=0.0)
HEIGHT, WIDTH = 12, 8


def pictures(count: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8))


def drawn(recipe: Recipe, count: int = 6, key: tuple[int, int] = (2, 5)) -> Draws:
    return draw(recipe, key, count, HEIGHT, WIDTH)


def test_shift_crop_and_mirror_are_exact():
    images, draws = pictures(), drawn(PLAIN)
    assert 0 < draws.flip.sum() < 6
    expected = np.empty_like(images.numpy())
    for i, image in enumerate(images.numpy()):
        padded = np.zeros((HEIGHT + 6, WIDTH + 6, 3), np.uint8)
        padded[3:-3, 3:-3] = image
        top, left = draws.shift[i]
        crop = padded[top : top + HEIGHT, left : left + WIDTH]
        expected[i] = crop[:, ::-1] if draws.flip[i] else crop
    assert torch.equal(augment(images, draws, 3), normalise(torch.from_numpy(expected)))


def test_brightness_contrast_and_saturation_are_those_of_one_after_the_other():
    images, draws = pictures(), drawn(replace(PLAIN, pad=0, flip=0.0, jitter=0.5))
    grey = torch.tensor([0.299, 0.587, 0.114])
    expected = []
    for image, (brightness, contrast, saturation) in zip(images.float(), draws.light.tolist(), strict=True):
        x = image * brightness
        x = contrast * x + (1 - contrast) * (x @ grey).mean()
        x = saturation * x + (1 - saturation) * (x @ grey)[..., None]
        expected.append(x.clamp(0, 255))
    torch.testing.assert_close(augment(images, draws, 0), normalise(torch.stack(expected)))
    assert len({tuple(row) for row in draws.light.tolist()}) == 6


def test_what_is_erased_is_the_mean_colour_and_the_rest_stays():
    images, draws = pictures(40), drawn(replace(PLAIN, erase=1.0), 40)
    whole = augment(images, replace(draws, erase=np.zeros_like(draws.erase)), 3)
    erased = augment(images, draws, 3)
    for before, after, (top, left, bottom, right) in zip(whole, erased, draws.erase.tolist(), strict=True):
        assert 0 <= top < bottom <= HEIGHT
        assert 0 <= left < right <= WIDTH
        assert not after[:, top:bottom, left:right].any()
        after[:, top:bottom, left:right] = before[:, top:bottom, left:right]
        assert torch.equal(before, after)
    mean = torch.tensor(MEAN) * 255
    torch.testing.assert_close(normalise(mean.expand(1, 1, 1, 3)), torch.zeros(1, 3, 1, 1), atol=1e-6, rtol=0)


def test_the_probabilities_are_those_asked_for():
    draws = drawn(replace(PLAIN, flip=0.25, erase=0.75, jitter=0.2), 4000)
    assert draws.flip.mean() == pytest.approx(0.25, abs=0.03)
    assert draws.erase.any(axis=1).mean() == pytest.approx(0.75, abs=0.03)
    assert (draws.shift.min(), draws.shift.max()) == (0, 6)
    assert draws.light.min() >= 0.8
    assert draws.light.max() <= 1.2
    areas = np.prod(draws.erase[:, 2:] - draws.erase[:, :2], axis=1) / (HEIGHT * WIDTH)
    assert areas.max() <= 0.4


def test_the_draws_are_a_pure_function_of_seed_epoch_and_step():
    recipe = replace(PLAIN, jitter=0.2, erase=0.5)
    same = [draw(recipe, (2, 5), 6, HEIGHT, WIDTH) for _ in range(2)]
    np.testing.assert_array_equal(same[0].light, same[1].light)
    np.testing.assert_array_equal(same[0].erase, same[1].erase)
    for other in (
        draw(recipe, (2, 6), 6, HEIGHT, WIDTH),
        draw(replace(recipe, seed=1), (2, 5), 6, HEIGHT, WIDTH),
    ):
        assert (other.light != same[0].light).all()


def test_the_slices_of_a_batch_are_the_whole():
    recipe = replace(PLAIN, jitter=0.3, erase=0.8)
    images, draws = pictures(), drawn(recipe)
    parts = [augment(images[part], draws[part], 3) for part in (slice(0, 2), slice(2, 6))]
    assert torch.equal(torch.cat(parts), augment(images, draws, 3))


def test_bytes_go_in_and_normalised_channels_last_floats_come_out():
    out = augment(pictures(), drawn(Recipe()), Recipe().pad)
    assert out.shape == (6, 3, HEIGHT, WIDTH)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    ends = normalise(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 1, 3))
    torch.testing.assert_close(ends[0, :, 0, 0], -torch.tensor(MEAN) / torch.tensor(STD))
    torch.testing.assert_close(ends[1, :, 0, 0], (1 - torch.tensor(MEAN)) / torch.tensor(STD))


def test_a_turn_of_the_colours_leaves_grey_and_the_sum_and_a_third_swaps_channels():
    images, draws = torch.full((3, HEIGHT, WIDTH, 3), 77.0), drawn(replace(PLAIN, pad=0, flip=0.0), 3)
    grey = augment(images, replace(draws, hue=np.array([0.3, -1.0, 2.0], np.float32)), 0)
    torch.testing.assert_close(grey, augment(images, draws, 0), atol=1e-4, rtol=0)
    colours = torch.tensor([50.0, 100.0, 150.0]).expand(3, HEIGHT, WIDTH, 3)
    third = np.full(3, 2 * np.pi / 3, np.float32)
    turned = augment(colours, replace(draws, hue=third), 0)
    torch.testing.assert_close(turned, augment(colours.roll(1, dims=3), draws, 0), atol=1e-4, rtol=0)


def test_grey_crops_and_patches_have_no_colour_and_the_rest_keeps_its_own():
    recipe = replace(PLAIN, pad=0, flip=0.0)
    images = pictures(40).float()
    mean, std = (torch.tensor(value)[:, None, None] for value in (MEAN, STD))
    plain = augment(images, drawn(recipe, 40), 0) * std + mean
    grey = augment(images, drawn(replace(recipe, grey=1.0), 40), 0) * std + mean
    expected = (images / 255 @ torch.tensor([0.299, 0.587, 0.114]))[:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(grey, expected)
    draws = drawn(replace(recipe, grey_patch=0.5), 40)
    patched = augment(images, draws, 0) * std + mean
    assert 10 < draws.grey.any(axis=1).sum() < 30
    for i, (top, left, bottom, right) in enumerate(draws.grey.tolist()):
        inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        torch.testing.assert_close(patched[i][:, inside], expected[i][:, inside])
        torch.testing.assert_close(patched[i][:, ~inside], plain[i][:, ~inside])


CAMERA = replace(PLAIN, gamma=0.5, low=0.5, blur=0.5, jpeg=0.5, dark=0.5, cover=0.5)


def test_new_options_do_not_move_what_was_drawn_before():
    plain, camera = drawn(PLAIN), drawn(replace(CAMERA, hue=20.0, grey_patch=0.5))
    for name in ("flip", "shift", "light", "erase"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(camera, name))
    images = pictures().numpy()
    np.testing.assert_array_equal(degrade(images, plain.damage), images)


def test_damage_is_drawn_within_its_limits_for_the_part_of_crops_asked_for():
    damage = draw(CAMERA, (0, 0), 4000, 128, 64).damage
    for values, none, low, high in (
        (damage.scale, 1, 0.25, 0.8),
        (damage.sigma, 0, 0.5, 1.5),
        (damage.quality, 0, 15, 80),
        (damage.light, 1, 1 / 11.4 ** (1 / 2.2), 1 / 2 ** (1 / 2.2)),
        (damage.cover, 0, 0.1, 0.4),
    ):
        hit = values != none
        assert hit.mean() == pytest.approx(0.5, abs=0.03)
        assert low <= values[hit].min() < values[hit].max() <= high
    assert 1 / 1.5 <= damage.gamma.min() < 0.7 < 1.4 < damage.gamma.max() <= 1.5
    assert np.log(damage.gamma).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("option", ["gamma", "low", "blur", "jpeg"])
def test_each_damage_changes_a_picture_but_not_what_it_shows(option: str):
    # A smooth picture, of which low resolution and compression leave the gist.
    y, x = np.mgrid[0:128, 0:64]
    image = np.stack([128 + 90 * np.sin(y / 9), 128 + 90 * np.cos(x / 7), 200 - y], axis=2)
    images = np.repeat(image.astype(np.uint8)[None], 8, axis=0)
    before = images.copy()
    damage = draw(replace(PLAIN, **{option: 1.0}), (0, 0), 8, 128, 64).damage
    worse = degrade(images, damage)
    np.testing.assert_array_equal(images, before)
    assert worse.shape == images.shape
    assert all((one != image).any() for one, image in zip(worse, images, strict=True))
    if option == "gamma":
        expected = np.rint(255 * (images / 255) ** damage.gamma[:, None, None, None])
        np.testing.assert_array_equal(worse, expected)
    else:
        # Channels that changed places would be off by 50 and more.
        assert np.abs(worse.astype(float) - images).mean() < 8


def test_little_light_leaves_less_of_every_byte():
    images = pictures(8).numpy()
    damage = draw(replace(PLAIN, dark=1.0), (0, 0), 8, HEIGHT, WIDTH).damage
    expected = np.rint(images * damage.light[:, None, None, None])
    np.testing.assert_allclose(degrade(images, damage), expected, atol=1)
    assert damage.light.max() < 0.75


def test_something_of_one_colour_covers_a_part_from_below_or_from_a_side():
    images = np.full((60, 20, 10, 3), 7, np.uint8)
    damage = draw(replace(PLAIN, cover=1.0), (0, 0), 60, 20, 10).damage
    for image, side, part, colour in zip(
        degrade(images, damage), damage.side, damage.cover, damage.colour, strict=True
    ):
        turned = (image, image.transpose(1, 0, 2)[::-1], image.transpose(1, 0, 2))[
            side
        ]  # what covers is below
        kept = len(turned) - int(len(turned) * part)
        assert (turned[:kept] == 7).all() and (turned[kept:] == colour).all()
        assert 0.6 <= kept / len(turned) < 1
    assert set(damage.side) == {0, 1, 2}


def test_training_input_is_the_damaged_bytes_augmented_and_its_slices_are_the_whole():
    recipe = replace(CAMERA, jitter=0.2, hue=10.0, grey=0.2, grey_patch=0.5, erase=0.5)
    images, draws, cpu = pictures(), drawn(recipe), torch.device("cpu")
    whole = training_input(images.numpy(), draws, 3, cpu)
    assert torch.equal(whole, augment(torch.from_numpy(degrade(images.numpy(), draws.damage)), draws, 3))
    parts = [training_input(images.numpy()[part], draws[part], 3, cpu) for part in (slice(0, 2), slice(2, 6))]
    assert torch.equal(torch.cat(parts), whole)
