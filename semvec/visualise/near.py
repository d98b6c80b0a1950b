"""Who is near whom in the original space: found once, exactly, and used by everything that is made of a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.geometry import without
from semvec.embeddings.similarity import nearest
from semvec.embeddings.transforms import normalize
from semvec.errors import InputError
from semvec.types import Metric, Progress, Step

Vectors = NDArray[np.float32]
BLOCK = 2048


@dataclass(frozen=True)
class Near:
    """For each of n points its k nearest rows (n, k) of some vectors, nearest first, and their distances (n, k)."""

    rows: NDArray[np.int64]
    distances: Vectors

    def first(self, k: int) -> Near:
        """Return the ``k`` nearest alone."""
        return Near(self.rows[:, :k], self.distances[:, :k])


def comparable(vectors: Vectors, metric: Metric) -> Vectors:
    """Return ``vectors`` (n, dim) of length 1, or as they are where ``metric`` is euclidean, so that distances order them.

    Those that are compared by their product (dot) are ordered by their cosine. Raises `InputError` for numbers
    that are not finite.
    """
    if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise InputError(f"row {bad[0]:,} holds a number that is not finite ({len(bad):,} such rows)")
    return np.asarray(vectors, dtype=np.float32) if metric == Metric.EUCLIDEAN else normalize(vectors)


def of_length_one(vectors: Vectors) -> bool:
    """Whether all of ``vectors`` have length 1, or 0."""
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    return bool(np.allclose(lengths[lengths > 0], 1, atol=1e-3))


def near(vectors: Vectors, k: int, progress: Progress | None = None, *, new: Vectors | None = None) -> Near:
    """Return the ``k`` nearest other rows of each of ``vectors`` (n, dim), or the nearest of them to each of ``new``.

    Every pair is compared; memory is that of the result and of a block. Both are as `comparable` has them.
    """
    asked = vectors if new is None else new
    most = min(k + (new is None), len(vectors))
    unit = of_length_one(vectors)
    rows = np.empty((len(asked), most - (new is None)), dtype=np.int64)
    distances = np.empty(rows.shape, dtype=np.float32)
    for at in range(0, len(asked), BLOCK):
        block = asked[at : at + BLOCK]
        found = np.asarray(nearest(block, vectors, most, Metric.DOT if unit else Metric.EUCLIDEAN)[0], dtype=np.int64)
        if new is None:
            found = without(found, np.arange(at, at + len(block)), most - 1)
        rows[at : at + BLOCK] = found
        for column in range(found.shape[1]):
            distances[at : at + BLOCK, column] = np.linalg.norm(block - vectors[found[:, column]], axis=1)
        if progress is not None:
            progress(Step("neighbours", min(at + BLOCK, len(asked)), len(asked), "points"))
    return Near(rows, distances)
