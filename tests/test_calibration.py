"""Laws of calibration: it never rises with distance, keeps its promise on strangers, and says when it can't."""

import itertools
import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy import Embedder
from autoreid_deploy.calibration import Calibration, collapse_warning
from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.fitting import METHODS, assess, fit, fit_distances, halves
from autoreid_deploy.pairs import LabelledRows, _draw_pairs
from tests.people import draw_people

TABLE = Calibration(
    method="logistic",
    source="by hand",
    people=4,
    genuine=30,
    impostors=1000,
    prior=0.5,
    distances=(0.2, 0.6, 1.0),
    evidence=(2.0, 0.0, -4.0),
    rates=(0.01, 0.1, 0.5),
    thresholds=(0.3, 0.5, 0.9),
)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowd(
    people: int = 30, cameras: int = 2, shots: int = 2, *, seed: int = 0, noise: float = 0.8, dim: int = 32
) -> tuple[np.ndarray, list[str], list[str]]:
    """Rows scattered round one centre a person, with pids and camids."""
    rng = np.random.default_rng(seed)
    count = cameras * shots
    rows = np.repeat(rng.normal(size=(people, dim)), count, axis=0)
    rows += noise * rng.normal(size=rows.shape)
    pids = [f"{pid:04d}" for pid in range(1, people + 1) for _ in range(count)]
    camids = [str(camera) for _ in range(people) for camera in range(1, cameras + 1) for _ in range(shots)]
    return unit(rows), pids, camids


@st.composite
def tables(draw: st.DrawFn) -> Calibration:
    count = draw(st.integers(2, 6))
    finite = st.floats(0, 2, allow_nan=False)
    distances = sorted(draw(st.lists(finite, min_size=count, max_size=count, unique=True)))
    evidence = sorted(draw(st.lists(st.floats(-20, 20), min_size=count, max_size=count)), reverse=True)
    prior = draw(st.floats(1e-6, 1 - 1e-6))
    return replace(TABLE, prior=prior, distances=tuple(distances), evidence=tuple(evidence))


@settings(max_examples=50)
@given(tables(), st.lists(st.floats(0, 2), min_size=2, max_size=12))
def test_probability_never_rises_with_distance_and_keeps_the_shape(
    table: Calibration, distances: list[float]
) -> None:
    ascending = np.sort(distances)
    p = table.probability(ascending)
    assert p.dtype == np.float32
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) <= 0).all()
    assert table.probability(ascending[:, None, None]).shape == (len(ascending), 1, 1)
    assert table.probability(float(ascending[0])).shape == ()


@settings(max_examples=50)
@given(tables())
def test_a_table_survives_json(table: Calibration) -> None:
    assert Calibration.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_the_prior_acts_as_bayes_says() -> None:
    # At 0.2 a pair is e^2 times likelier if it shows one person: odds 1 : 99 become e^2 : 99.
    p = TABLE.with_prior(0.01).probability([0.2, 0.6])
    np.testing.assert_allclose(p, [np.exp(2) / (np.exp(2) + 99), 0.01], rtol=1e-6)
    assert TABLE.for_people(50).prior == 0.01


def test_an_unknown_distance_has_an_unknown_probability() -> None:
    assert np.isnan(TABLE.probability(np.nan))


def test_thresholds_are_met_at_the_knots_and_between() -> None:
    assert TABLE.threshold(0.01) == 0.3
    assert TABLE.threshold(0.1) == 0.5
    assert TABLE.threshold(np.sqrt(0.001)) == pytest.approx(0.4)  # half-way on the log scale


