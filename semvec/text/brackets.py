"""The bracket notation for a span: ``the [bank] of the river``."""

from __future__ import annotations

from semvec.errors import InputError
from semvec.text.words import Span


def read_brackets(text: str) -> tuple[str, list[Span], list[Span]]:
    """Return what a model should read, the spans in that, and the same spans in ``text`` itself.

    ``"the [bank] of"`` gives ``"the bank of"``, ``[(4, 8)]`` and ``[(5, 9)]``. Raises `InputError`
    for brackets that are not closed, nested, empty, or absent altogether.
    """
    bare: list[str] = []
    inner: list[Span] = []
    outer: list[Span] = []
    at = size = 0
    while (start := text.find("[", at)) >= 0:
        end = text.find("]", start)
        piece = text[start + 1 : end]
        if end < 0 or not piece or "[" in piece:
            raise InputError(_complaint(text, start))
        bare += [text[at:start], piece]
        size += start - at
        inner.append((size, size + len(piece)))
        outer.append((start + 1, end))
        size += len(piece)
        at = end + 1
    rest = text[at:]
    if not inner or "]" in "".join(bare) + rest:
        raise InputError(_complaint(text, max(text.find("]"), 0)))
    return "".join(bare) + rest, inner, outer


def _complaint(text: str, at: int) -> str:
    return (
        f"the brackets of {text!r:.60} do not mark spans (at {at}): write 'the [bank] of the river', "
        "without nesting, or pass spans=[[(start, end), …], …]"
    )
