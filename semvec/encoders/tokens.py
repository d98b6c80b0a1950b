"""Texts → tokens with exact character offsets, whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import ModelError

PROBES = ("a", "hello world", "1")


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text, without the special ones a model wants around them.

    ``ids`` (n,) and the characters ``start`` up to ``end`` (n,) that each was made of. The first
    ``n_prompt`` belong to the prompt; the offsets of the others count from the text behind it.
    """

    ids: NDArray[np.int64]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    n_prompt: int = 0

    def __len__(self) -> int:
        return len(self.ids) - self.n_prompt


class Tokenizer:
    """A tokenizer of transformers, asked only for what does not depend on its padding and truncation.

    ``prefix`` and ``suffix`` are the special tokens the model wants around one text.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"the tokenizer {type(tokenizer).__name__} gives no character offsets (it is a slow one): "
                "save the model with its fast tokenizer (tokenizer.json)"
            )
        self.inner = tokenizer
        self.pad = tokenizer.pad_token_id or 0
        self.prefix, self.suffix = self._frame()

    def _frame(self) -> tuple[list[int], list[int]]:
        for probe in PROBES:
            bare = self.inner(probe, add_special_tokens=False)["input_ids"]
            whole = self.inner(probe, add_special_tokens=True)["input_ids"]
            for at in range(len(whole) - len(bare) + 1):
                if bare and whole[at : at + len(bare)] == bare:
                    return whole[:at], whole[at + len(bare) :]
        raise ModelError(f"the tokenizer {type(self.inner).__name__} puts its special tokens elsewhere than around the text")

    def __call__(self, texts: Sequence[str], *, prompt: str = "", offsets: bool = True) -> list[Tokens]:
        """Return the tokens of each of ``texts``, uncut, read behind ``prompt``; none of a blank text.

        ``offsets=False`` leaves ``start`` and ``end`` at 0 (unless there is a prompt), which is quicker.
        """
        if not texts:
            return []
        offsets = offsets or bool(prompt)
        found = self.inner(
            [prompt + text for text in texts] if prompt else list(texts),
            add_special_tokens=False,
            return_offsets_mapping=offsets,
            return_attention_mask=False,
            return_token_type_ids=False,
            truncation=False,
            padding=False,
            verbose=False,
        )
        every = [ids if text.strip() else [] for text, ids in zip(texts, found["input_ids"], strict=True)]
        if offsets:
            pairs = zip(texts, every, found["offset_mapping"], strict=True)
            return [tokens_of(text, ids, edges[: len(ids)], len(prompt)) for text, ids, edges in pairs]
        return [Tokens(np.array(ids, np.int64), np.zeros(len(ids), np.int32), np.zeros(len(ids), np.int32)) for ids in every]


def tokens_of(text: str, ids: list[int], offsets: list[tuple[int, int]], shift: int) -> Tokens:
    """Return the tokens ``ids`` of ``text``, whose ``offsets`` count from a prompt of ``shift`` characters before it."""
    trimmed = [_trimmed(text, max(start - shift, 0), max(end - shift, 0)) for start, end in offsets]
    edges = np.array(trimmed, dtype=np.int32).reshape(-1, 2)
    behind = np.flatnonzero(edges[:, 1] > 0) if shift else np.zeros(1, np.int64)
    n_prompt = int(behind[0]) if len(behind) else len(ids)
    return Tokens(np.array(ids, dtype=np.int64), edges[:, 0].copy(), edges[:, 1].copy(), n_prompt)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave the white space at the edges of a token out of its range, as some tokenizers do and some do not."""
    if start < end and (text[start].isspace() or text[end - 1].isspace()):
        piece = text[start:end]
        if bare := piece.strip():
            start += piece.index(bare)
            end = start + len(bare)
    return start, end
