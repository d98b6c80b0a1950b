"""Measures: pure functions of rows of numbers. What needs a spread raises `InputError` where there is none, never NaN."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError

Numbers: TypeAlias = NDArray[Any]


def mean(values: Numbers) -> float:
    """Return the mean of ``values`` (n,)."""
    if not len(values) or not np.isfinite(values).all():
        raise InputError("a number is not finite, so there is no mean" if len(values) else "nothing to take the mean of")
    return float(values.mean())


def share(counts: Numbers) -> float:
    """Return the share of all that is right, of how many are right and there in every example (n, 2)."""
    right, there = counts.sum(axis=0)
    return float(right / max(there, 1))


def spearman(first: Numbers, second: Numbers) -> float:
    """Return Spearman's rank correlation of two rows of numbers (n,), equal ones sharing their mean rank.

    Raises `InputError` where there is none: fewer than two numbers, or a row of equal ones.
    """
    from scipy.stats import rankdata

    _check_same_length(first, second)
    return _correlation(rankdata(first), rankdata(second), "rank correlation")


def pearson(first: Numbers, second: Numbers) -> float:
    """Return Pearson's correlation of two rows of numbers (n,); `InputError` where a row is of equal ones."""
    _check_same_length(first, second)
    return _correlation(np.asarray(first, np.float64), np.asarray(second, np.float64), "correlation")


def _correlation(first: Numbers, second: Numbers, what: str) -> float:
    if len(first) < 2 or any(row.min() == row.max() for row in (first, second)):
        raise InputError(f"no {what} of {len(first):,} numbers that are all equal")
    rows = [row / np.abs(row).max() for row in (first, second)]
    rows = [row - row.mean() for row in rows]
    return float(np.clip(rows[0] @ rows[1] / (np.linalg.norm(rows[0]) * np.linalg.norm(rows[1])), -1, 1))


def accuracy(gold: Numbers, predicted: Numbers) -> float:
    """Return the share of ``predicted`` (n,) that are the ``gold`` (n,)."""
    _check_same_length(gold, predicted)
    return mean(np.asarray(gold) == np.asarray(predicted))


def precision_recall_f1(gold: Numbers, predicted: Numbers) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the rows that are true, 0 where nothing is predicted, gold or both."""
    _check_same_length(gold, predicted)
    gold, predicted = np.asarray(gold, dtype=bool), np.asarray(predicted, dtype=bool)
    right, said, true = (int((one & other).sum()) for one, other in ((gold, predicted), (predicted, predicted), (gold, gold)))
    return right / max(1, said), right / max(1, true), 2 * right / max(1, said + true)


def f1(gold: Numbers, predicted: Numbers) -> float:
    """Return F1 of the rows that are true."""
    return precision_recall_f1(gold, predicted)[2]


def macro_f1(gold: Numbers, predicted: Numbers) -> float:
    """Return the mean of the F1 of every label that is in ``gold`` (n,) or ``predicted`` (n,), each a number."""
    _check_same_length(gold, predicted)
    labels, codes = np.unique(np.concatenate([gold, predicted]), return_inverse=True)
    one, other = codes[: len(gold)], codes[len(gold) :]
    right = np.bincount(one[one == other], minlength=len(labels))
    there = np.bincount(codes, minlength=len(labels))
    return mean(2 * right / there)


def average_precision(gold: Numbers, scores: Numbers) -> float:
    """Return the average precision of ``scores`` (n,) for the rows that are true (``gold``), equal scores taken as one step.

    The sum over thresholds of the gain in recall times the precision there. `InputError` where no row is true.
    """
    _check_same_length(gold, scores)
    gold, scores = np.asarray(gold, dtype=bool), np.asarray(scores)
    if not gold.any():
        raise InputError("no row is true, so there is no precision to average")
    order = np.argsort(-scores, kind="stable")
    true, ends = np.cumsum(gold[order]), np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision, gain = true[ends] / (ends + 1), np.diff(true[ends], prepend=0)
    return float((precision * gain).sum() / true[-1])


def v_measure(labels: Numbers, clusters: Numbers) -> float:
    """Return the harmonic mean of homogeneity and completeness of ``clusters`` (n,) for ``labels`` (n,), both numbers.

    Rosenberg and Hirschberg, 2007. 1 where there is one label and one cluster.
    """
    _check_same_length(labels, clusters)
    (_, one), (_, other) = (np.unique(row, return_inverse=True) for row in (labels, clusters))
    joint = np.unique(one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other, return_counts=True)[1]
    entropies = [_entropy(np.bincount(one)), _entropy(np.bincount(other))]
    shared = sum(entropies) - _entropy(joint)
    homogeneity, completeness = (1.0 if its == 0 else shared / its for its in entropies)
    both = homogeneity + completeness
    return float(max(0.0, 2 * homogeneity * completeness / both)) if both > 0 else 0.0


def _entropy(counts: Numbers) -> float:
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum()) + 0.0


def best_threshold(gold: Numbers, scores: Numbers) -> float:
    """Return the threshold from which on calling a row true is right most often: half way between two scores (n,)."""
    _check_same_length(gold, scores)
    if not len(gold):
        raise InputError("nothing to choose a threshold on")
    order = np.argsort(-scores, kind="stable")
    ranked, true = scores[order], np.cumsum(gold[order])
    right = true + ((~gold[order]).sum() - (np.arange(1, len(gold) + 1) - true))
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    if (~gold).sum() > right[ends].max():
        return float(np.nextafter(ranked[0], np.inf))
    at = int(ends[np.argmax(right[ends])])
    return float(ranked[at] if at + 1 == len(ranked) else (ranked[at] + ranked[at + 1]) / 2)


def _check_same_length(first: Numbers, second: Numbers) -> None:
    if len(first) != len(second):
        raise InputError(f"{len(first):,} numbers cannot be compared with {len(second):,}")
    for row in (first, second):
        if np.asarray(row).dtype.kind == "f" and not np.isfinite(row).all():
            raise InputError("a number is not finite, so nothing can be measured")
