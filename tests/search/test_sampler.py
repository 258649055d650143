from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import Record
from search.config import Source
from search.data import Crops
from search.recipe import Recipe
from search.sampler import IdentitySampler, Pool, pools_of, sampler_of, slots


def labels_of(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=3, max_size=12),
    people=st.integers(2, 3),
    shots=st.integers(2, 4),
    epoch=st.integers(0, 3),
)
def test_a_batch_holds_p_people_and_k_crops_of_each(counts: list[int], people: int, shots: int, epoch: int):
    labels = labels_of(counts)
    sampler = IdentitySampler(labels, people, shots, seed=5)
    batches = sampler.epoch(epoch)
    assert batches.shape == (len(sampler), people * shots)
    for batch in labels[batches].reshape(-1, people, shots):
        assert (batch == batch[:, :1]).all()
        assert len(set(batch[:, 0])) == people


def test_an_epoch_is_a_pure_function_of_seed_and_number():
    labels = labels_of([6] * 10)
    first = IdentitySampler(labels, 4, 3, seed=1)
    first.epoch(0)
    np.testing.assert_array_equal(first.epoch(3), IdentitySampler(labels, 4, 3, seed=1).epoch(3))
    assert (first.epoch(3) != first.epoch(4)).any()
    assert (first.epoch(3) != IdentitySampler(labels, 4, 3, seed=2).epoch(3)).any()


def test_of_each_person_every_crop_comes_before_one_comes_again():
    counts = [4, 8, 12, 4, 8, 12, 4, 8]
    labels = labels_of(counts)
    for epoch in range(5):
        order = IdentitySampler(labels, 2, 4, seed=0).epoch(epoch).reshape(-1)
        for person, count in enumerate(counts):
            seen = [crop for crop in order if labels[crop] == person][:count]
            assert len(set(seen)) == len(seen)


def test_nearly_every_crop_is_seen_in_an_epoch():
    # Market's spread: 2 to 40 crops a person; what is missed is what the last, filled batches displace.
    labels = labels_of(np.random.default_rng(1).integers(2, 41, 150).tolist())
    sampler = IdentitySampler(labels, 16, 4, seed=0)
    shares = [len(np.unique(sampler.epoch(epoch))) / len(labels) for epoch in range(3)]
    assert min(shares) > 0.97
    assert len(np.unique(np.concatenate([sampler.epoch(epoch).reshape(-1) for epoch in range(3)]))) == len(
        labels
    )


def test_fewer_people_than_a_batch_needs_are_refused():
    with pytest.raises(InputError, match="a batch needs 4 people of all sources, there are 3"):
        IdentitySampler(labels_of([5, 5, 5]), 4, 2, seed=0)


def test_each_pool_has_its_part_of_every_batch_and_is_gone_through_evenly():
    # 5 people of a small set, 60 of a large one; half and half.
    labels = np.repeat(np.arange(65), 6)
    small, large = np.arange(5), np.arange(5, 65)
    pools = [Pool("small", small, 0.5), Pool("large", large)]
    sampler = IdentitySampler(labels, 8, 3, seed=0, pools=pools, steps=30)
    epochs = [labels[sampler.epoch(number)].reshape(-1, 8, 3)[:, :, 0] for number in range(3)]
    for people in epochs:
        assert people.shape == (30, 8)
        assert (np.isin(people, small).sum(axis=1) == 4).all()
        assert all(len(set(row)) == 8 for row in people.tolist())
        for pool, times in ((small, 30 * 4 / 5), (large, 30 * 4 / 60)):
            counts = np.bincount(people.reshape(-1), minlength=65)[pool]
            assert counts.min() >= times - 4
            assert counts.max() <= times + 4


def test_every_crop_of_a_small_pool_comes_before_one_comes_again():
    labels = np.repeat(np.arange(24), 8)
    pools = [Pool("small", np.arange(4), 0.5), Pool("large", np.arange(4, 24))]
    order = IdentitySampler(labels, 4, 4, seed=0, pools=pools, steps=4).epoch(0).reshape(-1)
    mine = order[labels[order] < 4]
    assert len(mine) == 32
    assert len(set(mine.tolist())) == 32


