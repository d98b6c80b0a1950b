"""Static word vectors: word2vec, GloVe, fastText, Doc2Vec."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, Unpack

from semvec.embeddings.fingerprint import Fingerprint
from semvec.encoders.base import BaseEncoder, TextInput, users_level
from semvec.encoders.chunks import chunk_edges, cut_into_chunks
from semvec.encoders.ladder import Ladder
from semvec.encoders.options import CHUNK_TOKENS, EncodeOptions, OptionChanges, shared_settings
from semvec.encoders.pooling import Groups, pool_table
from semvec.encoders.protocol import Text
from semvec.encoders.rows import RowBatch
from semvec.encoders.sif import A, Sif, common_component, word_weights
from semvec.encoders.tokens import Tokens
from semvec.encoders.word_files import find_word_file
from semvec.encoders.word_folder import open_word_folder, write_table
from semvec.encoders.word_phrases import join
from semvec.encoders.word_query import WordQueries
from semvec.encoders.word_table import WordTable
from semvec.errors import FewTexts, InputError, OptionError, SplitterWanted, WordsFlawed
from semvec.text.words import Span, find_words
from semvec.types import JSON, Level, Metric, Oov, Pooling

ONLY_TRANSFORMERS = (
    "backend",
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

FIT_TEXTS = 1024
FIT_CHARS = 1 << 20
"""Most texts, and characters, that SIF is fitted on at once."""


class WordEncoder(BaseEncoder, WordQueries):
    """One vector a word, whatever stands around it; texts, chunks and spans are the mean of their words.

    A word that is not in the table goes down a ladder (`Ladder`), and ``Embeddings.oov`` says how far; option
    ``oov`` switches rungs off. Words that end at zero do not count in a mean. There is no limit of length,
    so nothing is ever cut. A `Doc2Vec` model infers its texts, seeded by the text.
    """

    def __init__(self, table: WordTable, *, model: str, options: EncodeOptions | None = None) -> None:
        super().__init__(options)
        self.table = table
        self.model = model
        self._ladder = self._new_ladder(self.options)

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        trust_pickle: bool = False,
        **changes: Unpack[OptionChanges],
    ) -> Self:
        """Return the vectors in ``path``: a file (see `find_word_file`), or a folder that `save` or ``semvec convert`` made.

        A file is told by what it holds; words that come more than once, or are not UTF-8, are warned of.
        Raises `ModelError` for what holds no word vectors, `PickleRefused` for gensim's own files without
        ``trust_pickle``.
        """
        place = Path(path)
        table = open_word_folder(place) if place.is_dir() else find_word_file(place).read(trust_pickle=trust_pickle)
        if table.flaws:
            warnings.warn(f"{place}: {table.flaws}", WordsFlawed, stacklevel=users_level())
        return cls(table, model=name or place.name, options=EncodeOptions().changed(changes))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the table, and SIF where it was fitted, as a folder that opens at once; see `write_word_folder`."""
        if self.table.documents is not None and self.table.training is None:
            raise OptionError(
                "a Doc2Vec model of gensim cannot be kept as a folder of words: train it with 'semvec train doc2vec'"
            )
        write_table(Path(path), self.table, overwrite=overwrite)

    def fit_sif(self, texts: Iterable[Text], *, a: float = A) -> Self:
        """Return this encoder with SIF fitted on ``texts``, which may be any number: ``pooling="sif"`` then works.

        The common component is that of the weighted means of ``texts`` (`Sif`); the frequencies of words come with
        the table (`WordTable.frequencies`). Warns (`FewTexts`) of fewer texts than a vector has numbers: they do not
        reach into all directions, so that what they have in common is what they are about (docs/words.md has
        figures). Raises `InputError` where no text has a word in the vocabulary.
        """
        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one string: fit_sif([text, …])")
        bare = Sif(np.zeros(self.table.dim, dtype=np.float32), a, 0)
        weighing = self._with(self.table.with_sif(bare)).with_options(
            level="text", pooling="sif", dtype="float32", normalize=False, truncate_dim=None, calibration=None, progress=None
        )
        products, count = np.zeros((self.table.dim, self.table.dim)), 0
        for block in _blocks(texts):
            found = weighing.encode(block)
            solid = found.vectors[found.oov != Oov.ZERO]
            products += solid.astype(np.float64).T @ solid
            count += len(solid)
        if not count:
            raise InputError("no text has a word that is in the vocabulary: nothing to fit SIF on")
        if count < self.table.dim:
            warnings.warn(
                f"SIF was fitted on {count:,} texts, fewer than the {self.table.dim:,} numbers of a vector: it takes out what "
                "these texts say, not what all texts share; give it more of them",
                FewTexts,
                stacklevel=users_level(),
            )
        return self._with(self.table.with_sif(Sif(common_component(products), a, count)))

    def _with(self, table: WordTable) -> Self:
        return type(self)(table, model=self.model, options=self.options)

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        other = super().with_options(**changes)
        if other.options.oov != self.options.oov:
            other._ladder = self._new_ladder(other.options)
        return other

    def _new_ladder(self, options: EncodeOptions) -> Ladder:
        table = self.table
        return Ladder(table.words, options.oov, ngrams=table.ngrams is not None, lower=table.lower, phrases=table.phrases)

    @property
    def levels(self) -> tuple[Level, ...]:
        return tuple(Level)

    @property
    def metric(self) -> Metric:
        return Metric.COSINE

    def _check_options(self) -> None:
        self._refuse_unused(ONLY_TRANSFORMERS, "of no use to word vectors, which have no layers, sub-words or limit of length")
        self._check_truncation(self.table.dim)
        if self.options.pooling == Pooling.SIF and self.table.sif is None:
            raise OptionError(
                "pooling 'sif' must be fitted first: encoder.fit_sif(texts), "
                "or 'semvec convert MODEL OUT --sif TEXTS', which keeps it"
            )

    @property
    def _how(self) -> str:
        return str(self.options.pooling or Pooling.MEAN)

    @property
    def _infers(self) -> bool:
        return self.table.documents is not None and self.options.level == Level.TEXT and self.options.pooling is None

    def _fingerprint(self) -> Fingerprint:
        options = self.options
        settings: dict[str, JSON] = shared_settings(options)
        if self._pooled:
            settings["pooling"] = "doc2vec" if self._infers else self._how
            if options.pooling == Pooling.SIF and self.table.sif is not None:
                settings["pooling"] = f"sif, {self.table.sif.name}"
        settings["oov"] = " ".join(options.oov) or "none"
        if self.table.lower:
            settings["lower"] = True
        if self.table.phrases:
            settings["phrases"] = self.table.phrases
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
        entries = [self._entries(one) for one in inputs]
        n_words = np.array([len(its) for its in entries], dtype=np.int64)
        edges = np.array([span for its in entries for span, _ in its], dtype=np.int32).reshape(-1, 2)
        looked = self._look_up([word for its in entries for _, word in its])
        owner = np.repeat(np.arange(len(inputs)), n_words)
        told = {"n_tokens": n_words.astype(np.int32), "rungs": looked.tally(owner, len(inputs))}
        if self.options.level in (Level.WORD, Level.TOKEN):
            return RowBatch.solid(n_words, looked.vectors[looked.which], edges, oov=looked.rungs[looked.which], **told)
        first = np.cumsum(n_words) - n_words
        found = [
            self._ranges(one, edges[at : at + n]) for one, at, n in zip(inputs, first.tolist(), n_words.tolist(), strict=True)
        ]
        counts = np.array([len(ranges) for ranges, _ in found], dtype=np.int64)
        ranges = np.array([pair for its, _ in found for pair in its], dtype=np.int64).reshape(-1, 2)
        places = np.array([pair for _, its in found for pair in its], dtype=np.int32).reshape(-1, 2)
        pooled, oov = self._pool(looked, ranges + np.repeat(first, counts)[:, None])
        if self.table.documents is not None and self._infers:
            for row, its in enumerate(entries):
                known = [self.table.words[at] for _, word in its for at in self._ladder.find(word).rows]
                pooled[row] = self.table.documents.infer(known) if known else 0
                oov[row] = Oov.EXACT if known else Oov.ZERO
        return RowBatch.solid(counts, pooled, places, oov=oov, **told)

    def _count_tokens(self, inputs: Sequence[TextInput]) -> list[tuple[int, int]]:
        return [(len(self._entries(one)), 0) for one in inputs]

    def _entries(self, one: TextInput) -> list[tuple[Span, str]]:
        """Return where the words of a text stand, and what each is looked up as; a phrase of the table is one.

        Words that came split stay by themselves where each gets a row.
        """
        if one.words is None and self.options.splitter is None and (found := (self.table.training or {}).get("splitter")):
            told = f"trained on words that {found} found: give it as splitter= (--splitter {found}), or other words are looked up"
            warnings.warn(f"{self.model}: {told}", SplitterWanted, stacklevel=users_level())
        spans = one.words if one.words is not None else find_words(one.text, self.options.splitter)
        words = [one.text[a:b] for a, b in spans]
        if not self.table.phrases or (one.words is not None and self.options.level in (Level.WORD, Level.TOKEN)):
            return list(zip(spans, words, strict=True))
        entries: list[tuple[Span, str]] = []
        at = 0
        for count, word in join(words, self.table.phrases, self._ladder.knows):
            entries.append(((spans[at][0], spans[at + count - 1][1]), word))
            at += count
        return entries

    def _words(self, text: str) -> list[str]:
        return [word for _, word in self._entries(TextInput(text))]

    def _vectors(self, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        looked = self._look_up(words)
        return looked.vectors[looked.which], looked.rungs[looked.which]

    def rows_of(self, word: str) -> tuple[int, ...]:
        return self._ladder.find(word).rows

    def _look_up(self, words: Sequence[str]) -> LookedUp:
        """Return a vector and a rung for each of ``words``; under SIF each part of a word counts by its own weight."""
        places: dict[str, int] = {}
        which = np.array([places.setdefault(word, len(places)) for word in words], dtype=np.int64)
        found = [self._ladder.find(word) for word in places]
        rungs = np.array([one.rung for one in found], dtype=np.uint8)
        vectors = np.zeros((len(found), self.table.dim), dtype=np.float32)
        single = [at for at, one in enumerate(found) if len(one.rows) == 1]
        vectors[single] = self._weighed([found[at].rows[0] for at in single])
        for at, (word, one) in enumerate(zip(places, found, strict=True)):
            if len(one.rows) > 1:
                vectors[at] = self._weighed(one.rows).mean(axis=0)
            elif one.rung == Oov.SUBWORD and self.table.ngrams is not None:
                vectors[at] = self.table.ngrams(word.lower() if self.table.lower else word)
        rungs[~vectors.any(axis=1)] = Oov.ZERO
        return LookedUp(vectors, rungs, which)

    def _weighed(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors of ``rows`` of the table (rows, dim), under SIF each times its weight."""
        vectors = np.asarray(self.table.vectors[list(rows)])
        if self._sif is None:
            return vectors
        return vectors * word_weights(self.table.frequencies[list(rows)], self._sif.a)[:, None]

    @property
    def _sif(self) -> Sif | None:
        """SIF where it is asked for and a row is made of several words."""
        return self.table.sif if self._pooled and self.options.pooling == Pooling.SIF else None

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

    def _pool(self, looked: LookedUp, ranges: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return a vector and a rung for each of ``ranges`` (rows, 2) of the words, unknown ones left out."""
        known = np.flatnonzero(looked.rungs[looked.which] != Oov.ZERO)
        first, last = np.searchsorted(known, ranges[:, 0]), np.searchsorted(known, ranges[:, 1])
        picked = Groups.ranges(first, np.maximum(last, first))
        how = Pooling.MEAN if self._sif is not None else self._how
        pooled = pool_table(looked.vectors, looked.which[known[picked.tokens]], picked.lengths, str(how))
        if self._sif is not None:
            pooled = self._sif.removed_from(pooled)
        return pooled, np.where(picked.lengths > 0, Oov.EXACT, Oov.ZERO).astype(np.uint8)


def _blocks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Give ``texts`` some at a time, so that many, or long ones, do not fill memory."""
    block: list[Text] = []
    size = 0
    for text in texts:
        block.append(text)
        size += sum(map(len, text))
        if len(block) >= FIT_TEXTS or size >= FIT_CHARS:
            yield block
            block, size = [], 0
    if block:
        yield block


@dataclass(frozen=True)
class LookedUp:
    """Words as they were found: ``vectors`` (distinct, dim) and ``rungs`` (distinct,), and ``which`` (words,) each is."""

    vectors: NDArray[np.float32]
    rungs: NDArray[np.uint8]
    which: NDArray[np.int64]

    def tally(self, owner: NDArray[np.int64], texts: int) -> NDArray[np.int32]:
        """Return how many words of each text stood on which rung (texts, 6); ``owner`` (words,) tells whose they are."""
        cells = np.bincount(owner * len(Oov) + self.rungs[self.which], minlength=texts * len(Oov))
        return cells.reshape(texts, len(Oov)).astype(np.int32)
