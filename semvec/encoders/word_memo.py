"""The tokens of a word, looked up instead of found again: most words of a text were met before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

KEPT = 1 << 24
"""So many characters of words are remembered, then it starts anew: what bounds memory."""


class WordMemo:
    """The token ids of texts, by a tokenizer that reads what stands between two spaces by itself.

    That is so of BERT's, and `of` is careful to take no other. Looking words up is several times as fast as
    tokenising them, and gives the same.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self._characters = 0

    @classmethod
    def of(cls, tokenizer: Any) -> WordMemo | None:
        """Return a memo for ``tokenizer`` (of ``tokenizers``), or None for one that may read across spaces."""
        parts = json.loads(tokenizer.to_str())
        kinds = [(parts[name] or {}).get("type") for name in ("normalizer", "pre_tokenizer", "model")]
        apart = all(" " not in token["content"] and not (token["lstrip"] or token["rstrip"]) for token in parts["added_tokens"])
        return cls(tokenizer) if kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"] and apart else None

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each of ``texts``, without special tokens."""
        split = [text.split(" ") for text in texts]
        if self._characters > KEPT:
            self._known, self._characters = {}, 0
        known = self._known
        fresh = list(set(chain.from_iterable(split)).difference(known))
        found = self._tokenizer.encode_batch_fast(fresh, add_special_tokens=False)
        known.update((word, its.ids) for word, its in zip(fresh, found, strict=True))
        self._characters += sum(map(len, fresh))
        return [list(chain.from_iterable(map(known.__getitem__, words))) for words in split]
