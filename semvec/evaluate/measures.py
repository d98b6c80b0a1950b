"""Measures: pure functions of numbers, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Interval:
    """A value, and between which two it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def spearman(first: Numbers, second: Numbers) -> float:
    """Return Spearman's rank correlation of two rows of numbers (n,), equal ones sharing their mean rank.

    Raises `InputError` where there is none: fewer than two numbers, or a row of equal ones.
    """
    from scipy.stats import rankdata

    if len(first) != len(second):
        raise InputError(f"{len(first):,} numbers cannot be correlated with {len(second):,}")
    ranks = [rankdata(row) - (len(row) + 1) / 2 for row in (first, second)]
    spread = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    if spread == 0:
        raise InputError(f"no rank correlation of {len(first):,} numbers that are all equal")
    return float(ranks[0] @ ranks[1] / spread)


def bootstrap(measure: Callable[..., float], *columns: Numbers, seed: int = 0, resamples: int = 1000) -> Interval:
    """Return ``measure`` of ``columns`` (n,) with its 95 % percentile interval over rows drawn with replacement.

    A draw of which there is no measure (`InputError`) is left out.
    """
    value, rng, n = measure(*columns), np.random.default_rng(seed), len(columns[0])
    found: list[float] = []
    for _ in range(resamples):
        rows = rng.integers(0, n, n)
        try:
            found.append(measure(*(column[rows] for column in columns)))
        except InputError:
            continue
    low, high = np.percentile(found or [value], [2.5, 97.5])
    return Interval(value, float(low), float(high))
