import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy import metrics
from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import (
    distance_matrix,
    evaluate,
    evaluate_blocks,
    evaluate_embeddings,
    evaluate_records,
)
from autoreid_deploy.records import Record


def by_definition(distance, q_pids, g_pids, q_camids, g_camids, max_rank):
    """The slow, obvious evaluator: one query after the other, straight from the definitions."""
    curves, precisions, penalties = [], [], []
    for q, pid in enumerate(q_pids):
        ranked = sorted(range(len(g_pids)), key=lambda g: (distance[q][g], g))
        answers = []
        for g in ranked:
            if g_pids[g] == "-1" or (g_pids[g] == pid and g_camids[g] == q_camids[q]):
                continue
            answers.append(g_pids[g] == pid and pid != "0000")
        right = [rank for rank, answer in enumerate(answers, start=1) if answer]
        if not right:
            continue
        curves.append([float(right[0] <= k) for k in range(1, max_rank + 1)])
        precisions.append(sum(sum(answers[:rank]) / rank for rank in right) / len(right))
        penalties.append(len(right) / right[-1])
    if not curves:
        return None
    return np.mean(curves, axis=0), np.mean(precisions), np.mean(penalties), len(curves)


@st.composite
def cases(draw):
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(0, 12))
    people = st.sampled_from(["1", "2", "3", "-1", "0000"])
    cameras = st.sampled_from(["1", "2"])
    few_values = st.integers(0, 4)  # many ties
    rows = st.lists(few_values, min_size=gallery, max_size=gallery)
    return (
        np.array(draw(st.lists(rows, min_size=queries, max_size=queries)), float).reshape(queries, gallery),
        draw(st.lists(people, min_size=queries, max_size=queries)),
        draw(st.lists(people, min_size=gallery, max_size=gallery)),
        draw(st.lists(cameras, min_size=queries, max_size=queries)),
        draw(st.lists(cameras, min_size=gallery, max_size=gallery)),
    )


def assert_same(ours, theirs):
    assert np.allclose(ours.cmc, theirs.cmc, atol=1e-12)
    assert (ours.queries, ours.skipped) == (theirs.queries, theirs.skipped)
    assert ours.mAP == pytest.approx(theirs.mAP, abs=1e-12)
    assert ours.mINP == pytest.approx(theirs.mINP, abs=1e-12)


def random_case(seed=0, queries=40, gallery=90):
    rng = np.random.default_rng(seed)
    labels = [rng.integers(1, 8, queries), rng.integers(1, 8, gallery)]
    labels += [rng.integers(0, 3, queries), rng.integers(0, 3, gallery)]
    return rng.permutation(queries * gallery).reshape(queries, gallery) / 4000, labels


def unit_rows(count, dim=16, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_matrix_worked_by_hand():
    g_pids, g_camids = ["1", "1", "2", "3", "0000"], ["1", "2", "2", "2", "3"]
    q_pids, q_camids = ["1", "1", "2", "3", "4"], ["1", "2", "1", "1", "1"]
    distance = [
        [0.0, 0.4, 0.1, 0.3, 0.2],  # own camera's crop is junk; 2, distractor, 3, then the match: rank 4
        [0.1, 0.0, 0.2, 0.3, 0.4],  # own camera's crop is junk; the match is next: rank 1
        [0.1, 0.2, 0.3, 0.4, 0.5],  # rank 3
        [0.5, 0.4, 0.3, 0.2, 0.1],  # the distractor stands before the match: rank 2
        [0.1, 0.2, 0.3, 0.4, 0.5],  # nobody like that in the gallery: skipped
    ]
    result = evaluate(distance, q_pids, g_pids, q_camids, g_camids, max_rank=5)
    assert result.cmc.tolist() == [1 / 4, 2 / 4, 3 / 4, 1, 1]
    assert result.mAP == pytest.approx((1 / 4 + 1 + 1 / 3 + 1 / 2) / 4)
    assert result.mINP == pytest.approx((1 / 4 + 1 + 1 / 3 + 1 / 2) / 4)
    assert (result.queries, result.skipped) == (4, 1)


def test_several_matches_of_one_query_worked_by_hand():
    # Matches at ranks 1, 3 and 6 of 7: AP = (1/1 + 2/3 + 3/6) / 3, INP = 3 / 6.
    result = evaluate([[1, 2, 3, 4, 5, 6, 7]], [5], [5, 1, 5, 2, 3, 5, 4], [0], [1] * 7)
    assert result.mAP == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)
    assert result.mINP == pytest.approx(3 / 6)
    assert result.rank(1) == 1


