"""``.parquet``: one line a row with its vector, everything else beside it, the header in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.companions import read_parquet, write_rows
from semvec.embeddings.formats.layout import Header, Part
from semvec.embeddings.formats.rows_table import from_table
from semvec.errors import FormatError


def write(path: Path, header: Header, parts: Sequence[Part]) -> None:
    """Write all ``parts`` as one file, one row group a part."""
    with written_whole(path) as (stream,):
        write_rows(stream, header, parts, vectors=True)


def read_header(path: Path) -> Header:
    """Return the header alone."""
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (pyarrow.ArrowException, OSError) as error:
        raise FormatError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from error
    if b"semvec" not in metadata:
        raise FormatError(f"{path}: a Parquet file without a header of semvec")
    return Header.loads(path, metadata[b"semvec"])


def read(path: Path) -> Embeddings:
    """Return the embeddings in ``path``."""
    header = read_header(path)
    return Embeddings(
        level=header.fingerprint.level,
        fingerprint=header.fingerprint,
        calibration=header.calibration,
        **from_table(path, header, read_parquet(path)),
    )
