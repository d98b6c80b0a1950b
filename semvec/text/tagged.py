"""Tagged sentences in the CoNLL layout: a token and its tag a line, a blank line after every sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from semvec.errors import InputError
from semvec.text.columns import LONGEST, require_some
from semvec.text.document import flaw
from semvec.text.readers import lines_of
from semvec.text.sources import Source

OUTSIDE = "O"
START = "-DOCSTART-"
SPAN_TAG = re.compile(r"[BIESLU]-.")


@dataclass(frozen=True)
class TaggedSentences:
    """Sentences as words, and a tag for every word."""

    words: list[list[str]]
    tags: list[list[str]]

    def __len__(self) -> int:
        return len(self.words)


class Entity(NamedTuple):
    """Words ``[start, end)`` of a sentence that are a ``kind``."""

    kind: str
    start: int
    end: int


def read_tagged(path: str | os.PathLike[str]) -> TaggedSentences:
    """Return the sentences of a file in columns, separated by tabs or blanks: the word first, its tag last.

    Raises `InputError`, naming the line, for one with fewer columns than the first, and where there is no sentence.
    """
    found = TaggedSentences([], [])
    words: list[str] = []
    tags: list[str] = []
    for where, cells in _rows(path):
        if cells is None:
            if words:
                found.words.append(words)
                found.tags.append(tags)
                words, tags = [], []
            continue
        if reason := flaw(cells[0]):
            raise InputError(f"{where}: {reason}")
        words.append(cells[0])
        tags.append(cells[-1])
    require_some(path, found.words, "sentences")
    return found


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, list[str] | None]]:
    """Give the cells of every line and where it is; None for the end of a sentence, of which the last is never missing."""
    name = os.fspath(path)
    columns: int | None = None
    with Source(name, "lines", name, name).open() as stream:
        for number, line in lines_of(stream, LONGEST):
            where = f"{name}, line {number}"
            if line is None:
                raise InputError(f"{where}: is longer than {LONGEST:,} bytes")
            if not line.strip() or line.startswith(START):
                yield where, None
                continue
            cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
            columns = columns or len(cells)
            if len(cells) < 2 or len(cells) != columns or not cells[0] or not cells[-1].strip():
                raise InputError(f"{where}: {len(cells)} columns ({line!r:.60}) where a word and its tag are wanted")
            yield where, cells
    yield name, None


def marks_spans(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether all tags are O or begin with B-, I-, E-, S-, L- or U-: they mark spans, and not, say, parts of speech."""
    return all(tag == OUTSIDE or SPAN_TAG.match(tag) for tags in sentences for tag in tags)


def entities(tags: list[str]) -> list[Entity]:
    """Return what IOB2 (or IOB1, IOBES) ``tags`` mark: B, S or another kind begins an entity, I and E go on with it.

    As conlleval and seqeval read them: an I that follows nothing of its kind begins one.
    """
    found: list[Entity] = []
    kind, start = None, 0
    for at, tag in enumerate([*tags, OUTSIDE]):
        sign, _, its = (tag[:1], "", tag[2:]) if tag != OUTSIDE else (OUTSIDE, "", None)
        if kind is not None and (its is None or sign in "BS" or its != kind):
            found.append(Entity(kind, start, at))
            kind = None
        if its is not None and kind is None:
            kind, start = its, at
        if kind is not None and sign in "ES":
            found.append(Entity(kind, start, at + 1))
            kind = None
    return found
