"""LangChain's Embeddings by any encoder, and its VectorStore on any collection."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, MissingExtra, OptionError
from semvec.results import Hits
from semvec.search.searcher import Searcher, settings_for
from semvec.store.collection import Collection
from semvec.text.document import Document as Item
from semvec.types import JSON

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise MissingExtra(f"LangChain is not installed ({error}): pip install 'semvec[langchain]'") from error


class SemvecEmbeddings(Embeddings):
    """The vectors of any encoder, queries and documents each with the model's own prompt."""

    def __init__(self, model: str | Encoder = "minilm", *, device: str | None = None) -> None:
        self.encoder: Encoder = load_encoder(model, device=device) if isinstance(model, str) else model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vector of each of ``texts``."""
        found: list[list[float]] = self.encoder.encode_document(list(texts)).floats().tolist() if texts else []
        return found

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        [vector] = self.encoder.encode_query([text]).floats().tolist()
        return [float(number) for number in vector]


class SemvecVectorStore(VectorStore):
    """A collection, in a folder or on a server, asked and filled as a store of LangChain.

    A ``filter`` is what `Collection.search` takes as ``where``: "lang = 'de' and year >= 2020", or a mapping of fields and what
    they have to be. Scores are the collection's (of cosine collections from -1 to 1, the greater the nearer).
    """

    def __init__(self, place: str | os.PathLike[str], embedding: SemvecEmbeddings | None = None) -> None:
        self.embedding = embedding or SemvecEmbeddings()
        self.collection = Collection.open(place, settings_for(self.embedding.encoder))
        self.searcher = Searcher(self.embedding.encoder, self.collection)

    @property
    def embeddings(self) -> SemvecEmbeddings:
        """What makes the vectors."""
        return self.embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        place: str | os.PathLike[str] | None = None,
        **_: Any,
    ) -> SemvecVectorStore:
        """Return the store at ``place``, with ``texts`` in it; `OptionError` for embeddings that are not `SemvecEmbeddings`."""
        if not isinstance(embedding, SemvecEmbeddings):
            raise OptionError("the embeddings of this store are SemvecEmbeddings: a collection knows its encoder")
        if place is None:
            raise OptionError("place: the folder, or the address, of the collection is wanted")
        store = cls(place, embedding)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[str]:
        """Write ``texts``, each under its id, or a new one, and return the ids; what stood there is replaced."""
        rows = list(texts)
        about: list[dict[str, Any]] = metadatas or [{}] * len(rows)
        names = [one or str(uuid4()) for one in (ids or [None] * len(rows))]
        if not len(rows) == len(about) == len(names):
            raise InputError(f"there are {len(rows)} texts, {len(about)} metadata and {len(names)} ids")
        items = (Item(name, text, metadata=its) for name, text, its in zip(names, rows, about, strict=True))
        for _written in self.searcher.add(items):
            pass
        return names

    def add_documents(self, documents: list[Document], **more: Any) -> list[str]:
        """Write ``documents``, each under its own id, or that of ``ids``, or a new one, and return the ids."""
        ids = more.pop("ids", None) or [its.id for its in documents]
        return self.add_texts([its.page_content for its in documents], [its.metadata for its in documents], ids=ids)

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool | None:
        """Remove the items of ``ids``; without ids nothing, as everything would be too much."""
        if ids is None:
            raise OptionError("name the ids that are to be removed")
        self.collection.delete(list(ids))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the items that there are of ``ids``, in their order."""
        found = [item for item in self.collection.get(list(ids)) if item is not None]
        return [Document(id=its.id, page_content=its.text or "", metadata=dict(its.metadata)) for its in found]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: str | dict[str, JSON] | None = None, **_: Any
    ) -> list[Document]:
        """Return the ``k`` items nearest to ``query`` that ``filter`` is true of."""
        return [document for document, _score in self.similarity_search_with_score(query, k, filter=filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: str | dict[str, JSON] | None = None, **_: Any
    ) -> list[tuple[Document, float]]:
        """Return the ``k`` items nearest to ``query``, each with its score."""
        [hits] = self.searcher.search([query], k, where=_where(filter))
        return _documents(hits)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: str | dict[str, JSON] | None = None, **_: Any
    ) -> list[Document]:
        """Return the ``k`` items nearest to a vector."""
        import numpy as np

        [hits] = self.collection.search(np.array([embedding], dtype=np.float32), k, where=_where(filter))
        return [document for document, _score in _documents(hits)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: str | dict[str, JSON] | None = None,
        **_: Any,
    ) -> list[Document]:
        """Return ``k`` items that are near to ``query`` and unlike each other (MMR); ``lambda_mult`` 1 is nearness alone.

        ``fetch_k`` is not heeded: `Searcher.search` chooses among five times ``k`` candidates, fifty at least.
        """
        [hits] = self.searcher.search([query], k, where=_where(filter), diversity=1 - lambda_mult)
        return [document for document, _score in _documents(hits)]

    def _select_relevance_score_fn(self) -> Any:
        """Return what makes 0 to 1 of a cosine."""
        return lambda score: (score + 1) / 2


def _documents(hits: Hits) -> list[tuple[Document, float]]:
    return [(Document(id=hit.id, page_content=hit.text or "", metadata=dict(hit.metadata)), hit.score) for hit in hits]


def _where(wanted: str | dict[str, JSON] | None) -> str | None:
    """Return a filter as a collection reads it."""
    if wanted is None or isinstance(wanted, str):
        return wanted
    return " and ".join(f"{name} = {_value(value)}" for name, value in wanted.items()) or None


def _value(value: JSON) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    raise OptionError(f"a filter holds texts, numbers and truth values, not {value!r:.40}")
