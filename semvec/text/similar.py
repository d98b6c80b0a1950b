"""Texts to learn similarity from: pairs with scores or labels, pairs that belong together, triplets, or texts alone."""

from __future__ import annotations

import os
from dataclasses import dataclass

from semvec.errors import InputError
from semvec.text.columns import LONGEST, Columns, Record, one_source, read_columns, require_some
from semvec.text.examples import FALSE, FIRST, SCORED, SECOND, TRUE, read_scored_pairs
from semvec.text.readers import lines_of

COLUMNS = {
    "sentence1": (*FIRST, "text", "sentence"),
    "sentence2": (*SECOND, "pos"),
    "negative": ("negative", "neg", "negatives"),
    "score": SCORED["score"],
    "label": ("label", "is_duplicate"),
}


@dataclass(frozen=True)
class SimilarTexts:
    """Texts ``first`` and what is like each: ``second`` (empty where there is nothing), and what is not, ``others``.

    ``scores`` say how alike the two of a pair are (NaN where nothing says it), and whether they are 0 or 1 alone.
    """

    first: list[str]
    second: list[str]
    others: list[list[str]]
    scores: list[float]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def kind(self) -> str:
        """What these are: ``scored`` or ``labelled`` pairs, ``triplets``, ``pairs`` that belong together, or ``texts`` alone."""
        if not any(self.second):
            return "texts"
        if any(score == score for score in self.scores):
            return "labelled" if set(self.scores) <= {0.0, 1.0} else "scored"
        return "triplets" if any(self.others) else "pairs"


def read_similar(path: str | os.PathLike[str], columns: Columns = None) -> SimilarTexts:
    """Return the texts in a table by its columns: sentence1 (or anchor, query, text), sentence2 (or positive), negative, score.

    Or, in the place of a score, a label 0 or 1. Raises `InputError`, naming the line, for what is no text or no score.
    """
    if one_source(path).kind == "lines":
        name = os.fspath(path)
        with one_source(path).open() as stream:
            rows = [Record(f"{name}, line {number}", (line,)) for number, line in lines_of(stream, LONGEST) if line != ""]
        lines = [row.text(0) for row in rows]
        require_some(path, lines, "texts")
        return SimilarTexts(lines, [""] * len(lines), [[] for _ in lines], [float("nan")] * len(lines))
    optional = [name for name in COLUMNS if name != "sentence1"]
    try:
        rows = list(read_columns(path, COLUMNS, optional, columns))
    except InputError:
        try:  # the STS benchmark's own file, which has no header
            its = read_scored_pairs(path)
        except InputError:
            its = None
        if its is None:
            raise
        return SimilarTexts(its.first, its.second, [[] for _ in its.scores], its.scores)
    found = SimilarTexts([], [], [], [])
    for row in rows:
        found.first.append(row.text(0))
        found.second.append("" if row.cells[1] is None else row.text(1))
        found.others.append(_texts(row, 2))
        found.scores.append(row.number(3) if row.cells[3] is not None else float("nan") if row.cells[4] is None else _truth(row))
    require_some(path, found.first, "texts")
    return found


def _texts(row: Record, at: int) -> list[str]:
    cell = row.cells[at]
    if cell is None:
        return []
    return [Record(row.where, (one,)).text(0) for one in (cell if isinstance(cell, list) else [cell])]


def _truth(row: Record) -> float:
    label = str(row.cells[4]).strip().lower()
    if label not in TRUE | FALSE:
        hint = "the task pairs learns other labels"
        raise InputError(f"{row.where}: the label {label!r:.40} says not whether the two are alike, 1 or 0; {hint}")
    return float(label in TRUE)
