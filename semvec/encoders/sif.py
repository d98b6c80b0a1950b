"""Smooth inverse frequency: frequent words weigh less, and what all texts share is taken out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

A = 1e-4


@dataclass(frozen=True)
class Sif:
    """What was fitted: the common ``component`` (dim,) of unit length, ``a``, and on how many ``texts``.

    A word of frequency p weighs ``a / (a + p)``; of the weighted mean the part along ``component`` is
    taken away (Arora, Liang and Ma, "A simple but tough-to-beat baseline for sentence embeddings", 2017).
    """

    component: NDArray[np.float32]
    a: float
    texts: int

    @property
    def name(self) -> str:
        """What tells one fit from another: ``a`` and a hash of the component."""
        return f"a {self.a:g}, component {hashlib.sha256(self.component.tobytes()).hexdigest()[:12]}"

    def removed_from(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``vectors`` (rows, dim) without their part along the common component."""
        along = np.einsum("ij,j->i", vectors, self.component)  # unlike a matrix product, the same for a row whatever the others
        return np.asarray(vectors - along[:, None] * self.component, dtype=np.float32)


def word_weights(frequencies: NDArray[np.float64], a: float) -> NDArray[np.float32]:
    """Return ``a / (a + p)`` (words,) for words of ``frequencies`` p (words,)."""
    return np.asarray(a / (a + frequencies), dtype=np.float32)


def common_component(products: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the first right singular vector (dim,), of unit length, of the vectors X whose ``products`` are XᵀX (dim, dim)."""
    values, axes = np.linalg.eigh(products)
    axis = axes[:, int(np.argmax(values))]
    sign = -1 if axis[np.argmax(np.abs(axis))] < 0 else 1
    return np.asarray(sign * axis, dtype=np.float32)
