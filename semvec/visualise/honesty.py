"""How far a map lies: whose neighbours on it are neighbours, and whose are not."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings import geometry
from semvec.types import Metric
from semvec.visualise.near import Near, Vectors, of_length_one

K, WIDE = 10, 5
"""Neighbours looked at on the map; they are true among so many times as many in the original space."""

FEWEST = 4
"""Points that have neighbours to speak of."""

SAMPLE = 2000
"""Points whose ranks among all others are counted."""


@dataclass(frozen=True)
class Share:
    """A mean, and half the width of its 95 % interval: 0 where every point was looked at."""

    mean: float
    half: float = 0.0

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + (f" ± {self.half:.3f}" if self.half else "")


@dataclass(frozen=True, eq=False)
class Honesty:
    """What is true of a map, by the ``k`` nearest points: 1 is best.

    ``trustworthiness`` (neighbours on the map are near in truth) and ``continuity`` (neighbours in truth are near on the map) go
    by ranks (Venna and Kaski, 2001), ``overlap`` is the share of the nearest that are the same; ``true`` (n,) says for each point
    which share of those nearest to it on the map are among its ``WIDE`` · k nearest in truth.
    """

    k: int
    trustworthiness: Share
    continuity: Share
    overlap: Share
    true: NDArray[np.float32]

    def __str__(self) -> str:
        if not self.k:
            return "too few points to measure how true that is"
        said = (f"{name} {getattr(self, name)}" for name in ("trustworthiness", "continuity", "overlap"))
        return f"{', '.join(said)} (of the {self.k} nearest; 1 is best)"


def honesty(vectors: Vectors, points: Vectors, known: Near, *, k: int = K, seed: int = 0) -> Honesty:
    """Return how true ``points`` (n, 2) are to ``vectors`` (n, dim), as `near.comparable` has them.

    ``known`` are at least ``WIDE`` · k neighbours of each, or all there are. Of many points a sample has its ranks counted.
    """
    n = len(points)
    if n < FEWEST:
        return Honesty(0, Share(nan), Share(nan), Share(nan), np.ones(n, dtype=np.float32))
    k = max(1, min(k, (n - 1) // 3))
    of = None if n <= SAMPLE else np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
    mapped = geometry.neighbours(points, k, Metric.EUCLIDEAN)
    wide = known.rows[:, : WIDE * k]
    true, same = (
        np.array([np.isin(a, b).sum() for a, b in zip(mapped, rows, strict=True)]) / k for rows in (wide, known.rows[:, :k])
    )
    metric = Metric.COSINE if of_length_one(vectors) else Metric.EUCLIDEAN
    ranks = (measure(vectors, points, k, metric=metric, of=of) for measure in (geometry.trustworthiness, geometry.continuity))
    trust, continuity = (_share(each, n) for each in ranks)
    return Honesty(k, trust, continuity, _share(same, n), true.astype(np.float32))


def _share(each: NDArray[np.float64], points: int) -> Share:
    drawn = len(each) < points
    return Share(float(each.mean()), 1.96 * float(each.std() / np.sqrt(len(each))) if drawn else 0.0)
