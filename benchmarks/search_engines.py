"""What is compared: semvec's collections, bare FAISS, and the stores people use instead, each behind the same few calls.

Items are numbers 0, 1, … with one metadata field, ``part``, from 0 to 999; a filter is ``part < limit``.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
BLOCK = 10_000
GOOD = 0.95


def parts_of(count: int) -> list[int]:
    """Return the field of every item."""
    return np.random.default_rng(1).integers(0, 1000, count).tolist()


def blocks(count: int, size: int = BLOCK) -> Iterator[range]:
    for at in range(0, count, size):
        yield range(at, min(at + size, count))


class Engine(ABC):
    """One engine with its data in ``folder``."""

    package = ""
    filters = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def version(self) -> str:
        return version(self.package)

    @abstractmethod
    def build(self, vectors: Vectors, parts: list[int]) -> dict[str, Any]:
        """Store ``vectors`` and make them quick to search; return what is worth knowing."""

    @abstractmethod
    def open(self) -> None:
        """Open what `build` left, as a new process would."""

    def tune(self, queries: Vectors, true: list[list[int]]) -> dict[str, Any]:
        """Choose the least effort that finds `GOOD` of what is ``true``, where an engine does not choose itself."""
        return {}

    @abstractmethod
    def search(self, query: Vectors, k: int, below: int | None) -> list[int]:
        """Return the ``k`` nearest items of ``query`` (dim,) whose part is ``below`` a limit."""


class Batched(Engine):
    """An engine that takes many queries in one call."""

    @abstractmethod
    def search_many(self, queries: Vectors, k: int) -> list[list[int]]:
        """Return the ``k`` nearest items of each of ``queries`` (queries, dim), asked for in one call."""


class Semvec(Batched):
    package = "semvec"
    kind = "auto"

    def build(self, vectors: Vectors, parts: list[int]) -> dict[str, Any]:
        from semvec.store.collection import Collection, Settings
        from semvec.store.local import LocalCollection

        with Collection.open(self.folder / "c", Settings(vectors.shape[1])) as collection:
            for its in blocks(len(vectors)):
                metadata = [{"part": parts[at]} for at in its]
                collection.upsert([str(at) for at in its], vectors[its.start : its.stop], None, metadata)
            assert isinstance(collection, LocalCollection)
            return collection.optimise(self.kind, recall=GOOD)

    def open(self) -> None:
        from semvec.store.collection import Collection

        self._collection = Collection.open(self.folder / "c")

    def search(self, query: Vectors, k: int, below: int | None) -> list[int]:
        where = None if below is None else f"part < {below}"
        return [int(hit.id) for hit in self._collection.search(query[None], k, where=where)[0]]

    def search_many(self, queries: Vectors, k: int) -> list[list[int]]:
        return [[int(hit.id) for hit in hits] for hits in self._collection.search(queries, k)]


class SemvecFlat(Semvec):
    kind = "flat"


class FaissHnsw(Batched):
    """FAISS's HNSW alone: vectors in memory, no ids, texts or metadata; the least width that suits these very queries."""

    package = "faiss-cpu"
    filters = False

    def build(self, vectors: Vectors, parts: list[int]) -> dict[str, Any]:
        import faiss

        index = faiss.index_factory(vectors.shape[1], "HNSW32", faiss.METRIC_INNER_PRODUCT)
        for its in blocks(len(vectors)):
            index.add(vectors[its.start : its.stop])
        faiss.write_index(index, str(self.folder / "index.faiss"))
        return {"kind": "HNSW32"}

    def open(self) -> None:
        import faiss

        self._index = faiss.read_index(str(self.folder / "index.faiss"))

    def tune(self, queries: Vectors, true: list[list[int]]) -> dict[str, Any]:
        for width in (16, 24, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 512):
            self._index.hnsw.efSearch = width
            found = self.search_many(queries, len(true[0]))
            if np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, true, strict=True)]) >= GOOD:
                break
        return {"kind": "HNSW32", "effort": width}

    def search(self, query: Vectors, k: int, below: int | None) -> list[int]:
        return self._index.search(query[None], k)[1][0].tolist()

    def search_many(self, queries: Vectors, k: int) -> list[list[int]]:
        return self._index.search(queries, k)[1].tolist()


