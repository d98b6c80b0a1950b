"""The shape of a cloud of vectors: how evenly it fills the sphere, and who is near whom in two clouds of the same things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.similarity import nearest, similarity
from semvec.embeddings.transforms import normalize
from semvec.errors import InputError, OptionError
from semvec.types import Metric

Vectors = NDArray[np.float32]
BLOCK = 1024
CELLS = 1 << 23
"""Scores in memory at once."""

FEW = 16
"""Dimensions up to which distances are taken by differences."""


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
    most = min(k + 1, len(vectors))
    if metric == Metric.EUCLIDEAN and vectors.shape[1] <= FEW:
        from scipy.spatial import cKDTree

        found = cKDTree(vectors).query(vectors[rows], np.arange(1, most + 1))[1]
    else:
        found = nearest(vectors[rows], vectors, most, metric)[0]
    return without(np.asarray(found, dtype=np.int64), rows, k)


def without(found: NDArray[np.int64], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the first ``k`` of what was ``found`` for each row (rows, k + 1), the row itself left out."""
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True  # more than k others stand where it stands
    kept: NDArray[np.int64] = found[~own].reshape(len(found), -1)[:, :k]
    return kept


def trustworthiness(
    original: Vectors,
    mapped: Vectors,
    k: int = 10,
    *,
    metric: Metric = Metric.EUCLIDEAN,
    of: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return how true the neighbours of each row in ``mapped`` (n, 2) are to ``original`` (n, dim): (n,), or for the rows ``of``.

    1 less the false ones by how far they are off; the mean over all rows is scikit-learn's trustworthiness (Venna and
    Kaski, 2001), 1 is best. ``metric`` is that of the originals; maps are euclidean.
    """
    return _rank_quality(original, mapped, k, metric, Metric.EUCLIDEAN, of)


def continuity(
    original: Vectors,
    mapped: Vectors,
    k: int = 10,
    *,
    metric: Metric = Metric.EUCLIDEAN,
    of: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return how near each row's neighbours in ``original`` stay in ``mapped``: `trustworthiness` the other way round."""
    return _rank_quality(mapped, original, k, Metric.EUCLIDEAN, metric, of)


def _rank_quality(
    truth: Vectors, other: Vectors, k: int, metric: Metric, its_metric: Metric, of: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    _check(truth, other, k)
    n = len(truth)
    if 2 * n - 3 * k - 1 <= 0 or k >= n / 2:
        raise OptionError(f"{k} neighbours among {n:,} rows: there must be more than twice as many rows")
    rows = np.arange(n) if of is None else of
    claimed, cost = neighbours(other, k, its_metric, of=rows), np.empty(len(rows))
    size = max(1, CELLS // n)
    for at in range(0, len(rows), size):
        here = slice(at, at + size)
        cost[here] = np.maximum(_ranks(truth, rows[here], claimed[here], metric) - k, 0).sum(axis=1)
    return 1 - cost * 2 / (k * (2 * n - 3 * k - 1))


def _ranks(vectors: Vectors, rows: NDArray[np.int64], others: NDArray[np.int64], metric: Metric) -> NDArray[np.int64]:
    """Return how near each of ``others`` (rows, k) is to its row: 1 for the nearest other one, of equal ones for the first."""
    scores = _scores(vectors, rows, metric)
    scores[np.arange(len(rows)), rows] = -np.inf
    ranks = np.empty_like(others)
    columns = np.arange(len(vectors))
    for at, column in enumerate(others.T):
        score = np.take_along_axis(scores, column[:, None], axis=1)
        before = (scores > score) | ((scores == score) & (columns < column[:, None]))
        ranks[:, at] = 1 + before.sum(axis=1)
    return ranks


def _scores(vectors: Vectors, rows: NDArray[np.int64], metric: Metric) -> NDArray[np.float64]:
    if metric == Metric.EUCLIDEAN and vectors.shape[1] <= FEW:
        from scipy.spatial.distance import cdist

        return -np.asarray(cdist(vectors[rows], vectors))  # by differences: near points keep their order, however far from 0
    return similarity(vectors[rows], vectors, metric).astype(np.float64)


def _check(first: Vectors, second: Vectors, k: int) -> None:
    if len(first) != len(second):
        raise InputError(f"{len(first):,} and {len(second):,} vectors are not of the same things")
    if not 1 <= k < len(first):
        raise OptionError(f"k must be between 1 and {len(first) - 1:,}, one less than there are rows, not {k!r}")
