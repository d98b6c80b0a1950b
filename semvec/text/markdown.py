"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return ``rows``, the first being the header, as a Markdown table; what cells hold is Markdown already (`escaped`)."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def escaped(text: str) -> str:
    """Return ``text`` on one line, with nothing in it that Markdown would take for more than text."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))
