"""Fit a calibration on labelled embeddings, and assess one on people it was not fitted on.

Genuine pairs show one person by different cameras, or in different crops where a camera is unknown; impostor pairs
show different people, by any cameras, as a gallery holds them. Junk takes no part; a distractor is an impostor to
everybody. Pairs are drawn, never all of N x N held at once.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.calibration import Calibration
from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.records import DISTRACTOR, JUNK

Method: TypeAlias = Literal["isotonic", "logistic"]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

METHODS = ("isotonic", "logistic")
MAX_PAIRS = 1_000_000
MIN_PEOPLE, MIN_GENUINE, MIN_IMPOSTORS = 5, 20, 100
# One person seen a thousand times must not outweigh all others.
_PAIRS_A_PERSON = 200
# A rate is told by at least this many false positives: its standard error is then a third of it.
_FALSE_POSITIVES = 10
_RATES_A_DECADE, _HIGHEST_RATE = 8, 0.5
_KNOTS = 32
_CHUNK = 8192
_QUERIES = 2000


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
    if method not in METHODS:
        raise InputError(f"expected the method {' or '.join(METHODS)}, got {method!r}")
    sample = _Sample(rows, pids, camids)
    rng = np.random.default_rng(seed)
    genuine, impostor = sample.genuine(rng), np.sort(sample.impostors(rng, max_pairs))
    if genuine.mean() >= impostor.mean():
        raise InputError(
            f"expected one person's crops to be closer than different people's, got mean distances "
            f"{genuine.mean():.3f} and {impostor.mean():.3f}; check the labels and the model"
        )
    knots, evidence = (_isotonic if method == "isotonic" else _logistic)(genuine, impostor)
    rates = _rates(len(impostor))
    # Strictly below the (k + 1)-th closest lie k pairs, or fewer if some are equal: never more than promised.
    thresholds = impostor[(rates * len(impostor)).astype(np.int64)]
    return Calibration(
        method=method,
        source=source,
        people=sample.people,
        genuine=len(genuine),
        impostors=len(impostor),
        prior=1 / (2 * sample.people),
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
        InputError: shapes don't fit, or there are too few people or pairs.
    """
    sample = _Sample(rows, pids, camids)
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


