"""A collection in a folder, kept by Qdrant's engine in this process (``qdrant-edge:FOLDER#name``)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from semvec.embeddings.files import plain_errors
from semvec.errors import CollectionLocked, CollectionNotFound, MissingExtra, OptionError, StoreError
from semvec.store.about import About
from semvec.store.adapted import AdaptedCollection, Found, Item, check_dtype, plain
from semvec.store.address import Address
from semvec.store.collection import Settings, Vectors
from semvec.store.marks import Condition, bounds_of
from semvec.store.qdrant_points import DISTANCES, MARKS, item_of, items_of, numbers, payload, point_id, score_of, where
from semvec.store.shared import Shared
from semvec.types import JSON

FILE = "semvec.json"
LOCKED = {"WouldBlock": "another process has it open, and Qdrant Edge is for one at a time"}
SHARD = "shard"
MADE = "edge_config.json"
FEW = 20_000
"""Up to so many items are compared with a query one by one."""
EFFORT = 256
SHARDS = Shared(close=lambda shard: shard.close())


class QdrantEdgeCollection(AdaptedCollection):
    """A collection in Qdrant Edge. One process has it open at a time, to read or to write; within it any number may."""

    store: ClassVar[str] = "Qdrant"

    def __init__(self, place: str, folder: Path, about: About, library: Any) -> None:
        super().__init__(place, about)
        self.folder = folder
        self._library = library
        self._where = partial(where, library=library, span=library.RangeFloat)
        self._ranged: set[str] = set()
        self._shard: Any = SHARDS.take(str(folder.resolve()), self._opened)

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> QdrantEdgeCollection:
        address, library = Address.of(place), _library()
        if address.host is not None:
            raise OptionError(f"{address.shown}: Qdrant Edge keeps a folder, qdrant-edge:FOLDER#name, and a server is qdrant://…")
        folder = Path(address.place) / address.name
        if not (folder / FILE).is_file():
            if settings is None:
                raise CollectionNotFound(f"{address.shown}: there is no collection {address.name} in this folder")
            check_dtype(settings, cls.store)
            if folder.exists() and any(folder.iterdir()):
                raise StoreError(f"{folder}: holds other things, so no collection is made there; name another folder")
            with plain_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            About(settings).write(folder / FILE)
        with plain(address.shown, "Qdrant", LOCKED):
            return cls(address.shown, folder, About.read(folder / FILE), library)

    def _opened(self) -> Any:
        """Return the shard, made if it is not yet: a process that ended in between left a collection without items."""
        its, folder = self._library, self.folder / SHARD
        if (folder / MADE).is_file():
            return its.EdgeShard.load(str(folder))
        distance = getattr(its.Distance, DISTANCES[self.settings.metric])
        folder.mkdir(exist_ok=True)
        shard = its.EdgeShard.create(str(folder), its.EdgeConfig(vectors=its.EdgeVectorParams(self.settings.dim, distance)))
        shard.update(its.UpdateOperation.create_field_index(MARKS, its.PayloadSchemaType.Keyword))
        return shard

    def close(self) -> None:
        if self._shard is not None:
            self._shard = None
            SHARDS.give_back(str(self.folder.resolve()))

    def _plain_errors(self) -> Any:
        if self._shard is None:
            raise StoreError(f"{self.place}: the collection was closed")
        return plain(self.place, "Qdrant", LOCKED)

    def _begin(self) -> None:
        """The shard itself is locked for this process."""

    def _recall(self) -> About:
        return About.read(self.folder / FILE)

    def _remember(self, about: About) -> None:
        about.write(self.folder / FILE)

    def _put(self, items: Sequence[Item]) -> int:
        there = len(self._shard.retrieve([point_id(item.id) for item in items], with_payload=False, with_vector=False))
        for name in {name for item in items for name in bounds_of(item.metadata)} - self._ranged:
            self._shard.update(self._library.UpdateOperation.create_field_index(name, self._library.PayloadSchemaType.Float))
            self._ranged.add(name)
        points = [self._library.Point(point_id(item.id), numbers(item.vector), payload(item)) for item in items]
        self._shard.update(self._library.UpdateOperation.upsert_points(points))
        return there

    def _drop(self, ids: Sequence[str]) -> int:
        points = [point_id(name) for name in ids]
        there = len(self._shard.retrieve(points, with_payload=False, with_vector=False))
        if there:
            self._shard.update(self._library.UpdateOperation.delete_points(points))
        return there

    def _remove(self) -> None:
        if SHARDS.users(str(self.folder.resolve())) > 1:
            raise CollectionLocked(f"{self.place}: is open a second time in this process; close it there first")
        self.close()
        with plain_errors(self.folder):
            (self.folder / FILE).unlink()
            shutil.rmtree(self.folder / SHARD)
            with suppress(OSError):  # something else is there
                self.folder.rmdir()

    def _fetch(self, ids: Sequence[str]) -> list[Item]:
        return items_of(
            self._shard.retrieve([point_id(name) for name in ids], with_payload=True, with_vector=True), self.settings.metric
        )

    def _pages(self, wanted: Condition | None, *, vectors: bool) -> Iterator[list[Item]]:
        offset, chosen = None, self._where(wanted)
        while True:
            asked = self._library.ScrollRequest(
                offset=offset, limit=self.batch, filter=chosen, with_payload=True, with_vector=vectors
            )
            records, offset = self._shard.scroll(asked)
            yield items_of(records, self.settings.metric)
            if offset is None:
                return

    def _count(self, wanted: Condition | None) -> int:
        return int(self._shard.count(self._library.CountRequest(exact=True, filter=self._where(wanted))))

    def _nearest(self, queries: Vectors, k: int, wanted: Condition | None) -> list[Found] | None:
        its, chosen = self._library, self._where(wanted)
        params = its.SearchParams(hnsw_ef=max(EFFORT, k), exact=self._count(wanted) <= FEW)
        asked = [
            its.QueryRequest(limit=k, query=its.Query.Nearest(numbers(query)), filter=chosen, params=params, with_payload=True)
            for query in queries
        ]
        return [
            [(item_of(one.payload, None, self.settings.metric), score_of(one.score, self.settings.metric)) for one in found]
            for found in self._shard.query_batch(its.QueryBatchRequest(asked))
        ]

    def _make(self, kind: str) -> None:
        """Join the segments, and let the engine make a graph of those that are large."""
        self._shard.optimize()
        self._shard.flush()

    def _described(self) -> dict[str, JSON]:
        about = self._shard.info()
        kind = "hnsw" if about.indexed_vectors_count else "flat"
        return {"kind": kind, "indexed": about.indexed_vectors_count, "segments": about.segments_count}


def _library() -> Any:
    try:
        import qdrant_edge
    except ImportError as error:
        raise MissingExtra(f'a collection in Qdrant Edge needs its library ({error}): pip install "semvec[qdrant]"') from error
    return qdrant_edge
