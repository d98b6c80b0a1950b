"""Tokens of a text → the chunks it is cut into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.tokens import Tokens
from semvec.text.sentences import split_sentences
from semvec.types import ChunkBy


def cut_into_chunks(text: str, tokens: Tokens, by: ChunkBy, size: int, overlap: int) -> list[tuple[int, int]]:
    """Return chunks as token ranges ``[start, end)``, each of at most ``size`` tokens, covering all of them.

    A chunk ends before a word, or after a sentence, where there is one to end at; it starts up to
    ``overlap`` tokens before the end of the one before it, at a word or a sentence too.
    """
    n = len(tokens)
    breaks = _sentence_starts(text, tokens) if by == ChunkBy.SENTENCES else _word_starts(text, tokens)
    words = breaks if by == ChunkBy.TOKENS else _word_starts(text, tokens)
    chunks: list[tuple[int, int]] = []
    start = 0
    while start < n:
        end = n if start + size >= n else _last(breaks, start, start + size) or _last(words, start, start + size) or start + size
        chunks.append((start, end))
        if end == n:
            break
        back = _first(breaks, end - overlap, end) if overlap else end
        start = back if back > start else end
    return chunks


def _last(breaks: NDArray[np.int64], after: int, upto: int) -> int | None:
    """Return the last break in ``(after, upto]``."""
    at = int(np.searchsorted(breaks, upto, side="right"))
    return int(breaks[at - 1]) if at and breaks[at - 1] > after else None


def _first(breaks: NDArray[np.int64], since: int, upto: int) -> int:
    """Return the first break in ``[since, upto]``, or ``upto``."""
    at = int(np.searchsorted(breaks, since))
    return min(int(breaks[at]), upto) if at < len(breaks) else upto


def _word_starts(text: str, tokens: Tokens) -> NDArray[np.int64]:
    """Return the tokens that begin behind white space, or that are no letters or digits continuing a word."""
    start, end = tokens.start[tokens.n_prompt :], tokens.end[tokens.n_prompt :]
    fresh = [
        i
        for i in range(1, len(start))
        if start[i] > end[i - 1] or not (text[start[i] : start[i] + 1].isalnum() and text[start[i] - 1 : start[i]].isalnum())
    ]
    return np.array(fresh, dtype=np.int64)


def _sentence_starts(text: str, tokens: Tokens) -> NDArray[np.int64]:
    """Return the first token of every sentence but the first."""
    starts = [start for start, _ in split_sentences(text)][1:]
    return np.unique(np.searchsorted(tokens.start[tokens.n_prompt :], starts)).astype(np.int64)
