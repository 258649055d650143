import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy import neighbours
from autoreid_deploy.distances import distance_matrix
from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import evaluate, evaluate_embeddings
from autoreid_deploy.neighbours import nearest
from autoreid_deploy.rerank import rerank_blocks, rerank_distances, rerank_top


def as_published(query, gallery, k1=20, k2=6, lambda_value=0.3):
    """The algorithm as the paper and its authors' code describe it: sets and dense matrices, one crop at a time."""
    crowd = np.concatenate([query, gallery]).astype(float)
    everybody = range(len(crowd))
    d = ((crowd[:, None] - crowd[None]) ** 2).sum(axis=2)
    d = np.array([row / row.max() if row.max() > 0 else row for row in d])
    ranked = [sorted(everybody, key=lambda j, i=i: (d[i, j], j)) for i in everybody]

    def reciprocal(i, k):
        return {j for j in ranked[i][: k + 1] if i in ranked[j][: k + 1]}

    V = np.zeros_like(d)
    for i in everybody:
        certain = reciprocal(i, k1)
        expanded = set(certain)
        for j in certain:
            theirs = reciprocal(j, round(k1 / 2))
            if 3 * len(theirs & certain) > 2 * len(theirs):
                expanded |= theirs
        total = sum(np.exp(-d[i, j]) for j in expanded)
        for j in expanded:
            V[i, j] = np.exp(-d[i, j]) / total
    if k2 > 1:
        V = np.array([V[ranked[i][:k2]].mean(axis=0) for i in everybody])
    result = np.empty((len(query), len(gallery)))
    for q in range(len(query)):
        for g in range(len(gallery)):
            overlap = np.minimum(V[q], V[len(query) + g]).sum()
            jaccard = 1 - overlap / (2 - overlap)
            result[q, g] = (1 - lambda_value) * jaccard + lambda_value * d[q, len(query) + g]
    return result


def crowd(queries=12, gallery=60, people=8, dim=16, spread=0.7, seed=0):
    rng = np.random.default_rng(seed)
    pids = rng.integers(0, people, queries + gallery)
    rows = rng.normal(size=(people, dim))[pids] + spread * rng.normal(size=(len(pids), dim))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return rows[:queries], rows[queries:], pids[:queries], pids[queries:]


@st.composite
def cases(draw):
    """Small crowds; some of few directions, so that many rows are equal and many distances tie."""
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(1, 30))
    if draw(st.booleans()):
        rows = crowd(queries, gallery, draw(st.integers(1, 5)), 4, seed=draw(st.integers(0, 10**6)))[:2]
    else:
        entries = st.lists(st.integers(-1, 1), min_size=3, max_size=3).filter(any)
        size = queries + gallery
        points = np.array(draw(st.lists(entries, min_size=size, max_size=size)), np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        rows = points[:queries], points[queries:]
    k1, k2 = draw(st.integers(1, 25)), draw(st.integers(1, 8))
    return (*rows, k1, k2, draw(st.sampled_from([0.0, 0.3, 1.0])))


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 40))
def test_gives_the_published_numbers(case, chunk):
    ours = rerank_distances(*case, chunk=chunk)
    assert ours.dtype == np.float32
    assert np.allclose(ours, as_published(*case), rtol=0, atol=2e-6)


