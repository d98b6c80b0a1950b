"""Vectors → vectors, one row at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.quantise import Vectors


def normalize(vectors: Vectors) -> Vectors:
    """Return float ``vectors`` (rows, dim) scaled to length 1 each, as float32; a zero row stays zero."""
    floats = np.asarray(vectors, dtype=np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", floats, floats, dtype=np.float64))[:, None]
    return np.asarray(floats / np.where(length > 0, length, 1), dtype=np.float32)


def span_directions(tokens: Vectors, edges: NDArray[np.int32], spans: Sequence[tuple[int, int]]) -> Vectors:
    """Return the mean direction (spans, dim) of the ``tokens`` (tokens, dim) that each of ``spans`` has a part of.

    ``edges`` (tokens, 2) are the characters a token stands at, start and end. Zeros where there are none.
    """
    unit = normalize(tokens)
    sums = np.zeros((len(spans), tokens.shape[1]), dtype=np.float32)
    for at, (start, end) in enumerate(spans):
        sums[at] = unit[(edges[:, 0] < end) & (edges[:, 1] > start)].sum(axis=0)
    return normalize(sums)
