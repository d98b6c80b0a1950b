"""The letters of pictures: fonts for all scripts, as far as they are here, and what is said where letters are missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from semvec.errors import LettersMissing

FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
)
"""Fonts that are looked through for a letter, those of them that are there."""


def fonts_here() -> list[str]:
    """Return those of the fonts that are installed, the first to be tried first."""
    from matplotlib.font_manager import get_font_names

    return [name for name in FONTS if name in get_font_names()]


@contextmanager
def letters_told() -> Iterator[None]:
    """Say in one line of semvec's own that letters are missing, and nothing else that matplotlib warns of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    if missing := {str(its.message).partition("Glyph ")[2].partition(" ")[0] for its in said if "Glyph" in str(its.message)}:
        letters = "".join(chr(int(code)) for code in sorted(missing)[:20] if code.isdigit())
        advice = f"no font here has {letters!r}: a font such as Noto Sans CJK has more"
        warnings.warn(LettersMissing(advice), stacklevel=3)
