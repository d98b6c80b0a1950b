"""UMAP (McInnes et al., 2018) of neighbours that are known, by umap-learn's own functions; new points move no old ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.types import Progress, Step
from semvec.visualise.near import Near, Vectors
from semvec.visualise.options import MapOptions
from semvec.visualise.way import Ground

MANY = 10_000
"""From here on fewer rounds are enough, as umap-learn has it."""

SPREAD = 1.0
NEGATIVE = 5
"""Points pushed away for each that is pulled."""


def fit(vectors: Vectors, near: Near, options: MapOptions, start: Vectors, progress: Progress | None) -> Vectors:
    """Return the map of ``vectors`` (n, dim), of as many dimensions as ``start`` has.

    On one thread, so that a seed gives the same map again.
    """
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    n, k = len(vectors), options.neighbours
    state = np.random.RandomState(options.seed)
    rows = np.concatenate([np.arange(n)[:, None], near.rows[:, : k - 1]], axis=1)  # umap counts a point as its own neighbour
    distances = np.concatenate([np.zeros((n, 1), np.float32), near.distances[:, : k - 1]], axis=1)
    graph = fuzzy_simplicial_set(vectors, k, state, "euclidean", knn_indices=rows, knn_dists=distances)[0]
    a, b = find_ab_params(SPREAD, options.min_dist)
    scaled = start * (10 / max(float(np.abs(start).max()), 1e-12)) + state.normal(scale=1e-4, size=start.shape)
    made = simplicial_set_embedding(
        vectors, graph, start.shape[1], 1.0, a, b, 1.0, NEGATIVE, 200 if n > MANY else 500, scaled.astype(np.float32), state,
        "euclidean", {}, False, {}, False, tqdm_kwds=_telling(progress),
    )  # fmt: skip
    return np.asarray(made[0], dtype=np.float32)


def place(new: Vectors, near: Near, onto: Ground, progress: Progress | None) -> Vectors:
    """Return the places (m, 2) of ``new`` vectors by their neighbours among those of the map, as ``UMAP.transform`` does.

    But for one thing: how strongly neighbours pull is told for each point by itself, so its place does not depend on the others.
    """
    from scipy.sparse import coo_matrix
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import (
        compute_membership_strengths,
        find_ab_params,
        init_graph_transform,
        make_epochs_per_sample,
        smooth_knn_dist,
    )

    k, epochs = near.rows.shape[1], 30 if len(new) > MANY else 100
    sigmas, rhos = smooth_knn_dist(near.distances, float(k), local_connectivity=0.0)
    heads, tails, strengths, _ = compute_membership_strengths(
        near.rows.astype(np.int32), near.distances, sigmas, rhos, bipartite=True
    )
    pulls = strengths.reshape(len(new), k)
    pulls = pulls / np.maximum(pulls.max(axis=1, keepdims=True), 1e-12)  # no point's place is another's matter
    graph = coo_matrix((pulls.ravel(), (heads, tails)), shape=(len(new), len(onto.points)))
    graph.eliminate_zeros()
    places = np.asarray(init_graph_transform(graph.tocsr(), onto.points), dtype=np.float32)
    lost = np.isnan(places).any(axis=1)
    places[lost] = onto.points[near.rows[lost, 0]]
    graph.data[graph.data < graph.data.max() / epochs] = 0
    graph.eliminate_zeros()
    a, b = find_ab_params(SPREAD, onto.options.min_dist)
    drawn: NDArray[np.int64] = np.random.RandomState(onto.options.seed).randint(-(2**31) + 1, 2**31 - 1, 3).astype(np.int64)
    return np.asarray(
        optimize_layout_euclidean(
            places, onto.points.copy(), graph.row, graph.col, epochs, graph.shape[1], make_epochs_per_sample(graph.data, epochs),
            a, b, drawn, 1.0, 0.25, NEGATIVE, False, tqdm_kwds=_telling(progress), move_other=False,
        ),
        dtype=np.float32,
    )  # fmt: skip


class _Told:
    """What tqdm writes its rounds to: says how far it is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        done, _, total = text.strip("\r\n ").partition("/")
        if done.isdigit() and total.isdigit():
            self._progress(Step("layout", int(done), int(total), "rounds"))

    def flush(self) -> None:
        """Nothing is held back."""


def _telling(progress: Progress | None) -> dict[str, Any]:
    if progress is None:
        return {"disable": True}
    return {
        "disable": False,
        "file": _Told(progress),
        "bar_format": "{n_fmt}/{total_fmt}",
        "leave": False,
        "mininterval": 0,
        "miniters": 1,
    }
