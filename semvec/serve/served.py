"""What a server has to give: an encoder, a collection, a reranker; and how each kind of job is run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.results import Hits
from semvec.search.rerank import Reranker
from semvec.search.searcher import Searcher
from semvec.text.document import flaw
from semvec.types import Level, Overflow

LETTERS = 20
"""Characters a token, at most, on average over a request."""


@dataclass(frozen=True)
class Vector:
    """The vector of one text, how many tokens it has, and how many of them were cut."""

    numbers: NDArray[np.float32]
    tokens: int
    cut: int


@dataclass(frozen=True)
class Embed:
    """Texts are encoded, as queries, as documents, or as they are."""

    kind: str | None


@dataclass(frozen=True)
class Search:
    """Queries are looked for."""

    k: int
    where: str | None
    hybrid: bool


@dataclass(frozen=True)
class Rerank:
    """Documents are scored for ``query``."""

    query: str


class Served:
    """``encoder`` and what else is served, under ``names``, of which the first is its own."""

    def __init__(
        self,
        encoder: Encoder,
        names: Sequence[str],
        *,
        overflow: Overflow,
        searcher: Searcher | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        if not names:
            raise OptionError("a model that is served has a name")
        read = Overflow.WINDOWS if overflow == Overflow.WINDOWS else Overflow.TRUNCATE  # what is refused never comes here
        self.encoder = encoder.with_options(level=Level.TEXT, overflow=read)
        self.names, self.overflow, self.searcher, self.reranker = tuple(names), overflow, searcher, reranker
        self._runs: dict[type, Callable[[Any, Sequence[Any]], Sequence[Any]]] = {
            Embed: self._embed,
            Search: self._search,
            Rerank: self._rerank,
        }

    def run(self, key: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        """Return a result for each of ``items``, which are what ``key`` says."""
        return self._runs[type(key)](key, items)

    def counted(self, texts: Sequence[str], most: int) -> int:
        """Return how many tokens ``texts`` have.

        Raises `InputError` for a text that is none, or too long where long ones are refused, and for more than ``most`` tokens.
        """
        if (size := sum(map(len, texts))) > most * LETTERS:  # before they are cut into tokens, which takes its time
            raise InputError(f"the request has {size:,} characters, and {most * LETTERS:,} are the most")
        for at, text in enumerate(texts):
            if reason := flaw(text) or ("" if text.strip() else "is blank"):
                raise InputError(f"input {at}: {reason}")
        counts, over = self.encoder.count_tokens(texts)
        total = int(counts.sum())
        if total > most:
            raise InputError(f"the request has {total:,} tokens, and {most:,} are the most")
        if self.overflow == Overflow.ERROR and over.any():
            at = int(np.argmax(over > 0))
            raise InputError(
                f"input {at} has {int(counts[at]):,} tokens, {int(over[at]):,} more than the model reads: shorten it"
            )
        return total

    def cut_to(self, vector: NDArray[np.float32], dimensions: int | None) -> NDArray[np.float32]:
        """Return the first ``dimensions`` of ``vector``, which has as many, at length 1."""
        if dimensions is None or dimensions == len(vector):
            return vector
        kept: NDArray[np.float32] = normalize(vector[None, :dimensions])[0]
        return kept

    def _embed(self, key: Embed, texts: Sequence[str]) -> list[Vector]:
        ways = {None: self.encoder.encode, "query": self.encoder.encode_query, "document": self.encoder.encode_document}
        found = ways[key.kind](list(texts))
        rows, cut = found.floats(), found.n_truncated
        return [Vector(rows[at], int(found.n_tokens[at]), int(cut[at])) for at in range(len(texts))]

    def _search(self, key: Search, queries: Sequence[str]) -> list[Hits]:
        if self.searcher is None:
            raise OptionError("no collection is served")
        return self.searcher.search(list(queries), key.k, where=key.where, hybrid=key.hybrid)

    def _rerank(self, key: Rerank, documents: Sequence[str]) -> list[float]:
        if self.reranker is None:
            raise OptionError("nothing is served that reranks")
        return [float(score) for score in self.reranker.scores(key.query, list(documents))]
