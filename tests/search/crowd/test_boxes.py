import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.crowd.boxes import detected, overlap


@given(
    x=st.floats(-50, 2000),
    y=st.floats(-50, 1000),
    height=st.floats(30, 500),
    shape=st.floats(0.2, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_a_detected_box_overlaps_the_true_one(x, y, height, shape, seed):
    box = (x, y, x + shape * height, y + height)
    found = detected(box, np.random.default_rng(seed))
    assert found[0] < found[2] and found[1] < found[3]
    assert overlap(found, box) >= 0.35


def test_boxes_are_mostly_good_and_sometimes_cut_or_loose():
    box, rng = (100.0, 100.0, 184.0, 300.0), np.random.default_rng(0)
    found = np.array([detected(box, rng) for _ in range(2000)])
    overlaps = np.array([overlap(tuple(each), box) for each in found])
    assert np.mean(overlaps > 0.7) > 0.7
    assert 0.03 < np.mean(found[:, 3] < 280) < 0.2  # feet are missing
    assert 0.0 < np.mean(found[:, 1] > 112) < 0.1  # the head is
    assert 0.03 < np.mean(found[:, 3] - found[:, 1] > 230) < 0.3  # loose
    assert np.abs((found[:, 0] + found[:, 2]) / 2 - 142).mean() < 10


def test_the_same_generator_draws_the_same_box():
    box = (0.0, 0.0, 40.0, 100.0)
    assert detected(box, np.random.default_rng(4)) == detected(box, np.random.default_rng(4))


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
    assert overlap((0, 0, 1, 2), (0, 0, 1, 2)) == 1
