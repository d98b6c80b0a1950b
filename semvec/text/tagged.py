"""Tagged sentences in the CoNLL layout: a token and its tag a line, a blank line after every sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from semvec.errors import InputError
from semvec.text.columns import LONGEST, Columns, read_columns, require_some
from semvec.text.document import flaw
from semvec.text.readers import lines_of
from semvec.text.sources import Source
from semvec.text.words import split_words

OUTSIDE = "O"
START = "-DOCSTART-"
SPAN_TAG = re.compile(r"[BIESLU]-.")
KEYPHRASE = "KEY"
IN_ROWS = {"words": ("words", "tokens"), "tags": ("tags", "ner_tags", "labels")}
OF_PHRASES = {"text": ("text", "document", "abstract"), "keyphrases": ("keyphrases", "keywords")}


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
    odd, begun = "", False
    for where, cells in _rows(path):
        if cells is None:
            if words:
                found.words.append(words)
                found.tags.append(tags)
                words, tags = [], []
            continue
        if reason := flaw(cells[0]) or flaw(cells[-1]):
            raise InputError(f"{where}: {reason}")
        words.append(cells[0])
        tags.append(cells[-1])
        odd = odd or (where if cells[-1] != OUTSIDE and not SPAN_TAG.match(cells[-1]) else "")
        begun = begun or cells[-1].startswith("B-")
    if odd and begun:
        raise InputError(f"{odd}: its tag does not mark a span (B-…, I-…, O), as others of the file do")
    require_some(path, found.words, "sentences")
    return found


def read_tagged_rows(path: str | os.PathLike[str], columns: Columns = None) -> TaggedSentences:
    """Return the sentences of a ``.jsonl`` file: a list ``words`` and a list ``tags`` a line, or ``text`` and ``keyphrases``.

    Of a text with keyphrases every place where one stands is marked, B-KEY and I-KEY, however it is capitalised. Raises
    `InputError`, naming the line, where there are not as many tags as words.
    """
    found = TaggedSentences([], [])
    for row in read_columns(path, {**IN_ROWS, **OF_PHRASES}, (*IN_ROWS, *OF_PHRASES), columns):
        words, tags, text, phrases = row.cells
        if isinstance(text, str) and isinstance(phrases, list):
            words = split_tokens(row.text(2))
            tags = _phrase_tags(words, [split_tokens(str(phrase)) for phrase in phrases])
        if not (isinstance(words, list) and isinstance(tags, list) and all(isinstance(one, str) for one in [*words, *tags])):
            raise InputError(f"{row.where}: neither lists of words and tags, nor a text and its keyphrases")
        if len(words) != len(tags):
            raise InputError(f"{row.where}: {len(words)} words and {len(tags)} tags")
        if not all(tags):
            raise InputError(f"{row.where}: a tag is empty")
        if reason := next(filter(None, map(flaw, [*words, *tags])), None):
            raise InputError(f"{row.where}: {reason}")
        if words:
            found.words.append(words)
            found.tags.append(tags)
    require_some(path, found.words, "sentences")
    return found


def to_scheme(tags: Sequence[str], scheme: str) -> list[str]:
    """Return ``tags``, of any scheme, in BIO or BIOES (B and I inside of a span, E at its end, S where it is one word)."""
    made = [OUTSIDE] * len(tags)
    for kind, start, end in entities(list(tags)):
        signs = ["B", *"I" * (end - start - 1)]
        if scheme == "BIOES":
            signs[-1] = "S" if len(signs) == 1 else "E"
        made[start:end] = [f"{sign}-{kind}" for sign in signs]
    return made


def split_tokens(text: str) -> list[str]:
    """Return the words of ``text`` and what stands between them, white space apart: what is tagged of a plain text."""
    found, at = [], 0
    for start, end in [*split_words(text), (len(text), len(text))]:
        found += re.findall(r"[^\W\s]+|[^\w\s]", text[at:start])
        if start < end:
            found.append(text[start:end])
        at = end
    return found


def _phrase_tags(words: list[str], phrases: list[list[str]]) -> list[str]:
    """Return the tags of ``words``, in which the longest phrases are looked for first."""
    folded, tags = [word.casefold() for word in words], [OUTSIDE] * len(words)
    for phrase in sorted(phrases, key=len, reverse=True):
        wanted = [word.casefold() for word in phrase]
        for at in range(len(words) - len(wanted) + 1 if wanted else 0):
            end = at + len(wanted)
            if folded[at:end] == wanted and all(tag == OUTSIDE for tag in tags[at:end]):
                tags[at:end] = [f"B-{KEYPHRASE}", *[f"I-{KEYPHRASE}"] * (len(wanted) - 1)]
    return tags


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
