"""The tokens of a text → what the model reads and which tokens make each row, at every level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.base import TextInput
from semvec.encoders.chunks import chunk_edges, cut_into_chunks
from semvec.encoders.options import EncodeOptions
from semvec.encoders.pooling import Groups
from semvec.encoders.tokens import Tokens
from semvec.encoders.windows import Window, overlapping
from semvec.errors import OptionError, OverflowRefused
from semvec.text.words import find_words
from semvec.types import Level, Overflow


@dataclass(frozen=True)
class Frame:
    """What the model reads around a text: special tokens before and behind, and how much fits in all.

    ``pool_front`` says whether the special tokens and the prompt in front count when a text is pooled.
    """

    prefix: list[int]
    suffix: list[int]
    max_tokens: int
    pool_front: bool = True

    def room(self, n_prompt: int) -> int:
        """Return how many tokens of a text fit into one window."""
        room = self.max_tokens - len(self.prefix) - len(self.suffix) - n_prompt
        if room < 1:
            raise OptionError(
                f"{self.max_tokens} tokens leave no room for text beside {len(self.prefix) + len(self.suffix)} special ones "
                f"and {n_prompt} of the prompt"
            )
        return room


@dataclass(frozen=True)
class Reading:
    """Consecutive tokens read as one matrix of vectors: a text, or a chunk by itself.

    ``front`` special and prompt tokens stand before them and ``back`` behind: position ``front`` is the
    first token. ``groups`` says which positions make each row that is ``solid`` (has any).
    """

    ids: NDArray[np.int64]
    windows: list[Window]
    front: list[int]
    back: list[int]
    groups: Groups
    solid: NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Everything to be read for one text, and where its rows stand in it."""

    readings: list[Reading]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    special: NDArray[np.bool_]
    n_tokens: int
    n_truncated: int

    @property
    def solid(self) -> NDArray[np.bool_]:
        """Which rows have anything to be made of."""
        parts = [reading.solid for reading in self.readings]
        return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(len(self.start), dtype=bool)


def lay_out(one: TextInput, tokens: Tokens, frame: Frame, options: EncodeOptions) -> Layout:
    """Return what the model must read of ``one``, and which of its tokens make each row."""
    room = frame.room(tokens.n_prompt)
    alone = options.level == Level.CHUNK and not options.late
    chunks = _chunks(one, tokens, options, room) if options.level == Level.CHUNK else []
    windows = [] if alone else _windows(len(tokens), room, options)
    n_read = len(tokens) if alone else windows[-1].end
    prompt = tokens.ids[: tokens.n_prompt].tolist()
    body = tokens.ids[tokens.n_prompt :]
    front, back = [*frame.prefix, *prompt], frame.suffix
    first = 0 if frame.pool_front else len(front)
    if alone:
        readings = [
            Reading(body[a:b], [Window(0, b - a, 0, b - a)], front, back, _whole(first, len(front) + b - a + len(back)), _yes(1))
            for a, b in chunks
        ]
        start, end = chunk_edges(one.text, tokens, chunks)
        special = np.zeros(len(chunks), dtype=bool)
    else:
        start, end, groups, solid, special = ROWS[options.level](
            _Rows(one, tokens, options, chunks, n_read, len(front), len(back), first)
        )
        readings = [Reading(body[:n_read], windows, front, back, groups, solid)] if n_read else []
    return Layout(readings, start, end, special, len(tokens), len(tokens) - n_read)


def _windows(n: int, room: int, options: EncodeOptions) -> list[Window]:
    if n <= room:
        return [Window(0, n, 0, n)]
    if options.overflow == Overflow.ERROR:
        raise OverflowRefused(f"{n:,} tokens where the model reads {room:,}: overflow='truncate' cuts, 'windows' reads all")
    if options.overflow == Overflow.TRUNCATE:
        return [Window(0, room, 0, room)]
    overlap = room // 4 if options.window_overlap is None else options.window_overlap
    if overlap >= room:
        raise OptionError(f"window_overlap ({overlap}) must be less than the {room} tokens of text in a window")
    return overlapping(n, room, overlap)


def _chunks(one: TextInput, tokens: Tokens, options: EncodeOptions, room: int) -> list[tuple[int, int]]:
    size = options.chunk_size(room)
    if not options.late and size > room:
        raise OptionError(f"chunk_tokens ({size}) is more than the {room} tokens the model reads at once")
    return cut_into_chunks(one.text, tokens, options.chunk_by, size, options.chunk_overlap)


