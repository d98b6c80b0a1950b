"""Vectors of texts by Doc2Vec: inferred from the words, the same for the same words in every process."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 10_000
"""Words that gensim reads of a text; what comes after them it drops, and does not say so."""


def cut(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give ``words`` in pieces that gensim reads whole."""
    for at in range(0, len(words), PIECE):
        yield words[at : at + PIECE]


class Documents:
    """A Doc2Vec model of gensim, which ``load`` gives when the first text is inferred."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    @cached_property
    def model(self) -> Any:
        """gensim's ``Doc2Vec``."""
        return self._load()

    def infer(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return the vector (dim,) of ``words``, as gensim infers it; those that are not in the vocabulary do not count.

        gensim starts from ``hash()`` of the text, which Python changes from process to process, and goes on
        with the model's running random numbers. Here both start from a checksum of the words. Long texts
        are read in pieces (`cut`), one after the other in every epoch.
        """
        model, pieces = self.model, list(cut(words))
        seed = zlib.crc32(" ".join(words).encode())
        size = int(model.dv.vector_size)
        start = np.random.Generator(np.random.SFC64(seed)).random(size).astype(np.float32)
        vector = ((start - np.float32(0.5)) / np.float32(size)).reshape(1, size)
        step, work = _step(model), np.zeros(model.layer1_size, dtype=np.float32)
        alpha, fall = model.alpha, (model.alpha - model.min_alpha) / max(model.epochs - 1, 1)
        model = copy.copy(model)  # its random numbers are this text's, whatever other threads infer
        model.random = np.random.RandomState(seed)
        for _ in range(model.epochs):
            for piece in pieces:
                step(
                    model, piece, [0], alpha, work, learn_words=False, learn_hidden=False,
                    doctag_vectors=vector, doctags_lockf=np.ones(1, dtype=np.float32),
                )  # fmt: skip
            alpha -= fall
        return np.asarray(vector[0], dtype=np.float32)


def _step(model: Any) -> Callable[..., int]:
    """Return gensim's function that adjusts the vector of a text to its words once."""
    from gensim.models import doc2vec

    name = "dbow" if model.sg else "dm_concat" if model.dm_concat else "dm"
    found: Callable[..., int] = getattr(doc2vec, f"train_document_{name}")
    return found
