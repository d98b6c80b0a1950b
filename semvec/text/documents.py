"""Sources → documents: the rows of every file as texts with ids, bad ones named instead of lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from semvec.errors import InputError, OutputError
from semvec.text.cells import plain_metadata
from semvec.text.document import BadRow, Document, flaw
from semvec.text.readers import ALL_FIELDS, NO_ID, PLAIN, READERS, ReadOptions, Row
from semvec.text.remote import is_url
from semvec.text.sources import Source, find_sources
from semvec.types import JSON

KEEPING = " (--keep-blank takes it for a text)"
"""What commands that encode or index files can do about a blank row."""


def read_documents(sources: Sequence[Source], options: ReadOptions | None = None) -> Iterator[Document | BadRow]:
    """Give a `Document` or a `BadRow` for every row of ``sources``, in order, holding one row at a time.

    A row's id is its id cell where there is one (a number is written out); else the line number, with
    the file's name before it where there are several files; else, for a text a file, its path. Ids are
    unique: a second row with the same id is a bad row. Raises `InputError` where a whole source cannot
    be read.
    """
    options = options or ReadOptions()
    named = {
        "--text-field": options.text_field,
        "--id-field": options.id_field,
        "--fields": set(options.fields) - {ALL_FIELDS},
        "--delimiter": options.delimiter,
    }
    if (given := [name for name, value in named.items() if value]) and all(source.kind in PLAIN for source in sources):
        idle = " and ".join(given)
        raise InputError(f"{sources[0].name}: has no columns, so {idle} would do nothing; --format says what it is")
    for name in (options.text_field, options.id_field):
        if name is not None and flaw(name):
            raise InputError(f"the name of a column: {flaw(name)}")
    several = len(sources) > 1
    with SeenIds() as seen:
        for source in sources:
            for row in READERS[source.kind](source, options):
                yield _document(source, row, options, seen, several)


def sound_documents(inputs: str | Path | Sequence[str | Path], options: ReadOptions | None = None) -> Iterator[Document]:
    """Give the documents in ``inputs`` (see `find_sources`); raise `InputError` at the first bad row."""
    for item in read_documents(find_sources(inputs), options):
        if isinstance(item, BadRow):
            raise InputError(f"{item.where}: {item.reason.removesuffix(KEEPING)}")
        yield item


def texts_of(inputs: str | Path | Sequence[str | Path], options: ReadOptions | None = None) -> Iterator[str]:
    """Give the texts in ``inputs`` (see `find_sources`), blank ones left out; raise `InputError` at the first bad row."""
    reading = replace(options or ReadOptions(), keep_blank=True)
    return (item.text for item in sound_documents(inputs, reading) if item.text.strip())


def _document(source: Source, row: Row, options: ReadOptions, seen: SeenIds, several: bool) -> Document | BadRow:
    where = source.name if source.kind == "file" else f"{source.name}, {'row' if source.kind == 'parquet' else 'line'} {row.line}"
    name, reason = _id(source, row, several or options.qualified)
    reason = row.problem or reason or flaw(row.text) or _flaw_of(row.metadata)
    if not reason and isinstance(row.text, str):
        if not options.keep_blank and not row.text.strip():
            reason = f"the row is {'blank' if row.text else 'empty'}{KEEPING}"
        elif len(row.text) > options.max_chars:
            reason = f"{len(row.text):,} characters, over the limit of {options.max_chars:,} (--max-chars)"
        elif row.id is not NO_ID and (first := seen.add(name, where)):
            reason = f"id {name!r} stands already at {first}"
        else:
            return Document(name, row.text, where, source.name, row.line, row.metadata)
    return BadRow(where, source.name, row.line, reason or "the text is null")


def _flaw_of(metadata: Mapping[str, JSON]) -> str | None:
    try:
        plain_metadata(metadata)
    except ValueError as error:
        return f"the metadata {error}"
    return None


def _id(source: Source, row: Row, several: bool) -> tuple[str, str | None]:
    if row.id is NO_ID:
        if source.kind == "file":
            name = source.name if is_url(source.path) else source.path
            return name, flaw(name) and f"the name of the file: {flaw(name)}"
        return (f"{source.name}:{row.line}" if several else str(row.line)), None
    if row.id is None or row.id == "":
        return "", "the id is missing"
    if isinstance(row.id, bool) or not isinstance(row.id, str | int):
        return "", f"the id is neither a string nor a whole number ({row.id!r:.60})"
    name = str(row.id)
    return name, flaw(name) and f"the id: {flaw(name)}"


class SeenIds:
    """The ids met so far, kept in a temporary file so that memory does not grow with the corpus."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> SeenIds:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def add(self, name: str, where: str) -> str | None:
        """Remember ``name``; return where it stood before, or None when it is new."""
        try:
            return self._add(name, where)
        except sqlite3.Error as error:
            raise OutputError(f"the ids met so far cannot be kept in a temporary file: {error}") from error

    def _add(self, name: str, where: str) -> str | None:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.execute("PRAGMA cache_size = -16384")
            self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID")
            self._database.execute("BEGIN")
        if self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (name, where)).rowcount:
            return None
        return str(self._database.execute("SELECT place FROM seen WHERE id = ?", (name,)).fetchone()[0])
