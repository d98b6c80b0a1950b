"""Texts at the terminal with their words in colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semvec.search.explain import Part

SHADES = (254, 223, 217, 210, 203)
"""Background colours of a terminal (of 256), from what adds next to nothing to what adds most."""


def coloured(text: str, parts: tuple[Part, ...]) -> str:
    """Return ``text`` with its words the redder the more they add; a terminal that shows no colours gets none."""
    most = max((part.share for part in parts if part.text), default=0.0)
    shown, at = [], 0
    for part in (part for part in parts if part.text):
        level = int(max(part.share, 0.0) / most * (len(SHADES) - 1) + 0.5) if most > 0 else 0
        shown += [text[at : part.start], click.style(part.text, bg=SHADES[level], fg=16) if level else part.text]
        at = part.end
    return " ".join("".join([*shown, text[at:]]).split("\n"))
