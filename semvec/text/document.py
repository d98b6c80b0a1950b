"""What a reader gives: one text with its id, or the reason why a row is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semvec.types import JSON


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a source. ``where`` says in words where it stands (``"notes.txt, line 7"``).

    ``metadata`` holds the other cells of its row that were asked for (`ReadOptions.fields`).
    """

    id: str
    text: str
    where: str = ""
    source: str = ""
    line: int = 0
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be encoded: where it stands, in which file and line, and why."""

    where: str
    source: str
    line: int
    reason: str


def is_text(its: object) -> bool:
    """Whether ``its`` is a string that is Unicode text throughout."""
    return flaw(its) is None


def flaw(text: object) -> str | None:
    """Return why ``text`` cannot be encoded as it stands, or None where it can.

    Checks type, NUL characters and code points that are not Unicode text (lone surrogates, which
    is also how a byte that is not UTF-8 shows after decoding with ``surrogateescape``).
    """
    if text is None:
        return "the text is null"
    if not isinstance(text, str):
        return f"the text is not a string but {type(text).__name__} ({text!r:.60})"
    if text.isascii():
        nul = text.find("\0")
        return None if nul < 0 else f"NUL character at position {nul}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"not UTF-8: byte 0x{code - 0xDC00:02x} at position {error.start}"
        return f"not Unicode text: lone surrogate U+{code:04X} at position {error.start}"
    nul = text.find("\0")
    return None if nul < 0 else f"NUL character at position {nul}"