@settings(max_examples=300, deadline=None)
@given(cases(), st.integers(1, 15), st.integers(1, 4))
def test_agrees_with_the_definition(case, max_rank, chunk):
    expected = by_definition(*case, max_rank)
    if expected is None:
        with pytest.raises(InputError, match="has a match"):
            evaluate(*case, max_rank=max_rank, chunk=chunk)
        return
    result = evaluate(*case, max_rank=max_rank, chunk=chunk)
    cmc, mean_precision, mean_penalty, queries = expected
    assert np.allclose(result.cmc, cmc, atol=1e-12)
    assert result.mAP == pytest.approx(mean_precision, abs=1e-12)
    assert result.mINP == pytest.approx(mean_penalty, abs=1e-12)
    assert (result.queries, result.skipped) == (queries, len(case[1]) - queries)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_counting_and_sorting_give_the_same_places(case):
    columns = np.arange(len(case[2]))
    for row in case[0]:
        counted = metrics._places(row, columns)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "_FEW", -1)
            assert metrics._places(row, columns).tolist() == counted.tolist()


def test_more_matches_than_are_counted_one_by_one_score_alike(monkeypatch):
    distance, labels = random_case()
    counted = evaluate(distance, *labels)
    monkeypatch.setattr(metrics, "_FEW", 3)
    assert_same(evaluate(distance, *labels), counted)


def test_blocks_of_any_size_score_like_the_whole():
    distance, labels = random_case()
    whole = evaluate(distance, *labels)
    assert_same(evaluate_blocks(np.split(distance, [1, 1, 7, 30]), *labels), whole)
    with pytest.raises(InputError, match="distances of 40 queries as the labels say, got 39"):
        evaluate_blocks([distance[:39]], *labels)
    for wrong in (distance[:, :3], distance[0], np.vstack([distance, distance])):
        with pytest.raises(InputError, match=r"distances for \(40, 90\) as the labels say, got"):
            evaluate_blocks([wrong], *labels)


def test_embeddings_may_be_compared_in_another_way():
    _, labels = random_case()
    query, gallery = unit_rows(40, seed=1), unit_rows(90, seed=2)

    def farthest_first(query, gallery, *, chunk):
        assert chunk == 7
        yield -distance_matrix(query, gallery)

    assert_same(
        evaluate(-distance_matrix(query, gallery), *labels),
        evaluate_embeddings(query, gallery, *labels, chunk=7, compare=farthest_first),
    )


def test_equal_distances_rank_in_gallery_order():
    wrong_first = evaluate([[0.5, 0.5]], ["1"], ["2", "1"], ["1"], ["2", "2"])
    right_first = evaluate([[0.5, 0.5]], ["1"], ["1", "2"], ["1"], ["2", "2"])
    assert (wrong_first.rank(1), right_first.rank(1)) == (0, 1)
    many = np.zeros((1, 5000))
    last = evaluate(many, ["1"], ["2"] * 4999 + ["1"], ["1"], ["2"] * 5000)
    assert last.mAP == pytest.approx(1 / 5000)


def test_a_query_that_keeps_fewer_candidates_than_max_rank_still_has_a_whole_curve():
    # The first query keeps one candidate, the second three.
    result = evaluate(
        [[1, 2, 3], [1, 2, 3]], ["1", "2"], ["1", "1", "1"], ["1", "1"], ["1", "1", "2"], max_rank=9
    )
    assert result.cmc.tolist() == [1.0] * 9
    assert (result.queries, result.skipped) == (1, 1)


def test_the_order_of_the_gallery_changes_nothing_without_ties():
    distance, (q_pids, g_pids, q_camids, g_camids) = random_case()
    order = np.random.default_rng(1).permutation(len(g_pids))
    shuffled = evaluate(distance[:, order], q_pids, g_pids[order], q_camids, g_camids[order])
    assert_same(evaluate(distance, q_pids, g_pids, q_camids, g_camids), shuffled)


def test_a_constant_added_and_a_positive_factor_change_nothing():
    distance, labels = random_case()
    assert_same(evaluate(distance, *labels), evaluate(3 * distance + 1, *labels))


def test_junk_changes_nothing_and_a_near_distractor_lowers_everything():
    distance, (q_pids, g_pids, q_camids, g_camids) = random_case()
    near = np.full((len(distance), 1), -1.0)
    wider = np.hstack([near, distance])
    clean = evaluate(distance, q_pids, g_pids, q_camids, g_camids)
    junk = evaluate(wider, q_pids, ["-1", *g_pids], q_camids, [0, *g_camids])
    distractor = evaluate(wider, q_pids, ["0000", *g_pids], q_camids, [0, *g_camids])
    assert_same(clean, junk)
    assert distractor.rank(1) == 0
    assert distractor.mAP < clean.mAP
    assert distractor.mINP < clean.mINP


@pytest.mark.parametrize("pid", ["-1", "0000"])
def test_junk_and_distractors_are_never_queries(pid):
    result = evaluate([[0.1, 0.2], [0.1, 0.2]], ["1", pid], ["1", pid], ["1", "1"], ["2", "2"])
    assert (result.queries, result.skipped, result.rank(1)) == (1, 1, 1)


