"""Keyphrases: the pieces of a text that say most like the whole what it is about."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.results import Hit, Hits
from semvec.search.diversity import diverse
from semvec.search.token_searcher import whole_texts
from semvec.text.words import Span, Splitter, find_words
from semvec.types import Dtype, Level

BETWEEN = re.compile(r"\s*[-‐‑/]?\s*")
"""What may stand between two words of one phrase."""


@dataclass(frozen=True)
class Keyphrase:
    """A phrase as it first stands in a text, its ``score`` (cosine to the text), and all ``spans`` of characters it stands at."""

    text: str
    score: float
    spans: tuple[Span, ...]


def keyphrases(
    texts: Sequence[str],
    encoder: Encoder,
    k: int = 10,
    *,
    ngrams: tuple[int, int] = (1, 3),
    diversity: float = 0.3,
    stop_words: Collection[str] | None = None,
    splitter: Splitter | None = None,
) -> list[list[Keyphrase]]:
    """Return the ``k`` phrases of each of ``texts`` that are most like it, best first.

    Candidates are runs of words (``ngrams``: least and most) with nothing but white space or a hyphen between them, that neither
    begin nor end with one of ``stop_words`` (None: English ones) or a number; they are compared as texts of their own
    (Bennani-Smires et al., "EmbedRank", 2018; KeyBERT). ``diversity`` (0 to 1) prefers phrases unlike each other (`diverse`).
    ``splitter`` finds the words of scripts written without spaces (``jieba.cut``). A text's phrases do not depend on the other
    texts; one without candidates has none.
    """
    if isinstance(texts, str):
        raise InputError("texts must be a list of texts, not one string: keyphrases([text], …)")
    least, most = ngrams
    if not 1 <= least <= most:
        raise OptionError(f"ngrams are the least and the most words of a phrase, not {ngrams!r}")
    if not 0 <= diversity <= 1:
        raise OptionError(f"diversity must be between 0 and 1, not {diversity!r}")
    if k < 1:
        raise OptionError(f"k must be at least 1, not {k!r}")
    stops = english_stop_words() if stop_words is None else {word.lower() for word in stop_words}
    able = whole_texts(encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32, calibration=None))
    found = [candidates(text, least, most, stops, splitter) for text in texts]
    names = list(dict.fromkeys(name for its in found for name in its))
    if not names:
        return [[] for _ in texts]
    phrases = dict(zip(names, normalize(able.encode(names).floats()), strict=True))
    wholes = normalize(able.encode(list(texts)).floats())
    ranked = []
    for text, its, whole in zip(texts, found, wholes, strict=True):
        vectors = np.stack([phrases[name] for name in its]) if its else np.zeros((0, len(whole)), np.float32)
        scores = vectors @ whole
        order = [at for at in np.argsort(-scores, kind="stable").tolist() if vectors[at].any()]
        each = list(its.items())
        hits = Hits(tuple(Hit(each[at][0], float(scores[at])) for at in order))
        chosen = diverse(hits, vectors[order], k, diversity) if diversity and order else hits[:k]
        ranked.append([_keyphrase(text, its[hit.id], hit.score) for hit in chosen])
    return ranked


def candidates(
    text: str, least: int, most: int, stops: Collection[str], splitter: Splitter | None = None
) -> dict[str, list[Span]]:
    """Return the phrases of ``least`` to ``most`` words that ``text`` has, in lower case, and where each stands."""
    words = find_words(text, splitter)
    joined = [bool(BETWEEN.fullmatch(text, one[1], other[0])) for one, other in pairwise(words)]
    bad = [(word := text[slice(*span)].lower()) in stops or not any(map(str.isalpha, word)) for span in words]
    found: dict[str, list[Span]] = {}
    for first in range(len(words)):
        for last in range(first, min(first + most, len(words))):
            if last > first and not joined[last - 1]:
                break
            if bad[first]:
                break
            if last - first + 1 >= least and not bad[last]:
                span = words[first][0], words[last][1]
                found.setdefault(" ".join(text[slice(*span)].lower().split()), []).append(span)
    return found


@lru_cache(maxsize=1)
def english_stop_words() -> frozenset[str]:
    """Return English words that no phrase begins or ends with: scikit-learn's list."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def _keyphrase(text: str, spans: Sequence[Span], score: float) -> Keyphrase:
    return Keyphrase(" ".join(text[slice(*spans[0])].split()), score, tuple(spans))
