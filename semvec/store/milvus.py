"""A collection on a Milvus server (``milvus://host:port#name``)."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from semvec.errors import CollectionNotFound, MissingExtra, OptionError, StoreError
from semvec.index.kinds import AUTO
from semvec.store.about import About
from semvec.store.adapted import AdaptedCollection, Found, Item, check_dtype, in_one_call, plain
from semvec.store.address import Address
from semvec.store.collection import Settings, Vectors
from semvec.store.marks import Bound, Condition, Either, Marked, bounds_of, marks_of
from semvec.types import JSON, Metric

TOKEN = "MILVUS_TOKEN"
PORT = 19530
DISTANCES = {Metric.COSINE: "COSINE", Metric.DOT: "IP", Metric.EUCLIDEAN: "L2"}
FLAT, HNSW = "flat", "hnsw"
PARAMS = {FLAT: {}, HNSW: {"M": 16, "efConstruction": 200}}
MANY = 50_000
"""From so many items on a graph is worth its making; below, Milvus compares them all."""
FEW = 1000
"""Up to so many items of a collection with a graph are read and compared exactly."""
EFFORT, GREATEST = 256, 32_768
MOST = 16_384
"""Milvus gives no more hits than these in one call."""
LONGEST = 65_535
"""Bytes of a string in Milvus."""
PIECE = LONGEST // 4
"""Characters that fit into a string of Milvus, whatever they are."""
LISTED = 4096
"""Members of a list in Milvus."""
COLUMNS = ["id", "order", "text", "fields"]
DIGITS = "0123456789abcdef"
PATIENT: dict[str, Any] = {"retry_times": 5}
"""A server that is gone is asked again for a second, where pymilvus would do so for minutes."""
SURE, QUICK = "Strong", "Session"
"""How consistent a read is: it waits a fifth of a second for all that was written anywhere, or takes what has come so far."""


class MilvusCollection(AdaptedCollection):
    """A collection on a Milvus server, which many may read and write.

    Milvus compares all there is until `optimise` makes a graph. An item is a row by the hash of its id; a text, which may
    be longer than a string of Milvus, is a list of pieces.
    """

    store: ClassVar[str] = "Milvus"
    kinds: ClassVar[tuple[str, ...]] = (FLAT, HNSW)

    def __init__(self, address: Address, client: Any, about: About) -> None:
        super().__init__(address.shown, about)
        self.batch = in_one_call(self.batch, about.settings.dim)
        self._name = address.name
        self._client: Any = client
        self._written, self._seen = 1, 0  # writes, and of how many of them it is sure that reads see them

    @classmethod
    def _open(cls, place: str, settings: Settings | None) -> MilvusCollection:
        address, library = Address.of(place), _library()
        if address.host is None:
            raise OptionError(
                f"{address.shown}: Milvus is asked on a server, milvus://host:port#name; without one, name a folder: FOLDER"
            )
        if settings is not None:
            check_dtype(settings, cls.store)
        with plain(address.shown, cls.store):
            client = _client(library, address)
            try:
                if not client.has_collection(address.name, **PATIENT):
                    if settings is None:
                        raise CollectionNotFound(f"{address.shown}: there is no collection {address.name}")
                    _make(library, client, address.name, settings)
                opened = cls(address, client, _about(client, address.name, address.shown))
                opened._ready()
                return opened
            except BaseException:
                client.close()
                raise

    def _ready(self) -> None:
        """Make it one that can be searched, if whoever made it did not come so far."""
        if not self._client.list_indexes(self._name, **PATIENT):
            self._index(FLAT)
        self._client.load_collection(self._name, **PATIENT)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _plain_errors(self) -> Any:
        if self._client is None:
            raise StoreError(f"{self.place}: the collection was closed")
        return plain(self.place, self.store)

    def _begin(self) -> None:
        """A server takes many writers."""

    def _recall(self) -> About:
        return _about(self._client, self._name, self.place)

    def _remember(self, about: About) -> None:
        self._client.alter_collection_properties(self._name, {"semvec": about.to_text()}, **PATIENT)

    def _put(self, items: Sequence[Item]) -> int:
        there = self._there([item.id for item in items])
        self._client.upsert(self._name, [_row(item) for item in items], **PATIENT)
        self._written += 1
        return there

    def _there(self, ids: Sequence[str]) -> int:
        return len(self._rows(_among(ids), ["key"]))

    def _drop(self, ids: Sequence[str]) -> int:
        there = self._there(ids)
        if there:
            self._client.delete(self._name, filter=_among(ids), **PATIENT)
            self._written += 1
        return there

    def _remove(self) -> None:
        self._client.drop_collection(self._name, **PATIENT)

    def _fetch(self, ids: Sequence[str]) -> list[Item]:
        return [_item(row) for row in self._rows(_among(ids), [*COLUMNS, "vector"])]

    def _pages(self, wanted: Condition | None, *, vectors: bool) -> Iterator[list[Item]]:
        """Ask for the items whose keys, which are hashes, begin with some digits; with one digit more where they are too many.

        Nothing is said then of the order in which Milvus gives rows, and none is met twice.
        """
        columns, beginnings = [*COLUMNS, "vector"] if vectors else COLUMNS, [""]
        while beginnings:
            start = beginnings.pop()
            parts = [f'key like "{start}%"'] if start else []
            rows = self._rows(" and ".join([*parts, *([] if wanted is None else [_where(wanted)])]), columns, self.batch)
            if len(rows) < self.batch or len(start) == len(_key("")):
                yield [_item(row) for row in rows]
            else:
                beginnings += [start + digit for digit in DIGITS]

    def _rows(self, chosen: str, columns: Sequence[str], limit: int | None = None) -> list[dict[str, Any]]:
        options = {} if limit is None else {"limit": limit}
        return list(self._read(self._client.query, filter=chosen, output_fields=list(columns), **options))

    def _read(self, ask: Callable[..., Any], **options: Any) -> Any:
        """Ask for what is there, with all that this object wrote, and all that others wrote before it was opened.

        Milvus does not say of a delete when it will be seen, so the first read after a write is a sure one.
        """
        written = self._written
        answer = ask(self._name, consistency_level=QUICK if self._seen >= written else SURE, **options, **PATIENT)
        self._seen = max(self._seen, written)
        return answer

    def _count(self, wanted: Condition | None) -> int:
        return int(self._rows("" if wanted is None else _where(wanted), ["count(*)"])[0]["count(*)"])

    def _nearest(self, queries: Vectors, k: int, wanted: Condition | None) -> list[Found] | None:
        """A graph finds too little where few items pass a filter: these are read, and the rarer they are the deeper it looks."""
        if k > MOST:
            return None
        params = {}
        if self._kind() == HNSW:
            there = self._count(wanted)
            if there <= FEW:
                return None
            share = 1 if wanted is None else self._count(None) / there
            params = {"ef": min(GREATEST, int(max(EFFORT, k) * max(share, 1)))}
        found: list[Found] = []
        for at in range(0, len(queries), size := max(1, MOST // k)):
            answer = self._read(
                self._client.search,
                data=list(queries[at : at + size]),
                anns_field="vector",
                limit=k,
                filter="" if wanted is None else _where(wanted),
                search_params={"metric_type": DISTANCES[self.settings.metric], "params": params},
                output_fields=COLUMNS,
            )
            found += [[(_item(hit["entity"]), self._score(hit["distance"])) for hit in hits] for hits in answer]
        return found

    def _score(self, distance: float) -> float:
        return -(max(distance, 0) ** 0.5) if self.settings.metric == Metric.EUCLIDEAN else distance

    def _make(self, kind: str) -> None:
        """Make a graph (from 50,000 items on, if not told) of all that is written, or take it away.

        Milvus has one index at a time and lets nobody search while it goes from one kind to another.
        """
        former = self._kind()
        if kind == AUTO:
            kind = HNSW if former == HNSW or self._count(None) >= MANY else FLAT
        if kind == HNSW:
            self._client.flush(self._name)
        if kind != former:
            self._client.release_collection(self._name, **PATIENT)
            self._client.drop_index(self._name, "vector", **PATIENT)
        self._index(kind)
        self._client.load_collection(self._name, **PATIENT)

    def _index(self, kind: str) -> None:
        """Make an index, or wait until the one there is has all that was flushed."""
        asked, distance = self._client.prepare_index_params(), DISTANCES[self.settings.metric]
        asked.add_index("vector", index_type=kind.upper(), index_name="vector", metric_type=distance, params=PARAMS[kind])
        self._client.create_index(self._name, asked, **PATIENT)

    def _kind(self) -> str:
        return str(self._client.describe_index(self._name, "vector", **PATIENT)["index_type"]).lower()

    def _described(self) -> dict[str, JSON]:
        known = self._client.describe_index(self._name, "vector", **PATIENT)
        return {"kind": str(known["index_type"]).lower(), "indexed": int(known["indexed_rows"])}


def _library() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise MissingExtra(f'a collection in Milvus needs its client ({error}): pip install "semvec[milvus]"') from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it prints a traceback for every error that it raises
    return pymilvus


def _client(library: Any, address: Address) -> Any:
    host = f"[{address.host}]" if ":" in str(address.host) else address.host
    uri = f"{'https' if address.secure else 'http'}://{host}:{address.port or PORT}"
    return library.MilvusClient(uri=uri, token=os.environ.get(TOKEN) or "")


def _make(library: Any, client: Any, name: str, settings: Settings) -> None:
    its = library.DataType
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", its.VARCHAR, is_primary=True, max_length=len(_key("")))
    schema.add_field("id", its.VARCHAR, max_length=LONGEST)
    schema.add_field("order", its.INT64)
    schema.add_field("vector", its.FLOAT_VECTOR, dim=settings.dim)
    for field, longest in (("text", LONGEST), ("fields", LONGEST), ("marks", 512)):
        schema.add_field(field, its.ARRAY, element_type=its.VARCHAR, max_capacity=LISTED, max_length=longest)
    schema.add_field("bounds", its.JSON)
    about = {"semvec": About(settings).to_text()}
    client.create_collection(name, schema=schema, properties=about, consistency_level=QUICK, **PATIENT)


def _about(client: Any, name: str, place: str) -> About:
    return About.of((client.describe_collection(name, **PATIENT).get("properties") or {}).get("semvec"), place)


def _key(name: str) -> str:
    """Return the key of an id: of plain letters and one length, whatever the id."""
    return hashlib.sha256(name.encode()).hexdigest()


def _among(ids: Sequence[str]) -> str:
    return f"key in {json.dumps([_key(name) for name in ids])}"


def _row(item: Item) -> dict[str, Any]:
    metadata = item.metadata
    return {
        "key": _key(item.id),
        "id": item.id,
        "order": item.order,
        "vector": np.asarray(item.vector, dtype=np.float32),
        "text": [] if item.text is None else _pieces(item.text),
        "fields": _pieces(item.fields),
        "marks": marks_of(metadata),
        "bounds": bounds_of(metadata),
    }


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, max(1, len(text)), PIECE)]


def _item(row: Mapping[str, Any]) -> Item:
    pieces, vector = list(row["text"]), row.get("vector")
    return Item(
        row["id"],
        int(row["order"]),
        None if vector is None else np.asarray(vector, dtype=np.float32),
        "".join(pieces) if pieces else None,
        "".join(row["fields"]),
    )


def _where(wanted: Condition) -> str:
    """Return an expression of Milvus's. Names of numbers are plain letters, and a mark is quoted: all else is from here."""
    if isinstance(wanted, Marked):
        return f"{'' if wanted.there else 'not '}array_contains(marks, {quoted(wanted.mark)})"
    if isinstance(wanted, Bound):
        return f'bounds["{wanted.name}"] {wanted.operator} {wanted.value!r}'
    either = isinstance(wanted, Either)
    marks = [part.mark for part in wanted.parts if isinstance(part, Marked) and part.there == either]
    if len(marks) == len(wanted.parts):  # one list for the thousand members of an "in": as many "or" take seconds
        return f"{'' if either else 'not '}array_contains_any(marks, [{', '.join(map(quoted, marks))}])"
    return f"({(' or ' if either else ' and ').join(_where(part) for part in wanted.parts)})"


def quoted(text: str) -> str:
    """Return ``text`` as a string in an expression: JSON's escapes are those that Milvus reads."""
    return json.dumps(text, ensure_ascii=False)
