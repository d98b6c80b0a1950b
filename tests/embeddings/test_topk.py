"""The best of a matrix that is never whole, against a sort of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from semvec.embeddings import topk
from semvec.embeddings.similarity import nearest, similarity
from semvec.embeddings.topk import top_k
from semvec.errors import OptionError


@pytest.mark.parametrize("cells", [1, 40, 1000, 1 << 21])
@pytest.mark.parametrize("k", [1, 3, 50, 500])
@pytest.mark.parametrize("kind", ["normal", "ties", "rising", "equal"])
def test_equal_to_sorting_the_whole(monkeypatch: pytest.MonkeyPatch, cells: int, k: int, kind: str) -> None:
    monkeypatch.setattr(topk, "CELLS", cells)
    monkeypatch.setattr(topk, "QUERIES", 4)
    monkeypatch.setattr(topk, "COLUMNS", 16)
    rng = np.random.default_rng(0)
    scores = {
        "normal": rng.standard_normal((11, 300)),
        "ties": rng.integers(0, 5, (11, 300)),
        "rising": np.sort(rng.standard_normal((11, 300)), axis=1),
        "equal": np.zeros((11, 300)),
    }[kind].astype(np.float32)
    columns, best = top_k(lambda down, across: scores[down, across], 11, 300, k)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(best, np.take_along_axis(scores, expected, axis=1))


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_nearest_is_the_best_of_similarity(monkeypatch: pytest.MonkeyPatch, metric: str) -> None:
    monkeypatch.setattr(topk, "CELLS", 64)
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((5, 8)).astype(np.float32), rng.standard_normal((90, 8)).astype(np.float32)
    rows, scores = nearest(one, other, 7, metric)
    whole = similarity(one, other, metric)
    np.testing.assert_array_equal(rows, np.argsort(-whole, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-whole, axis=1)[:, :7], atol=1e-5)


def test_the_edges() -> None:
    columns, scores = top_k(lambda down, across: np.zeros((0, 0)), 0, 5, 3)
    assert columns.shape == scores.shape == (0, 3)
    columns, _ = nearest(np.ones((2, 3), np.float32), np.ones((0, 3), np.float32), 3)
    assert columns.shape == (2, 0)
    for k in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="k must be a whole number"):
            nearest(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), k)  # type: ignore[arg-type]
