"""``.jsonl``: one JSON object a row with its vector; the header stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.companions import header_path, read_header, write_header
from semvec.embeddings.formats.layout import Array, Header, Part
from semvec.embeddings.formats.rows_table import from_table, schema, to_table
from semvec.errors import FormatError

__all__ = ["read", "read_header", "write"]

BLOCK = 4096


def write(path: Path, header: Header, parts: Sequence[Part]) -> None:
    """Write all ``parts`` as a file and its header, the header first, holding one part at a time."""
    with written_whole(header_path(path), path) as (head, stream):
        write_header(head, header)
        first = 0
        for part in parts:
            _write_part(stream, header, part, first)
            first += part.texts


def _write_part(stream: IO[bytes], header: Header, part: Part, first: int) -> None:
    table = to_table(header, part, first, vectors=True)
    for batch in table.to_batches(max_chunksize=BLOCK):
        plain = batch.drop_columns(["vector"]).to_pylist()
        vectors = batch.column("vector")
        there = vectors.is_valid().to_pylist()
        numbers = number_strings(vectors.flatten().to_numpy().reshape(-1, header.vector_shape[1]))
        for row, valid in zip(plain, there, strict=True):
            vector = f"[{','.join(next(numbers))}]" if valid else "null"
            stream.write(f'{json.dumps(row, ensure_ascii=False)[:-1]}, "vector": {vector}}}\n'.encode())


def number_strings(vectors: Array) -> Iterator[list[str]]:
    """Give each row of ``vectors`` as strings: the shortest that read back to the same number."""
    import pyarrow as pa

    kind = pa.float32() if vectors.dtype == np.float16 else None
    for row in vectors:
        yield pa.array(np.asarray(row, dtype=np.float32) if kind else row).cast(pa.string()).to_pylist()


def read(path: Path) -> Embeddings:
    """Return the embeddings in ``path``."""
    import pyarrow as pa

    header = read_header(path)
    columns = schema(header, vectors=False)
    records: list[dict[str, Any]] = []
    vectors: list[Array] = []
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                record = json.loads(line)
                vector = record.pop("vector")
                records.append(record)
                if vector is not None:
                    vectors.append(np.array(vector, dtype=header.stored_type("vectors")))
            except (ValueError, KeyError, AttributeError, OverflowError) as error:
                raise FormatError(f"{path}, line {number}: not a row of a vectors file ({error})") from error
    try:
        table = pa.Table.from_pylist(records, schema=columns)
        stacked = np.stack(vectors) if vectors else np.zeros((0, header.vector_shape[1]), header.stored_type("vectors"))
    except (pa.ArrowException, ValueError) as error:
        raise FormatError(f"{path}: the rows do not fit the header ({error})") from error
    return Embeddings(
        vectors=stacked,
        level=header.fingerprint.level,
        fingerprint=header.fingerprint,
        calibration=header.calibration,
        **from_table(path, header, table),
    )
