"""`Searcher`: an encoder and a collection, asked by texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.results import Hits
from semvec.search.diversity import best_of_groups, diverse
from semvec.search.fusion import Fusion
from semvec.search.rerank import Reranker
from semvec.search.rerank import rerank as rerank_hits
from semvec.store.collection import Collection, Settings, Written, as_filter, check_k
from semvec.store.filters import Compare, Filter, check_fields
from semvec.text.document import Document
from semvec.types import Dtype, Level, Metric, Oov

BLOCK = 1024
CANDIDATES = 5
LEAST = 50
MOST = 10_000
"""Candidates are so many times as many as hits are wanted, at least and at most so many."""

FLOORS = {Metric.COSINE: -1.0}
"""The least score there can be, where there is one."""


class Searcher:
    """Searches a collection by texts, and writes texts into it, by one encoder.

    The encoder must be the one that made the collection's vectors, else `FingerprintMismatch`.
    """

    def __init__(self, encoder: Encoder, collection: Collection) -> None:
        self.encoder = encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32)
        self.collection = collection
        collection.check_fingerprint(self.encoder.fingerprint)

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: Filter | str | None = None,
        hybrid: Fusion | bool = False,
        rerank: Reranker | None = None,
        diversity: float = 0.0,
        group_by: str | None = None,
        min_score: float | None = None,
    ) -> list[Hits]:
        """Return the ``k`` best items of each of ``queries`` among those ``where`` is true of, best first.

        Queries get the model's prompt for queries. ``hybrid`` looks for their words too, and joins both (`Fusion`);
        ``rerank`` scores the candidates anew by their texts; ``min_score`` leaves out what scores less then;
        ``diversity`` (0 to 1) prefers hits that are unlike each other (`diverse`); ``group_by`` gives only the best hit
        of every value of a field. All but ``where`` choose among `CANDIDATES` times ``k`` candidates, more where groups
        leave fewer than ``k``. Each hit's ``parts`` say what its score was made of.

        Raises `InputError` for a query with nothing in it that the model knows, `FilterError` for a filter that cannot
        be answered or a ``group_by`` that is no field, `StoreError` for ``hybrid`` in a store that keeps no words. With
        ``hybrid`` a query of words the model does not know is answered by words alone.
        """
        if isinstance(queries, str):
            raise InputError("queries must be a list of texts, not one string: search([query])")
        if not 0 <= diversity <= 1:
            raise OptionError(f"diversity must be between 0 and 1, not {diversity!r}")
        check_min_score(min_score)
        k, fusion = check_k(k), Fusion() if hybrid is True else hybrid or None
        if group_by is not None:
            check_fields(Compare(group_by, "=", 0), self.collection.info()["fields"])
        found = self.encoder.encode_query(queries)
        known = found.oov != Oov.ZERO
        if fusion is None and not known.all():
            raise InputError(f"query {queries[int(np.argmin(known))]!r:.80} holds nothing that the model knows")
        wanted, vectors = as_filter(where), found.floats()
        chooses = bool(fusion or rerank or diversity or group_by)
        if not chooses:
            hits = self.collection.search(vectors, k, where=wanted)
            return [cut(replace(its, query=query), min_score) for its, query in zip(hits, queries, strict=True)]
        return [
            self._chosen(
                query, vectors[at : at + 1] if known[at] else None, k, wanted, fusion, rerank, diversity, group_by, min_score
            )
            for at, query in enumerate(queries)
        ]

    def _chosen(
        self,
        query: str,
        vector: NDArray[np.float32] | None,
        k: int,
        where: Filter | None,
        fusion: Fusion | None,
        reranker: Reranker | None,
        diversity: float,
        group_by: str | None,
        min_score: float | None,
    ) -> Hits:
        """Return the hits of one query, chosen among candidates; twice as many where groups leave fewer than ``k``.

        Without a ``vector`` only words are looked for.
        """
        among = max(LEAST, CANDIDATES * k)
        scored: dict[str, float] = {}
        while True:
            hits = Hits((), query)
            if vector is not None:
                hits = replace(self.collection.search(vector, among, where=where)[0], query=query)
            all_there = len(hits) < among or among >= MOST
            if fusion is not None:
                words = self.collection.search_words([query], among, where=where)[0]
                hits = fusion.joined(hits, words, FLOORS.get(self.collection.settings.metric))
            if reranker is not None:
                hits = rerank_hits(query, hits, reranker, scored)
            hits = cut(hits, min_score)
            if group_by is not None:
                hits = best_of_groups(hits, group_by)
            if len(hits) >= k or all_there or group_by is None:
                break
            among *= 2
        if diversity and len(hits):
            items = {item.id: item.vector for item in self.collection.get(hits.ids) if item is not None}
            hits = Hits(tuple(hit for hit in hits if hit.id in items), query)  # one may have been deleted meanwhile
            hits = diverse(hits, np.stack([items[hit.id] for hit in hits]), k, diversity) if len(hits) else hits
        return hits[:k]

    def add(self, documents: Iterable[Document]) -> Iterator[Written]:
        """Encode ``documents`` and write them with their metadata, a thousand at a time; give what each write did.

        What was given is kept, whatever happens after. Texts with nothing in them that the model knows are left out
        (``Written.left_out``) under cosine, where they have no direction; an item of that id goes.
        """
        stream = iter(documents)
        while block := list(islice(stream, BLOCK)):
            found = self.encoder.encode_document([document.text for document in block])
            vectors = found.floats()
            able = np.ones(len(block), bool) if self.collection.settings.metric != Metric.COSINE else vectors.any(axis=1)
            kept = np.flatnonzero(able).tolist()
            written = self.collection.upsert(
                [block[at].id for at in kept],
                vectors[kept],
                [block[at].text for at in kept],
                [block[at].metadata for at in kept],
            )
            if len(kept) < len(block):  # what stood under their ids is no longer what the source says
                self.collection.delete([block[at].id for at in np.flatnonzero(~able).tolist()])
            yield replace(written, left_out=len(block) - len(kept))


def settings_for(encoder: Encoder, dtype: Dtype = Dtype.FLOAT32) -> Settings:
    """Return the settings of a collection for the text vectors of ``encoder``, kept as ``dtype``."""
    able = encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32)
    return Settings(able.dim, able.metric, dtype, able.prompted("document").fingerprint)


def check_min_score(min_score: float | None) -> None:
    """Raise `OptionError` for a least score that no score could be held against."""
    if min_score is not None and min_score != min_score:
        raise OptionError("min_score must be a number, not nan")


def cut(hits: Hits, min_score: float | None) -> Hits:
    """Return the hits that score ``min_score`` or more."""
    return hits if min_score is None else Hits(tuple(hit for hit in hits if hit.score >= min_score), hits.query)
