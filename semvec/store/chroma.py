"""A collection in Chroma: in a folder (``chroma:FOLDER#name``) or on its server (``chroma://host:port#name``)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock, Timeout

from semvec.embeddings.files import plain_errors
from semvec.errors import CollectionLocked, CollectionNotFound, MissingExtra, StoreError
from semvec.store.about import About
from semvec.store.adapted import AdaptedCollection, Found, Item, check_dtype, in_one_call, plain
from semvec.store.address import Address
from semvec.store.collection import Settings, Vectors
from semvec.store.marks import Bound, Condition, Either, Marked, bounds_of, marks_of
from semvec.types import JSON, Metric

FILE = "chroma.sqlite3"
LOCK = "semvec.lock"
SPACES = {Metric.COSINE: "cosine", Metric.DOT: "ip", Metric.EUCLIDEAN: "l2"}
GRAPH = {"ef_construction": 100, "ef_search": 200, "max_neighbors": 16}
FEW = 2000
"""Up to so many items are read and compared exactly; so few the graph is not made for, and it loses some after deletes."""
OPERATORS = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
TOKEN = "CHROMA_TOKEN"


class ChromaCollection(AdaptedCollection):
    """A collection in Chroma. In a folder one process writes, by a lock of semvec's; a server takes many.

    A text is Chroma's document; the metadata are one JSON text in Chroma's metadata, beside the marks of filters.
    """

    store: ClassVar[str] = "Chroma"
    kinds: ClassVar[tuple[str, ...]] = ("hnsw",)
    batch: int = 2500

    def __init__(self, address: Address, client: Any, kept: Any, about: About, lock: FileLock | None) -> None:
        super().__init__(address.shown, about)
        self.batch = in_one_call(self.batch, about.settings.dim)
        self._address = address
        self._client = client
        self._kept = kept
        self._lock = lock

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> ChromaCollection:
        address = Address.of(place)
        if settings is not None:
            check_dtype(settings, cls.store)
        library = _library()
        folder = None if address.host else Path(address.place)
        if folder is not None:
            _check_folder(folder, address, making=settings is not None)
        lock = None if folder is None else FileLock(folder / LOCK)
        with plain(address.shown, "Chroma"):
            client = _client(library, address, folder)
            try:
                kept = _found(library, client, address.name)
                if kept is None and settings is not None:
                    if lock is not None:
                        _acquire(lock, address.shown)
                    kept = client.get_or_create_collection(
                        address.name,
                        embedding_function=None,
                        metadata={"semvec": About(settings).to_text()},
                        configuration={"hnsw": {"space": SPACES[settings.metric], **GRAPH}},
                    )
                if kept is None:
                    raise CollectionNotFound(f"{address.shown}: there is no collection {address.name}")
                return cls(address, client, kept, About.of((kept.metadata or {}).get("semvec"), address.shown), lock)
            except BaseException:
                client.close()
                if lock is not None:
                    lock.release(force=True)
                raise

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._lock is not None:
            self._lock.release(force=True)

    def _plain_errors(self) -> Any:
        if self._client is None:
            raise StoreError(f"{self.place}: the collection was closed")
        return plain(self.place, "Chroma")

    def _begin(self) -> None:
        if self._lock is not None and not self._lock.is_locked:
            _acquire(self._lock, self.place)

    def _recall(self) -> About:
        self._kept = self._client.get_collection(self._kept.name, embedding_function=None)
        return About.of((self._kept.metadata or {}).get("semvec"), self.place)

    def _remember(self, about: About) -> None:
        self._kept.modify(metadata={"semvec": about.to_text()})

    def _put(self, items: Sequence[Item]) -> int:
        """Chroma adds the fields of a new item to those of the old one, so what is no longer there is unset by name."""
        former = self._kept.get(ids=[item.id for item in items], include=["metadatas"])
        old = dict(zip(former["ids"], former["metadatas"], strict=True))
        self._kept.upsert(
            ids=[item.id for item in items],
            embeddings=np.stack([item.vector for item in items if item.vector is not None]),
            documents=[item.text or "" for item in items],
            metadatas=[dict.fromkeys(old.get(item.id) or {}) | _metadata(item) for item in items],
        )
        return len(old)

    def _drop(self, ids: Sequence[str]) -> int:
        there = self._kept.get(ids=list(ids), include=[])["ids"]
        if there:
            self._kept.delete(ids=there)
        return len(there)

    def _remove(self) -> None:
        """Chroma forgets the collection and leaves the folders with its vectors."""
        folders = _folders(Path(self._address.place), str(self._kept.id)) if self._lock is not None else []
        self._client.delete_collection(self._kept.name)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, ids: Sequence[str]) -> list[Item]:
        return _items(self._kept.get(ids=list(ids), include=["metadatas", "documents", "embeddings"]))

    def _pages(self, wanted: Condition | None, *, vectors: bool) -> Iterator[list[Item]]:
        include = ["metadatas", "documents", "embeddings"] if vectors else ["metadatas", "documents"]
        offset = 0
        while page := _items(self._kept.get(where=_where(wanted), limit=self.batch, offset=offset, include=include)):
            yield page
            if len(page) < self.batch:
                return
            offset += len(page)

    def _count(self, wanted: Condition | None) -> int:
        return int(self._kept.count()) if wanted is None else len(self._kept.get(where=_where(wanted), include=[])["ids"])

    def _nearest(self, queries: Vectors, k: int, wanted: Condition | None) -> list[Found] | None:
        there = self._count(wanted)
        if there <= max(FEW, 4 * k):
            return None
        answer = self._kept.query(
            query_embeddings=queries, n_results=k, where=_where(wanted), include=["metadatas", "documents", "distances"]
        )
        found = []
        for at, distances in enumerate(answer["distances"]):
            items = _items({name: answer[name][at] for name in ("ids", "metadatas", "documents")})
            scores = [-(max(one, 0) ** 0.5) if self.settings.metric == Metric.EUCLIDEAN else 1 - one for one in distances]
            found.append(list(zip(items, scores, strict=True)))
        return found

    def _described(self) -> dict[str, JSON]:
        return {"kind": "hnsw", **GRAPH}


def _library() -> Any:
    try:
        import chromadb
    except ImportError as error:
        raise MissingExtra(f'a collection in Chroma needs its library ({error}): pip install "semvec[chroma]"') from error
    return chromadb


def _client(library: Any, address: Address, folder: Path | None) -> Any:
    options = library.config.Settings(anonymized_telemetry=False)
    if folder is not None:
        return library.PersistentClient(str(folder.resolve()), settings=options)
    headers = {"Authorization": f"Bearer {os.environ[TOKEN]}"} if os.environ.get(TOKEN) else None
    return library.HttpClient(address.host, address.port or 8000, ssl=address.secure, headers=headers, settings=options)


def _check_folder(folder: Path, address: Address, *, making: bool) -> None:
    """Chroma would make a folder for what is only asked for, and put its file beside anybody's."""
    if (folder / FILE).is_file():
        return
    if not making:
        raise CollectionNotFound(f"{address.shown}: there is no Chroma in this folder")
    if folder.exists() and any(path.name != LOCK and not path.name.startswith(".") for path in folder.iterdir()):
        raise StoreError(f"{folder}: holds other things, so no collection is made there; name another folder")
    with plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _found(library: Any, client: Any, name: str) -> Any:
    try:
        return client.get_collection(name, embedding_function=None)
    except library.errors.NotFoundError:
        return None


