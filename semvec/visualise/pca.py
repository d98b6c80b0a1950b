"""PCA: the two directions along which vectors differ most. Others are put on the map exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semvec.types import Progress
from semvec.visualise.near import Near, Vectors
from semvec.visualise.options import MapOptions
from semvec.visualise.way import Ground


def axes(vectors: Vectors, dims: int = 2) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean (dim,) and the ``dims`` directions (dims, dim) of greatest variance, whose largest numbers are positive."""
    from sklearn.decomposition import PCA

    made = PCA(min(dims, *vectors.shape), svd_solver="covariance_eigh").fit(vectors)
    found = np.zeros((dims, vectors.shape[1]), dtype=np.float32)
    found[: len(made.components_)] = made.components_
    signs = np.sign(np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1))
    return np.asarray(made.mean_, dtype=np.float32), found * np.where(signs == 0, 1, signs)


def fit(vectors: Vectors, near: Near, options: MapOptions, start: Vectors, progress: Progress | None) -> Vectors:
    """Return ``start`` (n, 2): it is the map already."""
    return start


def place(new: Vectors, near: Near, onto: Ground, progress: Progress | None) -> Vectors:
    """Return the places (m, 2) of ``new`` vectors, each on its own."""
    return np.asarray((new - onto.mean) @ onto.axes.T, dtype=np.float32)
