"""What a collection is on a PostgreSQL server: a row in the table of collections, and a table of its items."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from semvec.errors import CollectionDamaged, StoreError
from semvec.store.address import Address
from semvec.store.collection import Settings
from semvec.store.postgres_vectors import Form
from semvec.types import JSON

VERSION = 1
OLDEST = (0, 8)
"""The first pgvector whose HNSW search goes on until there are enough that pass a filter."""

COLLECTIONS = """
CREATE TABLE IF NOT EXISTS semvec_collections (
    name text COLLATE "C" PRIMARY KEY, version int NOT NULL, settings json NOT NULL, fields text[] NOT NULL, snapshot json
)
"""
# attributes holds what filters compare (postgres_filters); metadata is kept as it was written, for jsonb would turn 1e2
# into 100. Vectors stay in the row where they fit, for an exact search reads all of them.
ITEMS = """
CREATE TABLE {table} (
    "row" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, vector {type} NOT NULL,
    text text, metadata json, attributes jsonb NOT NULL
);
ALTER TABLE {table} ALTER COLUMN vector SET STORAGE MAIN;
CREATE INDEX ON {table} USING gin (attributes jsonb_path_ops);
"""


class Record(NamedTuple):
    """What the table of collections says of one: its settings, the fields its items ever had, its index if it has one."""

    settings: Settings
    fields: list[str]
    snapshot: dict[str, JSON] | None


def table_of(name: str) -> str:
    """Return the table with the items of the collection ``name`` (checked by `Address`), quoted for SQL."""
    return f'"semvec_items_{name}"'


def find(connection: Any, address: Address) -> Record | None:
    """Return what the server says of the collection, None where there is none."""
    if connection.execute("SELECT to_regclass('semvec_collections')").fetchone()[0] is None:
        return None
    return read(connection, address)


def read(connection: Any, address: Address) -> Record | None:
    """Return the same where the table of collections is known to be; raise `CollectionDamaged` where it holds nonsense."""
    query = "SELECT version, settings, fields, snapshot FROM semvec_collections WHERE name = %s"
    if (found := connection.execute(query, [address.name]).fetchone()) is None:
        return None
    version, settings, fields, snapshot = found
    if version > VERSION:
        raise CollectionDamaged(f"{address.shown}: format version {version}; this semvec reads up to {VERSION}, update it")
    try:
        return Record(Settings.from_json(settings), fields, snapshot)
    except (KeyError, TypeError, ValueError) as error:
        raise CollectionDamaged(f"{address.shown}: damaged, it does not say what it is for ({error})") from error


def make(connection: Any, address: Address, settings: Settings) -> Record:
    """Return what is said of the collection, made now unless another process was quicker (inside `Server.writing`)."""
    form = Form.of(settings)
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('semvec_collections'))")
    _require_utf8(connection, address)
    _require_pgvector(connection, address)
    connection.execute(COLLECTIONS)
    if (there := find(connection, address)) is not None:
        return there
    connection.execute(ITEMS.format(table=table_of(address.name), type=form.column))
    row = [address.name, VERSION, json.dumps(settings.to_json(), ensure_ascii=False)]
    connection.execute("INSERT INTO semvec_collections VALUES (%s, %s, %s, '{}', NULL)", row)
    return Record(settings, [], None)


def _require_utf8(connection: Any, address: Address) -> None:
    encoding = connection.execute("SHOW server_encoding").fetchone()[0]
    if encoding != "UTF8":
        raise StoreError(
            f"{address.shown}: the database keeps {encoding}, and texts need UTF8: CREATE DATABASE … ENCODING 'UTF8'"
        )


def _require_pgvector(connection: Any, address: Address) -> None:
    """Make the extension where it is missing; raise `StoreError` where it cannot be, or is too old."""
    offered = connection.execute(
        "SELECT coalesce(installed_version, default_version) FROM pg_available_extensions WHERE name = 'vector'"
    ).fetchone()
    if offered is None:
        raise StoreError(
            f"{address.shown}: the server has no pgvector: install it there (Debian: postgresql-NN-pgvector, "
            "Docker: the image pgvector/pgvector)"
        )
    (version,) = offered
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise StoreError(
            f"{address.shown}: pgvector {version} is too old: install 0.8 or later and run ALTER EXTENSION vector UPDATE"
        )
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
