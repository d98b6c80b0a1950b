"""Static word vectors: word2vec, GloVe, fastText, Doc2Vec."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, Unpack

from semvec.embeddings.fingerprint import Fingerprint
from semvec.encoders.base import BaseEncoder, TextInput
from semvec.encoders.chunks import chunk_edges, cut_into_chunks
from semvec.encoders.options import CHUNK_TOKENS, EncodeOptions, OptionChanges, shared_settings
from semvec.encoders.pooling import Groups, pool
from semvec.encoders.rows import RowBatch
from semvec.encoders.tokens import Tokens
from semvec.encoders.word_table import WordTable, read_word_file
from semvec.errors import OptionError
from semvec.text.words import Span, find_words
from semvec.types import JSON, Level, Metric, Oov, Pooling

ONLY_TRANSFORMERS = (
    "layers",
    "layer_mix",
    "subword",
    "max_tokens",
    "window_overlap",
    "late",
    "special",
    "prompt",
    "batch_tokens",
)


class WordEncoder(BaseEncoder):
    """One vector a word, whatever stands around it; texts, chunks and spans are the mean of their words.

    A word that is not in the table goes down a ladder, and ``Embeddings.oov`` says how far: as it is, with
    other capitals, by its sub-words (fastText), zeros. Words that end at zero do not count in a mean. There
    is no limit of length, so nothing is ever cut. A `Doc2Vec` model infers its texts, seeded by the text.
    """

    def __init__(self, table: WordTable, *, model: str, options: EncodeOptions | None = None) -> None:
        super().__init__(options)
        self.table = table
        self.model = model

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        trust_pickle: bool = False,
        **changes: Unpack[OptionChanges],
    ) -> Self:
        """Return the vectors in the file ``path``; see `read_word_file` for the formats and errors."""
        file = Path(path)
        table = read_word_file(file, trust_pickle=trust_pickle)
        return cls(table, model=name or file.name, options=EncodeOptions().changed(changes))

    @property
    def levels(self) -> tuple[Level, ...]:
        return tuple(Level)

    @property
    def metric(self) -> Metric:
        return Metric.COSINE

    def _check_options(self) -> None:
        default = EncodeOptions()
        if extra := [name for name in ONLY_TRANSFORMERS if getattr(self.options, name) != getattr(default, name)]:
            raise OptionError(
                f"{', '.join(extra)}: of no use to word vectors, which have no layers, sub-words or limit of length"
            )
        if (self.options.truncate_dim or 0) > self.table.dim:
            raise OptionError(f"truncate_dim {self.options.truncate_dim} is more than the {self.table.dim} dimensions there are")

    @property
    def _how(self) -> str:
        return str(self.options.pooling or Pooling.MEAN)

    @property
    def _infers(self) -> bool:
        return self.table.documents is not None and self.options.level == Level.TEXT

    def _fingerprint(self) -> Fingerprint:
        options = self.options
        settings: dict[str, JSON] = shared_settings(options)
        if options.level in (Level.TEXT, Level.CHUNK, Level.SPAN):
            settings["pooling"] = "doc2vec" if self._infers else self._how
        return Fingerprint(
            family="word",
            model=self.model,
            weights=self.table.weights,
            level=options.level,
            dim=min(options.truncate_dim or self.table.dim, self.table.dim),
            dtype=options.dtype,
            metric=self.metric,
            normalized=options.normalize,
            settings=settings,
        )

    def _encode_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        self._check_options()
        spans = [self._words(one) for one in inputs]
        n_words = np.array([len(its) for its in spans], dtype=np.int64)
        edges = np.array([span for its in spans for span in its], dtype=np.int32).reshape(-1, 2)
        vectors, rungs = self._look_up([one.text[a:b] for one, its in zip(inputs, spans, strict=True) for a, b in its])
        n_tokens = n_words.astype(np.int32)
        if self.options.level in (Level.WORD, Level.TOKEN):
            return RowBatch.solid(n_words, vectors, edges, oov=rungs, n_tokens=n_tokens)
        first = np.cumsum(n_words) - n_words
        found = [
            self._ranges(one, edges[at : at + n]) for one, at, n in zip(inputs, first.tolist(), n_words.tolist(), strict=True)
        ]
        counts = np.array([len(ranges) for ranges, _ in found], dtype=np.int64)
        ranges = np.array([pair for its, _ in found for pair in its], dtype=np.int64).reshape(-1, 2)
        places = np.array([pair for _, its in found for pair in its], dtype=np.int32).reshape(-1, 2)
        pooled, oov = self._pooled(vectors, rungs, ranges + np.repeat(first, counts)[:, None])
        if self._infers:
            for row in np.flatnonzero(n_words).tolist():
                words = [inputs[row].text[a:b] for a, b in spans[row]]
                pooled[row], oov[row] = infer(self.table.documents, words), Oov.EXACT
        return RowBatch.solid(counts, pooled, places, oov=oov, n_tokens=n_tokens)

    def _count_tokens(self, inputs: Sequence[TextInput]) -> list[tuple[int, int]]:
        return [(len(self._words(one)), 0) for one in inputs]

    def _words(self, one: TextInput) -> Sequence[Span]:
        return one.words if one.words is not None else find_words(one.text, self.options.splitter)

    def _look_up(self, words: list[str]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return a vector (words, dim) and a rung (words,) for each of ``words``."""
        places: dict[str, int] = {}
        which = [places.setdefault(word, len(places)) for word in words]
        found = [self.table.find(word) for word in places]
        rows = np.array([row for row, _ in found], dtype=np.int64)
        rungs = np.array([rung for _, rung in found], dtype=np.uint8)
        distinct = np.zeros((len(places), self.table.dim), dtype=np.float32)
        distinct[rows >= 0] = self.table.vectors[rows[rows >= 0]]
        if self.table.subword is not None:
            names = list(places)
            for i in np.flatnonzero(rungs == Oov.SUBWORD):
                distinct[i] = self.table.subword(names[i])
        rungs[~distinct.any(axis=1)] = Oov.ZERO
        return distinct[which], rungs[which]

    def _ranges(self, one: TextInput, edges: NDArray[np.int32]) -> tuple[Sequence[Span], Sequence[Span]]:
        """Return which of its words make each row of a text, and the characters the row stands for."""
        options, n = self.options, len(edges)
        if options.level == Level.TEXT:
            return [(0, n)], [(0, len(one.text))]
        if options.level == Level.CHUNK:
            tokens = Tokens(np.arange(n), edges[:, 0], edges[:, 1])
            size = options.chunk_size(CHUNK_TOKENS)
            chunks = cut_into_chunks(one.text, tokens, options.chunk_by, size, options.chunk_overlap)
            start, end = chunk_edges(one.text, tokens, chunks)
            return chunks, list(zip(start.tolist(), end.tolist(), strict=True))
        asked = np.array(one.spans, dtype=np.int32).reshape(-1, 2)
        first = np.searchsorted(edges[:, 1], asked[:, 0], side="right")
        last = np.maximum(np.searchsorted(edges[:, 0], asked[:, 1]), first)
        return list(zip(first.tolist(), last.tolist(), strict=True)), one.spans

    def _pooled(
        self, vectors: NDArray[np.float32], rungs: NDArray[np.uint8], ranges: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return a vector and a rung for each of ``ranges`` (rows, 2) of the words, unknown ones left out."""
        known = np.flatnonzero(rungs != Oov.ZERO)
        first, last = np.searchsorted(known, ranges[:, 0]), np.searchsorted(known, ranges[:, 1])
        solid = last > first
        picked = Groups.ranges(first[solid], last[solid])
        pooled = np.zeros((len(ranges), vectors.shape[1]), dtype=np.float32)
        pooled[solid] = pool(vectors, Groups(known[picked.tokens], picked.lengths), self._how)
        return pooled, np.where(solid, Oov.EXACT, Oov.ZERO).astype(np.uint8)


def infer(model: Any, words: list[str]) -> NDArray[np.float32]:
    """Return gensim's inferred Doc2Vec vector of ``words``, the same every time (dim,) float32.

    gensim starts from ``hash()`` of the text, which Python changes from process to process, and goes on
    with the model's running random numbers. Here both start from a checksum of the words.
    """
    import zlib

    from gensim.models import doc2vec

    seed = zlib.crc32(" ".join(words).encode())
    state, start = model.random, doc2vec.pseudorandom_weak_vector
    model.random = np.random.RandomState(seed)
    doc2vec.pseudorandom_weak_vector = lambda size, seed_string=None: start(size, seed_string, hashfxn=lambda _: seed)
    try:
        return np.asarray(model.infer_vector(words), dtype=np.float32)
    finally:
        model.random, doc2vec.pseudorandom_weak_vector = state, start