@pytest.mark.parametrize("fpr", [0, 0.009, 0.6, 1, -1, float("nan")])
def test_a_rate_that_the_pairs_cannot_tell_is_refused(fpr: float) -> None:
    with pytest.raises(InputError, match=r"from 0\.01 to 0\.5, .* 1,000 pairs of different people .* got"):
        TABLE.threshold(fpr)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"distances": [0.2, 0.2, 1.0]}, "distances should rise"),
        ({"distances": [0.2, 0.6, 2.1]}, r"distances should lie in \[0, 2\], reach 0.2 to 2.1"),
        ({"distances": [0.2, 0.6]}, "as many, at least 2, are 2 and 3"),
        ({"distances": 7}, "a list of numbers, is '7'"),
        ({"evidence": [0.0, 2.0, -4.0]}, "evidence never rise"),
        ({"evidence": [2.0, None, -4.0]}, "a list of numbers"),
        ({"evidence": [2.0, float("nan"), -4.0]}, "a list of numbers"),
        ({"rates": [0.0, 0.1, 0.5]}, r"rates should lie in \(0, 1\)"),
        ({"rates": [], "thresholds": []}, "at least 2, are 0 and 0"),
        ({"thresholds": [0.3, 0.2, 0.9]}, "thresholds never fall"),
        ({"prior": 1}, "between 0 and 1, is 1"),
        ({"prior": "much"}, "a number, is 'much'"),
        ({"prior": True}, "a number, is 'True'"),
        ({"genuine": 0}, "genuine should be 1 or more, is 0"),
        ({"people": 2.5}, "a whole number, is '2.5'"),
        ({"method": None}, "method should be text"),
    ],
    ids=str,
)
def test_a_damaged_table_is_refused_in_one_line(change: dict, complaint: str) -> None:
    with pytest.raises(
        InputError, match=rf"^m\.onnx: the calibration is damaged: .*{complaint}.*; make"
    ) as caught:
        Calibration.from_dict({**TABLE.to_dict(), **change}, "m.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", TABLE.to_dict())
def test_each_missing_key_is_named(key: str) -> None:
    table = TABLE.to_dict()
    del table[key]
    with pytest.raises(InputError, match=rf"^m\.onnx: expected a calibration, it lacks {key}; make"):
        Calibration.from_dict(table, "m.onnx")


def test_keys_of_a_later_version_are_left_alone() -> None:
    assert Calibration.from_dict({**TABLE.to_dict(), "later": 1}) == TABLE


@pytest.mark.parametrize(("method", "error"), [("logistic", 0.3), ("isotonic", 0.6)])
def test_a_known_mixture_is_recovered(method: str, error: float) -> None:
    # Two bells of one width: log N(d; 0.5, s) / N(d; 1, s) = (1 - 0.5) / s^2 * (0.75 - d), a straight line.
    rng = np.random.default_rng(0)
    s = 0.15
    genuine, impostor = rng.normal(0.5, s, 5000).clip(0, 2), rng.normal(1, s, 200_000).clip(0, 2)
    table = fit_distances(genuine, impostor, 10, method=method)  # type: ignore[arg-type]
    d = np.linspace(0.55, 0.95, 9)
    expected = 0.5 / s**2 * (0.75 - d)
    np.testing.assert_allclose(np.interp(d, table.distances, table.evidence), expected, atol=error)
    np.testing.assert_allclose(
        table.with_prior(0.5).probability(d), 1 / (1 + np.exp(-expected)), atol=0.1 * error
    )


