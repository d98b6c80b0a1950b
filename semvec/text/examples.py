"""Labelled examples, as the common data sets have them: scored pairs, labelled texts and pairs, words in context."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from semvec.errors import InputError
from semvec.text.columns import LONGEST, Columns, Record, one_source, read_columns, require_some
from semvec.text.readers import lines_of
from semvec.text.words import Span

FIRST = ("sentence1", "question1", "sentence_A", "text1", "premise", "question", "query", "anchor")
SECOND = ("sentence2", "question2", "sentence_B", "text2", "hypothesis", "answer", "document", "positive")
PAIR = {"sentence1": FIRST, "sentence2": SECOND}
SCORED = {"score": ("score", "relatedness_score", "similarity_score", "similarity"), **PAIR}
LABELLED = {"label": ("label", "category", "intent", "class", "target"), "text": ("text", "sentence", "query", "content")}
LABELLED_PAIR = {"label": ("label", "is_duplicate", "relevance"), **PAIR}
PLACES = ("index1", "start1", "end1", "index2", "start2", "end2")
IN_CONTEXT = {"label": ("label",), "target": ("target", "word"), **PAIR, **{name: (name,) for name in PLACES}}
TRUE, FALSE = {"1", "true", "t", "yes"}, {"0", "false", "f", "no"}


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of texts, and how alike people found them; the greater the score, the more alike."""

    first: list[str]
    second: list[str]
    scores: list[float]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with a label each."""

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class ManyLabelled:
    """Texts with any number of labels each, none included."""

    texts: list[str]
    labels: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class ClassedPairs:
    """Pairs of texts with a label each: entailment, paraphrase, …"""

    first: list[str]
    second: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of texts, and whether they belong together (say the same, or are a question and its answer)."""

    first: list[str]
    second: list[str]
    labels: list[bool]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class WordsInContext:
    """Two sentences each, where one word stands in them (``first_spans``, ``second_spans``), and whether it means the same."""

    first: list[str]
    second: list[str]
    first_spans: list[Span]
    second_spans: list[Span]
    labels: list[bool]
    targets: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)


def read_scored_pairs(path: str | os.PathLike[str], columns: Columns = None) -> ScoredPairs:
    """Return the pairs in a table with the columns score, sentence1 and sentence2, among others, or as SICK calls them.

    The STS benchmark's own ``.csv``, which has tabs and no header, is known too. Raises `InputError`, naming the line, for
    a score that is no number and for a text that is none; and where there are fewer than two pairs or only one score,
    with which nothing can be correlated.
    """
    table = _sts_benchmark(path) or read_columns(path, SCORED, columns=columns)
    rows = [(row.number(0), row.text(1), row.text(2)) for row in table]
    scores = [score for score, _, _ in rows]
    if len(set(scores)) < 2:
        what = "no pairs" if not rows else f"{len(rows):,} pairs, all of them scored {scores[0]:g}"
        raise InputError(f"{os.fspath(path)}: {what}; a correlation needs two different scores")
    return ScoredPairs([one for _, one, _ in rows], [two for _, _, two in rows], scores)


def _sts_benchmark(path: str | os.PathLike[str]) -> list[Record] | None:
    """Return the pairs of the STS benchmark's own files: genre, file, year, number, score and two sentences, tabs between."""
    found = []
    source = one_source(path)
    if source.kind != "csv":
        return None
    with source.open() as stream:
        for number, line in lines_of(stream, LONGEST):
            cells = (line or "").split("\t")
            if len(cells) < 7 or (number == 1 and not cells[4].replace(".", "", 1).isdigit()):
                return None
            found.append(Record(f"{source.name}, line {number}", tuple(cells[4:7])))
    return found


def read_labelled(path: str | os.PathLike[str], columns: Columns = None) -> LabelledTexts:
    """Return the texts in a table with the columns label and text; raise `InputError` where there are none."""
    rows = [(row.label(0), row.text(1)) for row in read_columns(path, LABELLED, columns=columns)]
    require_some(path, rows, "examples")
    return LabelledTexts([text for _, text in rows], [label for label, _ in rows])


