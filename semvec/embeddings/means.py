"""The mean of what a text's rows are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.types import Oov


def mean_by_text(tokens: Embeddings, *, special: bool = False) -> NDArray[np.float32]:
    """Return the mean of each text's rows (texts, dim), those without a vector left out; zeros of none.

    Rows of special tokens count where they are asked for (``special``).
    """
    there = (tokens.oov != Oov.ZERO) & (special | ~tokens.special)
    vectors, owner = tokens.floats()[there], tokens.text_index[there]
    sums = np.zeros((len(tokens), tokens.dim), dtype=np.float32)
    if len(owner):
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        sums[owner[starts]] = np.add.reduceat(vectors, starts, axis=0)
    counts = np.maximum(np.bincount(owner, minlength=len(tokens)), 1).astype(np.float32)
    return np.asarray(sums / counts[:, None], dtype=np.float32)
