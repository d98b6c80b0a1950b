"""How sure a number is: intervals by resampling, and whether two models differ on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError
from semvec.measures.basic import mean

Numbers: TypeAlias = NDArray[Any]
LEVEL = 0.95
RESAMPLES = 1000
MANY = 100_000
"""Examples from which on fewer draws do: intervals are narrow then, and draws take long."""

FEWEST_DRAWS = 200
FEWEST = 20
"""Examples below which the resampling of a measure that is no mean says that too much differs."""

FLIPS = 9_999
IGNORABLE = 0.25
"""The bias of draws, in their standard deviations, up to which it is left alone (Efron and Tibshirani, 1993, chapter 10)."""

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
    can be compared on what both did. ``groups`` (rows,) are numbers of what examples share, such as a question: these are
    drawn whole. ``refits`` are values from halves of the examples, where a value has to be made anew for every draw.
    ``range`` is between what the measure lies.
    """

    measure: str
    of: Callable[..., float]
    columns: tuple[Numbers, ...]
    examples: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    refits: NDArray[np.float64] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    _kept: dict[tuple[int, int], list[float | None]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def over_all(cls, measure: str, of: Callable[..., float], *columns: Numbers, **more: Any) -> Outcome:
        """Return the outcome over all examples; ``more`` are further fields."""
        return cls(measure, of, columns, np.arange(len(columns[0])), **more)

    @property
    def value(self) -> float:
        """What the measure is over all of the examples."""
        return self.of(*self.columns)

    @property
    def units(self) -> int:
        """How many examples, or groups of them, are drawn from."""
        return len(self.examples) if self.groups is None else len(np.unique(self.groups))

    def interval(self, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
        """Return the value with its 95 % interval.

        A share of right answers has Wilson's (1927). What was made anew on halves of the examples has that of Student's t
        with their deviation: it is that of the whole (Shao and Wu, "A general theory for jackknife variance estimation",
        1989). All else has percentiles of draws with replacement (Efron and Tibshirani, 1993), moved by their bias where
        that is not small.
        """
        value = self.value
        if self.refits is not None:
            return _limited(_by_halves(value, self.refits), self.range)
        if self.of is mean and self.groups is None and np.isin(self.columns[0], (0, 1)).all():
            return _limited(_wilson(value, len(self.columns[0])), self.range)
        drawn = [found for found in self.draws(seed, resamples) if found is not None]
        return _limited(_percentiles(value, np.array(drawn or [value])), self.range)

    def draws(self, seed: int, resamples: int) -> list[float | None]:
        """Return the measure of every draw, None where there is none; the same draws for the same seed and examples."""
        n = len(self.examples)
        if n > MANY:
            resamples = max(FEWEST_DRAWS, resamples * MANY // n)
        if (seed, resamples) not in self._kept:
            rng = np.random.default_rng(seed)
            members = _members(self.groups)
            found = self._kept[seed, resamples] = []
            for _ in range(resamples):
                if members is None:
                    rows = rng.integers(0, n, n)
                else:
                    rows = np.concatenate([members[at] for at in rng.integers(0, len(members), len(members)).tolist()])
                try:
                    found.append(self.of(*(column[rows] for column in self.columns)))
                except InputError:
                    found.append(None)
        return self._kept[seed, resamples]

    def among(self, examples: NDArray[np.int64]) -> Outcome:
        """Return the outcome over ``examples`` alone, all of which it has."""
        if len(examples) == len(self.examples):
            return self
        places = np.searchsorted(self.examples, examples)
        groups = None if self.groups is None else self.groups[places]
        return replace(self, columns=tuple(its[places] for its in self.columns), examples=examples, groups=groups, _kept={})


@dataclass(frozen=True)
class Difference:
    """By how much ``one`` is better than ``other`` on the ``examples`` both did, and how likely so much is by chance.

    ``p`` is two-sided, corrected for how many comparisons were made with it (Holm, 1979); None where the examples are too
    few to say.
    """

    one: str
    other: str
    by: Interval | None
    p: float | None
    examples: int

    @property
    def shown(self) -> bool:
        """Whether there is a difference that these examples show."""
        return self.p is not None and self.p <= 1 - LEVEL

    def __str__(self) -> str:
        if self.by is None or self.p is None:
            return f"{self.one} and {self.other}: {self.examples} examples are too few to compare them"
        chance = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        said = f"{self.one} over {self.other}: {self.by.value:+.3f} [{self.by.low:+.3f}, {self.by.high:+.3f}], {chance}"
        return said if self.shown else f"{said}: {NO_DIFFERENCE}"


def bootstrap(of: Callable[..., float], *columns: Numbers, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Return ``of(*columns)``, columns of n rows, with its 95 % percentile interval over rows drawn with replacement.

    A draw of which there is no measure (`InputError`) is left out.
    """
    drawn = [found for found in Outcome.over_all("", of, *columns).draws(seed, resamples) if found is not None]
    value = of(*columns)
    return _percentiles(value, np.array(drawn or [value]))


def differences(
    outcomes: Mapping[str, Outcome], pairs: list[tuple[str, str]] | None = None, *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Difference]:
    """Return how the models of each of ``pairs`` (default: of all there are) differ, the better one first.

    Both are measured on the examples that both have. A mean of examples is tested by changing the sign of their
    differences (Fisher's randomisation, exact for few), anything else by paired draws (Koehn, 2004), where twice the share
    with the other sign is ``p``, none at all counting as one; fewer than `FEWEST` examples are too few for that.
    """
    wanted = list(combinations(outcomes, 2)) if pairs is None else pairs
    enough = max(resamples, int(2 * len(wanted) / (1 - LEVEL)) + 1)  # so that the least p is small enough after Holm
    return _holm([_difference(one, other, outcomes, seed, enough) for one, other in wanted])


def _difference(first: str, second: str, outcomes: Mapping[str, Outcome], seed: int, resamples: int) -> Difference:
    both = np.intersect1d(outcomes[first].examples, outcomes[second].examples)
    a, b = outcomes[first].among(both), outcomes[second].among(both)
    units = a.units
    try:
        by = a.value - b.value
    except InputError:
        return Difference(first, second, None, None, units)
    one, other = (first, second) if by >= 0 else (second, first)
    if by < 0:
        a, b, by = b, a, -by
    width = a.range[1] - a.range[0]
    limits = (-width, width)
    if a.refits is not None and b.refits is not None and units >= FEWEST:
        gaps = a.refits - b.refits
        return Difference(one, other, _limited(_by_halves(by, gaps), limits), _t_test(by, gaps), units)
    if units < FEWEST and (a.of is not mean or a.refits is not None):
        return Difference(one, other, None, None, units)
    drawn = [x - y for x, y in zip(a.draws(seed, resamples), b.draws(seed, resamples), strict=True) if None not in (x, y)]  # type: ignore[operator]
    interval = _percentiles(by, np.array(drawn or [by]))
    if a.of is mean:
        p = _sign_flips(a.columns[0] - b.columns[0].astype(np.float64), a.groups, seed)
    else:
        beyond = min(sum(x <= 0 for x in drawn), sum(x >= 0 for x in drawn))
        p = min(1.0, 2 * (beyond + 1) / (len(drawn) + 1))
    return Difference(one, other, _limited(interval, limits), p, units)


def _members(groups: NDArray[np.int64] | None) -> list[NDArray[np.int64]] | None:
    """Return the rows of every group."""
    if groups is None:
        return None
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _percentiles(value: float, drawn: Numbers) -> Interval:
    """Return the percentiles of ``drawn``, moved so that their mean is ``value`` where it is far from that.

    Draws hold some rows twice, which makes measures that look for structure greater than they are.
    """
    bias = float(drawn.mean() - value)
    if abs(bias) > IGNORABLE * drawn.std():
        drawn = drawn - bias
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(value, float(min(low, value)), float(max(high, value)))


def _wilson(share: float, n: int) -> Interval:
    z = 1.959964
    middle, width = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (float((middle + sign * width) / (1 + z * z / n)) for sign in (-1, 1))
    return Interval(share, min(low, share), max(high, share))


def _by_halves(value: float, refits: NDArray[np.float64]) -> Interval:
    from scipy.stats import t

    width = float(t.ppf((1 + LEVEL) / 2, len(refits) - 1) * refits.std(ddof=1))
    return Interval(value, value - width, value + width)


def _t_test(by: float, gaps: NDArray[np.float64]) -> float | None:
    from scipy.stats import t

    deviation = float(gaps.std(ddof=1))
    if not deviation:  # halves that all agree say nothing of others
        return None if by else 1.0
    return float(2 * t.sf(by / deviation, len(gaps) - 1))


def _limited(interval: Interval, limits: tuple[float, float]) -> Interval:
    return Interval(interval.value, max(interval.low, limits[0]), min(interval.high, limits[1]))


def _sign_flips(gaps: NDArray[np.float64], groups: NDArray[np.int64] | None, seed: int) -> float:
    """Return how often the mean of ``gaps`` is as far from 0 or farther, when their signs are changed by chance."""
    from scipy.stats import permutation_test

    if groups is not None:
        gaps = np.bincount(np.unique(groups, return_inverse=True)[1], weights=gaps).astype(np.float64)
    gaps = gaps[gaps != 0]  # those without a difference have no sign
    if len(gaps) < 2:
        return 1.0
    rng, flips = np.random.default_rng(seed), max(999, min(FLIPS, 2 * 10**8 // len(gaps)))
    tested = permutation_test(
        (gaps,),
        lambda its, axis: its.sum(axis=axis),
        permutation_type="samples",
        n_resamples=flips,
        batch=64,
        rng=rng,
        vectorized=True,
    )
    return float(tested.pvalue)


def _holm(found: list[Difference]) -> list[Difference]:
    """Return the differences with p-values corrected for their number, in the order they came."""
    tested = [at for at, its in enumerate(found) if its.p is not None]
    corrected: dict[int, float] = {}
    least = 0.0
    for rank, at in enumerate(sorted(tested, key=lambda at: found[at].p or 0.0)):
        least = max(least, min(1.0, (found[at].p or 0.0) * (len(tested) - rank)))
        corrected[at] = least
    return [replace(its, p=corrected.get(at)) for at, its in enumerate(found)]
