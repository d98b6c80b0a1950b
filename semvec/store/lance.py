"""A collection in a folder of LanceDB's tables (``lancedb:FOLDER#name``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from semvec.embeddings.files import plain_errors
from semvec.errors import CollectionLocked, CollectionNotFound, MissingExtra, OptionError, StoreError
from semvec.index.kinds import AUTO
from semvec.store.about import About
from semvec.store.adapted import AdaptedCollection, Found, Item, check_dtype, plain
from semvec.store.address import Address
from semvec.store.collection import Settings, Vectors
from semvec.store.marks import Bound, Condition, Either, Marked, bounds_of, marks_of
from semvec.types import JSON, Metric

DISTANCES = {Metric.COSINE: "cosine", Metric.DOT: "dot", Metric.EUCLIDEAN: "l2"}
FLAT, IVF = "flat", "ivf"
FEW = 50_000
"""Up to so many rows an index is not worth its making; LanceDB reads and compares them all."""
SHARE = 8
"""One in so many of the parts of the index are looked into."""
PAGE = 1000
KEPT = timedelta(minutes=10)
"""How long versions that were replaced stay, for whoever is reading them."""
COLUMNS = ["id", "order", "text", "fields"]


class LanceCollection(AdaptedCollection):
    """A collection in a table of LanceDB. One process writes, by a lock of semvec's; any number read what was committed.

    A call that writes up to 20,000 items makes one version of the table: all of them are there, or none.
    """

    store: ClassVar[str] = "LanceDB"
    kinds: ClassVar[tuple[str, ...]] = (FLAT, IVF)
    batch: int = 20_000

    def __init__(self, address: Address, about: About, library: Any) -> None:
        super().__init__(address.shown, about)
        self.folder = Path(address.place)
        self._name = address.name
        self._lock = FileLock(self.folder / f"{address.name}.lock")
        self._tables = library.connect(str(self.folder.resolve()), read_consistency_interval=timedelta(0))
        self._table: Any = self._opened()

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> LanceCollection:
        address, library = Address.of(place), _library()
        if address.host is not None or "://" in address.place:
            raise OptionError(f"{address.shown}: a collection in LanceDB is in a folder: lancedb:FOLDER#name")
        about = _about(address)
        if not about.is_file():
            if settings is None:
                raise CollectionNotFound(f"{address.shown}: there is no collection {address.name} in this folder")
            check_dtype(settings, cls.store)
            if (about.parent / f"{address.name}.lance").exists():
                raise StoreError(f"{address.shown}: there is a table {address.name} that semvec did not make")
            with plain_errors(about):
                about.parent.mkdir(parents=True, exist_ok=True)
            About(settings).write(about)
        with plain(address.shown, "LanceDB"):
            return cls(address, About.read(about), library)

    def _opened(self) -> Any:
        """Return the table, made if it is not yet: a process that ended in between left a collection without items."""
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("order", pa.int64()),
                ("vector", pa.list_(pa.float32(), self.settings.dim)),
                ("text", pa.string()),
                ("fields", pa.string()),
                ("marks", pa.list_(pa.string())),
            ]
        )
        if not (self.folder / f"{self._name}.lance").exists():
            return self._tables.create_table(self._name, schema=schema, exist_ok=True)
        return self._tables.open_table(self._name)

    def close(self) -> None:
        self._table = self._tables = None
        self._lock.release(force=True)

    def _plain_errors(self) -> Any:
        if self._table is None:
            raise StoreError(f"{self.place}: the collection was closed")
        return plain(self.place, "LanceDB")

    def _begin(self) -> None:
        if not self._lock.is_locked:
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise CollectionLocked(f"{self.place}: another process writes to it; one may write, any may read") from None

    def _recall(self) -> About:
        return About.read(self.folder / f"{self._name}.semvec.json")

    def _remember(self, about: About) -> None:
        about.write(self.folder / f"{self._name}.semvec.json")

    def _put(self, items: Sequence[Item]) -> int:
        bounds = [bounds_of(item.metadata) for item in items]
        there = set(self._table.schema.names)
        if missing := sorted({name for its in bounds for name in its} - there):
            self._table.add_columns(pa.schema([pa.field(name, pa.float64()) for name in missing]))
        schema = self._table.schema
        numbers = np.concatenate([item.vector for item in items if item.vector is not None])
        columns: dict[str, Any] = {
            "id": [item.id for item in items],
            "order": [item.order for item in items],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers, pa.float32()), self.settings.dim),
            "text": [item.text for item in items],
            "fields": [item.fields for item in items],
            "marks": [marks_of(item.metadata) for item in items],
        }
        for name in schema.names[len(columns) :]:
            columns[name] = [its.get(name) for its in bounds]
        rows = pa.table(columns, schema=schema)
        done = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)
        return int(done.num_updated_rows)

    def _drop(self, ids: Sequence[str]) -> int:
        return int(self._table.delete(_among(ids)).num_deleted_rows)

    def _remove(self) -> None:
        """The table first: without it the rest is an empty collection, which can be removed again."""
        self._tables.drop_table(self._name)
        with plain_errors(self.folder):
            (self.folder / f"{self._name}.semvec.json").unlink()
            with suppress(OSError):  # Windows removes it itself when it is given back
                (self.folder / f"{self._name}.lock").unlink()

    def _fetch(self, ids: Sequence[str]) -> list[Item]:
        return [item for page in self._read(_among(ids), vectors=True) for item in page]

    def _pages(self, wanted: Condition | None, *, vectors: bool) -> Iterator[list[Item]]:
        return self._read(self._sql(wanted), vectors=vectors)

    def _read(self, sql: str | None, *, vectors: bool) -> Iterator[list[Item]]:
        asked = self._table.search().select([*COLUMNS, "vector"] if vectors else COLUMNS).limit(None)
        for batch in (asked if sql is None else asked.where(sql)).to_batches(PAGE):
            yield _items(batch)

    def _count(self, wanted: Condition | None) -> int:
        return int(self._table.count_rows(self._sql(wanted)))

    def _nearest(self, queries: Vectors, k: int, wanted: Condition | None) -> list[Found] | None:
        """LanceDB prints a warning for every search that does not ask for the distance by name."""
        sql = self._sql(wanted)
        parts = self._parts() if self._table.count_rows(sql) > FEW else 0
        found = []
        for query in queries:
            asked = self._table.search(query, vector_column_name="vector", query_type="vector").limit(k)
            asked = asked.distance_type(DISTANCES[self.settings.metric]).select([*COLUMNS, "_distance"])
            asked = asked.minimum_nprobes(max(20, parts // SHARE)).maximum_nprobes(0) if parts else asked.bypass_vector_index()
            rows = (asked if sql is None else asked.where(sql, prefilter=True)).to_arrow()
            distances = rows.column("_distance").to_pylist()
            found.append([(item, self._score(one)) for item, one in zip(_items(rows), distances, strict=True)])
        return found

    def _score(self, distance: float) -> float:
        return -math.sqrt(max(distance, 0)) if self.settings.metric == Metric.EUCLIDEAN else 1 - distance

    def _parts(self) -> int:
        """Return how many parts the index of the vectors has, 0 where there is none."""
        there = self._indices()
        return math.isqrt(self._table.index_stats(there[0]).num_indexed_rows) if there else 0

    def _sql(self, wanted: Condition | None) -> str | None:
        """Return SQL; a number that no item has yet is a column that is not there."""
        if wanted is None:
            return None
        if isinstance(wanted, Marked):
            return f"{'' if wanted.there else 'NOT '}array_has(marks, {_quoted(wanted.mark)})"
        if isinstance(wanted, Bound):
            there = wanted.name in self._table.schema.names
            return f"({wanted.name} IS NOT NULL AND {wanted.name} {wanted.operator} {wanted.value!r})" if there else "(1 = 0)"
        return f"({(' OR ' if isinstance(wanted, Either) else ' AND ').join(str(self._sql(part)) for part in wanted.parts)})"

    def _make(self, kind: str) -> None:
        """Join small files, make an index (above 50,000 rows, if not told), drop versions older than ten minutes.

        The index is IVF over whole vectors: nothing is rounded, and one part in eight is looked into.
        """
        rows = self._count(None)
        if kind == IVF or (kind == AUTO and rows > FEW):
            metric, parts = DISTANCES[self.settings.metric], max(1, math.isqrt(rows))
            self._table.create_index(metric, vector_column_name="vector", index_type="IVF_FLAT", num_partitions=parts)
            self._table.create_scalar_index("id", replace=True)
        elif kind == FLAT:
            for index in self._indices():
                self._table.drop_index(index)
        self._table.optimize(cleanup_older_than=KEPT)

    def _indices(self) -> list[str]:
        """Return the indices over the vectors."""
        return [one.name for one in self._table.list_indices() if one.columns == ["vector"]]

    def _described(self) -> dict[str, JSON]:
        about, indices = self._table.stats(), [one.name for one in self._table.list_indices()]
        files = about["fragment_stats"]["num_fragments"]
        return {
            "kind": "ivf" if self._parts() else "flat",
            "indices": indices,
            "fragments": files,
            "version": self._table.version,
        }


def _about(address: Address) -> Path:
    return Path(address.place) / f"{address.name}.semvec.json"


def _library() -> Any:
    try:
        import lancedb
    except ImportError as error:
        raise MissingExtra(f'a collection in LanceDB needs its library ({error}): pip install "semvec[lancedb]"') from error
    return lancedb


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _among(ids: Sequence[str]) -> str:
    return f"id IN ({', '.join(map(_quoted, ids))})"


def _items(rows: Any) -> list[Item]:
    """Return the items of a table or a batch of one."""
    columns = [rows.column(name).to_pylist() for name in COLUMNS]
    vectors = None
    if "vector" in rows.schema.names:
        kept = rows.column("vector")
        flat = kept.flatten().to_numpy(zero_copy_only=False)
        vectors = flat.reshape(len(kept), -1) if len(kept) else flat
    return [
        Item(name, order, None if vectors is None else np.array(vectors[at], dtype=np.float32), text, fields)
        for at, (name, order, text, fields) in enumerate(zip(*columns, strict=True))
    ]