def read_many_labelled(path: str | os.PathLike[str], columns: Columns = None, separator: str = ",") -> ManyLabelled:
    """Return the texts in a table with the columns labels and text, any number of labels each.

    The labels are a list (JSONL, Parquet), or one cell with ``separator`` between them; an empty cell is no label.
    """
    found = ManyLabelled([], [])
    names = {"labels": ("labels", "categories", *LABELLED["label"]), "text": LABELLED["text"]}
    for row in read_columns(path, names, columns=columns):
        cell = row.cells[0]
        parts = cell if isinstance(cell, list) else [] if cell is None else str(cell).split(separator)
        labels = [Record(row.where, (part,)).label(0) for part in parts if str(part).strip()]
        found.labels.append(tuple(dict.fromkeys(labels)))
        found.texts.append(row.text(1))
    require_some(path, found.texts, "examples")
    return found


def read_classed_pairs(path: str | os.PathLike[str], columns: Columns = None) -> ClassedPairs:
    """Return the pairs in a table with the columns label, sentence1 and sentence2 (or premise and hypothesis, …)."""
    names = {**LABELLED_PAIR, "label": ("label", "entailment", "gold_label", "is_duplicate", "relevance", "class")}
    rows = [(row.label(0), row.text(1), row.text(2)) for row in read_columns(path, names, columns=columns)]
    require_some(path, rows, "pairs")
    return ClassedPairs([one for _, one, _ in rows], [two for _, _, two in rows], [label for label, _, _ in rows])


def read_labelled_pairs(path: str | os.PathLike[str]) -> LabelledPairs:
    """Return the pairs in a table with the columns label (0 or 1), sentence1 and sentence2, or question and answer."""
    rows = [(_truth(row, 0), row.text(1), row.text(2)) for row in read_columns(path, LABELLED_PAIR)]
    require_some(path, rows, "pairs")
    return LabelledPairs([one for _, one, _ in rows], [two for _, _, two in rows], [label for label, _, _ in rows])


def read_words_in_context(path: str | os.PathLike[str]) -> WordsInContext:
    """Return word-in-context pairs (WiC): label (T or F), target, sentence1, sentence2, and where the target stands.

    That is index1 and index2, its place among the sentence's tokens, which blanks separate, from 0; or, as SuperGLUE has
    it, the characters from start1 to end1 and from start2 to end2.
    """
    found = WordsInContext([], [], [], [], [])
    for row in read_columns(path, IN_CONTEXT, optional=PLACES):
        for at, place, texts, spans in ((2, 4, found.first, found.first_spans), (3, 7, found.second, found.second_spans)):
            texts.append(row.text(at))
            spans.append(_token_span(row, texts[-1], place) if row.cells[place] is not None else _span(row, texts[-1], place + 1))
        found.labels.append(_truth(row, 0))
        found.targets.append(row.text(1))
    require_some(path, found.labels, "examples")
    return found


def _span(row: Record, text: str, at: int) -> Span:
    start, end = row.number(at, "start"), row.number(at + 1, "end")
    if not (start.is_integer() and end.is_integer() and 0 <= start < end <= len(text)):
        raise InputError(f"{row.where}: {row.cells[at]!r:.20} to {row.cells[at + 1]!r:.20} is no part of the sentence")
    return int(start), int(end)


def _truth(row: Record, at: int) -> bool:
    label = str(row.cells[at]).lower() if isinstance(row.cells[at], bool) else row.label(at).lower()
    if label not in TRUE | FALSE:
        raise InputError(f"{row.where}: the label {label!r:.40} is neither true nor false: 1 or 0, T or F")
    return label in TRUE


def _token_span(row: Record, text: str, at: int) -> Span:
    tokens, place = text.split(" "), row.number(at, "index")
    if not place.is_integer() or not 0 <= place < len(tokens) or not tokens[int(place)]:
        raise InputError(f"{row.where}: no token {row.cells[at]!r:.20} in a sentence of {len(tokens)}")
    start = sum(len(token) + 1 for token in tokens[: int(place)])
    return start, start + len(tokens[int(place)])
