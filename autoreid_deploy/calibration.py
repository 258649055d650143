"""Distance -> probability of a match, thresholds at a false-positive rate, and a look for collapsed distances.

A calibration holds evidence e(d): the natural log of how much likelier a distance d is between two crops of one
person by different cameras than between crops of different people. It knows nothing of priors. With the prior p
that a crop of the gallery shows the person at all,

    log-odds(match | d) = e(d) + log(p / (1 - p))

The prior is the operator's: the person asked for is in the gallery or not, both equally likely, and if so each of
its n people is, so p = 1 / (2 n). With p = 1/2, the usual choice for pairs, nearly every best hit would be called
certain: among many strangers some look alike. `fitting.py` makes calibrations; this file needs NumPy only.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.errors import InputError

COLLAPSED = 0.1
_SAMPLE = 2000
_FEW = 10


@dataclass(frozen=True)
class Calibration:
    """What distances of one model mean; make one with `fitting.fit`, read one with `from_dict`.

    Attributes:
        method: "isotonic" or "logistic".
        source: what it was fitted on, in a few words.
        people: how many people that was.
        genuine: pairs of crops of one person.
        impostors: pairs of crops of different people.
        prior: the probability, before looking, that a crop of the gallery shows the person; in (0, 1).
        distances: K >= 2 knots, ascending, in [0, 2].
        evidence: K log-likelihood ratios at the knots, never rising; linear between, flat beyond them.
        rates: M >= 2 false-positive rates, ascending, in (0, 1).
        thresholds: M distances, never falling: this share of impostor pairs lies below.

    Raises:
        InputError: values don't fit together.
    """

    method: str
    source: str
    people: int
    genuine: int
    impostors: int
    prior: float
    distances: tuple[float, ...]
    evidence: tuple[float, ...]
    rates: tuple[float, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        for complaint in _complaints(self):
            raise InputError(complaint)

    def probability(self, distances: ArrayLike) -> NDArray[np.float32]:
        """Say how probably two crops show one person, under the calibration's prior.

        Args:
            distances: any shape, 1 - cosine.

        Returns:
            The same shape, in [0, 1], never rising with the distance; NaN for NaN.

        >>> table = Calibration("logistic", "", 2, 9, 9, 0.5, (0.0, 1.0), (3.0, -3.0), (0.1, 0.5), (0.3, 0.6))
        >>> table.probability([0.0, 0.5, 2.0]).round(3)
        array([0.953, 0.5  , 0.047], dtype=float32)
        """
        evidence = np.interp(np.asarray(distances, np.float64), self.distances, self.evidence)
        odds = np.exp(-(evidence + math.log(self.prior / (1 - self.prior))))
        return np.asarray(1 / (1 + odds), np.float32)

    def threshold(self, fpr: float) -> float:
        """Give the distance below which a share `fpr` of all pairs of different people lies.

        A hit at or above it is "unknown". Rates between tabulated ones are interpolated on the log scale. The rate
        is per pair: among G crops of others expect G * fpr false hits.

        Raises:
            InputError: the rate is not one that the impostor pairs can tell.
        """
        if not self.rates[0] <= fpr <= self.rates[-1]:
            raise InputError(
                f"expected a false-positive rate from {self.rates[0]:.2g} to {self.rates[-1]:.2g}, which is what "
                f"{self.impostors:,} pairs of different people can tell, got {fpr:g}; "
                "calibrate with more people for a smaller one"
            )
        return float(np.interp(math.log(fpr), np.log(self.rates), self.thresholds))

    def with_prior(self, prior: float) -> "Calibration":
        """Take another prior, in (0, 1), over the same evidence.

        Raises:
            InputError: it is not in (0, 1).
        """
        return replace(self, prior=prior)

    def for_people(self, people: int) -> "Calibration":
        """Take the prior of a gallery of this many people: in it or not, equally likely, and each equally.

        Raises:
            InputError: it is below 1.

        >>> table = Calibration("logistic", "", 2, 9, 9, 0.5, (0.0, 1.0), (3.0, -3.0), (0.1, 0.5), (0.3, 0.6))
        >>> table.for_people(100).prior
        0.005
        """
        if people < 1:
            raise InputError(f"expected 1 person or more for the prior, got {people}")
        return self.with_prior(1 / (2 * people))

    def to_dict(self) -> dict[str, Any]:
        """Write all of it as what JSON can hold."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], source: str = "calibration") -> "Calibration":
        """Read what `to_dict` wrote; keys of others are left alone.

        Args:
            table: as JSON gives it.
            source: where it comes from, for the error.

        Raises:
            InputError: a key is missing or its value is not what it should be.
        """
        missing = [field.name for field in fields(cls) if field.name not in table]
        if missing:
            raise InputError(
                f"{source}: expected a calibration, it lacks {', '.join(missing)}; "
                "make one with: reid-index calibrate"
            )
        try:
            return cls(**{field.name: _read(field.name, table[field.name]) for field in fields(cls)})
        except InputError as error:
            raise InputError(
                f"{source}: the calibration is damaged: {error}; make another with: reid-index calibrate"
            ) from error


