"""Texts and what each is to become: its translation, its summary, the reply to it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from semvec.text.columns import Columns, Record, read_columns, require_some

SOURCE = ("source", "src", "input", "question", "document", "article", "text")
TARGET = ("target", "tgt", "output", "summary", "summaries", "reply", "answer", "translation")


@dataclass(frozen=True)
class ParallelTexts:
    """Texts and what each is to become; several right ones are all in ``targets``, the first is learnt."""

    sources: list[str]
    targets: list[list[str]]

    def __len__(self) -> int:
        return len(self.sources)


def read_parallel(path: str | os.PathLike[str], columns: Columns = None, *, labelled: bool = True) -> ParallelTexts:
    """Return the texts of a table by the columns source and target (or those commonly called so).

    A cell that is a list (JSONL) is, as a source, its texts in a row, and as a target several right ones. Raises
    `InputError`, naming the line, for what is no text. Without ``labelled`` there need be no target.
    """
    wanted = {"source": SOURCE, "target": TARGET} if labelled else {"source": SOURCE}
    found = ParallelTexts([], [])
    for row in read_columns(path, wanted, columns=columns):
        found.sources.append(" ".join(_texts(row, 0)))
        found.targets.append(_texts(row, 1) if labelled else [])
    require_some(path, found.sources, "texts")
    return found


def _texts(row: Record, at: int) -> list[str]:
    cell = row.cells[at]
    if not isinstance(cell, list) or not cell:
        return [row.text(at)]
    return [Record(row.where, (one,)).text(0) for one in cell]
