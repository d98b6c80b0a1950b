"""Tokens of a text → the chunks it is cut into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.tokens import Tokens
from semvec.text.sentences import split_sentences
from semvec.text.words import split_words
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


def chunk_edges(text: str, tokens: Tokens, chunks: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the characters of each of ``chunks``: up to where the next token begins, less the space around.

    What no token was made of (a character the tokenizer drops, punctuation between words) thus still
    belongs to the chunk it stands in.
    """
    first = tokens.start[tokens.n_prompt :].tolist()
    edges = np.zeros((len(chunks), 2), dtype=np.int32)
    for row, (a, b) in enumerate(chunks):
        start, end = first[a] if a else 0, first[b] if b < len(first) else len(text)
        piece = text[start:end]
        bare = piece.strip() or piece
        start += piece.index(bare)
        edges[row] = start, start + len(bare)
    return edges[:, 0].copy(), edges[:, 1].copy()


def _last(breaks: NDArray[np.int64], after: int, upto: int) -> int | None:
    """Return the last break in ``(after, upto]``."""
    at = int(np.searchsorted(breaks, upto, side="right"))
    return int(breaks[at - 1]) if at and breaks[at - 1] > after else None


def _first(breaks: NDArray[np.int64], since: int, upto: int) -> int:
    """Return the first break in ``[since, upto]``, or ``upto``."""
    at = int(np.searchsorted(breaks, since))
    return min(int(breaks[at]), upto) if at < len(breaks) else upto


def _word_starts(text: str, tokens: Tokens) -> NDArray[np.int64]:
    """Return the tokens, but for the first, that do not begin inside a word."""
    start = tokens.start[tokens.n_prompt :]
    words = np.array(split_words(text), dtype=np.int64).reshape(-1, 2)
    before = np.searchsorted(words[:, 0], start, side="left") - 1  # the last word that begins before the token
    inside = (before >= 0) & (start < words[np.maximum(before, 0), 1]) if len(words) else np.zeros(len(start), dtype=bool)
    return np.flatnonzero(~inside[1:]) + 1


def _sentence_starts(text: str, tokens: Tokens) -> NDArray[np.int64]:
    """Return the first token of every sentence but the first."""
    starts = [start for start, _ in split_sentences(text)][1:]
    return np.unique(np.searchsorted(tokens.start[tokens.n_prompt :], starts)).astype(np.int64)
