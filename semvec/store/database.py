"""The one truth of a local collection: an SQLite file with ids, vectors, texts and metadata.

``row`` numbers grow for ever: an item that is replaced gets a new one, and no number is used again. So what was
derived from rows up to some number stays right but for the rows in ``gone``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import sync_folder
from semvec.errors import CollectionDamaged, CollectionNotFound, StoreError
from semvec.store.filters import kind_of, members
from semvec.types import JSON

FILE = "collection.sqlite"
FORMAT = "semvec-collection"
VERSION = 1
SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, vector BLOB NOT NULL, text TEXT, metadata TEXT
);
CREATE TABLE gone (row INTEGER PRIMARY KEY);
CREATE TABLE fields (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE attributes (field INTEGER, kind INTEGER, value, row INTEGER, PRIMARY KEY (field, kind, value, row)) WITHOUT ROWID;
"""
KIND_NUMBERS = {"bool": 1, "number": 2, "text": 3}
WRONG = {
    "items more than are counted": "SELECT count(*) - (SELECT CAST(value AS INTEGER) FROM about WHERE name = 'count') FROM items",
    "vectors of another size": "SELECT count(*) FROM items WHERE typeof(vector) <> 'blob' OR length(vector) <> :size",
    "metadata that are not JSON": "SELECT count(*) FROM items WHERE metadata IS NOT NULL AND NOT json_valid(metadata)",
    "rows without a number": "SELECT count(*) FROM items WHERE row > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence)",
}
"""What a collection must not hold, and how many there are of it."""

THERE = 4
"""The kind of the attribute that says that an item has a field."""
decode = json.JSONDecoder().raw_decode
MANY = 500
"""Most values bound in one statement."""


class Item(NamedTuple):
    """One row as it is stored: ``vector`` is the bytes of its codes, ``metadata`` a dict."""

    row: int
    id: str
    vector: bytes
    text: str | None
    metadata: dict[str, JSON]


def absence(folder: Path) -> str:
    """Return why there is no collection in ``folder``."""
    if not folder.exists():
        return "is not there"
    return "holds no collection" if folder.is_dir() else "is a file, not a collection (a folder)"


