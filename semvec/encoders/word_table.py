"""A table of word vectors: the words, one vector each, and what else its file knew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.sif import Sif
from semvec.encoders.vocabulary import ListedWords, Vocabulary
from semvec.encoders.word_documents import Documents
from semvec.encoders.word_ngrams import Ngrams
from semvec.encoders.word_text import Flaws, WordBatch
from semvec.errors import ModelError
from semvec.types import JSON

BATCH = 1 << 14
EXAMPLES = 3
FUNCTION_WORDS = 1e-3
"""Words that make up more of a text than this rarely mean anything by themselves."""


@dataclass(frozen=True)
class WordTable:
    """Words and their vectors (words, dim) float32, which may be memory-mapped, the most frequent words first.

    ``counts`` (words,) is how often each stood in the training corpus, where that is known; ``ngrams``
    makes vectors of words that are not there (fastText); ``phrases`` joins the words of one entry ("_" in
    ``new_york``) where the model was trained on phrases; ``lower`` says that it was trained on words in small
    letters; ``sif`` weighs words by their frequency; ``documents`` infers the vectors of texts (Doc2Vec);
    ``training`` and ``state`` are the record and the arrays that training goes on from, where semvec trained
    it; ``flaws`` says what was passed over.
    """

    words: Vocabulary
    vectors: NDArray[np.float32]
    weights: str
    counts: NDArray[np.int64] | None = None
    ngrams: Ngrams | None = None
    phrases: str = ""
    lower: bool = False
    sif: Sif | None = None
    documents: Documents | None = None
    training: Mapping[str, JSON] | None = None
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    flaws: str = ""
    origin: dict[str, JSON] = field(default_factory=dict)

    @classmethod
    def of(cls, batches: Iterable[WordBatch], flaws: Flaws, **known: Any) -> WordTable:
        """Return the table of all ``batches``, words that come again left out."""
        digest = ContentHash()
        words: list[str] = []
        vectors = np.empty((0, 0), dtype=np.float32)
        for batch in digest.fed(distinct(batches, flaws)):
            vectors = np.empty((0, batch.vectors.shape[1]), dtype=np.float32) if not words else vectors
            vectors.resize((len(words) + len(batch.words), vectors.shape[1]), refcheck=False)  # grows in place
            vectors[len(words) :] = batch.vectors
            words += batch.words
        if not words:
            raise ModelError("holds no words")
        return cls(ListedWords(words), vectors, digest.sum(known.get("ngrams")), flaws=str(flaws), **known)

    @property
    def dim(self) -> int:
        """How many dimensions a vector has."""
        return int(self.vectors.shape[1])

    @cached_property
    def inverse_norms(self) -> NDArray[np.float32]:
        """One over the length of each vector (words,), 0 for a vector of zeros."""
        lengths = np.sqrt(np.concatenate([np.einsum("ij,ij->i", part, part) for part in self._parts()]))
        return np.asarray(np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0), dtype=np.float32)

    @cached_property
    def frequencies(self) -> NDArray[np.float64]:
        """The share of running text that each word makes up (words,), summing to 1.

        From the counts where there are some; else by Zipf's law (Mandelbrot's form, 1 / (rank + 2.7)) from
        the order of the words, which in every common file of vectors is that of their frequency.
        """
        weights = 1 / (np.arange(len(self.words)) + 2.7) if self.counts is None else np.maximum(self.counts, 1)
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def batches(self) -> Iterator[WordBatch]:
        """Give words and vectors, some thousands at a time."""
        words = iter(self.words)
        for part in self._parts():
            yield WordBatch(list(islice(words, len(part))), np.asarray(part))

    def telling_rows(self, k: int) -> list[int]:
        """Return the rows of the ``k`` most frequent words that mean something by themselves, as far as one can guess.

        They make up less than a thousandth of the text, where some do, and are of letters alone, at least four
        if those are plain Latin ones.
        """
        rare = self.frequencies < FUNCTION_WORDS
        rows = np.flatnonzero(rare if rare.any() else ~rare)
        order = rows[np.argsort(-self.frequencies[rows], kind="stable")]
        words = ((int(row), self.words[int(row)]) for row in order)
        return list(islice((row for row, word in words if word.isalpha() and (len(word) > 3 or not word.isascii())), k))

    def with_sif(self, sif: Sif) -> WordTable:
        """Return the same table with ``sif`` fitted."""
        return replace(self, sif=sif)

    def _parts(self) -> Iterator[NDArray[np.float32]]:
        return (self.vectors[at : at + BATCH] for at in range(0, len(self.vectors), BATCH))


def distinct(batches: Iterable[WordBatch], flaws: Flaws) -> Iterator[WordBatch]:
    """Give ``batches`` without the words that came before, which ``flaws`` counts."""
    seen: set[str] = set()
    for batch in batches:
        fresh = []
        for at, word in enumerate(batch.words):
            if word in seen:
                flaws.duplicates += 1
                if len(flaws.examples) < EXAMPLES:
                    flaws.examples.append(word)
            else:
                seen.add(word)
                fresh.append(at)
        if len(fresh) == len(batch.words):
            yield batch
        elif fresh:
            yield WordBatch([batch.words[at] for at in fresh], batch.vectors[fresh])


class ContentHash:
    """A hash over words and numbers: equal tables have equal ones, whatever file they were read from."""

    def __init__(self) -> None:
        self._words, self._vectors = hashlib.sha256(), hashlib.sha256()

    def fed(self, batches: Iterable[WordBatch]) -> Iterator[WordBatch]:
        """Give ``batches``, hashed in passing."""
        for batch in batches:
            self._words.update("\n".join([*batch.words, ""]).encode("utf-8", "surrogatepass"))
            self._vectors.update(np.ascontiguousarray(batch.vectors, dtype="<f4").data)
            yield batch

    @classmethod
    def of(cls, batches: Iterable[WordBatch]) -> ContentHash:
        """Return the hash of all ``batches``."""
        digest = cls()
        for _ in digest.fed(batches):
            pass
        return digest

    def sum(self, ngrams: Ngrams | None = None, *others: NDArray[Any]) -> str:
        """Return the hash (hexadecimal) of what was fed, of the n-grams and of any ``others``."""
        whole = hashlib.sha256(self._words.digest() + self._vectors.digest())
        if ngrams is not None:
            whole.update(f"{ngrams.least} {ngrams.most}".encode())
        for array in ([] if ngrams is None else [ngrams.vectors]) + list(others):
            whole.update(np.ascontiguousarray(array).data)
        return whole.hexdigest()
