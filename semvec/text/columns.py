"""Tables of examples → the columns that are asked for, by any of their names, with the place of every row."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from semvec.errors import InputError
from semvec.text.document import flaw
from semvec.text.readers import lines_of
from semvec.text.sources import Source, find_sources

LONGEST = 1 << 24
LARGEST = 1e30
"""No number of examples is greater: models compute in float32."""

QUOTED = {"csv": (",", csv.QUOTE_MINIMAL), "tsv": ("\t", csv.QUOTE_NONE)}
SUFFIXES = (".tsv", ".csv", ".jsonl", ".parquet")
PACKED = ("", ".gz", ".zst")
SPLITS = ("train", "dev", "test")

Names = Mapping[str, Sequence[str]]
"""What columns are wanted, and the names each may have, the likeliest first."""


Columns = Mapping[str, str] | None
"""What some of the columns are called in one file, where that is asked of the user; None where it is not."""


@dataclass(frozen=True)
class Record:
    """One row: ``where`` it stands, for messages, and its ``cells`` in the order they were asked for."""

    where: str
    cells: tuple[Any, ...]

    def text(self, at: int) -> str:
        """Return cell ``at`` as a text, an empty one included; raise `InputError` where it is none."""
        cell = self.cells[at]
        if not isinstance(cell, str):
            raise InputError(f"{self.where}: {cell!r:.40} is no text")
        if reason := flaw(cell):
            raise InputError(f"{self.where}: {reason}")
        return cell

    def number(self, at: int, what: str = "score") -> float:
        """Return cell ``at`` as a finite number; raise `InputError` where it is none."""
        try:
            number = float(self.cells[at])
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if not isfinite(number) or abs(number) > LARGEST:
            raise InputError(f"{self.where}: the {what} {self.cells[at]!r:.40} is not a number up to {LARGEST:g}")
        return number

    def label(self, at: int) -> str:
        """Return cell ``at`` as a label, spaces around it left out; raise `InputError` where there is none."""
        cell = self.cells[at]
        if isinstance(cell, bool) or not isinstance(cell, str | int):
            raise InputError(f"{self.where}: {cell!r:.40} is no label")
        label = str(cell).strip()
        if not label or flaw(label):
            raise InputError(f"{self.where}: the label is empty" if not label else f"{self.where}: {flaw(label)}")
        return label


def read_columns(
    path: str | os.PathLike[str], names: Names, optional: Collection[str] = (), columns: Columns = None
) -> Iterator[Record]:
    """Give the rows of a ``.tsv``, ``.csv``, ``.jsonl`` or ``.parquet`` file, packed or not, with the columns of ``names``.

    ``.csv`` cells may be quoted, ``.tsv`` cells are not (as `semvec.text.readers` has it). A cell is None where an
    ``optional`` column is not there; one that ``columns`` names must be. Raises `InputError`, naming the line, for a row that
    is none, for a column that is missing and for one that is there twice.
    """
    source = one_source(path)
    if source.kind not in READERS:
        raise InputError(f"{source.name}: examples are a table, {', '.join(SUFFIXES)}, with the columns {', '.join(names)}")
    if columns is None:
        yield from READERS[source.kind](source, names, optional)
        return
    if unknown := [name for name in columns if name not in names]:
        raise InputError(f"{source.name}: no column is wanted as {unknown[0]!r}; wanted are {', '.join(names)}")
    wanted = {name: (columns[name],) if name in columns else its for name, its in names.items()}
    try:
        yield from READERS[source.kind](source, wanted, [name for name in optional if name not in columns])
    except _Missing as error:
        raise InputError(f"{error}; --column {error.name}=… says which it is") from None


class _Missing(InputError):
    """A column is not there: the one wanted as ``name``."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


def one_source(path: str | os.PathLike[str]) -> Source:
    """Return the one file at ``path``; a text file with tabs in its first line is a table. `InputError` for a folder."""
    if os.path.isdir(path):
        raise InputError(f"{os.fspath(path)}: is a folder where a file is wanted")
    sources = find_sources([os.fspath(path)])
    if len(sources) != 1:
        raise InputError(f"{os.fspath(path)}: names {len(sources)} files where one is wanted")
    source = sources[0]
    if source.kind == "lines" and not source.once:
        with source.open() as stream:
            if b"\t" in stream.readline(LONGEST):
                return replace(source, kind="tsv")
    return source


