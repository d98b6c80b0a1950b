"""Relations: texts with two marked pieces each, and how the first stands to the second."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from semvec.errors import InputError
from semvec.text.columns import Columns, Record, read_columns, require_some
from semvec.text.words import Span

NO_RELATION = "Other"
COLUMNS = {
    "relation": ("relation", "label"),
    "text": ("text", "sentence"),
    **{name: (name,) for name in ("e1", "e2", "start1", "end1", "start2", "end2")},
}
MARKED = re.compile(r"<e1>(.*?)</e1>|<e2>(.*?)</e2>", re.DOTALL)


@dataclass(frozen=True)
class Relations:
    """Texts, the characters of two entities in each, and the relation between these, directed (``Cause-Effect(e1,e2)``)."""

    texts: list[str]
    first: list[Span]
    second: list[Span]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def read_relations(path: str | os.PathLike[str], columns: Columns = None, *, labelled: bool = True) -> Relations:
    """Return the examples in a table with the columns relation and text, where the entities are marked in one of three ways.

    The columns e1 and e2 hold two numbers each, [start, end) in characters (JSONL); or start1, end1, start2, end2 do; or
    the text has ``<e1>…</e1>`` and ``<e2>…</e2>`` in it, which are taken out. Raises `InputError`, naming the line, where
    an entity is no part of the text. Without ``labelled`` the relation may be missing, and is then empty.
    """
    found = Relations([], [], [], [])
    optional = [name for name in COLUMNS if name != "text" and (name != "relation" or not labelled)]
    for row in read_columns(path, COLUMNS, optional, columns):
        text, first, second = _marked(row)
        found.texts.append(text)
        found.first.append(first)
        found.second.append(second)
        found.labels.append(row.label(0) if labelled else "")
    require_some(path, found.texts, "examples")
    return found


def _marked(row: Record) -> tuple[str, Span, Span]:
    text = row.text(1)
    if row.cells[2] is not None and row.cells[3] is not None:
        return text, *(_span(row, text, row.cells[at], f"e{at - 1}") for at in (2, 3))  # type: ignore[return-value]
    if all(cell is not None for cell in row.cells[4:]):
        return text, *(_span(row, text, row.cells[at : at + 2], f"e{at // 2 - 1}") for at in (4, 6))  # type: ignore[return-value]
    return _from_tags(row, text)


def _span(row: Record, text: str, edges: object, name: str) -> Span:
    try:
        start, end = (int(edge) for edge in edges)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(f"{row.where}: {name} is {edges!r:.40} where [start, end) is wanted, in characters") from None
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise InputError(f"{row.where}: {name} is [{start}, {end}), no piece of a text of {len(text)} characters")
    return start, end


def _from_tags(row: Record, text: str) -> tuple[str, Span, Span]:
    plain, at, spans = "", 0, dict[str, Span]()
    for match in MARKED.finditer(text):
        plain += text[at : match.start()]
        name, inside = ("e1", match[1]) if match[1] is not None else ("e2", match[2])
        spans[name] = (len(plain), len(plain) + len(inside))
        plain, at = plain + inside, match.end()
    plain += text[at:]
    if missing := {"e1", "e2"} - set(spans):
        how = "the columns e1 and e2, or <e1>…</e1> and <e2>…</e2> in the text"
        raise InputError(f"{row.where}: no entity {' and '.join(sorted(missing))}: {how}")
    return plain, *(_span(row, plain, spans[name], name) for name in ("e1", "e2"))  # type: ignore[return-value]
