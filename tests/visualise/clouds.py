"""Vectors made for tests: five tight groups in 16 dimensions, far from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def clouds(points: int = 200, groups: int = 5, seed: int = 0, dim: int = 16) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return vectors (points, dim) and the group of each."""
    rng = np.random.default_rng(seed)
    middles = np.eye(groups, dim) * 4
    group = rng.integers(0, groups, points)
    return (middles[group] + rng.standard_normal((points, dim)) * 0.4).astype(np.float32), group
