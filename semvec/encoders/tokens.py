"""Texts → tokens with exact character offsets, whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import ModelError

PROBES = ("a", "hello world", "1")
COMMON = "the of and 1 . , a e 的 一 и в"
"""What a tokenizer of any language knows something of."""


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
    """A tokenizer of the library tokenizers, asked only for what does not depend on its padding and truncation.

    ``prefix`` and ``suffix`` are the special tokens the model wants around one text, ``pad`` the id that fills up a batch.
    ``load`` gives the tokenizer of transformers around it.
    """

    def __init__(self, backend: Any, pad: int, load: Callable[[], Any]) -> None:
        self._backend, self.pad, self._load = backend, pad, load
        backend.no_truncation()
        backend.no_padding()
        self.prefix, self.suffix = self._frame()

    @classmethod
    def of(cls, tokenizer: Any) -> Tokenizer:
        """Return the tokenizer inside one of transformers; raise `ModelError` for one that has no offsets."""
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"the tokenizer {type(tokenizer).__name__} gives no character offsets (it is a slow one): "
                "save the model with its fast tokenizer (tokenizer.json)"
            )
        own = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())  # its settings are the user's
        made = cls(own, tokenizer.pad_token_id or 0, partial(itself, tokenizer))
        for probe in PROBES:
            if made._encoded([probe], special=True)[0].ids != tokenizer(probe)["input_ids"]:
                raise ModelError(f"the tokenizer {type(tokenizer).__name__} does more in Python than its tokenizer.json says")
        return made

    def check(self, vectors: int) -> None:
        """Raise `ModelError` where it knows no word though the model has so many ``vectors``: it was made without its files."""
        met = {number for its in self._encoded([COMMON]) for number in its.ids}
        if len(met) < 2 and 2 * self._backend.get_vocab_size() < vectors:
            raise ModelError("the tokenizer knows no word: is tokenizer.json, or vocab.txt, missing from the model's folder?")

    @cached_property
    def inner(self) -> Any:
        """The tokenizer of transformers."""
        return self._load()

    def _frame(self) -> tuple[list[int], list[int]]:
        for probe in PROBES:
            [bare], [whole] = (self._encoded([probe], special=special) for special in (False, True))
            for at in range(len(whole.ids) - len(bare.ids) + 1):
                if bare.ids and whole.ids[at : at + len(bare.ids)] == bare.ids:
                    return whole.ids[:at], whole.ids[at + len(bare.ids) :]
        raise ModelError("the tokenizer puts its special tokens elsewhere than around the text")

    def _encoded(self, texts: list[str], *, special: bool = False, offsets: bool = True) -> list[Any]:
        encode = self._backend.encode_batch if offsets else self._backend.encode_batch_fast
        return list(encode(texts, add_special_tokens=special))

    def __call__(self, texts: Sequence[str], *, prompt: str = "", offsets: bool = True) -> list[Tokens]:
        """Return the tokens of each of ``texts``, uncut, read behind ``prompt``; none of a blank text.

        ``offsets=False`` leaves ``start`` and ``end`` at 0 (unless there is a prompt), which is quicker.
        """
        if not texts:
            return []
        offsets = offsets or bool(prompt)
        found = self._encoded([prompt + text for text in texts] if prompt else list(texts), offsets=offsets)
        every = [its.ids if text.strip() else [] for text, its in zip(texts, found, strict=True)]
        if offsets:
            pairs = zip(texts, every, found, strict=True)
            return [tokens_of(text, ids, its.offsets[: len(ids)], len(prompt)) for text, ids, its in pairs]
        return [Tokens(np.array(ids, np.int64), np.zeros(len(ids), np.int32), np.zeros(len(ids), np.int32)) for ids in every]


def itself(thing: Any) -> Any:
    """Return ``thing``: with `functools.partial` what is there already is given as what is to be loaded."""
    return thing


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