def test_one_pool_of_everybody_changes_nothing():
    labels = labels_of([6, 3, 9, 2, 4, 4])
    plain, pooled = (
        IdentitySampler(labels, 3, 2, seed=4, pools=pools) for pools in ((), [Pool("all", np.arange(6))])
    )
    np.testing.assert_array_equal(plain.epoch(1), pooled.epoch(1))


@settings(max_examples=60, deadline=None)
@given(
    shares=st.lists(st.floats(0, 0.4), min_size=1, max_size=5).filter(
        lambda s: s.count(0) <= 1 and sum(s) > 0.1
    ),
    people=st.integers(4, 40),
)
def test_slots_fill_a_batch_and_are_within_one_of_the_share(shares: list[float], people: int):
    found = slots(shares, people)
    assert sum(found) == people
    whole = 1.0 if 0 in shares and sum(shares) <= 1 else sum(shares)
    for slot, share in zip(found, shares, strict=True):
        wanted = people * (share or max(1 - sum(shares), 0)) / whole
        assert abs(slot - wanted) < 1


@pytest.mark.parametrize(
    ("shares", "message"),
    [((0.9, 0.0), r"of small, there are 2"), ((0.01, 0.0), r"small: no place in a batch of 6 people")],
)
def test_a_share_that_cannot_be_filled_is_refused(shares: tuple[float, float], message: str):
    pools = [Pool("small", np.arange(2), shares[0]), Pool("large", np.arange(2, 20), shares[1])]
    with pytest.raises(InputError, match=message):
        IdentitySampler(np.repeat(np.arange(20), 4), 6, 2, seed=0, pools=pools)


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=7), shots=st.integers(2, 5))
def test_the_crops_of_a_chunk_are_by_as_many_cameras_as_there_are(counts: list[int], shots: int):
    # Two people with the same cameras, of whom each took so many crops.
    cameras = np.tile(np.repeat(np.arange(len(counts)), counts), 2)
    labels = np.repeat([0, 1], sum(counts))
    sampler = IdentitySampler(labels, 2, shots, seed=0, cameras=cameras)
    batches = sampler.epoch(0).reshape(-1, shots)
    whole = sum(counts) // shots * shots == sum(counts)
    if len(set(counts)) == 1 and whole:
        assert all(len(set(cameras[row].tolist())) == min(shots, len(counts)) for row in batches)
    for row in batches:
        assert len(set(labels[row].tolist())) == 1


def test_sources_with_a_share_have_pools_and_the_same_people_one_of_them():
    crops = Crops(
        images=np.zeros((8, 2, 2, 3), np.uint8),
        labels=np.array([0, 1, 2, 2, 3, 3, 4, 5]),
        records=tuple(Record(Path(f"{i}.jpg"), str(i), str(i % 2)) for i in range(8)),
        origins=np.array([0, 0, 1, 2, 1, 2, 3, 3]),
    )
    sources = [
        Source(path="real"),
        Source(path="a", people="twins", share=0.25),
        Source(path="b", people="twins", share=0.25),
        Source(path="crowd", share=0.5),
    ]
    pools = pools_of(crops, sources)
    assert [(pool.name, pool.people.tolist(), pool.share) for pool in pools] == [
        ("the other sources", [0, 1], 0.0),
        ("a", [2, 3], 0.25),
        ("crowd", [4, 5], 0.5),
    ]
    recipe = Recipe(people=4, shots=2, steps=7, across_cameras=True)
    sampler = sampler_of(crops, sources, recipe, seed=0)
    people = crops.labels[sampler.epoch(0)].reshape(7, 4, 2)[:, :, 0]
    assert ((people < 2).sum(axis=1) == 1).all()
    assert ((people > 3).sum(axis=1) == 2).all()