def split_file(place: str | os.PathLike[str], *splits: str, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """Return the file of the first of ``splits`` ("test", "dev", …) that there is in the folder ``place``.

    A file is taken as it is. Raises `InputError` where there is none, listing what there is.
    """
    path = Path(place)
    if not path.is_dir():
        return path
    for split in splits:
        if found := _files(path, split, suffixes):
            if len(found) > 1:
                raise InputError(f"{path}: holds {' and '.join(one.name for one in found)}; which? Name the file")
            return found[0]
    there = ", ".join(sorted(one.name for one in path.iterdir() if not one.name.startswith("."))) or "nothing"
    raise InputError(f"{path}: holds no {' or '.join(f'{split}{suffixes[0]}' for split in splits)}; there is {there}")


def data_name(place: str | os.PathLike[str]) -> str:
    """Return what a file or a folder of data is called; of a file that is called after its split, what its folder is."""
    path = Path(place).resolve()
    name = path.name if path.is_dir() else path.name.partition(".")[0]
    return path.parent.name if name in SPLITS else name


def has_split(folder: Path, split: str, suffixes: Sequence[str] = SUFFIXES) -> bool:
    """Whether there is a file of ``split`` in ``folder``."""
    return bool(_files(folder, split, suffixes))


def _files(folder: Path, split: str, suffixes: Sequence[str]) -> list[Path]:
    names = (f"{split}{suffix}{packed}" for suffix in suffixes for packed in PACKED)
    return [folder / name for name in names if (folder / name).is_file()]


def _found(where: str, header: Sequence[str], names: Names, optional: Collection[str]) -> list[str | None]:
    """Return which of ``header`` each of ``names`` is, None for an ``optional`` one that is not there."""
    if any(flaw(name) for name in header):
        raise InputError(f"{where}: the header is no text in UTF-8; save the file as UTF-8")
    found = [next((name for name in its if name in header), None) for its in names.values()]
    if twice := next((name for name in found if name is not None and header.count(name) > 1), None):
        raise InputError(f"{where}: two columns are called {twice!r:.60}")
    if missing := [wanted for wanted, name in zip(names, found, strict=True) if name is None and wanted not in optional]:
        there = ", ".join(f"{name!r:.60}" for name in header[:20]) + (", …" if len(header) > 20 else "") or "none"
        called = [next(iter(names[wanted])) if len(names[wanted]) == 1 else wanted for wanted in missing]
        raise _Missing(f"{where}: no column {' or '.join(map(repr, called))}; there are {there}", missing[0])
    return found


def _read_table(source: Source, names: Names, optional: Collection[str]) -> Iterator[Record]:
    delimiter, quoting = QUOTED[source.kind]
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    number = 0
    with source.open() as stream:
        lines = (_whole(source, number, line) + "\n" for number, line in lines_of(stream, LONGEST))
        table = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
        header: list[str] | None = None
        places: list[int | None] = []
        try:
            for cells in table:
                number = table.line_num
                if header is None:
                    header = cells
                    chosen = _found(source.name, cells, names, optional)
                    places = [None if name is None else cells.index(name) for name in chosen]
                elif cells and len(cells) != len(header):
                    raise InputError(f"{source.name}, line {number}: {len(cells)} cells where the header has {len(header)}")
                elif cells:
                    yield Record(f"{source.name}, line {number}", tuple(None if at is None else cells[at] for at in places))
        except csv.Error as error:
            raise InputError(f"{source.name}, line {number + 1}: not a row of a table: {error}") from error
        if header is None:
            raise InputError(f"{source.name}: is empty, there is no header")


def _whole(source: Source, number: int, line: str | None) -> str:
    if line is None:
        raise InputError(f"{source.name}, line {number}: is longer than {LONGEST:,} bytes")
    return line


def _read_jsonl(source: Source, names: Names, optional: Collection[str]) -> Iterator[Record]:
    with source.open() as stream:
        for number, line in lines_of(stream, LONGEST):
            where = f"{source.name}, line {number}"
            line = _whole(source, number, line)
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}: not JSON: {error}") from None
            if not isinstance(record, dict):
                raise InputError(f"{where}: not a JSON object but {type(record).__name__}")
            yield Record(where, tuple(record.get(name) for name in _found(where, list(record), names, optional)))


def _read_parquet(source: Source, names: Names, optional: Collection[str]) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(source.content)
        wanted = _found(source.name, file.schema_arrow.names, names, optional)
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=list(dict.fromkeys(filter(None, wanted)))):
            for record in batch.to_pylist():
                number += 1
                yield Record(f"{source.name}, row {number}", tuple(record.get(name) for name in wanted))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source.name}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from error


READERS: dict[str, Callable[[Source, Names, Collection[str]], Iterator[Record]]] = {
    "csv": _read_table,
    "tsv": _read_table,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}


def require_some(name: str | os.PathLike[str], examples: Sized, what: str) -> None:
    """Raise `InputError` where there are no ``examples``."""
    if not len(examples):
        raise InputError(f"{os.fspath(name)}: holds no {what}")
