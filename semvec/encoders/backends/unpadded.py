"""The tokens of several windows one after the other, without padding between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.backends.bert import BertWeights
from semvec.errors import ModelError

if TYPE_CHECKING:
    import torch

FEW, STEPS = 64, (4, 16)
"""Rows are filled up to a multiple of the first step where they are few, of the second else: oneDNN makes its code anew for
every number of rows."""

Groups: TypeAlias = "list[tuple[int, int, int]]"
"""Where windows of equal length begin, how many there are, and how long each is."""

CACHED_TOKENS = 768
"""What a batch of so many tokens needs is for the most part in a core's own cache."""


class Runner(Protocol):
    """What runs windows of token ids some other way than transformers does, best about ``batch_tokens`` at a time."""

    batch_tokens: int
    pads: bool
    """Whether windows of a batch are padded; what does not computes as torch is told to, so several may run on one core each."""

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        """Return the hidden states, each (tokens, dim), of the layers ``wanted`` (0: of the embeddings; None: of the last).

        The ``windows`` are the longest first or in any other order in which equal lengths stand together.
        """


@dataclass(frozen=True)
class Unpadded:
    """``ids`` and ``places`` (rows,) of the tokens in their windows, and ``groups`` of equal ones. Behind ``count`` rows of
    tokens some may follow that belong to none."""

    ids: NDArray[np.int64]
    places: NDArray[np.int64]
    groups: Groups
    count: int

    @classmethod
    def of(cls, windows: Sequence[Sequence[int]], weights: BertWeights) -> Unpadded:
        """Return ``windows`` for a model of ``weights``; raise `ModelError` for a token that it has no vector for."""
        lengths = np.array([len(one) for one in windows], dtype=np.int64)
        count = int(lengths.sum())
        step = STEPS[count > FEW]
        ids, places = np.zeros((2, -(-count // step) * step), dtype=np.int64)
        ids[:count] = np.fromiter((token for one in windows for token in one), dtype=np.int64, count=count)
        if ids.max(initial=0) >= len(weights.words):
            raise beyond_table(int(ids.max()), len(weights.words))
        places[:count] = _places(ids[:count], lengths, weights.pad)
        groups, start = [], 0
        for length, alike in groupby(lengths.tolist()):
            number = len(list(alike))
            groups.append((start, number, length))
            start += number * length
        return cls(ids, places, groups, count)


def _places(ids: NDArray[np.int64], lengths: NDArray[np.int64], pad: int | None) -> NDArray[np.int64]:
    """Return the place (tokens,) of every token in its window; of a RoBERTa behind the padding, which is not counted."""
    counted = np.ones(len(ids), dtype=np.int64) if pad is None else (ids != pad).astype(np.int64)
    running = np.cumsum(counted)
    before = np.repeat(np.append(0, running)[np.cumsum(lengths) - lengths], lengths)
    places: NDArray[np.int64] = running - before - 1 if pad is None else (running - before) * counted + pad
    return places


def beyond_table(token: int, size: int) -> ModelError:
    """Return the error that the tokenizer gives a ``token`` which the model's table of ``size`` has not."""
    return ModelError(f"the tokenizer gives token {token}, but the model's table has {size}: they do not belong together")
