"""PaCMAP (Wang et al., 2021) of neighbours that are known, by the library of its authors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from semvec.errors import InputError
from semvec.types import Progress
from semvec.visualise.near import Near, Vectors
from semvec.visualise.options import MapOptions
from semvec.visualise.way import Ground


def fit(vectors: Vectors, near: Near, options: MapOptions, start: Vectors, progress: Progress | None) -> Vectors:
    """Return the map (n, 2)."""
    from pacmap import PaCMAP

    n, k = near.rows.shape
    pairs = np.stack([np.repeat(np.arange(n), k), near.rows.ravel()], axis=1).astype(np.int32)
    begun = start * (1 / max(float(np.abs(start).max()), 1e-12))
    with _quiet("pacmap.pacmap"):
        made = PaCMAP(n_neighbors=k, pair_neighbors=pairs, random_state=options.seed, apply_pca=True)
        try:
            return np.asarray(made.fit_transform(vectors, init=begun), dtype=np.float32)
        except (AssertionError, ValueError) as error:
            raise InputError(
                f"{n:,} points, or too few different ones, are too few for pacmap: method umap takes them"
            ) from error


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger from saying that it was given a seed."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def place(new: Vectors, near: Near, onto: Ground, progress: Progress | None) -> Vectors:
    """Return the places (m, 2) of ``new`` vectors: the means of their neighbours on the map, the nearer the more they count.

    PaCMAP itself puts new points anywhere among themselves first, and has no file for a map that is not a pickle.
    """
    width = np.maximum(near.distances.mean(axis=1, keepdims=True), 1e-12)
    weights = np.exp(-((near.distances / width) ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("mk,mkd->md", weights, onto.points[near.rows]), dtype=np.float32)
