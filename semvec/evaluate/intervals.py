"""How sure a number is: intervals by the bootstrap, and whether two models differ on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError

Numbers: TypeAlias = NDArray[Any]
LEVEL = 0.95
RESAMPLES = 1000
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True)
class Interval:
    """A value, and between which two it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Outcome:
    """What a measure says of one model: ``of(*columns)``, where every column has a row an example.

    ``examples`` are the numbers of those examples in the data, ascending, so that two models that left out different ones
    can be compared on what both did.
    """

    measure: str
    of: Callable[..., float]
    columns: tuple[Numbers, ...]
    examples: NDArray[np.int64]

    @classmethod
    def over_all(cls, measure: str, of: Callable[..., float], *columns: Numbers) -> Outcome:
        """Return the outcome over all examples."""
        return cls(measure, of, columns, np.arange(len(columns[0])))

    @property
    def value(self) -> float:
        """What the measure is over all of the examples."""
        return self.of(*self.columns)

    def interval(self, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
        """Return the value with its interval (`bootstrap`)."""
        return bootstrap(self.of, *self.columns, seed=seed, resamples=resamples)

    def among(self, examples: NDArray[np.int64]) -> Outcome:
        """Return the outcome over ``examples`` alone, all of which it has."""
        places = np.searchsorted(self.examples, examples)
        return Outcome(self.measure, self.of, tuple(column[places] for column in self.columns), examples)


@dataclass(frozen=True)
class Difference:
    """By how much ``one`` is better than ``other`` on the ``examples`` both did, and how likely so much is by chance.

    ``p`` is two-sided, corrected for how many comparisons were made with it (Holm, 1979).
    """

    one: str
    other: str
    by: Interval
    p: float
    examples: int

    @property
    def shown(self) -> bool:
        """Whether there is a difference that these examples show."""
        return self.p <= 1 - LEVEL

    def __str__(self) -> str:
        said = f"{self.one} over {self.other}: {self.by.value:+.3f} [{self.by.low:+.3f}, {self.by.high:+.3f}], p = {self.p:.3f}"
        return said if self.shown else f"{said}: {NO_DIFFERENCE}"


def bootstrap(of: Callable[..., float], *columns: Numbers, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Return ``of(*columns)``, columns of n rows, with its 95 % percentile interval over rows drawn with replacement.

    What draws have too much on average is taken off (`_centred`). A draw of which there is no measure (`InputError`) is
    left out (Efron and Tibshirani, 1993, chapters 10 and 13).
    """
    value = of(*columns)
    drawn = [found for found in _drawn(of, columns, seed, resamples) if found is not None]
    return _interval(value, _centred(value, drawn))


def differences(
    outcomes: Mapping[str, Outcome], *, seed: int = 0, resamples: int = RESAMPLES, best: str | None = None
) -> list[Difference]:
    """Return how far the ``best`` model (default: of the greatest value) is above each of the others, by paired resampling.

    Both models of a pair are measured on the same draws of the examples that both have (Koehn, 2004); where these are too few
    to measure, the pair is left out. ``p`` is twice the share of draws in which the difference has the other sign, and none
    at all counts as one draw.
    """
    first = best or max(outcomes, key=lambda name: outcomes[name].value)
    found = []
    for name, outcome in outcomes.items():
        if name == first:
            continue
        both = np.intersect1d(outcomes[first].examples, outcome.examples)
        one, other = outcomes[first].among(both), outcome.among(both)
        try:
            by = one.value - other.value
        except InputError:  # too little is left that both did
            continue
        pairs = zip(*(_drawn(its.of, its.columns, seed, resamples) for its in (one, other)), strict=True)
        drawn = _centred(by, [a - b for a, b in pairs if a is not None and b is not None])
        beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
        p = min(1.0, 2 * (beyond + 1) / (len(drawn) + 1))
        found.append(Difference(first, name, _interval(by, drawn), p, len(both)))
    return _holm(found)


def _drawn(of: Callable[..., float], columns: tuple[Numbers, ...], seed: int, resamples: int) -> list[float | None]:
    """Return the measure of every draw, None where there is none; the same draws for the same seed and number of rows."""
    rng, n = np.random.default_rng(seed), len(columns[0])
    found: list[float | None] = []
    for _ in range(resamples):
        rows = rng.integers(0, n, n)
        try:
            found.append(of(*(column[rows] for column in columns)))
        except InputError:
            found.append(None)
    return found


def _centred(value: float, drawn: list[float]) -> Numbers:
    """Return what was ``drawn``, moved so that its mean is ``value``.

    Draws hold some rows twice, which makes measures that look for structure, as v-measure does, greater than they are.
    """
    return np.array(drawn) - np.mean(drawn) + value if drawn else np.array([value])


def _interval(value: float, drawn: Numbers) -> Interval:
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(value, float(low), float(high))


def _holm(found: list[Difference]) -> list[Difference]:
    """Return the differences with p-values corrected for their number, in the order they came."""
    corrected: dict[int, float] = {}
    least = 0.0
    for rank, at in enumerate(sorted(range(len(found)), key=lambda at: found[at].p)):
        least = max(least, min(1.0, found[at].p * (len(found) - rank)))
        corrected[at] = least
    return [Difference(its.one, its.other, its.by, corrected[at], its.examples) for at, its in enumerate(found)]