def test_isotonic_follows_what_no_straight_line_can() -> None:
    # Both kinds are uniform, genuine on [0, 1] and impostors on [0.5, 1.5]: three flat pieces.
    rng = np.random.default_rng(0)
    table = fit_distances(rng.uniform(0, 1, 20_000), rng.uniform(0.5, 1.5, 200_000), 10).with_prior(0.5)
    p = table.probability([0.25, 0.6, 0.75, 0.9, 1.25])
    assert p[0] > 0.999 and p[4] < 0.01
    np.testing.assert_allclose(p[1:4], 0.5, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_ever_certain(method: str) -> None:
    # People that never overlap: a finite sample must not promise more than its size allows.
    table = fit_distances(np.linspace(0.1, 0.2, 50), np.linspace(0.8, 1.2, 500), 9, method=method)  # type: ignore[arg-type]
    p = table.with_prior(0.5).probability([0.0, 2.0])
    assert 0.9 < p[0] < 1 and 0 < p[1] < 0.1


def test_thresholds_keep_their_promise_on_fresh_impostors() -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    table = fit_distances(rng.normal(0.5, 0.1, 1000), rng.normal(1, 0.1, n).clip(0, 2), 10)
    fresh = rng.normal(1, 0.1, n).clip(0, 2)
    for fpr in (1.5e-4, 1e-3, 1e-2, 0.07, 0.3):
        # Both the threshold and the fresh share are estimated from n pairs: five standard errors of the difference.
        assert abs((fresh < table.threshold(fpr)).mean() - fpr) < 5 * np.sqrt(2 * fpr / n)


def test_equal_distances_never_exceed_a_tabulated_rate() -> None:
    impostor = np.repeat([0.3, 0.9, 1.0], [100, 400, 500])
    table = fit_distances(np.linspace(0, 0.5, 50), impostor, 10)
    for fpr in table.rates:
        assert (impostor < table.threshold(fpr)).mean() <= fpr


@pytest.mark.parametrize("count", range(10))
def test_each_pair_comes_just_once(count: int) -> None:
    pairs = _draw_pairs(count, 100, np.random.default_rng(0))
    assert sorted(map(sorted, pairs.T.tolist())) == sorted(map(list, itertools.combinations(range(count), 2)))


def test_drawn_pairs_are_different_and_of_two_things() -> None:
    first, second = _draw_pairs(1000, 5000, np.random.default_rng(0))
    assert (first != second).all()
    assert len({frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}) == len(first)
    assert 4500 < len(first) <= 5000
    assert abs(np.concatenate([first, second]).mean() - 499.5) < 15


def test_pairs_are_those_of_brute_force() -> None:
    rows, pids, camids = crowd(people=6, cameras=2, shots=2)
    pids, camids = [*pids[:-3], "-1", "0000", "0000"], [None, None, *camids[2:-1], "1"]
    genuine, impostor = [], []
    for i, j in itertools.combinations(range(len(rows)), 2):
        if "-1" in (pids[i], pids[j]):
            continue
        distance = 1 - float(rows[i] @ rows[j])
        if pids[i] != pids[j]:
            impostor.append(distance)
        elif pids[i] != "0000" and (camids[i] != camids[j] or camids[i] is None):
            genuine.append(distance)
    sample = LabelledRows(rows, pids, camids)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(np.sort(sample.genuine(rng)), np.sort(genuine), atol=1e-6)
    np.testing.assert_allclose(np.sort(sample.impostors(rng, 10**6)), np.sort(impostor), atol=1e-6)
    assert sample.people == 6


def test_junk_and_strangers_without_a_name_change_nothing() -> None:
    rows, pids, camids = crowd()
    noise = unit(np.random.default_rng(9).normal(size=(20, 32)))
    more = fit(np.concatenate([rows, noise]), [*pids, *["-1"] * 10, *[None] * 10], [*camids, *["1"] * 20])
    assert more == fit(rows, pids, camids)


def test_one_person_seen_often_does_not_outweigh_the_others() -> None:
    rows, pids, camids = crowd(people=10)
    many = np.repeat(rows[:4], 50, axis=0)
    table = fit(np.concatenate([rows, many]), [*pids, *["0001"] * 200], [*camids, *camids[:4] * 50])
    assert table.genuine == 9 * 4 + 200


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_follows_from_its_seed(method: str) -> None:
    people = crowd(people=60)
    one, same, other = (fit(*people, method=method, seed=seed, max_pairs=9000) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert one == same
    assert one != other
    assert one.people == 60 and one.prior == 1 / 120


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_holds_on_people_it_has_not_seen(method: str) -> None:
    table = fit(*crowd(people=200, seed=1), method=method)  # type: ignore[arg-type]
    result = assess(table, *crowd(people=200, seed=2))
    assert (result.people, result.genuine) == (200, 800)
    assert result.brier < 0.1
    assert result.ece < 0.05
    assert result.hit_ece < 0.15
    for rate in result.rates:
        assert rate.measured_fpr == pytest.approx(rate.fpr, rel=0.3, abs=1e-4)
    tprs, strangers = ([getattr(rate, name) for rate in result.rates] for name in ("tpr", "stranger_rate"))
    assert tprs == sorted(tprs, reverse=True) and tprs[0] > 0.5
    assert strangers == sorted(strangers, reverse=True) and strangers[0] > 0.5 > strangers[-1]


def test_an_assessment_that_knows_nothing_scores_a_quarter() -> None:
    flat = replace(TABLE, evidence=(0.0, 0.0, 0.0))
    result = assess(flat, *crowd())
    assert result.brier == pytest.approx(0.25)
    assert result.ece == pytest.approx(0)
    assert [rate.threshold for rate in result.rates] == [0.3, None, None]


def test_best_hits_are_those_of_brute_force() -> None:
    rows, pids, camids = crowd(people=8, noise=1.5)
    found = LabelledRows(rows, pids, camids).best_hits(np.random.default_rng(0))
    expected = []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if (pids[j], camids[j]) != (pids[i], camids[i])]
        best = min(others, key=lambda j: 1 - rows[i] @ rows[j])
        stranger = min(1 - rows[i] @ rows[j] for j in others if pids[j] != pids[i])
        expected.append((1 - rows[i] @ rows[best], pids[best] == pids[i], stranger))
    np.testing.assert_allclose(np.stack(found), np.array(expected, float).T, atol=1e-6)


def test_halves_share_nobody_and_lose_nobody() -> None:
    pids = ["1", "2", "0000", None, "3", "-1", "1", "4", "5"]
    first, second = ({pids[i] for i in half} - {"0000"} for half in halves(pids))
    assert not first & second
    assert first | second == {"1", "2", "3", "4", "5"}
    assert all(2 in half for half in halves(pids))
    assert [half.tolist() for half in halves(pids)] == [half.tolist() for half in halves(pids)]


def test_memory_stays_bounded() -> None:
    people = crowd(people=2500, cameras=2, shots=4, dim=16)
    assert len(people[0]) == 20_000  # all distances at once would take 1.6 GB
    tracemalloc.start()
    try:
        table = fit(*people, max_pairs=200_000)
        assess(table, *people, max_pairs=200_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2e8


@pytest.mark.parametrize(
    ("people", "complaint"),
    [
        (crowd(people=4), "expected at least 5 people seen by two cameras, got 4"),
        (crowd(people=30, cameras=1), "seen by two cameras, got 0"),
        (
            crowd(people=5, shots=1),
            "at least 20 pairs of one person and 100 of different people, got 5 and 40",
        ),
        ((np.empty((0, 8)), [], []), "seen by two cameras, got 0"),
        ((np.ones((3, 8)), ["1"] * 3, ["1"] * 3), "rows of length 1"),
        ((np.full((3, 8), np.nan), ["1"] * 3, ["1"] * 3), "rows of length 1"),
        ((crowd()[0], ["1"], ["1"]), r"got \(120, 32\), 1 people and 1 cameras"),
    ],
)
def test_too_few_or_wrong_crops_are_refused_in_one_line(people: tuple, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        fit(*people)
    assert "\n" not in str(caught.value)


def test_labels_that_the_distances_contradict_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(
        InputError, match=r"closer than different people's, got mean distances .*; check the labels"
    ):
        fit_distances(rng.normal(1.2, 0.1, 100), rng.normal(1, 0.1, 1000), 10)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="isotonic or logistic, got 'magic'"):
        fit(*crowd(), method="magic")  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "module"), [("isotonic", "isotonic"), ("logistic", "linear_model")])
