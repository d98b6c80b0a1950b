"""Two maps of the same things, one laid over the other."""

from __future__ import annotations

import numpy as np

from semvec.visualise.near import Vectors


def onto(points: Vectors, other: Vectors) -> Vectors:
    """Return ``points`` (n, 2) turned, mirrored, scaled and moved so that they come nearest to ``other`` (n, 2) (Procrustes).

    Who is near whom among them stays as it was.
    """
    from scipy.linalg import orthogonal_procrustes

    here, there = points - points.mean(axis=0), other - other.mean(axis=0)
    turned, scale = orthogonal_procrustes(here, there)
    size = float((here**2).sum())
    return np.asarray(here @ turned * (scale / size if size else 1.0) + other.mean(axis=0), dtype=np.float32)
