"""Near duplicates: texts that say what another one says already, and why one was taken for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import normalize as normalised

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.similarity import nearest
from semvec.errors import OptionError
from semvec.explore.points import Points
from semvec.types import Choice, Metric, Progress, Step
from semvec.visualise.near import comparable

BLOCK = 1024
ROUNDING = 1e-6
ENDS = ".!?…。！？ "


class Reason(Choice):
    """Why a text is a duplicate of another."""

    SAME = "same text"
    FOLDED = "same but for case, spaces or the mark at its end"
    SIMILAR = "similar"


@dataclass(frozen=True)
class Duplicate:
    """The ``row`` that is left out, the ``kept`` one that says the same, their cosine, and the reason."""

    row: int
    kept: int
    score: float
    reason: Reason


def near_duplicates(points: Points, above: float = 0.95, progress: Progress | None = None) -> Iterator[Duplicate]:
    """Give, in order, the points that are near duplicates of one before them that is none.

    A point is compared with those that are kept, never with one that was left out, so nothing goes by a chain of others. Texts
    that are the same, but for case, spaces or the mark at their end, are found without their vectors; what goes as similar has a
    cosine of at least ``above`` to what stays. A vector of zeros is like no other.
    """
    check_above(above)
    if points.metric == Metric.EUCLIDEAN:
        raise OptionError("near duplicates are told by the cosine, and these vectors are compared by their distance")
    unit = comparable(points.vectors, points.metric)
    first: dict[str, int] = {}
    folded: dict[str, int] = {}
    kept = np.empty_like(unit)
    rows = np.empty(len(unit), dtype=np.int64)
    count = 0
    for at in range(0, len(unit), BLOCK):
        block = unit[at : at + BLOCK]
        best, score = _best(block, kept[:count])
        fresh = count
        for row, vector in enumerate(block, start=at):
            text = points.texts[row]
            if (found := first.get(text)) is not None:
                yield Duplicate(row, found, float(unit[found] @ vector), Reason.SAME)
                continue
            if (name := _folded(text)) and (found := folded.get(name)) is not None:
                yield Duplicate(row, found, float(unit[found] @ vector), Reason.FOLDED)
                continue
            place, near = int(best[row - at]), float(score[row - at])
            if count > fresh:
                scores = kept[fresh:count] @ vector
                if float(scores.max()) > near:
                    place, near = fresh + int(scores.argmax()), float(scores.max())
            if near >= above - ROUNDING:
                yield Duplicate(row, int(rows[place]), near, Reason.SIMILAR)
                continue
            kept[count], rows[count] = vector, row
            count += 1
            first[text] = row
            if name:
                folded.setdefault(name, row)
        if progress is not None:
            progress(Step("comparing", min(at + BLOCK, len(unit)), len(unit), "texts"))


def check_above(above: float) -> None:
    """Raise `OptionError` for what is no cosine to be above."""
    if not 0 < above <= 1:
        raise OptionError(f"the similarity must be more than 0 and at most 1, not {above!r}")


def _best(block: NDArray[np.float32], kept: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each row of ``block`` the nearest of ``kept`` and the cosine, -inf where there is none."""
    if not len(kept):
        return np.zeros(len(block), dtype=np.int64), np.full(len(block), -np.inf, dtype=np.float32)
    rows, scores = nearest(block, kept, 1, Metric.DOT)
    return np.asarray(rows[:, 0], dtype=np.int64), scores[:, 0]


def _folded(text: str) -> str:
    """Return ``text`` in small letters, with single spaces and without the marks that end a sentence."""
    return " ".join(normalised("NFC", text.casefold()).split()).rstrip(ENDS)
