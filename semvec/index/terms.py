"""What a text is found by when its words are looked for."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

from semvec.text.words import SCRIPTS_WITHOUT_SPACES, split_words

ABOVE_OR_BELOW = 200
"""Unicode's combining classes from which a mark is an accent; viramas, nuktas and dakuten have smaller ones."""


def terms_of(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, without accents.

    Scripts written without spaces give every two neighbouring characters, as Lucene's CJKAnalyzer does: one
    alone says little, and where a word ends only a dictionary knows.
    """
    if text.isascii():
        return [text[first:last].lower() for first, last in split_words(text)]
    terms: list[str] = []
    for at, piece in enumerate(_runs().split(text)):
        if at % 2 == 0:
            terms += [folded for first, last in split_words(piece) if (folded := _folded(piece[first:last]))]
        else:
            run = _folded(piece)
            terms += [run[i : i + 2] for i in range(max(1, len(run) - 1))]
    return terms


def _folded(word: str) -> str:
    """Return ``word`` in lower case without what stands above or below its letters; signs that are part of a letter stay."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if unicodedata.combining(c) < ABOVE_OR_BELOW)
    return unicodedata.normalize("NFKC", bare)


@lru_cache(maxsize=1)
def _runs() -> Any:
    import regex

    return regex.compile(rf"((?:[{SCRIPTS_WITHOUT_SPACES}]\p{{M}}*)+)", flags=regex.V1)
