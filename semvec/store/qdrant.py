"""A collection on a Qdrant server (``qdrant://host:port#name``), or in its client's imitation of one (``qdrant:FOLDER#name``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from semvec.errors import CollectionNotFound, MissingExtra, StoreError
from semvec.store.about import About
from semvec.store.adapted import AdaptedCollection, Found, Item, check_dtype, in_one_call, plain
from semvec.store.address import Address
from semvec.store.collection import Settings, Vectors
from semvec.store.marks import Condition, bounds_of
from semvec.store.qdrant_points import DISTANCES, MARKS, item_of, items_of, numbers, payload, point_id, score_of, where
from semvec.store.shared import Shared
from semvec.types import JSON

MEMORY = ":memory:"
KEY = "QDRANT_API_KEY"
PORT = 6333
LOCKED = {"already accessed by another instance": "another process has this folder open; a server takes many"}
TIMEOUT = 60
FEW = 20_000
"""Up to so many items are compared with a query one by one."""
EFFORT = 256
CLIENTS = Shared(close=lambda client: client.close())


class QdrantCollection(AdaptedCollection):
    """A collection on a Qdrant server, which many may read and write.

    Without a server, the client keeps a few items in a folder (or ``qdrant::memory:``) for tests: one process at a time.
    """

    store: ClassVar[str] = "Qdrant"

    def __init__(self, address: Address, library: Any, client: Any, about: About) -> None:
        super().__init__(address.shown, about)
        self.batch = in_one_call(self.batch, about.settings.dim)
        self._address = address
        self._models = library.models
        self._client: Any = client
        self._where = partial(where, library=library.models, span=library.models.Range)
        self._ranged: set[str] = set()

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> QdrantCollection:
        address, library = Address.of(place), _library()
        if settings is not None:
            check_dtype(settings, cls.store)
        elif not (address.host or address.place == MEMORY or (Path(address.place) / "meta.json").is_file()):
            raise CollectionNotFound(f"{address.shown}: there is no Qdrant in this folder")
        with plain(address.shown, "Qdrant", LOCKED):
            client = CLIENTS.take(_key(address), lambda: _client(library, address))
            try:
                if not client.collection_exists(address.name):
                    if settings is None:
                        raise CollectionNotFound(f"{address.shown}: there is no collection {address.name}")
                    _make(library.models, client, address, settings)
                return cls(address, library, client, _about(client, address))
            except BaseException:
                CLIENTS.give_back(_key(address))
                raise

    def close(self) -> None:
        if self._client is not None:
            self._client = None
            CLIENTS.give_back(_key(self._address))

    def _plain_errors(self) -> Any:
        if self._client is None:
            raise StoreError(f"{self.place}: the collection was closed")
        return plain(self.place, "Qdrant", LOCKED)

    def _begin(self) -> None:
        """A server takes many writers; the imitation locks its folder for this process."""

    def _recall(self) -> About:
        return _about(self._client, self._address)

    def _remember(self, about: About) -> None:
        self._client.update_collection(self._address.name, metadata={"semvec": about.to_text()})

    def _put(self, items: Sequence[Item]) -> int:
        there = self._there([item.id for item in items])
        if self._address.host:
            for name in {name for item in items for name in bounds_of(item.metadata)} - self._ranged:
                self._client.create_payload_index(self._address.name, name, field_schema=self._models.PayloadSchemaType.FLOAT)
                self._ranged.add(name)
        points = [
            self._models.PointStruct(id=point_id(item.id), vector=numbers(item.vector), payload=payload(item)) for item in items
        ]
        self._client.upsert(self._address.name, points, wait=True)
        return there

    def _there(self, ids: Sequence[str]) -> int:
        points = [point_id(name) for name in ids]
        return len(self._client.retrieve(self._address.name, points, with_payload=False, with_vectors=False))

    def _drop(self, ids: Sequence[str]) -> int:
        there = self._there(ids)
        if there:
            self._client.delete(self._address.name, self._models.PointIdsList(points=[point_id(name) for name in ids]), wait=True)
        return there

    def _remove(self) -> None:
        self._client.delete_collection(self._address.name)

    def _fetch(self, ids: Sequence[str]) -> list[Item]:
        points = [point_id(name) for name in ids]
        return items_of(
            self._client.retrieve(self._address.name, points, with_payload=True, with_vectors=True), self.settings.metric
        )

    def _pages(self, wanted: Condition | None, *, vectors: bool) -> Iterator[list[Item]]:
        offset, chosen = None, self._where(wanted)
        while True:
            records, offset = self._client.scroll(
                self._address.name,
                scroll_filter=chosen,
                limit=self.batch,
                offset=offset,
                with_payload=True,
                with_vectors=vectors,
            )
            yield items_of(records, self.settings.metric)
            if offset is None:
                return

    def _count(self, wanted: Condition | None) -> int:
        return int(self._client.count(self._address.name, count_filter=self._where(wanted), exact=True).count)

    def _nearest(self, queries: Vectors, k: int, wanted: Condition | None) -> list[Found] | None:
        its, chosen, metric = self._models, self._where(wanted), self.settings.metric
        params = None
        if self._address.host:
            params = its.SearchParams(hnsw_ef=max(EFFORT, k), exact=self._count(wanted) <= FEW)
        asked = [
            its.QueryRequest(query=numbers(query), limit=k, filter=chosen, params=params, with_payload=True) for query in queries
        ]
        return [
            [(item_of(one.payload, None, metric), score_of(one.score, metric)) for one in answer.points]
            for answer in self._client.query_batch_points(self._address.name, asked)
        ]

    def _described(self) -> dict[str, JSON]:
        about = self._client.get_collection(self._address.name)
        kind = "hnsw" if about.indexed_vectors_count else "flat"
        return {"kind": kind, "indexed": about.indexed_vectors_count or 0, "status": str(about.status.value)}


def _library() -> Any:
    try:
        import qdrant_client
    except ImportError as error:
        raise MissingExtra(f'a collection in Qdrant needs its client ({error}): pip install "semvec[qdrant]"') from error
    return qdrant_client


def _key(address: Address) -> str:
    """Return what tells one client from another."""
    return address.place if address.host or address.place == MEMORY else str(Path(address.place).resolve())


def _client(library: Any, address: Address) -> Any:
    if address.place == MEMORY:
        return library.QdrantClient(MEMORY)
    if not address.host:
        return library.QdrantClient(path=address.place)
    return library.QdrantClient(
        host=address.host,
        port=address.port or PORT,
        https=address.secure,
        api_key=os.environ.get(KEY) or None,
        timeout=TIMEOUT,
        check_compatibility=False,
    )


def _make(models: Any, client: Any, address: Address, settings: Settings) -> None:
    distance = models.Distance(DISTANCES[settings.metric])
    client.create_collection(
        address.name,
        vectors_config=models.VectorParams(size=settings.dim, distance=distance),
        metadata={"semvec": About(settings).to_text()},
    )
    if address.host:
        client.create_payload_index(address.name, MARKS, field_schema=models.PayloadSchemaType.KEYWORD)


def _about(client: Any, address: Address) -> About:
    return About.of((client.get_collection(address.name).config.metadata or {}).get("semvec"), address.shown)