class Chroma(Batched):
    package = "chromadb"

    def _client(self) -> Any:
        import chromadb

        return chromadb.PersistentClient(str(self.folder), settings=chromadb.Settings(anonymized_telemetry=False))

    def build(self, vectors: Vectors, parts: list[int]) -> dict[str, Any]:
        made = self._client().create_collection("bench", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)
        for its in blocks(len(vectors), 5000):
            made.add(
                ids=[str(at) for at in its],
                embeddings=vectors[its.start : its.stop],
                metadatas=[{"part": parts[at]} for at in its],
            )
        return {"kind": "HNSW, its defaults"}

    def open(self) -> None:
        self._made = self._client().get_collection("bench", embedding_function=None)

    def search(self, query: Vectors, k: int, below: int | None) -> list[int]:
        where = None if below is None else {"part": {"$lt": below}}
        return [
            int(name)
            for name in self._made.query(
                query_embeddings=query[None], n_results=k, where=where, include=["distances", "metadatas"]
            )["ids"][0]
        ]

    def search_many(self, queries: Vectors, k: int) -> list[list[int]]:
        found = self._made.query(query_embeddings=queries, n_results=k, include=["distances", "metadatas"])["ids"]
        return [[int(name) for name in its] for its in found]


class Lance(Engine):
    package = "lancedb"
    index = False

    def build(self, vectors: Vectors, parts: list[int]) -> dict[str, Any]:
        import lancedb
        import pyarrow as pa

        def batches() -> Iterator[Any]:
            for its in blocks(len(vectors)):
                flat = pa.array(vectors[its.start : its.stop].ravel())
                yield pa.record_batch(
                    {
                        "id": pa.array([str(at) for at in its]),
                        "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
                        "part": pa.array(parts[its.start : its.stop], pa.int64()),
                    }
                )

        schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), vectors.shape[1])), ("part", pa.int64())])
        table = lancedb.connect(str(self.folder)).create_table("bench", pa.RecordBatchReader.from_batches(schema, batches()))
        table.create_scalar_index("part")
        if self.index:
            table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_HNSW_SQ")
        return {"kind": "IVF_HNSW_SQ" if self.index else "no index (its default)"}

    def open(self) -> None:
        import lancedb

        self._table = lancedb.connect(str(self.folder)).open_table("bench")

    def search(self, query: Vectors, k: int, below: int | None) -> list[int]:
        asked = self._table.search(query, vector_column_name="vector").distance_type("cosine").limit(k)
        if self.index:
            asked = asked.refine_factor(5)
        if below is not None:
            asked = asked.where(f"part < {below}", prefilter=True)
        return [int(name) for name in asked.select(["id", "_distance"]).to_arrow()["id"].to_pylist()]


class LanceIndexed(Lance):
    index = True


class SqliteVec(Engine):
    package = "sqlite-vec"

    def _connection(self) -> Any:
        import pysqlite3
        import sqlite_vec

        made = pysqlite3.connect(str(self.folder / "vec.sqlite"))
        made.enable_load_extension(True)
        sqlite_vec.load(made)
        return made

    def build(self, vectors: Vectors, parts: list[int]) -> dict[str, Any]:
        made = self._connection()
        made.execute(
            f"CREATE VIRTUAL TABLE items USING vec0(vector float[{vectors.shape[1]}] distance_metric=cosine, part integer)"
        )
        for its in blocks(len(vectors)):
            made.executemany(
                "INSERT INTO items (rowid, vector, part) VALUES (?, ?, ?)",
                [(at, vectors[at].tobytes(), parts[at]) for at in its],
            )
        made.commit()
        made.close()
        return {"kind": "exact"}

    def open(self) -> None:
        self._made = self._connection()

    def search(self, query: Vectors, k: int, below: int | None) -> list[int]:
        where, values = ("", ()) if below is None else (" AND part < ?", (below,))
        found = self._made.execute(
            f"SELECT rowid FROM items WHERE vector MATCH ? AND k = ?{where} ORDER BY distance", (query.tobytes(), k, *values)
        )
        return [row for (row,) in found]


ENGINES: dict[str, type[Engine]] = {
    "semvec": Semvec,
    "semvec, flat": SemvecFlat,
    "FAISS HNSW alone": FaissHnsw,
    "Chroma": Chroma,
    "LanceDB": Lance,
    "LanceDB, indexed": LanceIndexed,
    "sqlite-vec": SqliteVec,
}


def size_of(folder: Path) -> int:
    """Return the bytes of all files in ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fresh(folder: Path) -> Path:
    """Return ``folder``, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
