"""Fit a calibration on labelled embeddings, and assess one on people it was not fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.calibration import Calibration
from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.pairs import MIN_PEOPLE, Floats, Ints, LabelledRows
from autoreid_deploy.records import DISTRACTOR, JUNK

Method: TypeAlias = Literal["isotonic", "logistic"]

__all__ = [
    "METHODS",
    "MIN_PEOPLE",
    "Assessment",
    "Bin",
    "Method",
    "Rate",
    "assess",
    "fit",
    "fit_distances",
    "halves",
    "reliability",
]

METHODS = ("isotonic", "logistic")
MAX_PAIRS = 1_000_000
MIN_GENUINE, MIN_IMPOSTORS = 20, 100
# A rate is told by at least this many false positives: its standard error is then a third of it.
_FALSE_POSITIVES = 10
_RATES_A_DECADE, _HIGHEST_RATE = 8, 0.5
_KNOTS = 32


@dataclass(frozen=True)
class Rate:
    """What one threshold does to people the calibration has not seen; None if it cannot tell the rate.

    Attributes:
        fpr: false-positive rate asked for.
        threshold: distance for it.
        measured_fpr: share of impostor pairs below.
        tpr: share of genuine pairs below.
        stranger_rate: share of queries whose person is not in the gallery that get a hit below all the same.
    """

    fpr: float
    threshold: float | None
    measured_fpr: float | None
    tpr: float | None
    stranger_rate: float | None


@dataclass(frozen=True)
class Bin:
    """What is said and what is true where probabilities are about equal; all are fractions.

    Attributes:
        predicted: mean probability.
        observed: share that is true.
        weight: share of all that is in this bin.
    """

    predicted: float
    observed: float
    weight: float


@dataclass(frozen=True)
class Assessment:
    """How well a calibration does on labelled embeddings; all but counts are fractions.

    Attributes:
        people: how many.
        genuine: pairs.
        impostors: pairs.
        brier: mean squared error of a pair's probability at the prior 1/2, genuine and impostor pairs alike.
        ece: expected calibration error of the same, over ten bins.
        hit_brier: mean squared error of a best hit's probability, the person in the gallery for half of the queries.
        hit_ece: expected calibration error of the same.
        rates: what thresholds do.
    """

    people: int
    genuine: int
    impostors: int
    brier: float
    ece: float
    hit_brier: float
    hit_ece: float
    rates: tuple[Rate, ...]


def fit(
    rows: ArrayLike,
    pids: Sequence[str | None] | NDArray[Any],
    camids: Sequence[str | None] | NDArray[Any],
    *,
    method: Method = "isotonic",
    seed: int = 0,
    max_pairs: int = MAX_PAIRS,
    source: str = "",
) -> Calibration:
    """Learn what distances mean. The prior is that of the rows' own people; see `Calibration.for_people`.

    Args:
        rows: (N, D) float, unit rows.
        pids: N people; None takes no part, -1 is junk, "0000" a distractor.
        camids: N cameras, None where unknown.
        method: "isotonic" takes any falling shape and wants 1,000 genuine pairs or more; "logistic" is a straight
            line of log-odds, safer on few.
        seed: of the pairs drawn; the same gives the same calibration.
        max_pairs: impostor pairs at most; the smallest rate that can be told is ten of them.
        source: what the rows are, in a few words.

    Raises:
        InputError: shapes don't fit, there are too few people or pairs, or genuine pairs are not the closer ones.
        MissingExtraError: scikit-learn is not installed.
    """
    sample = LabelledRows(rows, pids, camids)
    rng = np.random.default_rng(seed)
    genuine, impostor = sample.genuine(rng), sample.impostors(rng, max_pairs)
    return fit_distances(genuine, impostor, sample.people, method=method, source=source)


def fit_distances(
    genuine: ArrayLike, impostor: ArrayLike, people: int, *, method: Method = "isotonic", source: str = ""
) -> Calibration:
    """Learn what distances mean from the distances of pairs.

    Args:
        genuine: (n,) distances of pairs that show one person.
        impostor: (m,) distances of pairs that show two.
        people: how many people there are, for the prior.
        method: as for `fit`.
        source: as for `fit`.

    Raises:
        InputError: there are too few pairs, or genuine pairs are not the closer ones.
        MissingExtraError: scikit-learn is not installed.
    """
    if method not in METHODS:
        raise InputError(f"expected the method {' or '.join(METHODS)}, got {method!r}")
    near, far = np.asarray(genuine, np.float64), np.sort(np.asarray(impostor, np.float64))
    if len(near) < MIN_GENUINE or len(far) < MIN_IMPOSTORS:
        raise InputError(
            f"expected at least {MIN_GENUINE} pairs of one person and {MIN_IMPOSTORS} of different people, got "
            f"{len(near)} and {len(far)}; label more crops and index them again"
        )
    if near.mean() >= far.mean():
        raise InputError(
            f"expected one person's crops to be closer than different people's, got mean distances "
            f"{near.mean():.3f} and {far.mean():.3f}; check the labels and the model"
        )
    knots, evidence = (_isotonic if method == "isotonic" else _logistic)(near, far)
    rates = _rates(len(far))
    # Strictly below the (k + 1)-th closest lie k pairs, or fewer if some are equal: never more than promised.
    thresholds = far[(rates * len(far)).astype(np.int64)]
    return Calibration(
        method=method,
        source=source,
        people=people,
        genuine=len(near),
        impostors=len(far),
        prior=1 / (2 * people),
        distances=tuple(knots.tolist()),
        evidence=tuple(evidence.round(4).tolist()),
        rates=tuple(rates.tolist()),
        thresholds=tuple((np.floor(thresholds * 1e6) / 1e6).tolist()),
    )


def assess(
    calibration: Calibration,
    rows: ArrayLike,
    pids: Sequence[str | None] | NDArray[Any],
    camids: Sequence[str | None] | NDArray[Any],
    *,
    fprs: Sequence[float] = (1e-2, 1e-3, 1e-4),
    seed: int = 0,
    max_pairs: int = MAX_PAIRS,
) -> Assessment:
    """Measure a calibration on people it was not fitted on.

    Args:
        calibration: what to measure; best hits take the prior of the rows' people.
        rows: (N, D) float, unit rows.
        pids: N people, as for `fit`.
        camids: N cameras, None where unknown.
        fprs: false-positive rates to try the thresholds of.
        seed: of the pairs and queries drawn.
        max_pairs: impostor pairs at most.

    Raises:
        InputError: shapes don't fit, or there are too few people.
    """
    sample = LabelledRows(rows, pids, camids)
    rng = np.random.default_rng(seed)
    genuine, impostor = sample.genuine(rng), sample.impostors(rng, max_pairs)
    brier, ece = _errors(calibration.with_prior(0.5), genuine, impostor)
    present, right, absent = sample.best_hits(rng)
    hits = np.concatenate([present, absent])
    correct = np.concatenate([right, np.zeros(len(absent), bool)])
    hit_brier, hit_ece = _errors(
        calibration.for_people(sample.people), hits[correct], hits[~correct], even=False
    )
    return Assessment(
        people=sample.people,
        genuine=len(genuine),
        impostors=len(impostor),
        brier=brier,
        ece=ece,
        hit_brier=hit_brier,
        hit_ece=hit_ece,
        rates=tuple(_try(calibration, fpr, genuine, impostor, absent) for fpr in fprs),
    )


def halves(pids: Sequence[str | None] | NDArray[Any], seed: int = 0) -> tuple[Ints, Ints]:
    """Split rows by person: fit on one half of the people, assess on the other. Distractors go to both.

    Returns:
        Indices of the rows of either half; junk and rows without a person are in none.
    """
    names = sorted({pid for pid in pids if pid is not None} - {JUNK, DISTRACTOR})
    order = np.random.default_rng(seed).permutation(len(names))
    first = {names[i] for i in order[: len(names) // 2]}
    second = set(names) - first
    both = [[i for i, pid in enumerate(pids) if pid in half or pid == DISTRACTOR] for half in (first, second)]
    return np.array(both[0], np.int64), np.array(both[1], np.int64)


def reliability(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None, bins: int = 10
) -> tuple[Bin, ...]:
    """Hold probabilities against what is true, in bins of equal width.

    Args:
        probabilities: (N,) in [0, 1].
        truth: (N,) whether it is so.
        weights: (N,) what each counts; all the same by default.
        bins: how many; empty ones are left out.

    >>> [(b.predicted, b.observed, b.weight) for b in reliability([0.25, 0.25, 0.75, 0.75], [0, 1, 1, 1])]
    [(0.25, 0.5, 0.5), (0.75, 1.0, 0.5)]
    """
    p, true = np.asarray(probabilities, np.float64), np.asarray(truth, np.float64)
    each = np.ones(len(p)) if weights is None else np.asarray(weights, np.float64)
    number = np.minimum((bins * p).astype(np.int64), bins - 1)
    total, said, came = (np.bincount(number, of, minlength=bins) for of in (each, each * p, each * true))
    return tuple(
        Bin(float(said[i] / total[i]), float(came[i] / total[i]), float(total[i] / total.sum()))
        for i in np.flatnonzero(total)
    )


def _isotonic(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "calibrate") from error
    # One made-up pair at either end, an impostor at 0 and a genuine one at 2: nothing is ever certain (Laplace).
    x = np.concatenate([genuine, [2.0], impostor, [0.0]])
    y = np.repeat([1.0, 0.0], [len(genuine) + 1, len(impostor) + 1])
    weights = np.repeat([1 / len(genuine), 1 / len(impostor)], [len(genuine) + 1, len(impostor) + 1])
    model = IsotonicRegression(increasing=False).fit(x, y, sample_weight=weights)
    shares = np.linspace(0, 1, _KNOTS)
    tail = _rates(len(impostor))
    knots = np.concatenate(
        [np.quantile(genuine, shares), np.quantile(impostor, shares), np.quantile(impostor, tail)]
    )
    knots = np.unique(knots.round(4))
    share = model.predict(knots)
    return knots, np.minimum.accumulate(np.log(share / (1 - share)))


def _logistic(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "calibrate") from error
    x = np.concatenate([genuine, impostor])
    y = np.repeat([1, 0], [len(genuine), len(impostor)])
    weights = np.repeat(
        [0.5 * len(x) / len(genuine), 0.5 * len(x) / len(impostor)], [len(genuine), len(impostor)]
    )
    model = LogisticRegression(C=1e3).fit(x[:, None], y, sample_weight=weights)
    knots = np.array([x.min(), x.max()])
    return knots, model.decision_function(knots[:, None])


def _rates(impostors: int) -> Floats:
    """Choose the rates to tabulate: from ten false positives up to a half, evenly on the log scale."""
    lowest = _FALSE_POSITIVES / impostors
    steps = max(2, int(np.ceil(_RATES_A_DECADE * np.log10(_HIGHEST_RATE / lowest))) + 1)
    return np.asarray(np.geomspace(lowest, _HIGHEST_RATE, steps), np.float64)


def _errors(calibration: Calibration, yes: Floats, no: Floats, *, even: bool = True) -> tuple[float, float]:
    """Give Brier score and expected calibration error; `even` lets both sides weigh the same."""
    p = calibration.probability(np.concatenate([yes, no])).astype(np.float64)
    truth = np.repeat([1.0, 0.0], [len(yes), len(no)])
    weights = np.ones(len(p))
    if even:
        weights = np.repeat([1 / len(yes), 1 / len(no)], [len(yes), len(no)])
    weights /= weights.sum()
    error = sum(b.weight * abs(b.predicted - b.observed) for b in reliability(p, truth, weights))
    return float(weights @ (p - truth) ** 2), error


def _try(calibration: Calibration, fpr: float, genuine: Floats, impostor: Floats, strangers: Floats) -> Rate:
    if not calibration.rates[0] <= fpr <= calibration.rates[-1]:
        return Rate(fpr, None, None, None, None)
    threshold = calibration.threshold(fpr)
    shares = (float((distances < threshold).mean()) for distances in (impostor, genuine, strangers))
    return Rate(fpr, threshold, *shares)