def test_a_missing_scikit_learn_is_named_with_the_command(
    method: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"sklearn.{module}", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'autoreid-deploy\[calibrate\]'"):
        fit(*crowd(), method=method)  # type: ignore[arg-type]


def test_random_rows_have_not_collapsed() -> None:
    rows = unit(np.random.default_rng(0).normal(size=(500, 64)))
    assert collapse_warning(rows) is None
    assert collapse_warning(np.abs(rows)) is None  # a cone of half the space: mean cosine 0.64


def test_a_constant_with_noise_has_collapsed() -> None:
    rng = np.random.default_rng(0)
    rows = unit(1 + 0.2 * rng.normal(size=(500, 64)))
    warning = collapse_warning(rows)
    assert warning is not None and "\n" not in warning
    assert "closer than 0.0" in warning and "expected 0.1 or more" in warning
    assert collapse_warning(rows[:9]) is None  # too few to tell


def test_a_calibration_sets_a_stricter_limit() -> None:
    rows = unit(1 + 0.5 * np.random.default_rng(0).normal(size=(500, 64)))  # median 0.2
    assert collapse_warning(rows) is None
    assert collapse_warning(rows, TABLE) is None  # it cannot tell one in a thousand
    strict = replace(TABLE, rates=(0.001, 0.1, 0.5))
    assert "expected 0.3 or more" in str(collapse_warning(rows, strict))


def test_the_bundled_model_collapses_only_on_pictures_scaled_twice(tmp_path: Path) -> None:
    paths = draw_people(tmp_path, people=8, cameras=2)
    with Embedder.load() as embedder:
        table = Calibration.from_dict(embedder.spec.calibration, embedder.id)
        size = (embedder.spec.height, embedder.spec.width)
        crops = np.stack([resize_crop(read_crop(path), *size) for path in paths])
        sound, dark = (embedder.embed(images, color="rgb") for images in (crops, crops // 255))
    assert collapse_warning(sound) is None
    assert collapse_warning(sound, table) is None
    assert collapse_warning(dark) is not None
