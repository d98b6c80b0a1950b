"""What stands beside a file that has no place for it: the header, and a table of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from semvec.embeddings.formats.layout import Header, Part
from semvec.embeddings.formats.rows_table import from_table, schema, to_table
from semvec.errors import FormatError

if TYPE_CHECKING:
    import pyarrow as pa


def header_path(path: Path) -> Path:
    """Return where the header of ``path`` stands: ``vectors.npy.json``."""
    return path.with_name(path.name + ".json")


def rows_path(path: Path) -> Path:
    """Return where the table of rows of ``path`` stands: ``vectors.npy.rows.parquet``."""
    return path.with_name(path.name + ".rows.parquet")


def read_header(path: Path) -> Header:
    """Return the header beside ``path``; raise `FormatError` where there is none."""
    beside = header_path(path)
    if not beside.is_file():
        raise FormatError(f"{path}: no header beside it ({beside.name}), so what made these numbers is not known")
    return Header.loads(beside, beside.read_bytes())


def write_header(stream: IO[bytes], header: Header) -> None:
    """Write ``header`` as one line of JSON."""
    stream.write(header.dumps().encode("utf-8") + b"\n")


def write_rows(stream: IO[bytes], header: Header, parts: Sequence[Part], *, vectors: bool) -> None:
    """Write the table of rows as Parquet, one row group a part."""
    import pyarrow.parquet

    columns = schema(header, vectors=vectors)
    if vectors:
        columns = columns.with_metadata({"semvec": header.dumps()})
    with pyarrow.parquet.ParquetWriter(stream, columns, compression="zstd", use_dictionary=["n_truncated"]) as writer:
        first = 0
        for part in parts:
            writer.write_table(to_table(header, part, first, vectors=vectors).cast(columns))
            first += part.texts


def read_rows(path: Path, header: Header) -> dict[str, Any]:
    """Return the arrays in the table beside ``path``."""
    beside = rows_path(path)
    return from_table(beside, header, read_parquet(beside))


def read_parquet(path: Path) -> pa.Table:
    """Return all of a Parquet file; raise `FormatError` where it is none."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise FormatError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
