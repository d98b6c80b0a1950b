"""BM25: which texts hold the words of a query, and how telling these words are.

A text's words are counted once and kept as postings: for every word the texts it stands in, and how often. Words are
known by a hash of 64 bits, so no vocabulary has to be loaded to answer a query.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import save_array
from semvec.index.terms import terms_of

K1 = 1.2
B = 0.75
ARRAYS = ("hashes", "starts", "places", "counts", "lengths")


@dataclass(frozen=True)
class Postings:
    """The words of some texts, told by their place 0, 1, ….

    ``hashes`` (words,) uint64 ascending; the texts that word i stands in are ``places[starts[i]:starts[i + 1]]``,
    ascending, so many times each as ``counts`` says; ``lengths`` (texts,) is how many words a text has.
    """

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    places: NDArray[np.int32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Postings:
        """Return the postings of ``texts``; memory holds some 35 bytes for every different word of every text."""
        known: dict[str, int] = {}
        words: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
        places: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
        counts: list[NDArray[np.uint16]] = [np.zeros(0, np.uint16)]
        lengths: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
        read = 0
        for block in _blocks(texts):
            its_words: list[list[int]] = []
            its_counts: list[int] = []
            its_lengths: list[int] = []
            for text in block:
                found = Counter(terms_of(text or ""))
                its_words.append([known.setdefault(term, len(known)) for term in found])
                its_counts += found.values()
                its_lengths.append(found.total())
            sizes = [len(one) for one in its_words]
            places.append(np.repeat(np.arange(read, read + len(block), dtype=np.int32), sizes))
            read += len(block)
            words.append(np.array([word for one in its_words for word in one], dtype=np.int32))
            counts.append(np.minimum(its_counts, np.iinfo(np.uint16).max).astype(np.uint16))
            lengths.append(np.array(its_lengths, dtype=np.int32))
        hashes = np.array([hash_of(term) for term in known], dtype=np.uint64)
        order = np.argsort(hashes, kind="stable")
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        ranked = rank[np.concatenate(words)]
        by_word = np.argsort(ranked, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(ranked, minlength=len(order)))]).astype(np.int64)
        at, often = np.concatenate(places)[by_word], np.concatenate(counts)[by_word]
        return cls(hashes[order], starts, at, often, np.concatenate(lengths))

    def save(self, folder: Path) -> None:
        """Write the arrays into ``folder``."""
        for name in ARRAYS:
            save_array(folder / f"words-{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: Path) -> Postings:
        """Return the postings in ``folder``, memory-mapped."""
        return cls(*(np.load(folder / f"words-{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS))

    def find(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
        """Return the places of the texts that hold the word of hash ``term``, and how often they do."""
        at = int(np.searchsorted(self.hashes, np.uint64(term)))
        if at == len(self.hashes) or int(self.hashes[at]) != term:
            return self.places[:0], self.counts[:0]
        first, last = int(self.starts[at]), int(self.starts[at + 1])
        return self.places[first:last], self.counts[first:last]


@dataclass(frozen=True)
class Part:
    """Some postings, and which of their texts are still there (None: all)."""

    postings: Postings
    alive: NDArray[np.bool_] | None = None

    @cached_property
    def size(self) -> tuple[int, int]:
        """How many texts are there, and how many words they have."""
        lengths = self.postings.lengths if self.alive is None else self.postings.lengths[self.alive]
        return len(lengths), int(lengths.sum(dtype=np.int64))


def bm25(query: str, parts: Sequence[Part], *, k1: float = K1, b: float = B) -> list[NDArray[np.float32]]:
    """Return the score of every text of each of ``parts``, 0 for one without a word of ``query``.

    The sum over the query's words of ln(1 + (N − n + ½) / (n + ½)) · f / (f + k1 · (1 − b + b · length / mean length)):
    N texts, n of them with the word, f times in this one (Robertson and Zaragoza, 2009, as Lucene has it). All parts
    count as one collection, without the texts that are gone.
    """
    texts = sum(part.size[0] for part in parts)
    mean = sum(part.size[1] for part in parts) / max(1, texts)
    scores = [np.zeros(len(part.postings.lengths), dtype=np.float32) for part in parts]
    for term, weight in Counter(terms_of(query)).items():
        found = [part.postings.find(hash_of(term)) for part in parts]
        holding = sum(
            len(places) if part.alive is None else int(part.alive[places].sum())
            for part, (places, _) in zip(parts, found, strict=True)
        )
        idf = weight * np.log1p((texts - holding + 0.5) / (holding + 0.5))
        for part, (places, counts), its in zip(parts, found, scores, strict=True):
            often = counts.astype(np.float32)
            its[places] += idf * often / (often + k1 * (1 - b + b * part.postings.lengths[places] / max(mean, 1e-9)))
    for part, its in zip(parts, scores, strict=True):
        if part.alive is not None:
            its[~part.alive] = 0
    return scores


def hash_of(term: str) -> int:
    """Return 64 bits that stand for ``term``."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _blocks(texts: Iterable[str | None], size: int = 4096) -> Iterable[list[str | None]]:
    block: list[str | None] = []
    for text in texts:
        block.append(text)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
