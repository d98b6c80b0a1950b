"""t-SNE (van der Maaten and Hinton, 2008) of neighbours that are known, by openTSNE's gradient; new points move no old ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.types import Progress, Step
from semvec.visualise.near import Near, Vectors
from semvec.visualise.options import MapOptions
from semvec.visualise.way import Ground

EARLY, ROUNDS = 250, 500
"""Rounds in which groups are drawn together twelve times as strongly, and rounds behind them."""

FEW, NEW_ROUNDS = 15, 250
"""Neighbours that a new point goes by, and the rounds in which it finds its place."""

MANY = 10_000
"""Points from which on their repulsion is interpolated on a grid (FIt-SNE)."""


def fit(vectors: Vectors, near: Near, options: MapOptions, start: Vectors, progress: Progress | None) -> Vectors:
    """Return the map (n, 2), on one thread so that a seed gives the same map again."""
    from openTSNE import affinity, tsne

    joint = affinity.joint_probabilities_nn(near.rows, near.distances, [options.perplexity])
    spread = max(float(start[:, 0].std()), 1e-12)
    begun = start / spread * 1e-4 + np.random.default_rng(options.seed).normal(scale=1e-7, size=start.shape)
    made = tsne.TSNEEmbedding(begun, affinity.PrecomputedAffinities(joint), random_state=options.seed, **_how(len(vectors)))
    for rounds, done, exaggeration, momentum in ((EARLY, 0, 12, 0.5), (ROUNDS, EARLY, None, 0.8)):
        told = _telling(progress, done, EARLY + ROUNDS)
        made = made.optimize(rounds, exaggeration=exaggeration, momentum=momentum, learning_rate="auto", **told)
    return np.asarray(made, dtype=np.float32)


def place(new: Vectors, near: Near, onto: Ground, progress: Progress | None) -> Vectors:
    """Return the places (m, 2) of ``new`` vectors by their neighbours among those of the map (openTSNE's ``transform``)."""
    from openTSNE import affinity, tsne
    from scipy.sparse import csr_matrix

    few, n = near.first(FEW), len(onto.points)
    joint = affinity.joint_probabilities_nn(
        few.rows,
        few.distances,
        [min(5.0, few.rows.shape[1] / 3)],
        symmetrize=False,
        normalization="point-wise",
        n_reference_samples=n,
    )
    nothing = affinity.PrecomputedAffinities(csr_matrix((n, n)), normalize=False)
    there = tsne.TSNEEmbedding(onto.points, nothing, **_how(n))
    begun: NDArray[np.float64] = np.median(onto.points[few.rows], axis=1).astype(np.float64)
    made = tsne.PartialTSNEEmbedding(begun, there, P=joint, **_how(n))
    told = _telling(progress, 0, NEW_ROUNDS)
    placed = made.optimize(NEW_ROUNDS, learning_rate=0.1, exaggeration=1.5, momentum=0.8, max_grad_norm=0.25, **told)
    return np.asarray(placed, dtype=np.float32)


def _how(points: int) -> dict[str, Any]:
    return {"negative_gradient_method": "fft" if points > MANY else "bh", "n_jobs": 1}


def _telling(progress: Progress | None, before: int, total: int) -> dict[str, Any]:
    if progress is None:
        return {}
    told: Callable[..., None] = lambda done, *_: progress(Step("layout", before + done, total, "rounds"))  # noqa: E731
    return {"use_callbacks": True, "callbacks": [told], "callbacks_every_iters": 25}