def test_integers_and_text_label_alike():
    distance, labels = random_case()
    assert_same(evaluate(distance, *labels), evaluate(distance, *[[str(x) for x in part] for part in labels]))


@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_embeddings_score_like_their_distance_matrix(chunk):
    _, labels = random_case()
    query, gallery = unit_rows(40, seed=1), unit_rows(90, seed=2)
    assert_same(
        evaluate(distance_matrix(query, gallery), *labels),
        evaluate_embeddings(query, gallery, *labels, chunk=chunk),
    )


def test_memory_follows_the_chunk_and_not_the_number_of_queries():
    _, labels = random_case(queries=1500, gallery=3000)
    query, gallery = unit_rows(1500, seed=1), unit_rows(3000, seed=2)
    tracemalloc.start()
    try:
        evaluate_embeddings(query, gallery, *labels, chunk=16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1500 * 3000 * 4 / 3  # a third of the distance matrix in float32


def test_distance_is_one_minus_cosine():
    query, gallery = unit_rows(5, seed=1), unit_rows(6, seed=2)
    distance = distance_matrix(query, np.vstack([gallery, query, -query]))
    assert distance.dtype == np.float32
    assert distance.min() >= 0
    assert distance.max() <= 2
    assert np.allclose(distance[:, :6], 1 - query.astype(float) @ gallery.T, atol=1e-6)
    assert np.array_equal(distance.argmin(axis=1), 6 + np.arange(5))
    assert np.array_equal(distance.argmax(axis=1), 11 + np.arange(5))


def test_rows_that_are_no_unit_rows_are_refused():
    rows = unit_rows(4)
    broken = rows.copy()
    broken[2] = np.nan
    with pytest.raises(InputError, match=r"gallery rows of length 1, row 2 has nan"):
        distance_matrix(rows, broken)
    with pytest.raises(InputError, match=r"query rows of length 1, row 0 has 2"):
        distance_matrix(2 * rows, rows)
    with pytest.raises(InputError, match=r"query \(4, 16\) and gallery \(4, 15\)"):
        distance_matrix(rows, rows[:, 1:])


def test_sizes_that_do_not_fit_are_told_with_both_sides():
    with pytest.raises(InputError, match=r"shape \(1, 2\) .* got \(2, 1\)"):
        evaluate([[1], [2]], ["1"], ["1", "2"], ["1"], ["1", "2"])
    with pytest.raises(InputError, match=r"camera for each of \(1, 2\) people, got \(1, 1\)"):
        evaluate([[1, 2]], ["1"], ["1", "2"], ["1"], ["1"])
    with pytest.raises(InputError, match=r"expected \(1, 1\) rows .* got \(1, 2\)"):
        evaluate_embeddings(unit_rows(1), unit_rows(2), ["1"], ["1"], ["1"], ["2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": [[np.nan, 0.1]]}, "got NaN"),
        ({"q_pids": [None]}, "person for each row, got None"),
        ({"g_camids": ["1", None]}, "camera for each row, got None"),
        ({"max_rank": 0}, "max_rank of at least 1, got 0"),
        ({"chunk": 0}, "chunk of at least 1 query, got 0"),
        ({"g_pids": ["2", "3"]}, "none of the 1 queries has a match among the 2 gallery crops"),
    ],
)
def test_what_cannot_be_scored_is_refused(change, message):
    good = {"q_pids": ["1"], "g_pids": ["1", "2"], "q_camids": ["1"], "g_camids": ["2", "2"]}
    with pytest.raises(InputError, match=message):
        evaluate(**({"distance": [[0.1, 0.2]], **good} | change))


@pytest.mark.parametrize("rank", [0, 51, -1])
def test_a_rank_outside_the_curve_is_refused(rank):
    result = evaluate([[0.1]], ["1"], ["1"], ["1"], ["2"])
    assert result.rank(50) == 1
    with pytest.raises(InputError, match=f"from 1 to max_rank=50, got {rank}"):
        result.rank(rank)


def test_a_record_without_camera_takes_only_itself_for_junk():
    rows = np.array([[1, 0], [1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    records = [Record(Path(f"{i}.jpg"), pid) for i, pid in enumerate(["a", "b", "a", "b"])]
    result = evaluate_records(rows[:1], records[:1], rows, records)
    # Itself is left out, the stranger with equal pixels comes first, then the match.
    assert (result.rank(1), result.rank(2), result.mAP) == (0, 1, 0.5)


def test_records_score_by_their_persons_and_cameras():
    rows = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    labels = [("a", "1"), ("a", "1"), ("a", "2")]
    records = [Record(Path(f"{i}.jpg"), *label) for i, label in enumerate(labels)]
    result = evaluate_records(rows[:1], records[:1], rows, records)
    assert (result.rank(1), result.queries) == (1, 1)
    with pytest.raises(InputError, match=r"x\.jpg: nothing tells which person"):
        evaluate_records(rows[:1], records[:1], rows[:1], [Record(Path("x.jpg"))])