def collapse_warning(rows: ArrayLike, calibration: Calibration | None = None, *, seed: int = 0) -> str | None:
    """Look whether all crops look alike to the model, as after wrong or double normalisation.

    Of unit rows the mean cosine is the squared length of their mean: where it is above 0.9, nine tenths of every
    row is the same for all crops. Random pairs are nearly all of different people, and a sound model puts
    those around 1. With a calibration the limit is what it knows instead: if half of all random pairs are closer
    than one in a thousand pairs of different people should be, its distances are not these.

    Args:
        rows: (N, D) float, unit rows of a gallery; fewer than 10 tell nothing.
        calibration: of the rows' model, if there is one.
        seed: of the sample of 2,000 pairs.

    Returns:
        One line, or None when all is well.

    >>> collapse_warning(np.eye(20)) is None, collapse_warning(np.ones((20, 4)) / 2)[:18]
    (True, 'the distances have')
    """
    vectors = np.asarray(rows, np.float32)
    if len(vectors) < _FEW:
        return None
    rng = np.random.default_rng(seed)
    first = rng.integers(len(vectors), size=_SAMPLE)
    second = (first + rng.integers(1, len(vectors), size=_SAMPLE)) % len(vectors)
    median = float(np.median(1 - np.einsum("nd,nd->n", vectors[first], vectors[second])))
    limit = COLLAPSED
    if calibration and calibration.rates[0] <= 1e-3:
        limit = max(limit, calibration.threshold(1e-3))
    if median >= limit:
        return None
    return (
        f"the distances have collapsed: half of all pairs of crops are closer than {max(median, 0):.4f}, expected "
        f"{limit:.2g} or more; unless all crops show one person, the pictures or the model are wrong"
    )


def _complaints(table: Calibration) -> Iterator[str]:
    """Say what is wrong with a table, in a few words each."""
    for name in ("people", "genuine", "impostors"):
        if getattr(table, name) < 1:
            yield f"{name} should be 1 or more, is {getattr(table, name)}"
    if not 0 < table.prior < 1:
        yield f"the prior should lie between 0 and 1, is {table.prior:g}"
    for x, y, sign in (("distances", "evidence", -1), ("rates", "thresholds", 1)):
        xs, ys = np.array(getattr(table, x)), np.array(getattr(table, y))
        if len(xs) != len(ys) or len(xs) < 2:
            yield f"{x} and {y} should be as many, at least 2, are {len(xs)} and {len(ys)}"
        elif not (np.isfinite(xs).all() and np.isfinite(ys).all()):
            yield f"{x} and {y} should be finite numbers"
        elif (np.diff(xs) <= 0).any() or (sign * np.diff(ys) < 0).any():
            yield f"{x} should rise and {y} never {'fall' if sign > 0 else 'rise'}"
        else:
            low, high = (0, 2) if x == "distances" else (np.nextafter(0, 1), np.nextafter(1, 0))
            if xs[0] < low or xs[-1] > high:
                yield f"{x} should lie in {'[0, 2]' if x == 'distances' else '(0, 1)'}, reach {xs[0]:g} to {xs[-1]:g}"


def _read(name: str, value: Any) -> Any:
    """Check one value's type as JSON gives it."""
    if name in ("method", "source"):
        if isinstance(value, str):
            return value
        expected = "text"
    elif name in ("people", "genuine", "impostors"):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        expected = "a whole number"
    elif name == "prior":
        if _is_number(value):
            return float(value)
        expected = "a number"
    else:
        if isinstance(value, (list, tuple)) and all(map(_is_number, value)):
            return tuple(map(float, value))
        expected = "a list of numbers"
    raise InputError(f"{name} should be {expected}, is {str(value)[:40]!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