@dataclass(frozen=True)
class _Rows:
    """What the rows of a level are made from."""

    one: TextInput
    tokens: Tokens
    options: EncodeOptions
    chunks: list[tuple[int, int]]
    n_read: int
    front: int
    back: int
    first: int


RowParts = tuple[NDArray[np.int32], NDArray[np.int32], Groups, NDArray[np.bool_], NDArray[np.bool_]]


def _text_row(rows: _Rows) -> RowParts:
    groups = _whole(rows.first, rows.front + rows.n_read + rows.back)
    start, end = np.zeros(1, np.int32), np.full(1, len(rows.one.text), np.int32)
    return start, end, groups, _yes(1), np.zeros(1, dtype=bool)


def _token_rows(rows: _Rows) -> RowParts:
    start, end = (edge[rows.tokens.n_prompt :][: rows.n_read] for edge in (rows.tokens.start, rows.tokens.end))
    n = len(start)
    places = np.arange(rows.front, rows.front + n)
    special = np.zeros(n, dtype=bool)
    if rows.options.special and n:
        before = rows.front - rows.tokens.n_prompt
        places = np.concatenate([np.arange(before), places, np.arange(rows.front + n, rows.front + n + rows.back)])
        special = np.concatenate([np.ones(before, bool), special, np.ones(rows.back, bool)])
        edge = np.zeros(before, np.int32), np.full(rows.back, end[-1], np.int32)
        start, end = np.concatenate([edge[0], start, edge[1]]), np.concatenate([edge[0], end, edge[1]])
    return start, end, Groups(places, np.ones(len(places), dtype=np.int64)), _yes(len(places)), special


def _word_rows(rows: _Rows) -> RowParts:
    words = rows.one.words if rows.one.words is not None else find_words(rows.one.text, rows.options.splitter)
    edges = np.array(words, dtype=np.int32).reshape(-1, 2)
    tokens = rows.tokens
    if rows.n_read < len(tokens) and rows.one.words is None:
        edges = edges[edges[:, 0] < tokens.end[tokens.n_prompt + rows.n_read - 1]]
    return _range_rows(rows, edges)


def _span_rows(rows: _Rows) -> RowParts:
    return _range_rows(rows, np.array(rows.one.spans, dtype=np.int32).reshape(-1, 2))


def _chunk_rows(rows: _Rows) -> RowParts:
    chunks = [(a, min(b, rows.n_read)) for a, b in rows.chunks if a < rows.n_read]
    ranges = np.array(chunks, dtype=np.int64).reshape(-1, 2)
    start, end = chunk_edges(rows.one.text, rows.tokens, chunks)
    groups = Groups.ranges(ranges[:, 0], ranges[:, 1]).shifted(rows.front)
    return start, end, groups, _yes(len(chunks)), np.zeros(len(chunks), dtype=bool)


ROWS: dict[Level, Callable[[_Rows], RowParts]] = {
    Level.TEXT: _text_row,
    Level.TOKEN: _token_rows,
    Level.WORD: _word_rows,
    Level.SPAN: _span_rows,
    Level.CHUNK: _chunk_rows,
}


def _range_rows(rows: _Rows, edges: NDArray[np.int32]) -> RowParts:
    """Return a row for each character range: the tokens read that share a character with it."""
    tokens = rows.tokens
    start, end = (edge[tokens.n_prompt :][: rows.n_read] for edge in (tokens.start, tokens.end))
    solid_tokens = np.flatnonzero(end > start)
    first = np.searchsorted(end[solid_tokens], edges[:, 0], side="right")
    last = np.searchsorted(start[solid_tokens], edges[:, 1], side="left")
    solid = last > first
    picked = Groups.ranges(first[solid], last[solid])
    groups = Groups(solid_tokens[picked.tokens] + rows.front, picked.lengths)
    return edges[:, 0].copy(), edges[:, 1].copy(), groups, solid, np.zeros(len(edges), dtype=bool)


@lru_cache(1024)
def _whole(first: int, last: int) -> Groups:
    return Groups.ranges(np.array([first]), np.array([last]))


@lru_cache(1024)
def _yes(n: int) -> NDArray[np.bool_]:
    return np.ones(n, dtype=bool)
