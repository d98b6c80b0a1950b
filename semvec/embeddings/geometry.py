"""The shape of a cloud of vectors: how evenly it fills the sphere, and who is near whom in two clouds of the same things."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.similarity import nearest, similarity
from semvec.embeddings.transforms import normalize
from semvec.errors import InputError, OptionError
from semvec.types import Metric

Vectors = NDArray[np.float32]
BLOCK = 1024


def uniformity(vectors: Vectors, *, t: float = 2.0) -> float:
    """Return log of the mean of exp(−t · distance²) over all pairs of ``vectors`` (n, dim), scaled to length 1.

    The less, the more evenly they fill the sphere; 0 where all are the same (Wang and Isola, 2020).
    """
    rows = normalize(vectors)
    if len(rows) < 2:
        raise InputError(f"no pairs among {len(rows)} vectors")
    if not vectors.any(axis=1).all():
        raise InputError("a vector of zeros has no place on the sphere")
    total = 0.0
    for at in range(0, len(rows), BLOCK):
        near = np.exp(-t * np.maximum(2 - 2 * (rows[at : at + BLOCK] @ rows.T).astype(np.float64), 0))
        near[np.arange(len(near)), np.arange(at, at + len(near))] = 0  # no pair with itself
        total += float(near.sum())
    return float(np.log(total / (len(rows) * (len(rows) - 1))))


def alignment(first: Vectors, second: Vectors, *, alpha: float = 2.0) -> float:
    """Return the mean of distance^alpha between ``first`` and ``second`` (n, dim), pairs that mean the same, scaled to length 1.

    The less, the nearer they are; 0 where they are the same (Wang and Isola, 2020).
    """
    if first.shape != second.shape or not len(first):
        raise InputError(f"vectors of shape {first.shape} and {second.shape} are no pairs")
    gaps = normalize(first).astype(np.float64) - normalize(second)
    return float(((gaps**2).sum(axis=1) ** (alpha / 2)).mean())


def knn_overlap(first: Vectors, second: Vectors, k: int = 10, *, metrics: tuple[Metric, Metric]) -> NDArray[np.float64]:
    """Return, for every row, the share of its ``k`` nearest rows in ``first`` that are so in ``second`` as well (n,).

    Both hold the same n things, with any number of dimensions, and are compared by ``metrics``.
    """
    _check(first, second, k)
    one, other = (neighbours(rows, k, metric) for rows, metric in zip((first, second), metrics, strict=True))
    return np.array([len(np.intersect1d(a, b)) / k for a, b in zip(one, other, strict=True)])


def neighbours(
    vectors: Vectors, k: int, metric: Metric = Metric.COSINE, *, of: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the ``k`` nearest other rows of each of the rows ``of`` (all, if None) of ``vectors`` (rows, k), nearest first."""
    rows = np.arange(len(vectors)) if of is None else of
    found, _ = nearest(vectors[rows], vectors, min(k + 1, len(vectors)), metric)
    kept = np.empty((len(rows), k), dtype=np.int64)
    for at, (row, its) in enumerate(zip(rows, np.asarray(found, dtype=np.int64), strict=True)):
        kept[at] = its[its != row][:k]
    return kept


def trustworthiness(original: Vectors, mapped: Vectors, k: int = 10, *, metric: Metric = Metric.EUCLIDEAN) -> float:
    """Return how true the neighbours in ``mapped`` (n, 2) are to ``original`` (n, dim): 1 − the false ones by rank.

    1 is best. ``metric`` is that of the originals; maps are euclidean (Venna and Kaski, 2001; scikit-learn's definition).
    """
    return _rank_quality(original, mapped, k, metric, Metric.EUCLIDEAN)


def continuity(original: Vectors, mapped: Vectors, k: int = 10, *, metric: Metric = Metric.EUCLIDEAN) -> float:
    """Return how many of the neighbours in ``original`` stay near in ``mapped``: trustworthiness the other way round."""
    return _rank_quality(mapped, original, k, Metric.EUCLIDEAN, metric)


def _rank_quality(truth: Vectors, other: Vectors, k: int, metric: Metric, its_metric: Metric) -> float:
    _check(truth, other, k)
    n = len(truth)
    if 2 * n - 3 * k - 1 <= 0 or k >= n / 2:
        raise OptionError(f"{k} neighbours among {n:,} rows: there must be more than twice as many rows")
    claimed, cost = neighbours(other, k, its_metric), 0.0
    for at, ranks in _ranks(truth, metric):
        false = np.take_along_axis(ranks, claimed[at : at + len(ranks)], axis=1) - k
        cost += float(np.maximum(false, 0).sum())
    return 1 - cost * 2 / (n * k * (2 * n - 3 * k - 1))


def _ranks(vectors: Vectors, metric: Metric) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Give for a block of rows, from which row on, how near every row is to each of them: 1 for the nearest other one."""
    for at in range(0, len(vectors), BLOCK):
        scores = similarity(vectors[at : at + BLOCK], vectors, metric)
        scores[np.arange(len(scores)), np.arange(at, at + len(scores))] = np.inf
        order = np.argsort(-scores, axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(len(vectors))[None, :], axis=1)
        yield at, ranks


def _check(first: Vectors, second: Vectors, k: int) -> None:
    if len(first) != len(second):
        raise InputError(f"{len(first):,} and {len(second):,} vectors are not of the same things")
    if not 1 <= k < len(first):
        raise OptionError(f"k must be between 1 and {len(first) - 1:,}, one less than there are rows, not {k!r}")
