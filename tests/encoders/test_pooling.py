"""Pooling on a device against pooling in numpy, and both against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semvec.encoders.pooling import Groups, pool, pool_tensor
from semvec.encoders.transformer_encoder import deterministic_algorithms

EVERY = ["first", "last", "cls", "last_token", "mean", "max", "weighted_mean", "mean_sqrt"]


@pytest.mark.parametrize("how", EVERY)
def test_both_are_the_loop(how: str) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.normal(size=(50, 6)).astype(np.float32)
    rows = [rng.integers(0, 50, size=rng.integers(1, 7)) for _ in range(30)]
    groups = Groups(np.concatenate(rows), np.array([len(row) for row in rows]))
    expected = []
    for row in rows:
        states, n = tokens[row].astype(np.float64), len(row)
        expected.append(
            {"first": states[0], "cls": states[0], "last": states[-1], "last_token": states[-1], "mean": states.mean(0), "max": states.max(0),
             "weighted_mean": (states * np.arange(1, n + 1)[:, None]).sum(0) / np.arange(1, n + 1).sum(), "mean_sqrt": states.sum(0) / n**0.5}[how]
        )  # fmt: skip
    np.testing.assert_allclose(pool(tokens, groups, how), expected, atol=1e-5)
    np.testing.assert_allclose(pool_tensor(torch.from_numpy(tokens), groups, how).numpy(), expected, atol=1e-5)


def test_no_rows() -> None:
    nothing = Groups.concatenate([])
    assert pool(np.ones((3, 2), np.float32), nothing, "mean").shape == (0, 2)
    assert pool_tensor(torch.ones(3, 2), nothing, "mean").shape == (0, 2)


def test_ranges() -> None:
    groups = Groups.ranges(np.array([2, 0, 7]), np.array([5, 1, 9]))
    assert groups.tokens.tolist() == [2, 3, 4, 0, 7, 8]
    assert groups.lengths.tolist() == [3, 1, 2]
    assert groups.shifted(10).tokens.tolist() == [12, 13, 14, 10, 17, 18]


def test_torchs_choice_of_algorithms_is_put_back() -> None:
    with deterministic_algorithms():
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