class Database:
    """A connection to the truth. Readers see what was committed; one writer at a time (the collection's lock sees to it).

    Threads may share it: they take turns.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._turn = _Turn(path)
        self._inode = path.stat().st_ino

    @classmethod
    def create(cls, folder: Path, about: Mapping[str, JSON]) -> Database:
        """Return a new database in ``folder``; nothing half-made is left where it cannot be written."""
        path = folder / FILE
        spare = folder / f".{FILE}.tmp"
        for leftover in folder.glob(f"{spare.name}*"):
            leftover.unlink()
        with closing(sqlite3.connect(spare, isolation_level=None)) as made, _Turn(path):
            made.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
            record = {"format": FORMAT, "version": VERSION, "count": 0, "texts": 0, "snapshots_made": 0, **about}
            made.executemany("INSERT INTO about VALUES (?, ?)", [(name, json.dumps(value)) for name, value in record.items()])
            made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for leftover in folder.glob(f"{spare.name}-*"):
            leftover.unlink()
        spare.rename(path)
        sync_folder(folder)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Database:
        """Return the database in ``folder``; raise `CollectionNotFound` or `CollectionDamaged`."""
        path = folder / FILE
        if not path.is_file():
            raise CollectionNotFound(f"{folder}: {absence(folder)}")
        with _Turn(path):
            connection = _connected(path)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA mmap_size=1073741824")
        database = cls(connection, path)
        try:
            about = database.about()
            if about.get("format") != FORMAT:
                raise CollectionDamaged(f"{folder}: holds no collection of semvec")
            if about.get("version") not in range(1, VERSION + 1):
                version = about.get("version")
                raise CollectionDamaged(f"{folder}: format version {version}; this semvec reads up to {VERSION}, update it")
        except ValueError as error:
            database.close()
            raise CollectionDamaged(f"{folder}: damaged, it does not say what it is ({error})") from error
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        self._connection.close()

    def remove(self) -> None:
        """Close it and remove its files, first the one that says that there is a collection."""
        self.close()
        for name in (FILE, *(f"{FILE}-{kind}" for kind in ("wal", "shm", "journal"))):
            self._path.with_name(name).unlink(missing_ok=True)

    @property
    def in_place(self) -> bool:
        """Whether the file is still the one that was opened."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @property
    def version(self) -> int:
        """A number that changes when another connection has committed something."""
        return int(self._one("PRAGMA data_version"))

    def about(self) -> dict[str, JSON]:
        """Return what the collection says of itself."""
        with self._turn:
            return {name: json.loads(value) for name, value in self._connection.execute("SELECT name, value FROM about")}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with self._turn:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is written inside is committed together, on the disk when this returns, or not at all."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def set_about(self, **changes: JSON) -> None:
        """Change what the collection says of itself (inside `writing`)."""
        rows = [(name, json.dumps(value)) for name, value in changes.items()]
        self._connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)

    def count(self) -> int:
        """Return how many items there are; kept beside them, for counting a million takes a while."""
        return int(self._one("SELECT value FROM about WHERE name = 'count'"))

    def texts(self) -> int:
        """Return how many items have a text."""
        return int(self._one("SELECT value FROM about WHERE name = 'texts'"))

    def _counted(self, items: int, texts: int) -> None:
        add = "UPDATE about SET value = CAST(value AS INTEGER) + ? WHERE name = ?"
        self._connection.executemany(add, [(items, "count"), (texts, "texts")])

    def last_row(self) -> int:
        """Return the greatest row number ever given, 0 for none."""
        return int(self._one("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'items'"))

    def put(self, items: Iterable[tuple[str, bytes, str | None, Mapping[str, JSON]]]) -> tuple[int, int]:
        """Insert or replace items (id, vector, text, metadata) inside `writing`; return how many were new, and replaced."""
        rows = list(items)
        replaced = self.drop("id", [row[0] for row in rows])
        first = self.last_row() + 1
        self._connection.executemany(
            "INSERT INTO items (row, id, vector, text, metadata) VALUES (?, ?, ?, ?, ?)",
            [
                (first + at, name, vector, text, json.dumps(metadata, ensure_ascii=False) if metadata else None)
                for at, (name, vector, text, metadata) in enumerate(rows)
            ],
        )
        self._counted(len(rows), sum(text is not None for _, _, text, _ in rows))
        self._put_attributes([(first + at, metadata) for at, (*_, metadata) in enumerate(rows)])
        return len(rows) - replaced, replaced

    def _put_attributes(self, items: Sequence[tuple[int, Mapping[str, JSON]]]) -> None:
        """Write what can be filtered by of ``items`` (row, metadata) inside `writing`."""
        numbers = self._field_numbers({name for _, metadata in items for name in metadata})
        attributes = [key for row, metadata in items for key in _attributes(metadata, row, numbers)]
        self._connection.executemany("INSERT OR IGNORE INTO attributes VALUES (?, ?, ?, ?)", attributes)

    def make_attributes(self) -> None:
        """Make the attributes of all items anew from their metadata (inside `writing`)."""
        self._connection.execute("DELETE FROM attributes")
        cursor = self._connection.execute("SELECT row, metadata FROM items WHERE metadata IS NOT NULL")
        while found := cursor.fetchmany(MANY):
            self._put_attributes([(row, json.loads(metadata)) for row, metadata in found])

    def drop(self, key: str, values: Sequence[JSON]) -> int:
        """Delete the items whose ``key`` (id or row) is among ``values`` inside `writing`; return how many there were."""
        numbers, dropped = self._field_numbers(set()), 0
        for part in _parts(values):
            found = self._selected("row, metadata, text IS NOT NULL", key, part)
            self._counted(-len(found), -sum(text for *_, text in found))
            attributes = [at for row, metadata, _ in found if metadata for at in _attributes(json.loads(metadata), row, numbers)]
            self._connection.executemany("DELETE FROM attributes WHERE field=? AND kind=? AND value IS ? AND row=?", attributes)
            rows = [(row,) for row, *_ in found]
            self._connection.executemany("DELETE FROM items WHERE row = ?", rows)
            self._connection.executemany("INSERT INTO gone VALUES (?)", rows)
            dropped += len(rows)
        return dropped

    def _field_numbers(self, names: set[str]) -> dict[str, int]:
        self._connection.executemany("INSERT OR IGNORE INTO fields (name) VALUES (?)", [(name,) for name in sorted(names)])
        return {name: number for number, name in self._connection.execute("SELECT number, name FROM fields")}

    def fields(self) -> dict[str, int]:
        """Return the names of all fields there ever were, and their numbers."""
        with self._turn:
            return {name: number for number, name in self._connection.execute("SELECT number, name FROM fields")}

    def gone(self, up_to: int) -> NDArray[np.int64]:
        """Return the rows up to ``up_to`` that are no more."""
        return self._rows("SELECT row FROM gone WHERE row <= ?", up_to)

    def forget_gone(self, up_to: int) -> None:
        """Forget the rows that are no more, up to ``up_to`` (inside `writing`)."""
        self._connection.execute("DELETE FROM gone WHERE row <= ?", (up_to,))

    def newer(self, row: int) -> int:
        """Return how many items came after ``row``."""
        with self._turn:
            return int(self._connection.execute("SELECT count(*) FROM items WHERE row > ?", (row,)).fetchone()[0])

    def rows(self) -> NDArray[np.int64]:
        """Return every row there is, in order."""
        return np.sort(self._rows("SELECT row FROM items"))

    def rows_where(self, field: int, kind: str, operator: str, value: JSON) -> NDArray[np.int64]:
        """Return the rows whose attribute compares so with ``value``, in any order, some more than once."""
        sign = {"=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "!=": "<>"}[operator]
        query = f"SELECT row FROM attributes WHERE field = ? AND kind = ? AND value {sign} ?"
        if isinstance(value, int) and abs(value) >= 2**63:
            value = float(value)
        return self._rows(query, field, KIND_NUMBERS[kind], value)

    def rows_between(self, field: int, kind: str, low: JSON, high: JSON) -> NDArray[np.int64]:
        """Return the rows with an attribute from ``low`` up to ``high``, itself left out; some more than once."""
        query = "SELECT row FROM attributes WHERE field = ? AND kind = ? AND value >= ? AND value < ?"
        return self._rows(query, field, KIND_NUMBERS[kind], low, high)

    def rows_having(self, field: int) -> NDArray[np.int64]:
        """Return the rows that have the field with a value that is not null."""
        return self._rows("SELECT row FROM attributes WHERE field = ? AND kind = ?", field, THERE)

    def vectors_after(self, row: int, block: int) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Give rows after ``row`` with their vectors, at most ``block`` at a time, in order."""
        with _plain(self._path.parent):
            cursor = self._connection.execute("SELECT row, vector FROM items WHERE row > ? ORDER BY row", (row,))
            while found := cursor.fetchmany(block):
                yield np.array([row for row, _ in found], dtype=np.int64), [vector for _, vector in found]

    def texts_after(self, row: int) -> Iterator[str | None]:
        """Give the texts of the rows after ``row``, in order, None where there is none."""
        with _plain(self._path.parent):
            for (text,) in self._connection.execute("SELECT text FROM items WHERE row > ? ORDER BY row", (row,)):
                yield text

    def vectors_of(self, rows: Sequence[int]) -> list[bytes]:
        """Return the vectors of ``rows``, in that order."""
        found: dict[int, bytes] = {}
        for part in _parts(rows):
            marks = ",".join("?" * len(part))
            found.update(self._connection.execute(f"SELECT row, vector FROM items WHERE row IN ({marks})", part))
        return [found[row] for row in rows]

    def contents_of(self, rows: Sequence[int]) -> dict[int, tuple[str, str | None, dict[str, JSON]]]:
        """Return the id, the text and the metadata of ``rows``, by their row."""
        found = self._selected("row, id, text, metadata", "row", rows)
        return {row: (name, text, decode(metadata)[0] if metadata else {}) for row, name, text, metadata in found}

    def items_with(self, ids: Sequence[str]) -> dict[str, Item]:
        """Return the items of ``ids`` that there are, by their id."""
        return {row[1]: _item(row) for row in self._selected("row, id, vector, text, metadata", "id", ids)}

    @contextmanager
    def moment(self) -> Iterator[Database]:
        """Give another connection: all that is read through it is of one moment, whatever is written meanwhile."""
        with closing(Database.open(self._path.parent)) as other, _plain(self._path.parent):
            other._connection.execute("BEGIN")
            yield other

    def items(self, block: int = 1024) -> Iterator[Item]:
        """Give every item, in the order of rows (inside `moment`)."""
        cursor = self._connection.execute("SELECT row, id, vector, text, metadata FROM items ORDER BY row")
        while found := cursor.fetchmany(block):
            yield from map(_item, found)

    def items_at(self, rows: Sequence[int]) -> Iterator[Item]:
        """Give the items of ``rows``, ascending as these are; nothing of any other is read."""
        for part in _parts(rows):
            yield from sorted(map(_item, self._selected("row, id, vector, text, metadata", "row", part)))

    def check(self, size: int) -> list[str]:
        """Return what is wrong with the file, nothing if it is sound: by SQLite, and by what a collection has to hold.

        ``size`` is the bytes of a vector.
        """
        try:
            found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(10)")]
            wrong = [] if found == ["ok"] else found
            for what, query in WRONG.items():
                if count := self._connection.execute(query, {"size": size} if ":size" in query else {}).fetchone()[0]:
                    wrong.append(f"{count:,} {what}")
            return wrong
        except sqlite3.DatabaseError as error:
            return [str(error)]

    def check_attributes(self) -> list[str]:
        """Return where filters would be answered wrongly: rows that are not there, and items of a sample told otherwise."""
        wrong = []
        if gone := self._one("SELECT count(DISTINCT row) FROM attributes WHERE row NOT IN (SELECT row FROM items)"):
            wrong.append(f"attributes of {gone:,} rows that are not there")
        rows, numbers = self.rows(), defaultdict(int, self.fields())
        sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), MANY)).astype(int)].tolist()
        kept: dict[int, set[Any]] = {row: set() for row in sample}
        query = f"SELECT field, kind, value, row FROM attributes WHERE row IN ({','.join('?' * len(sample))})"
        with self._turn:
            for attribute in self._connection.execute(query, sample):
                kept[attribute[3]].add(attribute)
        told = [
            (row, decode(metadata)[0] if metadata else {}) for row, metadata in self._selected("row, metadata", "row", sample)
        ]
        if others := sum(kept[row] != set(_attributes(metadata, row, numbers)) for row, metadata in told):
            wrong.append(f"{others:,} of {len(sample):,} items looked at have other attributes than their metadata say")
        return wrong

    def shrink(self) -> None:
        """Give the space of what was deleted back to the disk, where it is more than a quarter of the file."""
        free, pages = self._one("PRAGMA freelist_count"), self._one("PRAGMA page_count")
        if free * 4 > pages:
            with self._turn:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _selected(self, columns: str, key: str, values: Sequence[JSON]) -> list[Any]:
        """Return the ``columns`` of the items whose ``key`` is among ``values``."""
        found: list[Any] = []
        with self._turn:
            for part in _parts(values):
                marks = ",".join("?" * len(part))
                found += self._connection.execute(f"SELECT {columns} FROM items WHERE {key} IN ({marks})", part)
        return found

    def _rows(self, query: str, *values: JSON) -> NDArray[np.int64]:
        """Return the rows that ``query`` selects, in any order: as one text, which is four times as fast as row by row."""
        with self._turn:
            found = self._connection.execute(f"SELECT group_concat(row) FROM ({query})", values).fetchone()[0]
        return np.fromstring(found, dtype=np.int64, sep=",") if found else np.zeros(0, dtype=np.int64)

    def _one(self, query: str) -> JSON:
        with self._turn:
            return self._connection.execute(query).fetchone()[0]


def _connected(path: Path) -> sqlite3.Connection:
    """Return a connection; one that only reads where the folder cannot be written to, as it is then."""
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        return sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    unchanging = not path.with_name(f"{FILE}-wal").exists()  # without a writer's log nobody is writing
    return sqlite3.connect(
        place + ("&immutable=1" if unchanging else ""), uri=True, isolation_level=None, timeout=30, check_same_thread=False
    )


def _item(row: tuple[int, str, bytes, str | None, str | None]) -> Item:
    number, name, vector, text, metadata = row
    return Item(number, name, vector, text, decode(metadata)[0] if metadata else {})


def _attributes(metadata: Mapping[str, JSON], row: int, numbers: Mapping[str, int]) -> Iterator[tuple[int, int, JSON, int]]:
    """Give what can be filtered by: every value of a field, of a list every member, and that a field is there at all."""
    for name, value in metadata.items():
        if value is not None:
            yield numbers[name], THERE, 0, row
        for member in members(value):
            kind = kind_of(member)
            if kind in KIND_NUMBERS:
                yield numbers[name], KIND_NUMBERS[kind], member, row


def _parts(values: Sequence[JSON]) -> Iterator[Sequence[JSON]]:
    return (values[at : at + MANY] for at in range(0, len(values), MANY))


class _Turn:
    """One thread at a time, and what SQLite says as one `StoreError`; it may be entered again inside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()
        if isinstance(error, sqlite3.DatabaseError | json.JSONDecodeError):
            raise plain(error, self._path.parent) from error


@contextmanager
def _plain(folder: Path) -> Iterator[None]:
    """Turn what SQLite says into one `StoreError`, for what goes on between the turns of others."""
    try:
        yield
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise plain(error, folder) from error


def plain(error: sqlite3.DatabaseError | json.JSONDecodeError, folder: Path) -> StoreError:
    """Return what ``error`` means for the collection in ``folder``."""
    said = str(error)
    if isinstance(error, json.JSONDecodeError):
        return CollectionDamaged(f"{folder}: damaged, something in it is not JSON ({said})")
    if "full" in said or "disk I/O" in said:
        return StoreError(f"{folder}: cannot be written: {said}; what was acknowledged before is kept")
    if "malformed" in said or "not a database" in said or "no such" in said:
        return CollectionDamaged(f"{folder}: damaged ({said})")
    return StoreError(f"{folder}: {said}")
