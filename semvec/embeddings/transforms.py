"""Vectors → vectors, one row at a time."""

from __future__ import annotations

import numpy as np

from semvec.embeddings.quantise import Vectors


def normalize(vectors: Vectors) -> Vectors:
    """Return float ``vectors`` (rows, dim) scaled to length 1 each, as float32; a zero row stays zero."""
    floats = np.asarray(vectors, dtype=np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", floats, floats, dtype=np.float64))[:, None]
    return np.asarray(floats / np.where(length > 0, length, 1), dtype=np.float32)