def test_a_crowd_worked_by_hand():
    # k1 = 1: N has two members. The query (0) and the first crop (1) are each other's nearest; 2 has 1 for its
    # nearest, which 1 does not return. So V(0) and V(1) lie on {0, 1}, V(2) on {2}.
    query, gallery = [[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
    # d'(0, 1) = 0, so both halves weigh 1/2 in V(0) and in V(1): overlap 1. V(2) shares nothing; d'(0, 2) = 1.
    assert rerank_distances(query, gallery, k1=1, k2=1).tolist() == [[0, 1]]


def test_the_default_settings_are_the_papers():
    query, gallery, *_ = crowd()
    assert np.allclose(rerank_distances(query, gallery), as_published(query, gallery, 20, 6, 0.3), atol=2e-6)


def test_lambda_1_keeps_the_order_and_scales_by_the_farthest_of_the_crowd():
    query, gallery, *_ = crowd()
    plain = 2 * distance_matrix(query, gallery)
    farthest = 2 * distance_matrix(query, np.vstack([query, gallery])).max(axis=1, keepdims=True)
    assert np.allclose(rerank_distances(query, gallery, lambda_value=1), plain / farthest, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 5, 12, 72, 1000])
def test_the_chunk_changes_nothing(chunk):
    query, gallery, *_ = crowd()
    # Rows that differ by less than float32 products show: their order must not hang on the chunk.
    gallery = np.vstack([gallery, gallery[:9] + 1e-7]).astype(np.float32)
    blocks = list(rerank_blocks(query, gallery, chunk=chunk))
    assert [len(block) for block in blocks[:-1]] == [chunk] * (len(blocks) - 1)
    assert np.allclose(np.concatenate(blocks), as_published(query, gallery), atol=2e-6)


def test_the_order_of_queries_and_gallery_changes_nothing_without_ties():
    query, gallery, *_ = crowd()
    rng = np.random.default_rng(1)
    q, g = rng.permutation(len(query)), rng.permutation(len(gallery))
    shuffled = rerank_distances(query[q], gallery[g])
    assert np.allclose(shuffled, rerank_distances(query, gallery)[q][:, g], atol=1e-6)


def test_distances_lie_between_0_and_1():
    query, gallery, *_ = crowd(seed=3)
    for lambda_value in (0, 0.3, 1):
        distance = rerank_distances(query, np.vstack([gallery, query, -query]), lambda_value=lambda_value)
        assert 0 <= distance.min() <= distance.max() <= 1


def test_people_come_closer_than_by_their_vectors_alone():
    query, gallery, q_pids, g_pids = crowd(30, 300, 30, spread=1.1)
    labels = [q_pids, g_pids, [1] * 30, [2] * 300]
    plain = evaluate_embeddings(query, gallery, *labels)
    better = evaluate_embeddings(query, gallery, *labels, compare=rerank_blocks)
    assert better.mAP > plain.mAP + 0.05
    assert better.mAP == pytest.approx(evaluate(as_published(query, gallery), *labels).mAP, abs=1e-9)


def test_memory_stays_far_below_one_dense_matrix():
    query, gallery, *_ = crowd(300, 2700, 150, dim=32)
    tracemalloc.start()
    try:
        for _ in rerank_blocks(query, gallery, chunk=32):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3000 * 3000 * 4 / 4  # a quarter of one (Q + G) x (Q + G) matrix of float32


def test_equal_rows_have_nothing_to_scale_by():
    rows = np.tile(np.float32([[0.6, 0.8]]), (30, 1))
    distance = rerank_distances(rows[:2], rows[2:])
    assert np.allclose(distance, as_published(rows[:2], rows[2:]), atol=2e-6)


def test_sides_without_rows_give_empty_distances():
    query, gallery, *_ = crowd()
    assert rerank_distances(query[:0], gallery).shape == (0, 60)
    assert rerank_distances(query[:0], gallery[:0]).shape == (0, 0)
    assert rerank_distances(query, gallery[:0]).shape == (12, 0)
    order, distance = rerank_top(query[:0], np.empty((0, 7, 16)))
    assert order.shape == distance.shape == (0, 7)
    assert rerank_top(query, np.empty((12, 0, 16)))[0].shape == (12, 0)


@pytest.mark.parametrize("count", [1, 6, 21, 90])
@pytest.mark.parametrize("group", [1, 4, 64])
def test_the_nearest_are_those_of_a_whole_sort(count, group, monkeypatch):
    monkeypatch.setattr(neighbours, "_GROUP", group)
    query, gallery, *_ = crowd(30, 60)
    rows = np.vstack([query, gallery])
    squared = ((rows[:, None].astype(float) - rows) ** 2).sum(axis=2)
    found, farthest = nearest(rows, count, chunk=7)
    assert found.tolist() == np.argsort(squared, axis=1, kind="stable")[:, :count].tolist()
    assert np.allclose(farthest, squared.max(axis=1), atol=1e-6)


def test_rows_that_float32_products_cannot_order_are_in_order():
    rng = np.random.default_rng(0)
    rows = np.tile(crowd()[0][:1], (300, 1)) + rng.normal(scale=1e-7, size=(300, 16)).astype(np.float32)
    squared = ((rows[:, None].astype(float) - rows) ** 2).sum(axis=2)
    found, _ = nearest(rows, 21, chunk=64)
    assert found.tolist() == np.argsort(squared, axis=1, kind="stable")[:, :21].tolist()


def test_the_top_is_the_whole_algorithm_on_a_query_and_its_candidates():
    query, gallery, *_ = crowd()
    candidates = gallery[np.argsort(distance_matrix(query, gallery), axis=1)[:, :40]]
    order, distance = rerank_top(query, candidates)
    for q, among in enumerate(candidates):
        expected = as_published(query[q : q + 1], among)[0]
        assert np.allclose(distance[q], expected[order[q]], atol=2e-6)
        assert np.allclose(distance[q], np.sort(expected), atol=2e-6)
        assert sorted(order[q]) == list(range(40))


def test_equal_candidates_stay_in_the_order_they_came():
    rows = np.tile(np.float32([[0.6, 0.8]]), (8, 1))
    order, distance = rerank_top(rows[:1], rows[None, 1:], k1=20)
    assert order.tolist() == [list(range(7))]
    assert np.ptp(distance) == 0


def test_a_query_does_not_hang_on_the_others_of_its_batch():
    query, gallery, *_ = crowd()
    candidates = np.stack([gallery[at : at + 30] for at in range(12)])
    order, distance = rerank_top(query, candidates)
    alone, by_itself = rerank_top(query[4:5], candidates[4:5])
    assert order[4].tolist() == alone[0].tolist()
    assert distance[4].tolist() == by_itself[0].tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k1": 0}, "k1 of at least 1, got 0"),
        ({"k2": 0}, "k2 of at least 1, got 0"),
        ({"lambda_value": 1.1}, r"lambda_value from 0 to 1, got 1\.1"),
        ({"lambda_value": float("nan")}, "lambda_value from 0 to 1, got nan"),
    ],
)
def test_settings_out_of_range_are_refused_before_the_work(settings, message):
    query, gallery, *_ = crowd()
    with pytest.raises(InputError, match=message):
        rerank_blocks(query, gallery, **settings)
    with pytest.raises(InputError, match=message):
        rerank_top(query, gallery[None].repeat(12, 0), **settings)


@pytest.mark.parametrize("value", [np.nan, 0])
def test_rows_of_no_length_are_refused_before_the_work(value):
    query, gallery, *_ = crowd()
    broken = gallery.copy()
    broken[5] = value
    with pytest.raises(InputError, match=r"gallery rows of length 1, row 5 has (nan|0)"):
        rerank_blocks(query, broken)
    with pytest.raises(InputError, match=r"gallery rows of length 1, row 5 has (nan|0)"):
        rerank_top(query[:1], broken[None])


def test_shapes_that_do_not_fit_are_told_with_both_sides():
    query, gallery, *_ = crowd()
    with pytest.raises(InputError, match=r"query \(12, 16\) and gallery \(60, 15\)"):
        rerank_blocks(query, gallery[:, 1:])
    with pytest.raises(InputError, match=r"got \(12, 16\) and \(60, 16\)"):
        rerank_top(query, gallery)
    with pytest.raises(InputError, match="chunk of at least 1"):
        rerank_blocks(query, gallery, chunk=0)
