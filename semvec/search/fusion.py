"""Several lists of hits made into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from semvec.errors import OptionError
from semvec.results import Hit, Hits

RANK_CONSTANT = 60
DENSE, WORDS = "dense", "bm25"


@dataclass(frozen=True)
class Fusion:
    """How hits by vectors and hits by words are joined.

    Without ``words_weight`` by reciprocal ranks: the sum of 1 / (``rank_constant`` + rank) (RRF; Cormack, Clarke and
    Büttcher, 2009). With it, between 0 and 1, by scores: that share of the words' and the rest of the vectors', both
    brought to 0…1 between the least score there can be (0 for words, −1 for cosines, else the least found) and the best
    found (Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", 2023); what a list has not found
    counts 0 there.
    """

    words_weight: float | None = None
    rank_constant: int = RANK_CONSTANT

    def __post_init__(self) -> None:
        if self.words_weight is not None and not 0 <= self.words_weight <= 1:
            raise OptionError(f"words_weight must be between 0 and 1, not {self.words_weight!r}")
        if self.rank_constant < 1:
            raise OptionError(f"rank_constant must be at least 1, not {self.rank_constant!r}")

    def joined(self, dense: Hits, words: Hits, floor: float | None = None) -> Hits:
        """Return the hits of both lists, best first; ``parts`` hold the score and rank that each had in each list.

        ``floor`` is the least score there can be in ``dense``.
        """
        lists, floors = {DENSE: dense, WORDS: words}, {DENSE: floor, WORDS: 0.0}
        hits: dict[str, Hit] = {}
        parts: dict[str, dict[str, float]] = {}
        scores: dict[str, float] = {}
        for name, its in lists.items():
            shares = self._shares(name, its, floors[name])
            for rank, hit in enumerate(its, 1):
                hits.setdefault(hit.id, hit)
                parts.setdefault(hit.id, {}).update({name: hit.score, f"{name}_rank": rank})
                scores[hit.id] = scores.get(hit.id, 0.0) + shares[hit.id]
        order = sorted(hits, key=lambda name: -scores[name])
        return Hits(tuple(replace(hits[name], score=scores[name], parts=parts[name]) for name in order), dense.query)

    def _shares(self, name: str, hits: Hits, floor: float | None) -> Mapping[str, float]:
        """Return what a list adds to the score of each of its hits."""
        if self.words_weight is None:
            return {hit.id: 1 / (self.rank_constant + rank) for rank, hit in enumerate(hits, 1)}
        weight = self.words_weight if name == WORDS else 1 - self.words_weight
        return {hit.id: weight * share for hit, share in zip(hits, brought_to_one(hits, floor), strict=True)}


def brought_to_one(hits: Hits, floor: float | None = None) -> list[float]:
    """Return the scores of ``hits`` brought to 0…1, 0 at the ``floor`` (None: the least of them); all 1 where they are equal."""
    scores = [hit.score for hit in hits]
    low = min(scores, default=0.0) if floor is None else floor
    high = max(scores, default=0.0)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]