class _Sample:
    """Rows with a person, whose pairs can be drawn."""

    def __init__(self, rows: ArrayLike, pids: Sequence[Any] | NDArray[Any], camids: Any) -> None:
        vectors = np.asarray(rows, np.float32)
        if vectors.ndim != 2 or not len(vectors) == len(pids) == len(camids):
            raise InputError(
                f"expected (N, D) rows with N people and N cameras, got {vectors.shape}, "
                f"{len(pids)} people and {len(camids)} cameras"
            )
        kept = [i for i, pid in enumerate(pids) if pid is not None and pid != JUNK]
        self.rows = vectors[kept]
        if not np.all(np.abs(np.linalg.norm(self.rows, axis=1) - 1) < 1e-2):  # false for NaN too
            raise InputError("expected rows of length 1; leave out crops that could not be read")
        names = np.array([str(pids[i]) for i in kept], dtype=str)
        self.pids = np.unique(names, return_inverse=True)[1]
        self.distractor = names == DISTRACTOR
        known = {camera: i for i, camera in enumerate(sorted({str(c) for c in camids if c is not None}))}
        # Where nobody knows the camera each crop has one of its own, below 0.
        self.camids = np.array(
            [-1 - i if camids[i] is None else known[str(camids[i])] for i in kept], np.int64
        )
        self.people = len(set(self.pids[~self.distractor].tolist()))

    def genuine(self, rng: np.random.Generator) -> Floats:
        """Draw pairs of one person by different cameras; gives their distances."""
        found = []
        for members in self._members():
            first, second = members[_draw_pairs(len(members), 20 * _PAIRS_A_PERSON, rng)]
            apart = np.flatnonzero(self.camids[first] != self.camids[second])
            if len(apart):
                chosen = np.sort(rng.permutation(apart)[:_PAIRS_A_PERSON])
                found.append(np.stack([first[chosen], second[chosen]]))
        pairs = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)
        if len(found) < MIN_PEOPLE or pairs.shape[1] < MIN_GENUINE:
            raise InputError(
                f"expected at least {MIN_PEOPLE} people seen by two cameras and {MIN_GENUINE} such pairs of crops, "
                f"got {len(found)} people and {pairs.shape[1]} pairs; label more crops and index them again"
            )
        return self._distances(pairs)

    def impostors(self, rng: np.random.Generator, most: int) -> Floats:
        """Draw pairs of different people; gives their distances."""
        first, second = _draw_pairs(len(self.rows), most, rng)
        different = self.pids[first] != self.pids[second]
        pairs = np.stack([first[different], second[different]])
        if pairs.shape[1] < MIN_IMPOSTORS:
            raise InputError(
                f"expected at least {MIN_IMPOSTORS} pairs of different people, got {pairs.shape[1]}; "
                "label more crops and index them again"
            )
        return self._distances(pairs)

    def best_hits(self, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Let crops ask the others, without what their own camera saw of their person.

        Returns:
            (Q,) distance of each best hit, (Q,) whether it is the person, and (Q,) distance of the best hit when
            the person is not in the gallery.
        """
        counts = Counter(zip(self.pids.tolist(), self.camids.tolist(), strict=True))
        total = Counter(self.pids.tolist())
        asking = np.array(
            [
                i
                for i, (pid, camid) in enumerate(zip(self.pids.tolist(), self.camids.tolist(), strict=True))
                if total[pid] > counts[pid, camid] and not self.distractor[i]
            ]
        )
        asking = np.sort(rng.permutation(asking)[:_QUERIES])
        present, right, absent = [], [], []
        chunk = max(1, 2**22 // len(self.rows))
        for start in range(0, len(asking), chunk):
            block = asking[start : start + chunk]
            distance = 1 - self.rows[block] @ self.rows.T
            same = self.pids[block, None] == self.pids
            distance[same & (self.camids[block, None] == self.camids)] = np.inf
            best = distance.argmin(axis=1)
            present.append(distance.min(axis=1))
            right.append(self.pids[best] == self.pids[block])
            absent.append(np.where(same, np.inf, distance).min(axis=1))
        return np.concatenate(present), np.concatenate(right), np.concatenate(absent)

    def _members(self) -> Iterator[Ints]:
        order = np.argsort(self.pids, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(self.pids[order])) + 1):
            if len(members) > 1 and not self.distractor[members[0]]:
                yield members

    def _distances(self, pairs: Ints) -> Floats:
        """Compare pairs, some thousand at once: (2, n) indices -> (n,) distances in [0, 2]."""
        cosine = np.empty(pairs.shape[1])
        for start in range(0, pairs.shape[1], _CHUNK):
            first, second = pairs[:, start : start + _CHUNK]
            cosine[start : start + _CHUNK] = np.einsum("nd,nd->n", self.rows[first], self.rows[second])
        return np.clip(1 - cosine, 0, 2)


def _draw_pairs(count: int, most: int, rng: np.random.Generator) -> Ints:
    """Give all pairs of different things out of `count`, or about `most` of them if there are more.

    Number c stands for the pair (i, i + 1 + c // count), i = c % count, taken round: each pair comes just once.
    """
    total = count * (count - 1) // 2
    codes = np.arange(total) if total <= most else np.unique(rng.integers(total, size=most))
    first = codes % max(count, 1)
    return np.stack([first, (first + 1 + codes // max(count, 1)) % max(count, 1)])


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
    bins = np.minimum((10 * p).astype(np.int64), 9)
    gaps = np.bincount(bins, weights * (p - truth), minlength=10)
    return float(weights @ (p - truth) ** 2), float(np.abs(gaps).sum())


def _try(calibration: Calibration, fpr: float, genuine: Floats, impostor: Floats, strangers: Floats) -> Rate:
    if not calibration.rates[0] <= fpr <= calibration.rates[-1]:
        return Rate(fpr, None, None, None, None)
    threshold = calibration.threshold(fpr)
    shares = (float((distances < threshold).mean()) for distances in (impostor, genuine, strangers))
    return Rate(fpr, threshold, *shares)
