"""Words and where they stand: Unicode-aware splitting, a user's splitter, texts split already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

from semvec.errors import InputError

Span: TypeAlias = tuple[int, int]
"""A character range ``[start, end)``."""

Splitter: TypeAlias = Callable[[str], "Iterable[str] | Iterable[Span]"]
"""Gives the words of a text, as strings in the order of the text or as character ranges."""

SCRIPTS_WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"


ASCII = re.compile(
    r"(?<![\w.])[A-Za-z](?:\.[A-Za-z])+(?!\w)\.?|\w+(?:(?:(?<=[A-Za-z])['\-](?=[A-Za-z])|(?<=\d)[.,'](?=\d))\w+)*", re.ASCII
)
"""What `_pattern` finds, for a text without any other character; several times as fast."""


@lru_cache(maxsize=1)
def _pattern() -> Any:
    import regex

    letter = rf"(?:(?![{SCRIPTS_WITHOUT_SPACES}])[\p{{L}}\p{{N}}_])[\p{{M}}\u200c\u200d]*"
    return regex.compile(
        rf"""
        [{SCRIPTS_WITHOUT_SPACES}]\p{{M}}*              # one character of a script without spaces
        | (?<![\p{{L}}\p{{N}}\p{{M}}_.])\p{{L}}(?:\.\p{{L}})+(?![\p{{L}}\p{{N}}\p{{M}}_])\.?      # U.S., e.g.
        | {letter}(?:{letter}                           # letters and digits, and inside them
            | (?<=\p{{L}}\p{{M}}*)['’\-\u2010\u2011·](?=\p{{L}})   # don't, well-known
            | (?<=\p{{N}})[.,'’](?=\p{{N}}))*           # 1,000.5
        | (?=\p{{Extended_Pictographic}}|\p{{RI}})\X    # an emoji with all its joiners
        """,
        flags=regex.VERBOSE | regex.V1,
    )


def split_words(text: str) -> list[Span]:
    """Return the character ranges of the words of ``text``.

    A word is a run of letters, marks and digits with the apostrophes, hyphens and decimal points
    inside it; single letters with dots between them (U.S., e.g.); a single character in scripts written
    without spaces (Chinese, Japanese, Thai, …); or an emoji with all its joiners. White space and
    punctuation belong to no word.
    """
    pattern = ASCII if text.isascii() else _pattern()
    return [match.span() for match in pattern.finditer(text)]


def find_words(text: str, splitter: Splitter | None) -> list[Span]:
    """Return the ranges of the words that ``splitter`` (default: `split_words`) finds.

    A splitter that gives strings (``jieba.cut``, ``str.split``) is followed through the text;
    white space and punctuation are left out. Raises `InputError` for a word that does not
    stand in the text where the order says, and for a range outside the text.
    """
    if splitter is None:
        return split_words(text)
    spans: list[Span] = []
    at = 0
    try:
        words = iter(splitter(text))
    except (Exception, SystemExit) as error:  # whatever a function of somebody else's does
        raise InputError(f"the splitter gave no words of {text!r:.60}: {type(error).__name__}: {error}") from error
    for word in _told(words):
        if isinstance(word, str):
            if not any(map(str.isalnum, word)) and not split_words(word):
                continue
            start = text.find(word, at)
            if start < 0:
                raise InputError(f"the splitter gave {word!r}, which does not stand in {text!r:.60} after {at}")
            at = start + len(word)
            spans.append((start, at))
        else:
            spans.append(check_span(text, cast("Span", word)))
    return spans


def _told(words: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from words
    except (Exception, SystemExit) as error:  # whatever a function of somebody else's does
        raise InputError(f"the splitter broke off: {type(error).__name__}: {error}") from error


def check_span(text: str, span: Sequence[int]) -> Span:
    """Return ``span`` as two ints; raise `InputError` where it is not a range of ``text``."""
    try:
        start, end = (int(edge) for edge in span)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{span!r} is not a character range (start, end)") from None
    if not 0 <= start < end <= len(text):
        raise InputError(f"span ({start}, {end}) is empty or outside its text of {len(text)} characters")
    return start, end


def join_words(words: Sequence[str]) -> tuple[str, list[Span]]:
    """Return the text that ``words`` make with one space between them, and the range of each."""
    spans: list[Span] = []
    at = 0
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"a word is not a string but {type(word).__name__} ({word!r:.60})")
        spans.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(words), spans