def _folders(place: Path, collection: str) -> list[Path]:
    """Return the folders with the vectors of a collection, which are called as its segments are."""
    with closing(sqlite3.connect(place / FILE)) as connection:
        return [place / name for (name,) in connection.execute("SELECT id FROM segments WHERE collection = ?", [collection])]


def _acquire(lock: FileLock, place: str) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CollectionLocked(
            f"{place}: another process writes to it, and Chroma in a folder is for one; many can write by its server"
        ) from None


def _metadata(item: Item) -> dict[str, Any]:
    metadata = item.metadata
    known: dict[str, Any] = {"order": item.order, "fields": item.fields, **bounds_of(metadata)}
    if marks := marks_of(metadata):
        known["marks"] = marks
    if item.text is None:
        known["textless"] = True
    return known


def _items(answer: Any) -> list[Item]:
    vectors = answer.get("embeddings")
    return [
        Item(
            name,
            known["order"],
            None if vectors is None else np.asarray(vectors[at], dtype=np.float32),
            None if known.get("textless") else document,
            known["fields"],
        )
        for at, (name, known, document) in enumerate(zip(answer["ids"], answer["metadatas"], answer["documents"], strict=True))
    ]


def _where(wanted: Condition | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if isinstance(wanted, Marked):
        return {"marks": {"$contains" if wanted.there else "$not_contains": wanted.mark}}
    if isinstance(wanted, Bound):
        return {wanted.name: {OPERATORS[wanted.operator]: wanted.value}}
    return {"$or" if isinstance(wanted, Either) else "$and": [_where(part) for part in wanted.parts]}
