"""A collection on a PostgreSQL server with the extension pgvector: any number of processes write and read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.errors import CollectionNotFound, InputError, OptionError, StoreError
from semvec.index.kinds import AUTO, GOOD
from semvec.results import Hit, Hits
from semvec.store.address import Address
from semvec.store.codec import Codec
from semvec.store.collection import (
    Collection,
    Settings,
    Stored,
    Vectors,
    Written,
    as_filter,
    check_ids,
    check_items,
    check_k,
    check_recall,
    check_vectors,
)
from semvec.store.filters import Filter, check_fields
from semvec.store.postgres_connection import Collided, Server
from semvec.store.postgres_filters import attributes, condition
from semvec.store.postgres_index import EFFORTS, Through, build, choose_kind, drop, set_up
from semvec.store.postgres_schema import Record, find, make, read, table_of
from semvec.store.postgres_vectors import Form, written
from semvec.types import JSON, Metric

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = tuple[int, str, float, str | None, dict[str, JSON] | None]
"""What a search reads of an item: row, id, score, text, metadata."""

BLOCK = 512
"""Items read at a time by a scan."""

TRIES = 10
"""How often a write that met another on the same ids is begun again."""

SAMPLE = 100
LONGEST_ID = 2_000
"""Bytes of an id: an index of PostgreSQL takes no more than 2,700."""

SHORTEST, LONGEST = 1e-30, 5e37
"""Bounds of the square of a vector's length: pgvector adds up squares in float32."""


