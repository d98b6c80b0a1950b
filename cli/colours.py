"""Texts at the terminal with their words in colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semvec.search.explain import Part

SHADES = (254, 223, 217, 210, 203)
"""Background colours of a terminal (of 256), from what adds next to nothing to what adds most."""

CONTROLS = {code: "�" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}
"""What a text could tell a terminal to do, and what is shown instead."""


def harmless(text: str) -> str:
    """Return ``text``, as long as it is, with nothing in it that a terminal would obey."""
    return text.translate(CONTROLS)


def one_line(text: str | None, width: int = 100) -> str:
    """Return the beginning of ``text`` on one line."""
    whole = harmless(" ".join((text or "").split()))
    return whole if len(whole) <= width else f"{whole[: width - 1]}…"


def coloured(text: str, parts: tuple[Part, ...]) -> str:
    """Return ``text`` with its words the redder the more they add; a terminal that shows no colours gets none."""
    most = max((part.share for part in parts if part.text), default=0.0)
    text = harmless(text)
    shown, at = [], 0
    for part in (part for part in parts if part.text):
        level = int(max(part.share, 0.0) / most * (len(SHADES) - 1) + 0.5) if most > 0 else 0
        its = text[part.start : part.end]
        shown += [text[at : part.start], click.style(its, bg=SHADES[level], fg=16) if level else its]
        at = part.end
    return " ".join("".join([*shown, text[at:]]).split("\n"))
