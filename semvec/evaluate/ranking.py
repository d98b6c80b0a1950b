"""Measures of rankings, a value a query, as trec_eval computes them and ir_measures calls them: nDCG@10, RR@10, AP, R@100.

A run says which documents were found for a query, and how each scored; equal scores are ranked by the document's id, the
greater first, as trec_eval does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError, OptionError
from semvec.types import did_you_mean

Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""The score of every document that was found for a query."""

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
Grades: TypeAlias = NDArray[np.float64]
"""The grades of a ranking's documents, best first: 0 for one that nobody judged."""


def ndcg(found: Grades, judged: Grades, k: int) -> float:
    """Return the discounted cumulative gain of the first ``k``, as a share of the best possible (Järvelin, Kekäläinen, 2002)."""
    best = np.sort(judged)[::-1][:k]
    gains = (float((grades / np.log2(np.arange(2, len(grades) + 2))).sum()) for grades in (found[:k], best))
    gain, possible = gains
    return gain / possible if possible else 0.0


def reciprocal_rank(found: Grades, judged: Grades, k: int) -> float:
    """Return one over the rank of the first relevant document among the first ``k``, 0 where there is none."""
    places = np.flatnonzero(found[:k] > 0)
    return 1 / (1 + int(places[0])) if len(places) else 0.0


def average_precision(found: Grades, judged: Grades, k: int) -> float:
    """Return the mean over the relevant documents of the precision at each, 0 for one not among the first ``k``."""
    relevant, places = int((judged > 0).sum()), np.flatnonzero(found[:k] > 0)
    return float((np.arange(1, len(places) + 1) / (places + 1)).sum()) / relevant if relevant else 0.0


def recall(found: Grades, judged: Grades, k: int) -> float:
    """Return the share of the relevant documents that are among the first ``k``."""
    relevant = int((judged > 0).sum())
    return int((found[:k] > 0).sum()) / relevant if relevant else 0.0


def precision(found: Grades, judged: Grades, k: int) -> float:
    """Return the share of relevant documents among the first ``k``, missing ones counting as not relevant."""
    return int((found[:k] > 0).sum()) / k


NAMES: dict[str, Callable[[Grades, Grades, int], float]] = {
    "nDCG": ndcg,
    "RR": reciprocal_rank,
    "AP": average_precision,
    "R": recall,
    "P": precision,
}
OTHER_NAMES = {"MRR": "RR@10", "MAP": "AP", "Recall": "R@10", "Precision": "P@10", "P": "P@10", "Hit": "R@10", "NDCG": "nDCG@10"}
"""What others call the measures."""

ALL = 1 << 30


@dataclass(frozen=True)
class RankMeasure:
    """A measure of rankings by its name: ``nDCG@10``, ``RR@10``, ``AP``, ``R@100``, ``P@5``."""

    name: str
    of: Callable[[Grades, Grades, int], float]
    k: int

    @classmethod
    def named(cls, name: str) -> RankMeasure:
        """Return the measure called ``name``; raise `OptionError` where there is none."""
        shape = re.fullmatch(r"([A-Za-z]+)(?:@([1-9][0-9]{0,8}))?", name)
        kind, depth = shape.groups() if shape else ("", None)
        if kind not in NAMES or (kind == "P" and not depth):
            known = [f"{one}@10" for one in NAMES]
            other = next((its for its in OTHER_NAMES if its.lower() == name.partition("@")[0].lower()), "")
            meant = f" (did you mean {OTHER_NAMES[other]!r}?)" if other else did_you_mean(name, known)
            raise OptionError(f"no measure {name!r}{meant}: there are {', '.join(known)}, for any depth")
        return cls(name, NAMES[kind], int(depth) if depth else ALL)

    def values(self, qrels: Qrels, run: Run) -> NDArray[np.float64]:
        """Return a value for every query of ``qrels``, in its order; 0 for one that ``run`` has not.

        Raises `InputError` where a query has no relevant document, of which nothing can be said.
        """
        found = []
        for query, judged in qrels.items():
            if not any(grade > 0 for grade in judged.values()):
                raise InputError(f"the query {query!r:.60} has no relevant document")
            ranking = [float(max(0, judged.get(name, 0))) for name in ranked(run.get(query, {}))]
            grades = np.array([max(0, grade) for grade in judged.values()], dtype=np.float64)
            found.append(self.of(np.array(ranking), grades, self.k))
        return np.array(found)


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Return the documents, best first; equal ones the greater id first."""
    return [name for name, _ in sorted(scores.items(), key=lambda one: (one[1], one[0]), reverse=True)]


def is_trec(run: Run) -> bool:
    """Whether all ids of ``run`` can stand in a file of TREC's, whose columns are parted by spaces."""
    return not any(re.search(r"\s", name) or not name for query, found in run.items() for name in (query, *found))


def trec_lines(run: Run, name: str) -> Iterator[str]:
    """Give ``run``, called ``name``, as TREC has it: query, Q0, document, rank, score, name."""
    for query, scores in run.items():
        for rank, document in enumerate(ranked(scores), start=1):
            yield f"{query} Q0 {document} {rank} {scores[document]!r} {name}"
