"""The tokens of each text that are kept: the best of it by some score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import PER_ROW, Embeddings
from semvec.errors import OptionError
from semvec.selection.hard import Known, Strategy, hard_scores
from semvec.types import Oov


class Scorer(Protocol):
    """What has learned how telling tokens are."""

    def scores(self, tokens: Embeddings) -> NDArray[np.float64]:
        """Return how telling each row of ``tokens`` is, the greater the more."""


@dataclass(frozen=True)
class Selection:
    """Keeps a ``share`` of each text's tokens (0 to 1, rounded up), or ``k`` of them: the most telling ``by`` what it goes by."""

    by: Strategy | Scorer
    share: float | None = None
    k: int | None = None
    known: Known = field(default_factory=Known)

    def __post_init__(self) -> None:
        if (self.share is None) == (self.k is None):
            raise OptionError("a selection keeps a share of the tokens or k of them, one of the two")
        if self.share is not None and not 0 < self.share <= 1:
            raise OptionError(f"the share of tokens to keep must be more than 0 and at most 1, not {self.share!r}")
        if self.by in (Strategy.IDF, Strategy.TF_IDF) and not self.known.corpus.texts:
            raise OptionError(f"{self.by} wants to know how rare words are: Known(corpus), which has seen the texts")
        if self.by == Strategy.CHI2 and not self.known.chi2:
            raise OptionError("chi2 wants to know what words depend on: Known(chi2=chi_squared(texts, labels))")
        if self.k is not None and self.k < 1:
            raise OptionError(f"k must be at least 1, not {self.k!r}")

    def scores(self, tokens: Embeddings, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return how telling each row of ``tokens``, which are those of ``texts``, is."""
        if isinstance(self.by, Strategy):
            return hard_scores(self.by, tokens, texts, self.known)
        return self.by.scores(tokens)

    def kept(self, tokens: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Return ``tokens`` without those that are not kept, in their order; of equal ones the earlier is kept.

        Special tokens and those with no vector are not counted, and stay.
        """
        scores = self.scores(tokens, texts)
        plain = ~tokens.special & (tokens.oov != Oov.ZERO)
        keep = ~plain
        rows = np.flatnonzero(plain)
        for its in np.split(rows, np.flatnonzero(np.diff(tokens.text_index[rows])) + 1):
            k = self.k if self.k is not None else int(np.ceil((self.share or 0) * len(its) - 1e-9))  # 0.07 · 100 is 7
            keep[its[np.argsort(-scores[its], kind="stable")[:k]]] = True
        return rows_of(tokens, keep)


def rows_of(tokens: Embeddings, keep: NDArray[np.bool_]) -> Embeddings:
    """Return the rows of ``tokens`` to ``keep`` (rows,); the texts stay."""
    parts: dict[str, Any] = {name: getattr(tokens, name)[keep] for name in PER_ROW}
    return replace(tokens, **parts)
