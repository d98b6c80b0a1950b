"""fastText's character n-grams: a vector for a word that is not in the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MANY = 1 << 14


@dataclass(frozen=True)
class Ngrams:
    """The vectors (buckets, dim) float32 of the n-grams of ``least`` to ``most`` characters, hashed into buckets."""

    vectors: NDArray[np.float32]
    least: int
    most: int

    def __call__(self, word: str) -> NDArray[np.float32]:
        """Return the mean vector (dim,) of the n-grams of ``<word>`` (Bojanowski et al., arXiv:1607.04606)."""
        from gensim.models.fasttext import ft_ngram_hashes

        buckets = ft_ngram_hashes(word, self.least, self.most, len(self.vectors)) if len(self.vectors) else []
        if not len(buckets):
            return np.zeros(self.vectors.shape[1], dtype=np.float32)
        total = np.zeros(self.vectors.shape[1], dtype=np.float64)
        for at in range(0, len(buckets), MANY):  # a word may be a million letters long
            total += self.vectors[buckets[at : at + MANY]].sum(axis=0, dtype=np.float64)
        return np.asarray(total / len(buckets), dtype=np.float32)
