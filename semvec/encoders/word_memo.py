"""The tokens of a word, looked up instead of found again: most words of a text were met before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

KEPT = 1 << 24
"""So many characters of words are remembered, then it starts anew: what bounds memory."""

TOGETHER = 64
"""So many words are tokenised as one text."""


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
        known.update(zip(fresh, self._read(fresh), strict=True))
        self._characters += sum(map(len, fresh))
        return [list(chain.from_iterable(map(known.__getitem__, words))) for words in split]

    def _read(self, words: list[str]) -> list[list[int]]:
        """Return the ids of each of ``words``, which are read many at a time, since a call for each would take longer."""
        rows = [words[at : at + TOGETHER] for at in range(0, len(words), TOGETHER)]
        found = self._tokenizer.encode_batch([" ".join(row) for row in rows], add_special_tokens=False)
        return [ids for row, its in zip(rows, found, strict=True) for ids in _by_word(row, its.ids, its.offsets)]


def _by_word(words: list[str], ids: list[int], offsets: list[tuple[int, int]]) -> list[list[int]]:
    """Return which of ``ids`` belong to each of ``words`` that were read with a space between them."""
    ends = list(accumulate(len(word) + 1 for word in words))
    found: list[list[int]] = [[] for _ in words]
    at = 0
    for one, (start, _) in zip(ids, offsets, strict=True):
        while start >= ends[at]:
            at += 1
        found[at].append(one)
    return found
