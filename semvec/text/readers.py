"""One reader a kind of source: each gives the rows of a file as they stand, good or bad."""

from __future__ import annotations

import codecs
import csv
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from semvec.errors import FieldNotThere, InputError, OptionError
from semvec.text.cells import json_value, typed_cell
from semvec.text.document import flaw
from semvec.text.remote import path_in
from semvec.text.sources import Source
from semvec.types import JSON

TEXT_FIELDS = ("text", "sentence", "document", "content", "body")
ID_FIELDS = ("id", "_id")


NO_ID = object()
EMPTY = "the row is empty"
ALL_FIELDS = "all"


@dataclass(frozen=True)
class ReadOptions:
    """How sources are read.

    ``text_field`` and ``id_field`` name columns; left out, a column called ``text`` (or the only one)
    and one called ``id`` or ``_id`` are taken. ``max_chars`` is the longest text accepted.
    ``keep_blank`` makes blank rows texts of their own instead of bad rows. ``delimiter`` separates the
    cells of ``.csv`` (a comma) and ``.tsv`` (a tab); ``.csv`` cells may be quoted, ``.tsv`` cells are not.
    Without ``ids`` no column is taken for one. ``fields`` names the columns whose cells travel along as metadata
    (`ALL_FIELDS`: every other one); a column of the name "all" comes with the rest. ``qualified`` puts the file's name before
    line numbers that serve as ids, even where there is one file only.
    """

    text_field: str | None = None
    id_field: str | None = None
    max_chars: int = 4_000_000
    keep_blank: bool = False
    delimiter: str | None = None
    ids: bool = True
    fields: tuple[str, ...] = ()
    qualified: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.max_chars, bool) or not isinstance(self.max_chars, int) or self.max_chars < 1:
            raise OptionError(f"max_chars must be a whole number of at least 1, not {self.max_chars!r}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands: its line (from 1), the cells taken from it, or what is wrong with it.

    ``id`` is `NO_ID` where the source has no ids at all, and None where this row's is missing.
    """

    line: int
    text: object = None
    id: object = NO_ID
    problem: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=dict)


Reader = Callable[[Source, ReadOptions], Iterator[Row]]


def decode(line: bytes) -> str:
    """Return ``line`` as text; bytes that are not UTF-8 stay visible as lone surrogates."""
    return line.decode("utf-8", "surrogateescape")


def lines_of(stream: IO[bytes], limit: int) -> Iterator[tuple[int, str | None]]:
    """Give line number and line, without its end and a byte order mark; None for one over ``limit`` bytes.

    Lines end at LF or CRLF and nowhere else, so that U+2028 or a vertical tab stays inside its text.
    """
    number = 0
    while line := stream.readline(limit):
        number += 1
        if len(line) >= limit and not line.endswith(b"\n"):
            while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
                pass
            yield number, None
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        yield number, decode(line)


def _too_long(options: ReadOptions) -> str:
    return f"the row is longer than {options.max_chars:,} characters; raise --max-chars if that is meant"


def _limit(options: ReadOptions) -> int:
    return min(4 * options.max_chars + 2, 1 << 30)  # four bytes a character at most, and the end of the line


def read_lines(source: Source, options: ReadOptions) -> Iterator[Row]:
    """A line is a text; its id is the line number."""
    with source.open() as stream:
        for number, line in lines_of(stream, _limit(options)):
            if line is None:
                yield Row(number, problem=_too_long(options))
            else:
                yield Row(number, text=line)


def read_file(source: Source, options: ReadOptions) -> Iterator[Row]:
    """The whole file is one text."""
    with source.open() as stream:
        content = stream.read(_limit(options))
    if len(content) >= _limit(options):
        yield Row(1, problem=_too_long(options))
    else:
        yield Row(1, text=decode(content.removeprefix(b"\xef\xbb\xbf")).replace("\r\n", "\n"))


def read_jsonl(source: Source, options: ReadOptions) -> Iterator[Row]:
    """A line is a JSON object; the fields are looked up by name, which the first one settles."""
    fields: tuple[str, str | None] | None = None
    missing = dict.fromkeys(name for name in options.fields if name != ALL_FIELDS)
    with source.open() as stream:
        for number, line in lines_of(stream, min(6 * _limit(options), 1 << 30)):
            record, problem = _json_object(line, options)
            if record is not None and fields is None:
                fields = choose_fields(source.name, list(record), options)
            if record is None or fields is None:
                yield Row(number, problem=problem)
                continue
            text_field, id_field = fields
            if text_field not in record:
                yield Row(number, problem=f"no field {text_field!r}; there are {', '.join(map(repr, record)) or 'none'}")
            else:
                kept = kept_fields(list(record), fields, options) if options.fields else ()
                metadata = {name: record[name] for name in kept}
                for name in [name for name in missing if name in record]:
                    del missing[name]
                yield Row(number, record[text_field], record.get(id_field) if id_field else NO_ID, metadata=metadata)
    if missing and fields is not None:
        warnings.warn(FieldNotThere(f"{source.name}: no line has a field {next(iter(missing))!r} (--fields)"), stacklevel=2)


def _json_object(line: str | None, options: ReadOptions) -> tuple[dict[str, object] | None, str | None]:
    """Return the object a line holds, or None and what is wrong."""
    if line is None:
        return None, _too_long(options)
    if not line.strip():
        return None, EMPTY
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    return (record, None) if isinstance(record, dict) else (None, f"not a JSON object but {type(record).__name__}")


def read_csv(source: Source, options: ReadOptions) -> Iterator[Row]:
    """A table with a header; cells may be quoted and hold line breaks."""
    yield from _read_table(source, options, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def read_tsv(source: Source, options: ReadOptions) -> Iterator[Row]:
    """A table with a header; tabs separate cells and nothing is quoted."""
    yield from _read_table(source, options, delimiter="\t", quoting=csv.QUOTE_NONE)


def _read_table(source: Source, options: ReadOptions, *, delimiter: str, quoting: Any) -> Iterator[Row]:
    csv.field_size_limit(max(csv.field_size_limit(), _limit(options)))
    too_long: set[int] = set()
    with source.open() as stream:
        if getattr(stream, "peek", lambda size: b"")(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{source.name}: is in UTF-16: save it as UTF-8")
        lines = _table_lines(stream, options, too_long)
        table = csv.reader(lines, delimiter=options.delimiter or delimiter, quoting=quoting, strict=True)
        try:
            header = next(table, None)
        except csv.Error as error:
            raise InputError(f"{source.name}: its first line is no header of a table: {error}") from error
        if header is None:
            return
        if len(header) == 1 and options.text_field is None and (other := next((c for c in ";\t|" if c in header[0]), None)):
            raise InputError(f"{source.name}: one column, {header[0]!r}; --delimiter {other!r} would make several of it")
        text_field, id_field = choose_fields(source.name, header, options)
        text_at, id_at = header.index(text_field), header.index(id_field) if id_field else None
        require_fields(source.name, header, options)
        if reason := next((found for cell in header if (found := flaw(cell))), None):
            raise InputError(f"{source.name}: the name of a column: {reason}")
        if twice := next((name for name in (text_field, id_field) if name is not None and header.count(name) > 1), None):
            raise InputError(f"{source.name}: two columns are called {twice!r}")
        kept = [(name, header.index(name)) for name in kept_fields(header, (text_field, id_field), options)]
        while True:
            line = table.line_num + 1
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error as error:
                too_long.clear()
                yield Row(line, problem=f"not a row of a table: {error}")
                continue
            if too_long:
                too_long.clear()
                yield Row(line, problem=_too_long(options))
            elif not cells:
                yield Row(line, problem=EMPTY)
            elif len(cells) != len(header):
                yield Row(line, problem=f"{len(cells)} cells where the header has {len(header)}")
            else:
                metadata = {name: value for name, at in kept if (value := typed_cell(cells[at])) is not None}
                yield Row(line, cells[text_at], cells[id_at] if id_at is not None else NO_ID, metadata=metadata)


def _table_lines(stream: IO[bytes], options: ReadOptions, too_long: set[int]) -> Iterator[str]:
    """Lines with the ends that a quoted cell may hold; one that is too long is noted and left empty."""
    for number, line in lines_of(stream, _limit(options)):
        if line is None:
            too_long.add(number)
        yield (line or "") + "\n"


def read_parquet(source: Source, options: ReadOptions) -> Iterator[Row]:
    """A Parquet file, row group by row group; only the columns needed are read."""
    import pyarrow
    import pyarrow.parquet

    if path_in(source.path).endswith((".gz", ".zst")):
        raise InputError(f"{source.name}: Parquet is compressed inside, unpack the file around it first")
    try:
        file = pyarrow.parquet.ParquetFile(source.content)
        names = file.schema_arrow.names
        text_field, id_field = choose_fields(source.name, names, options)
        require_fields(source.name, names, options)
        kept = kept_fields(names, (text_field, id_field), options)
        if twice := next((name for name in (text_field, id_field, *kept) if name and names.count(name) > 1), None):
            raise InputError(f"{source.name}: there are {names.count(twice)} columns called {twice!r}")
        kind = file.schema_arrow.field(text_field).type
        if pyarrow.types.is_dictionary(kind):
            kind = kind.value_type
        if id_field and not _can_be_id(file.schema_arrow.field(id_field).type):
            raise InputError(
                f"{source.name}: column {id_field!r} holds neither strings nor whole numbers; --id-field names another"
            )
        if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind)):
            raise InputError(f"{source.name}: column {text_field!r} holds {kind}, not strings; --text-field names another")
        if bytes_in := next((name for name in kept if _holds_bytes(file.schema_arrow.field(name).type)), None):
            raise InputError(f"{source.name}: column {bytes_in!r} holds bytes, which metadata cannot; --fields names the others")
        line = 0
        for batch in file.iter_batches(batch_size=1024, columns=[*dict.fromkeys(filter(None, (text_field, id_field))), *kept]):
            texts = batch.column(text_field).to_pylist()
            ids = batch.column(id_field).to_pylist() if id_field else [NO_ID] * len(texts)
            columns = [(name, _cells(batch.column(name))) for name in kept]
            for at, (text, name) in enumerate(zip(texts, ids, strict=True)):
                line += 1
                cells = {name: its[at] for name, its in columns}
                if wrong := next((name for name, cell in cells.items() if isinstance(cell, Exception)), None):
                    yield Row(line, problem=f"the field {wrong!r} cannot be read: {cells[wrong]}")
                else:
                    yield Row(line, text, name, metadata={name: json_value(cell) for name, cell in cells.items()})
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source.name}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from error


def _can_be_id(kind: Any) -> bool:
    import pyarrow.types as types

    plain = kind.value_type if types.is_dictionary(kind) else kind
    return any(check(plain) for check in (types.is_integer, types.is_string, types.is_large_string, types.is_null))


def _cells(column: Any) -> list[object]:
    """Return the values of a column of Arrow; for one that Python has no value for (a date of the year 12,000), the error."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_cell(one) for one in column]


def _cell(scalar: Any) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:
        return type(error)(str(error).split(". ")[0])


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if any(_holds_bytes(kind.field(at).type) for at in range(kind.num_fields)):
        return True
    return any(
        check(kind) for check in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    )


PLAIN = ("lines", "file")

READERS: dict[str, Reader] = {
    "lines": read_lines,
    "file": read_file,
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}


def choose_fields(where: str, names: list[str], options: ReadOptions) -> tuple[str, str | None]:
    """Return the text and the id column of ``names``; raise `InputError` listing those there are."""
    there = ", ".join(map(repr, names)) or "none"
    if options.text_field is None:
        found = [name for name in TEXT_FIELDS if name in names] or (names if len(names) == 1 else [])
        if not found:
            raise InputError(f"{where}: no column called 'text'; --text-field names one of {there}")
        text_field = found[0]
    else:
        text_field = options.text_field
    likely = ID_FIELDS if options.ids else ()
    id_field = options.id_field or next((name for name in likely if name in names and name != text_field), None)
    for name, flag in ((text_field, "--text-field"), (id_field, "--id-field")):
        if name is not None and name not in names:
            raise InputError(f"{where}: no column {name!r} ({flag}); there are {there}")
    return text_field, id_field


def require_fields(where: str, names: Sequence[str], options: ReadOptions) -> None:
    """Raise `InputError` where a column asked for as metadata is not among ``names``."""
    if missing := [name for name in options.fields if name != ALL_FIELDS and name not in names]:
        there = ", ".join(map(repr, names)) or "none"
        raise InputError(f"{where}: no column {missing[0]!r} (--fields); there are {there}")


def kept_fields(names: Sequence[str], taken: tuple[str, str | None], options: ReadOptions) -> tuple[str, ...]:
    """Return which of the columns ``names`` become metadata: those asked for, or all but the text and the id."""
    if ALL_FIELDS in options.fields:
        return tuple(name for name in names if name and name not in taken)
    return tuple(name for name in options.fields if name in names)
