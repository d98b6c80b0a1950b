"""The words that tokens belong to, and how telling each is in a corpus."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.text.words import split_words


@dataclass
class Corpus:
    """How many ``texts`` were seen, and in how many of them each word (in lower case) stands."""

    texts: int = 0
    having: Counter[str] = field(default_factory=Counter)

    def see(self, texts: Iterable[str]) -> None:
        """Count the words of more ``texts``."""
        for text in texts:
            self.texts += 1
            self.having.update({text[start:end].lower() for start, end in split_words(text)})

    def idf(self, word: str) -> float:
        """Return the inverse document frequency of ``word`` (as BM25 has it); 0 for what is no word."""
        having = self.having[word]
        return log(1 + (self.texts - having + 0.5) / (having + 0.5)) if word else 0.0


def terms_of_tokens(tokens: Embeddings, texts: Sequence[str]) -> list[str]:
    """Return for each row of ``tokens`` the word of its text that it is part of, in lower case; empty where it is of none."""
    terms: list[str] = []
    for its, text in zip(tokens, texts, strict=True):
        words = split_words(text)
        starts = [start for start, _ in words]
        for start, end in zip(its.start.tolist(), its.end.tolist(), strict=True):
            at = bisect_right(starts, start if text[start : start + 1].strip() else start + 1) - 1
            inside = at >= 0 and start < words[at][1] and end > words[at][0]
            terms.append(text[slice(*words[at])].lower() if inside else "")
    return terms


def chi_squared(texts: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Return for each word how far its being in a text depends on the text's label: the greatest χ² with any label.

    χ² of the table of texts with and without the word, with and without the label (Yang and Pedersen, 1997).
    """
    known, codes = np.unique(np.asarray(labels), return_inverse=True)
    counts: dict[str, NDArray[np.int64]] = {}
    for text, code in zip(texts, codes.tolist(), strict=True):
        for word in {text[start:end].lower() for start, end in split_words(text)}:
            counts.setdefault(word, np.zeros(len(known), dtype=np.int64))[code] += 1
    sizes, n = np.bincount(codes, minlength=len(known)), len(texts)
    found = {}
    for word, having in counts.items():
        a, b = having.astype(float), float(having.sum()) - having
        c, d = sizes - a, n - sizes - b
        below = (a + b) * (c + d) * sizes * (n - sizes)
        found[word] = float(np.max(np.where(below > 0, n * (a * d - b * c) ** 2 / np.maximum(below, 1), 0)))
    return found
