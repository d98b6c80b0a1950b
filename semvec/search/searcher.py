"""`Searcher`: an encoder and a collection, asked by texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.results import Hits
from semvec.store.collection import Collection, Settings, Written
from semvec.store.filters import Filter
from semvec.text.document import Document
from semvec.types import JSON, Dtype, Level, Metric, Oov

BLOCK = 1024


class Searcher:
    """Searches a collection by texts, and writes texts into it, by one encoder.

    The encoder must be the one that made the collection's vectors, else `FingerprintMismatch`.
    """

    def __init__(self, encoder: Encoder, collection: Collection) -> None:
        self.encoder = encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32)
        self.collection = collection
        collection.check_fingerprint(self.encoder.fingerprint)

    def search(self, queries: Sequence[str], k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        """Return the ``k`` nearest items of each of ``queries`` among those ``where`` is true of, best first.

        Queries get the model's prompt for queries. Raises `InputError` for a query with nothing in it that the model
        knows, `FilterError` for a filter that cannot be answered.
        """
        found = self.encoder.encode_query(queries)
        if (empty := np.flatnonzero(found.oov == Oov.ZERO)).size:
            raise InputError(f"query {queries[int(empty[0])]!r:.80} holds nothing that the model knows")
        hits = self.collection.search(found.floats(), k, where=where)
        return [replace(its, query=query) for its, query in zip(hits, queries, strict=True)]

    def add(self, documents: Iterable[Document], metadata: Iterable[dict[str, JSON]] | None = None) -> Iterator[Written]:
        """Encode ``documents`` and write them, a thousand at a time; give what each write did.

        What was given is kept, whatever happens after. Texts with nothing in them that the model knows are left out
        under cosine, where they have no direction.
        """
        stream = iter(documents)
        fields = iter(metadata) if metadata is not None else None
        while block := list(islice(stream, BLOCK)):
            extra = list(islice(fields, len(block))) if fields is not None else None
            found = self.encoder.encode_document([document.text for document in block])
            vectors = found.floats()
            kept = [at for at in range(len(block)) if self.collection.settings.metric != Metric.COSINE or vectors[at].any()]
            yield self.collection.upsert(
                [block[at].id for at in kept],
                vectors[kept],
                [block[at].text for at in kept],
                None if extra is None else [extra[at] for at in kept],
            )


def settings_for(encoder: Encoder) -> Settings:
    """Return the settings of a collection for the text vectors of ``encoder``."""
    able = encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32)
    return Settings(able.dim, able.metric, fingerprint=able.prompted("document").fingerprint)
