"""A collection in a folder whose items have the vectors of their tokens too, searched by late interaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import plain_errors
from semvec.embeddings.transforms import normalize, span_directions
from semvec.errors import CollectionDamaged, InputError, StoreError
from semvec.index.kinds import AUTO, GOOD
from semvec.results import Hits
from semvec.store.collection import CANDIDATES, Settings, Stored, Vectors, Written, as_filter, check_items, check_k
from semvec.store.database import Database
from semvec.store.filters import Filter
from semvec.store.local import PATIENCE, LocalCollection, State
from semvec.store.token_files import TokenBlock, TokenRows
from semvec.store.tokens import MISSING, Tokens, checked, evidence_of
from semvec.text.words import Span
from semvec.types import JSON

Items = NDArray[np.int64]
Result = TypeVar("Result")
MANY = 1024
NOTHING: Vectors = np.zeros(0, dtype=np.float32)
"""In the place of the vector of a text, where it is not asked for."""


class TokenCollection(LocalCollection):
    """A local collection with token vectors in files beside its database, which says how far they count.

    Its items are searched by one vector each, as those of any collection, and by the vectors of their tokens.
    """

    def __init__(self, folder: Path, database: Database, settings: Settings) -> None:
        super().__init__(folder, database, settings)
        assert settings.tokens is not None
        self._tokens = Tokens(folder, settings.tokens, database)
        self._alive: tuple[State, TokenRows, Items] | None = None

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        raise StoreError(f"{self.folder}: keeps the vectors of tokens too: upsert_tokens writes items with them")

    def upsert_tokens(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        tokens: Embeddings,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        block = checked(tokens, self.settings)
        if len(block.counts) != len(ids):
            raise InputError(f"tokens of {len(block.counts):,} texts for {len(ids):,} ids")
        rows, texts, metadata = check_items(ids, vectors, texts, metadata, self.settings)
        items = list(zip(ids, self._codec.encode(rows), texts, metadata, strict=True))
        with self._writing(), plain_errors(self.folder), self._database.writing():
            self._writes += 1
            self._tokens.write(block)
            return Written(*self._database.put(items))

    def learn_tokens(self, sample: Embeddings, tokens: int, *, seed: int = 0) -> None:
        block = checked(sample, self.settings)
        with self._writing(), plain_errors(self.folder), self._database.writing():
            if (extent := self._tokens.extent()) is not None and extent.items:
                raise StoreError(f"{self.folder}: holds token vectors already, so how they are kept is settled")
            self._writes += 1
            self._tokens.learn(block.vectors, tokens, seed)

    def search_tokens(
        self,
        queries: Embeddings,
        k: int = 10,
        *,
        where: Filter | str | None = None,
        candidates: int | None = CANDIDATES,
        evidence: bool = False,
    ) -> list[Hits]:
        asked, wanted, k = list(checked(queries, self.settings).each()), as_filter(where), check_k(k)
        if candidates is not None:
            check_k(candidates)

        def search(tokens: TokenRows, items: Items) -> list[Hits]:
            return [self._found(tokens, items, one, k, candidates, evidence) for one in asked]

        return self._at_a_moment(search, [Hits(()) for _ in asked], wanted)

    def _at_a_moment(self, work: Callable[[TokenRows, Items], Result], nothing: Result, wanted: Filter | None = None) -> Result:
        """Return what ``work`` makes of the token vectors of one moment and the items that ``wanted`` is true of.

        ``nothing`` where there are none yet. Looked for again where a writer has just put others in their place.
        """
        for left in reversed(range(PATIENCE + 1)):
            with self._moment() as state:
                try:
                    if (found := self._tokens_at(state)) is None:
                        return nothing
                except FileNotFoundError as error:
                    if not left:
                        raise CollectionDamaged(f"{self.folder}: {MISSING}") from error
                    continue
                tokens, items = found
                if wanted is not None:
                    items = items[self._allowed(state, wanted).mask[tokens.rows[items]]]
                return work(tokens, items)
        raise AssertionError

    def occurrences(self, find: Callable[[str], list[Span]]) -> list[tuple[Stored, Span, Vectors]]:
        """Return all that ``find`` finds in the texts: the item, the characters, and the mean direction (dim,) of its tokens.

        As exact as tokens are kept; zeros where none is kept.
        """
        found: list[tuple[Stored, Span, Vectors]] = []

        def look(tokens: TokenRows, items: Items) -> list[tuple[Stored, Span, Vectors]]:
            for at in range(0, len(items), MANY):
                rows = tokens.rows[items[at : at + MANY]].tolist()
                contents = self._database.contents_of(rows)
                for item, row in zip(items[at : at + MANY].tolist(), rows, strict=True):
                    name, text, metadata = contents[row]
                    if not text or not (where := find(text)):
                        continue
                    block = tokens.block(item)
                    means = span_directions(block.vectors, block.spans, where)
                    each = zip(where, means, strict=True)
                    found.extend((Stored(name, NOTHING, text, metadata), span, mean) for span, mean in each)
            return found

        return self._at_a_moment(look, found)

    def nearest_tokens(
        self, vector: NDArray[np.float32], k: int = 4096, *, where: Filter | str | None = None
    ) -> list[tuple[Stored, Span, float]]:
        """Return the ``k`` tokens nearest to ``vector`` (dim,), nearest first: their item, the characters and the cosine.

        Every token is compared. Raises `InputError` for a vector of another dim.
        """
        wanted, k = as_filter(where), check_k(k)
        if vector.shape != (self.token_dim,):
            raise InputError(f"a vector of shape {vector.shape} where tokens have ({self.token_dim},)")

        def look(tokens: TokenRows, items: Items) -> list[tuple[Stored, Span, float]]:
            best = tokens.vectors.nearest(vector, items, k)
            contents = self._database.contents_of(sorted({int(tokens.rows[item]) for item, _, _ in best}))
            spans = {item: tokens.spans(item).tolist() for item in {item for item, _, _ in best}}
            found = []
            for item, token, score in best:
                name, text, metadata = contents[int(tokens.rows[item])]
                start, end = spans[item][token]
                found.append((Stored(name, NOTHING, text, metadata), (start, end), score))
            return found

        return self._at_a_moment(look, [], wanted)

    @property
    def token_dim(self) -> int:
        """How many numbers a token's vector has."""
        assert self.settings.tokens is not None
        return self.settings.tokens.dim

    def _found(self, tokens: TokenRows, items: Items, query: TokenBlock, k: int, candidates: int | None, evidence: bool) -> Hits:
        chosen = None if len(items) == len(tokens.rows) else items
        best, scores = tokens.vectors.search(query.vectors, k, items=chosen, candidates=candidates)
        hits = self._hits([tokens.rows[best].tolist()], [scores.tolist()])[0]
        if not evidence:
            return hits
        asked = tokens.vectors.codec.asked(normalize(query.vectors))
        each = zip(hits, best.tolist(), strict=True)
        return Hits(tuple(replace(hit, evidence=evidence_of(tokens, item, query, asked)) for hit, item in each))

    def _tokens_at(self, state: State) -> tuple[TokenRows, Items] | None:
        """Return the token vectors of the moment of ``state``, and which of their items are still there."""
        if self._alive is None or self._alive[0] is not state:
            if (extent := self._tokens.extent()) is None:
                return None
            tokens = self._tokens.at(extent)
            gone = np.isin(tokens.rows, self._database.gone(state.last_row))
            self._alive = state, tokens, np.flatnonzero(~gone)
        return self._alive[1:]

    def optimise(self, kind: str = AUTO, *, recall: float = GOOD, seed: int = 0) -> dict[str, JSON]:
        with self._writing(), plain_errors(self.folder):
            with self._database.writing():
                self._writes += 1
                self._tokens.compact(self._database.gone(self._database.last_row()))
            extent = self._tokens.extent()
            self._tokens.clear(None if extent is None else extent.folder)
            return super().optimise(kind, recall=recall, seed=seed)

    def drop(self) -> None:
        with self._writing():
            self._tokens.clear(None)  # first, since what is left without the database would be no collection to drop
            super().drop()

    def info(self) -> dict[str, JSON]:
        with self._database.reading():
            return {**super().info(), "tokens": self._tokens.info()}

    def check(self) -> list[str]:
        with self._database.reading():
            return [*super().check(), *self._tokens.damage()]