class PostgresCollection(Collection):
    """A collection in a database of a PostgreSQL server. Many processes may read and write it at once.

    One connection, one transaction a call; a connection that was lost is opened anew by the next call.
    """

    def __init__(self, server: Server, record: Record) -> None:
        self.settings = record.settings
        self._server = server
        self._address = server.address
        self._table = table_of(server.address.name)
        self._form = Form.of(record.settings)
        self._codec = Codec(record.settings.dtype, record.settings.dim)
        self._fields = set(record.fields)

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> PostgresCollection:
        address = Address.of(place)
        if not address.place.startswith("//"):
            raise OptionError("the address of a collection in PostgreSQL is postgresql://USER@HOST/DATABASE#NAME")
        server = Server(address)
        try:
            with server.reading() as connection:
                record = find(connection, address)
            if record is None:
                if settings is None:
                    raise CollectionNotFound(f"{address.shown}: holds no collection of that name")
                with server.writing() as connection:
                    record = make(connection, address, settings)
            return cls(server, record)
        except BaseException:
            server.close()
            raise

    def close(self) -> None:
        self._server.close()

    def drop(self) -> None:
        def done(connection: Any) -> None:
            told = "DELETE FROM semvec_collections WHERE name = %s"  # the row first, as writers do
            if not connection.execute(told, [self._address.name]).rowcount:
                raise CollectionNotFound(f"{self._address.shown}: the collection is not there any more")
            connection.execute(f"DROP TABLE IF EXISTS {self._table}")

        self._written(done)
        self.close()

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        rows, texts, metadata = check_items(ids, vectors, texts, metadata, self.settings)
        if longest := max((name for name in ids if len(name.encode()) > LONGEST_ID), key=len, default=None):
            raise InputError(
                f"the id {longest:.60}… is of {len(longest.encode()):,} bytes: PostgreSQL takes up to {LONGEST_ID:,}"
            )
        codes = self._codes(rows, ids)
        if not ids:
            return Written(0, 0)
        names = {name for fields in metadata for name in fields}
        items = [
            (name, vector, text, _spelled(fields) if fields else None, b"\x01" + _spelled(attributes(fields)))
            for name, vector, text, fields in zip(ids, self._form.packed(codes), texts, metadata, strict=True)
        ]
        replaced = self._written(lambda connection: self._put(connection, list(ids), items, sorted(names - self._fields)))
        self._fields |= names
        return Written(len(ids) - replaced, replaced)

    def _put(self, connection: Any, ids: list[str], items: list[tuple[Any, ...]], fields: list[str]) -> int:
        """Write ``items`` and return how many of ``ids`` were there; the row of the collection is locked before any item is."""
        if fields:
            connection.execute(
                "UPDATE semvec_collections SET fields = ARRAY(SELECT DISTINCT unnest(fields || %s::text[]))"
                " WHERE name = %s AND NOT fields @> %s::text[]",
                [fields, self._address.name, fields],
            )
        replaced = int(connection.execute(f"DELETE FROM {self._table} WHERE id = ANY(%s)", [ids]).rowcount)
        into = f"COPY {self._table} (id, vector, text, metadata, attributes) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            copy.set_types(["text", "bytea", "text", "bytea", "bytea"])  # bytea: bytes that are in the form of their type
            for item in items:
                copy.write_row(item)
        return replaced

    def _written(self, change: Callable[[Any], T]) -> T:
        """Return what ``change`` returns, done in a transaction, again where another writer came between."""
        for _ in range(TRIES):
            with suppress(Collided), self._server.writing() as connection:
                return change(connection)
        with self._server.writing() as connection:
            return change(connection)

    def _delete(self, ids: list[str]) -> int:
        query = f"DELETE FROM {self._table} WHERE id = ANY(%s)"
        return self._written(lambda connection: int(connection.execute(query, [ids]).rowcount)) if ids else 0

    def _delete_where(self, wanted: Filter) -> int:
        def done(connection: Any) -> int:
            sql, values = self._condition(wanted, self._record(connection))
            return int(connection.execute(f"DELETE FROM {self._table} {sql}", values).rowcount)

        return self._written(done)

    def get(self, ids: Sequence[str]) -> list[Stored | None]:
        query = f"SELECT id, vector, text, metadata FROM {self._table} WHERE id = ANY(%s)"
        with self._server.reading() as connection:
            rows = connection.execute(query, [list(dict.fromkeys(check_ids(ids)))], binary=True).fetchall()
        found = {item.id: item for item in self._stored(rows)}
        return [found.get(name) for name in ids]

    def scan(self, where: Filter | str | None = None) -> Iterator[Stored]:
        wanted, last = as_filter(where), 0
        while True:  # by pages: a cursor would hold its transaction, and with it old rows, as long as the caller likes
            with self._server.reading() as connection:
                sql, values = self._condition(wanted, self._record(connection))
                page = f'{sql} {"AND" if sql else "WHERE"} "row" > %s ORDER BY "row" LIMIT {BLOCK}'
                query = f'SELECT "row", id, vector, text, metadata FROM {self._table} {page}'
                rows = connection.execute(query, [*values, last], binary=True).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from self._stored([row[1:] for row in rows])

    def _stored(self, rows: list[tuple[str, bytes, str | None, dict[str, JSON] | None]]) -> Iterator[Stored]:
        vectors = self._form.unpacked([row[1] for row in rows])
        return (
            Stored(name, vector, text, metadata or {}) for (name, _, text, metadata), vector in zip(rows, vectors, strict=True)
        )

    def count(self, where: Filter | str | None = None) -> int:
        wanted = as_filter(where)
        with self._server.reading() as connection:
            sql, values = self._condition(wanted, self._record(connection))
            return int(connection.execute(f"SELECT count(*) FROM {self._table} {sql}", values).fetchone()[0])

    def search(self, vectors: Vectors, k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        queries, wanted, k = self._queries(check_vectors(vectors, self.settings)), as_filter(where), check_k(k)
        with self._server.reading() as connection:
            record = self._record(connection)
            sql, values = self._condition(wanted, record)
            through = Through(record.snapshot["effort"], record.snapshot["rows"]) if record.snapshot else None
            found = self._best(connection, queries, min(k, 2**62), sql, values, through)
        return [Hits(tuple(Hit(name, score, text, fields or {}) for _, name, score, text, fields in rows)) for rows in found]

    def _best(
        self, connection: Any, queries: list[str], k: int, sql: str, values: list[str], through: Through | None
    ) -> list[list[Row]]:
        """Return the ``k`` best rows for each query, ``through`` the index, or (None) exactly.

        A query that gets fewer through the index is asked again exactly, and so are those after it.
        """
        select = f'SELECT "row", id, {self._form.score}, text, metadata FROM {self._table} {sql} ORDER BY {self._form.distance}'
        set_up(connection, through, k)
        found: list[list[Row]] = []
        for query in queries:
            rows: list[Row] = []
            if through is not None:
                rows = connection.execute(f"{select} LIMIT %s", [query, *values, query, k]).fetchall()
                if len(rows) < k:
                    through = None
                    set_up(connection, None, k)
            if through is None:
                rows = connection.execute(f'{select}, "row" LIMIT %s', [query, *values, query, k]).fetchall()
            found.append(sorted(rows, key=lambda row: (-row[2], row[0])))
        return found

    def optimise(self, kind: str = AUTO, *, recall: float = GOOD, seed: int = 0) -> dict[str, JSON]:
        """Make the index anew over all there is, and return what it is: kind, rows, effort, and recall at 10 on a sample.

        ``kind`` is "flat" (exact), "hnsw", or "auto": exact up to 5,000 items. The effort is the least that reaches
        ``recall``. Readers go on meanwhile, writers wait. Raises `OptionError` where HNSW does not take vectors so long.
        """
        check_recall(recall)
        choose_kind(kind, 0, self._form)
        if not (rows := self.count()):
            raise StoreError(f"{self._address.shown}: is empty, there is nothing to make an index of")
        chosen = choose_kind(kind, rows, self._form)
        made: dict[str, JSON] = {"kind": chosen, "rows": rows, "effort": EFFORTS[-1] if chosen == "hnsw" else 1, "recall": 1.0}
        with self._server.writing() as connection:
            # The row first, as writers do, so that nobody waits for each other; it also keeps a second optimise out.
            connection.execute("SELECT 1 FROM semvec_collections WHERE name = %s FOR UPDATE", [self._address.name])
            if chosen == "hnsw":
                build(connection, self._table, self._form, rows)
            else:
                drop(connection, self._table)
            connection.execute(f"ANALYZE {self._table}")
            self._say(connection, made if chosen == "hnsw" else None)
        if chosen == "hnsw":
            made["effort"], made["recall"] = self._tuned(rows, recall, seed)
            with self._server.writing() as connection:
                self._say(connection, made)
        return made

    def _say(self, connection: Any, made: dict[str, JSON] | None) -> None:
        told = None if made is None else json.dumps(made)
        connection.execute("UPDATE semvec_collections SET snapshot = %s WHERE name = %s", [told, self._address.name])

    def _tuned(self, count: int, target: float, seed: int) -> tuple[int, float]:
        """Return the least effort whose recall at 10 reaches ``target`` on a sample of the vectors, and that recall."""
        query = f'SELECT vector FROM {self._table} ORDER BY hashint8extended("row", %s) LIMIT {SAMPLE}'
        with self._server.reading() as connection:
            rows = connection.execute(query, [seed], binary=True).fetchall()
            queries = self._queries(self._form.unpacked([vector for (vector,) in rows]))
            true = [[row[0] for row in found][1:] for found in self._best(connection, queries, 11, "", [], None)]
        effort, recall = EFFORTS[0], 0.0
        for effort in EFFORTS:
            with self._server.reading() as connection:
                found = [{row[0] for row in rows} for rows in self._best(connection, queries, 11, "", [], Through(effort, count))]
            recall = float(
                np.mean([len(its & set(one)) / len(one) if one else 1.0 for its, one in zip(found, true, strict=True)])
            )
            if recall >= target:
                break
        return effort, round(recall, 4)

    def info(self) -> dict[str, JSON]:
        with self._server.reading() as connection:
            record = self._record(connection)
            count, size = connection.execute(
                f"SELECT count(*), pg_total_relation_size('{self._table}') FROM {self._table}"
            ).fetchone()
            postgres, pgvector = connection.execute(
                "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
            ).fetchone()
        return {
            "place": self._address.shown,
            "items": count,
            **self.settings.to_json(),
            "fields": sorted(record.fields),
            "snapshot": record.snapshot,
            "bytes": size,
            "server": f"PostgreSQL {postgres}, pgvector {pgvector}",
        }

    def _record(self, connection: Any) -> Record:
        if (found := read(connection, self._address)) is None:
            raise CollectionNotFound(f"{self._address.shown}: the collection is not there any more")
        return found

    def _condition(self, wanted: Filter | None, record: Record) -> tuple[str, list[str]]:
        if wanted is None:
            return "", []
        check_fields(wanted, record.fields)
        sql, values = condition(wanted)
        return f"WHERE {sql}", values

    def _queries(self, vectors: NDArray[np.float32]) -> list[str]:
        """Return queries (queries, dim) as the server reads them; their length does not matter for cosine."""
        asked = normalize(vectors) if self.settings.metric == Metric.COSINE else vectors
        return [written(row) for row in self._codes(asked)]

    def _codes(self, vectors: NDArray[np.float32], names: Sequence[str] | None = None) -> NDArray[Any]:
        """Return ``vectors`` (rows, dim) in the collection's dtype; raise `InputError` where pgvector could not compare one."""
        codes, _ = self._codec.codes(vectors)
        squares = np.einsum("ij,ij->i", codes, codes, dtype=np.float64)
        wrong = squares > LONGEST
        if self.settings.metric == Metric.COSINE:
            wrong |= squares < SHORTEST
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"the vector {f'of id {names[at]!r}' if names else at} has length {np.sqrt(squares[at]):.3g}: pgvector compares "
                f"lengths from {np.sqrt(SHORTEST):.0g} (for cosine) to {np.sqrt(LONGEST):.0g}; scale it"
            )
        return codes


def _spelled(value: Mapping[str, JSON]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
