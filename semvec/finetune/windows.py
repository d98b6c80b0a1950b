"""Texts and pairs of texts → windows of tokens, none longer than the encoder reads; windows → batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semvec.encoders.tokens import Tokenizer, Tokens
from semvec.encoders.windows import Window as Range
from semvec.encoders.windows import overlapping
from semvec.errors import OptionError
from semvec.finetune.heads import FEATURES, NOTHING, Batch

Ints = NDArray[np.int64]
TEXTS_AT_ONCE = 1024


@dataclass(frozen=True)
class Window:
    """What the encoder reads at once of example ``owner``: ``inputs`` of a batch, and what is ``known`` to read the answer."""

    owner: int
    inputs: dict[str, NDArray[Any]]
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """How many tokens it has; of features kept, how many rows."""
        return len(self.inputs["ids"]) if "ids" in self.inputs else len(np.atleast_2d(self.inputs[FEATURES]))

    @property
    def rows(self) -> int:
        """How many rows its answer has: words that are tagged, or tokens."""
        return len(self.inputs["places"]) if "places" in self.inputs else self.length

    def read(self, features: NDArray[np.float32]) -> Window:
        """Return this with ``features``, what a head reads of it, in the place of its tokens."""
        rest = {name: value for name, value in self.inputs.items() if name not in ("ids", "types")}
        return Window(self.owner, {FEATURES: features, **rest}, self.known)

    @property
    def kept(self) -> int:
        """How many rows there are to keep of it, where a head does not read all tokens."""
        return self.rows if "places" in self.inputs else 1

    @property
    def cost(self) -> int:
        """How many tokens are run for it."""
        return self.length


@dataclass(frozen=True)
class Reader:
    """A tokenizer that cuts what is longer than ``max_tokens`` into windows, of which neighbours share a quarter.

    ``types`` says whether the encoder tells the first text of a pair from the second.
    """

    tokenizer: Tokenizer
    max_tokens: int
    types: bool = False

    def tokens(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Give the tokens of each of ``texts``, uncut, with their offsets."""
        rest = iter(texts)
        while some := list(islice(rest, TEXTS_AT_ONCE)):
            yield from self.tokenizer(some)

    def room(self, taken: int) -> int:
        """Return how many tokens fit beside ``taken`` ones."""
        room = self.max_tokens - taken
        if room < 4:
            raise OptionError(f"max_tokens {self.max_tokens} leaves {max(room, 0)} tokens for the text: it must be more")
        return room

    def ranges(self, n: int, room: int) -> list[Range]:
        """Return the windows of ``n`` tokens, ``room`` at once."""
        return overlapping(n, room, room // 4)

    def framed(self, tokens: Tokens) -> Iterator[tuple[Ints, Range]]:
        """Give the ids that the encoder reads of one text, a window after the other, and which tokens these are."""
        front, back = self.tokenizer.prefix, self.tokenizer.suffix
        for window in self.ranges(len(tokens.ids), self.room(len(front) + len(back))):
            yield np.concatenate([front, tokens.ids[window.start : window.end], back]).astype(np.int64), window

    def paired(self, first: Tokens, second: Tokens) -> Iterator[tuple[Ints, Ints, Range, int]]:
        """Give what the encoder reads of a pair: ids, types, which tokens of the second text these are, and where they begin.

        The second text is cut into windows, the first stands before each of them; what it has more than half of
        ``max_tokens`` is left out.
        """
        front, middle, back = self._pair_frame
        room = self.room(len(front) + len(middle) + len(back))
        its = first.ids[: max(room - len(second.ids), room // 2)]
        head = np.concatenate([front, its, middle]).astype(np.int64)
        for window in self.ranges(len(second.ids), room - len(its)):
            body = second.ids[window.start : window.end]
            ids = np.concatenate([head, body, back]).astype(np.int64)
            yield ids, (np.arange(len(ids)) >= len(head)).astype(np.int64), window, len(head)

    def joined(self, first: Tokens, second: Tokens) -> Iterator[tuple[Ints, Ints]]:
        """Give the ids and types of all of ``first``, each window of it with the beginning of ``second`` behind it.

        A quarter of ``max_tokens`` is left for the second text, and what the first one does not take.
        """
        front, middle, back = self._pair_frame
        room = self.room(len(front) + len(middle) + len(back))
        for window in self.ranges(len(first.ids), room - room // 4):
            head = np.concatenate([front, first.ids[window.start : window.end], middle]).astype(np.int64)
            body = second.ids[: room - (window.end - window.start)]
            ids = np.concatenate([head, body, back]).astype(np.int64)
            yield ids, (np.arange(len(ids)) >= len(head)).astype(np.int64)

    @cached_property
    def _pair_frame(self) -> tuple[list[int], list[int], list[int]]:
        """Return the special tokens before, between and behind two texts; one that knows no pairs has them end like one text."""
        [a], [b] = self.tokenizer(["a"]), self.tokenizer(["hello"])
        both = self.tokenizer.inner("a", "hello")["input_ids"]
        n, m = len(a.ids), len(b.ids)
        for at in range(len(both) - n - m + 1):
            for other in range(at + n, len(both) - m + 1):
                if both[at : at + n] == a.ids.tolist() and both[other : other + m] == b.ids.tolist():
                    front, middle, back = both[:at], both[at + n : other], both[other + m :]
                    return front or self.tokenizer.prefix, middle or self.tokenizer.suffix, back or self.tokenizer.suffix
        return self.tokenizer.prefix, self.tokenizer.suffix, self.tokenizer.suffix


FILL = {"labels": NOTHING}
"""What fills up rows that are shorter than the longest, where it is not 0."""


def collate(windows: Sequence[Window], pad: int = 0) -> Batch:
    """Return ``windows`` as a batch: rows filled up at their ends, and a mask (rows, length) of the tokens that are there."""
    batch: Batch = {}
    for name in windows[0].inputs:
        rows = [np.asarray(window.inputs[name]) for window in windows]
        fill = pad if name == "ids" else FILL.get(name, 0)
        batch[name] = torch.from_numpy(_stacked(rows, fill))
    if "ids" in batch or batch[FEATURES].ndim == 3:  # texts in tokens, or in what the head reads of each
        lengths = np.array([window.length for window in windows])
        batch["mask"] = torch.from_numpy((np.arange(lengths.max()) < lengths[:, None]).astype(np.int64))
    return batch


def _stacked(rows: list[NDArray[Any]], fill: int) -> NDArray[Any]:
    longest = max((len(row) for row in rows), default=0) if rows[0].ndim else 0
    if all(row.shape == rows[0].shape for row in rows):
        return np.stack(rows)
    whole = np.full((len(rows), longest, *rows[0].shape[1:]), fill, dtype=rows[0].dtype)
    for at, row in enumerate(rows):
        whole[at, : len(row)] = row
    return whole
