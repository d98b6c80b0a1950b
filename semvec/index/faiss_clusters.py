"""Groups of vectors by FAISS's k-means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS, STARTS = 25, 3
PER_GROUP = 1 << 10
"""Vectors a group is learned from, at most."""


def k_means(vectors: NDArray[np.float32], count: int, *, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the group (n,) of each of ``vectors`` (n, dim) and the means (count, dim): the best of some random starts.

    The same for the same seed. No more groups than vectors.
    """
    import faiss

    clustering: Any = faiss
    count = min(count, len(vectors))
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    made = clustering.Kmeans(
        rows.shape[1], count, niter=ROUNDS, nredo=STARTS, seed=seed, min_points_per_centroid=1, max_points_per_centroid=PER_GROUP
    )
    made.train(rows)
    _, groups = made.index.search(rows, 1)
    return groups[:, 0].astype(np.int64), np.asarray(made.centroids, dtype=np.float32)
