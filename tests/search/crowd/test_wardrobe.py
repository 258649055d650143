from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from search.crowd import fabric, palette
from search.crowd.config import CrowdConfig
from search.crowd.garments import CUTS
from search.crowd.palette import light, nearest_group
from search.crowd.props import PROPS, places
from search.crowd.wardrobe import BLOCK, _differs, _drawn, block, person

ALL = CrowdConfig()
LEGS = ("trousers", "jeans", "shorts", "leggings", "skirt")


@pytest.fixture(scope="module")
def crowd():
    return [person(0, number, ALL) for number in range(1, 1 + 50 * BLOCK)]


def test_everybody_is_the_same_whoever_was_drawn_before():
    first = [person(5, number, ALL) for number in range(1, 61)]
    _drawn.cache_clear()
    assert [person(5, number, ALL) for number in range(60, 0, -1)] == first[::-1]
    assert person(6, 7, ALL) != first[6]


def test_clothes_are_known_to_those_who_cut_and_weave_them(crowd):
    for one in crowd:
        assert {g.kind for g in one.garments} <= set(CUTS)
        assert {g.pattern for g in one.garments} <= set(fabric.PATTERNS)
        for garment in one.garments:
            assert 0 <= garment.length <= 1 and 0 <= garment.sleeve <= 1 and 0 <= garment.looseness <= 1
            assert all(0 <= c <= 255 for colour in garment.colours for c in colour)


def test_all_kinds_are_worn(crowd):
    assert {g.kind for one in crowd for g in one.garments} == set(CUTS)
    worn = {e.kind for one in crowd for e in (*one.extras, one.shoes, *([one.hair] if one.hair else []))}
    assert worn == set(PROPS)
    assert {g.pattern for one in crowd for g in one.garments} == set(fabric.PATTERNS)


def test_people_are_decent_and_dressed_in_order(crowd):
    for one in crowd:
        kinds = [g.kind for g in one.garments]
        above = [kind not in LEGS for kind in kinds]
        assert above == sorted(above), kinds  # legs first
        assert any(above), kinds
        assert not all(above) or "dress" in kinds, kinds
        assert not one.garments[above.index(True)].open, kinds  # something closed below what is open


def test_no_two_things_want_one_place(crowd):
    for one in crowd:
        worn = (one.shoes, *one.extras, *([one.hair] if one.hair else []))
        taken = [place for extra in worn for place in places(extra)]
        assert len(taken) == len(set(taken)), worn
        assert PROPS[one.shoes.kind].category == "shoes"
        assert one.hair is None or PROPS[one.hair.kind].category == "hair"


def test_ages_and_builds_are_those_of_people(crowd):
    ages = np.array([one.age for one in crowd])
    assert ages.min() >= 4 and ages.max() <= 90
    assert 0.06 < (ages < 18).mean() < 0.22 and 0.02 < (ages > 70).mean() < 0.12
    assert 0.42 < np.mean([one.female > 0.5 for one in crowd]) < 0.56
    for name in ("height", "weight", "muscle", "proportions", "female"):
        values = np.array([getattr(one, name) for one in crowd])
        assert values.min() >= 0 and values.max() <= 1 and values.std() > 0.1
    tones = np.array([light(one.skin) for one in crowd])
    assert tones.min() < 75 and tones.max() > 205


def test_nobody_young_is_grey_and_no_child_has_a_beard(crowd):
    for one in crowd:
        if one.like is None and one.age < 18:
            assert not any(e.kind in ("beard", "cane", "pram") for e in one.extras)
        if one.like is None and one.age < 25 and one.hair is not None:
            assert light(one.hair.colours[0]) < 190


def test_colours_are_those_of_streets(crowd):
    groups = Counter(nearest_group(g.colours[0]) for one in crowd for g in one.garments)
    total = sum(groups.values())

    def share(*names):
        return sum(groups[name] for name in names) / total

    assert 0.2 < share("black") < 0.33
    assert 0.07 < share("anthracite") < 0.16
    assert 0.07 < share("navy") < 0.18
    assert 0.07 < share("white") < 0.17
    assert share("pink", "purple", "yellow", "orange", "red", "burgundy", "green", "teal") < 0.2
    legs = [g for one in crowd for g in one.garments if g.kind in ("trousers", "jeans", "leggings")]
    assert np.mean([light(g.colours[0]) < 110 for g in legs]) > 0.65


def test_prints_can_be_seen_on_what_they_are_printed_on(crowd):
    for one in crowd:
        for garment in one.garments:
            if garment.pattern in ("lettering", "picture", "stripes", "breton", "dots") and one.like is None:
                assert abs(light(garment.colours[0]) - light(garment.colours[1])) > 25, garment


def test_look_alikes_come_as_often_as_asked(crowd):
    assert np.mean([one.like is not None for one in crowd]) == pytest.approx(0.35, abs=0.04)
    few = [person(0, number, replace(ALL, lookalikes=0.0)) for number in range(1, 200)]
    assert all(one.like is None for one in few)
    # Others stay as they are.
    assert all(one == few[one.number - 1] for one in crowd[:199] if one.like is None)
    many = [person(0, number, replace(ALL, lookalikes=1.0)) for number in range(1, 1 + 4 * BLOCK)]
    assert sum(one.like is None for one in many) == 4


def test_look_alikes_are_of_the_same_block_and_differ_in_what_can_be_seen(crowd):
    differing = []
    for one in crowd:
        if one.like is None:
            continue
        base = crowd[one.like - 1]
        assert one.like in block(one.number) and one.like < one.number
        assert _differs(base, one)
        # Most of the clothes are the same.
        pairs = list(zip(base.garments, one.garments, strict=False))
        differing.append(sum(a != b for a, b in pairs) + abs(len(base.garments) - len(one.garments)))
    assert np.mean(differing) < 1.3
    assert np.mean([d <= 1 for d in differing]) > 0.7


def test_plain_people_wear_one_layer_of_one_colour():
    for number in range(1, 60):
        one = person(0, number, replace(ALL, garments="plain"))
        assert all(g.pattern == "plain" and len(g.colours) == 1 and not g.open for g in one.garments)
        assert sum(g.kind not in LEGS for g in one.garments) == 1
        assert all(PROPS[e.kind].category in ("beard", "eyes") for e in one.extras)


def test_a_block_is_whole():
    assert block(1) == block(BLOCK) == range(1, BLOCK + 1)
    assert block(BLOCK + 1)[0] == BLOCK + 1


@pytest.mark.parametrize("name", palette.GROUPS)
def test_groups_of_colours_are_told_apart(name):
    assert nearest_group(palette.GROUPS[name][0]) == name
