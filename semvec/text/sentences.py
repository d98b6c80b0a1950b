"""Sentences and where they stand."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from semvec.text.words import Span

ABBREVIATIONS = (
    "mr mrs ms dr prof st jr sr vs etc e.g i.e cf al fig eq no vol pp approx dept est inc ltd co corp "
    "jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k bzw ca z.b usw nr"
)


@lru_cache(maxsize=1)
def _boundary() -> Any:
    import regex

    known = "|".join(regex.escape(word) for word in ABBREVIATIONS.split())
    return regex.compile(
        rf"""
        (?: (?<! \b(?i:{known}) | \b\p{{Lu}} ) \.      # a full stop that ends no abbreviation or initial
          | [.?!…]{{2,}} | [?!…۔؟।॥] )
        ["'”’»)\]]* (?=\s+[^\p{{Ll}}\s]|\s*$)         # closing marks, then no lower-case letter
        | [。！？｡]+["'”’»」』）)\]]*                    # CJK marks need no space behind them
        | \n\s*\n                                     # an empty line
        """,
        flags=regex.VERBOSE | regex.V1,
    )


def split_sentences(text: str) -> list[Span]:
    """Return the character ranges of the sentences of ``text``, without the space around them.

    A sentence ends at ``.``, ``?``, ``!`` or ``…`` with what closes it, before a space and anything
    but a lower-case letter; at a CJK full stop; or at an empty line. Common abbreviations and
    initials do not end one. Together the sentences cover all of the text that is not white space.
    """
    spans: list[Span] = []
    at = 0
    for end in [match.end() for match in _boundary().finditer(text)] + [len(text)]:
        piece = text[at:end]
        bare = piece.strip()
        if bare:
            start = at + piece.index(bare)
            spans.append((start, start + len(bare)))
        at = end
    return spans
