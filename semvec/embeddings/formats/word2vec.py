"""word2vec text (``.vec``) and binary (``.bin``), as gensim reads and writes them.

The key of a row is the id of its text at ``level="text"``; else its surface, where it stands, and its
text: ``bank@7:12``. White space and ``%`` in a key are written as in a URL, since the format ends a key
at the first space. Header and rows stand beside the file, so that nothing is lost on reading back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.companions import header_path, read_header, read_rows, rows_path, write_header, write_rows
from semvec.embeddings.formats.jsonl import number_strings
from semvec.embeddings.formats.layout import Array, Header, Part, split_strings
from semvec.embeddings.quantise import dequantise
from semvec.errors import FormatError
from semvec.types import Dtype, Level

__all__ = ["read", "read_header", "write"]

UNSAFE = re.compile(r"[\s%]")


def write(path: Path, header: Header, parts: Sequence[Part]) -> None:
    """Write all ``parts`` as three files, the vectors last, holding one part at a time."""
    binary = path.suffix == ".bin"
    with written_whole(header_path(path), rows_path(path), path) as (head, rows, stream):
        write_header(head, header)
        write_rows(rows, header, parts, vectors=False)
        stream.write(f"{header.rows} {header.fingerprint.dim}\n".encode())
        first = 0
        for part in parts:
            lines = _lines(_numbers(header, part.array("vectors")), binary)
            for key, line in zip(_keys(header, part, first), lines, strict=True):
                stream.write(key.encode("utf-8") + b" " + line)
            first += part.texts


def _numbers(header: Header, vectors: Array) -> Array:
    """Return the vectors as numbers another program can compare: bits are written as −1 and 1."""
    bits = header.fingerprint.dtype == Dtype.BINARY
    return dequantise(vectors, Dtype.BINARY, header.fingerprint.dim) if bits else vectors


def _keys(header: Header, part: Part, first: int) -> Iterator[str]:
    index = part.array("text_index").tolist()
    ids = split_strings(part.array("id_bytes"), part.array("id_lengths")).tolist() if header.has_ids else None
    names = [ids[i] if ids else str(i + first) for i in index]
    if header.fingerprint.level == Level.TEXT:
        return (_safe(name) for name in names)
    surfaces = split_strings(part.array("surface_bytes"), part.array("surface_lengths"))
    starts = part.array("start").tolist()
    return (_safe(f"{s}@{name}:{at}") for s, name, at in zip(surfaces, names, starts, strict=True))


def _safe(key: str) -> str:
    return UNSAFE.sub(lambda match: quote(match.group(), safe=""), key)


def _lines(vectors: Array, binary: bool) -> Iterator[bytes]:
    if binary:
        return (row.tobytes() + b"\n" for row in vectors.astype("<f4"))
    return (" ".join(row).encode() + b"\n" for row in number_strings(vectors))


def read(path: Path) -> Embeddings:
    """Return the embeddings in ``path``; needs the header and the rows that stand beside it."""
    header = read_header(path)
    rows, width = header.rows, header.fingerprint.dim
    vectors = np.empty((rows, width), dtype=np.float32)
    with open(path, "rb") as stream:
        first = stream.readline().split()
        if first != [str(rows).encode(), str(width).encode()]:
            raise FormatError(f"{path}: its first line says {first} where the header says {rows} {width}")
        try:
            if path.suffix == ".bin":
                whole = stream.read()
                at = 0
                for row in range(rows):
                    at = whole.index(b" ", at) + 1
                    vectors[row] = np.frombuffer(whole, "<f4", width, at)
                    at += 4 * width + 1
            else:
                for row in range(rows):
                    vectors[row] = np.array(stream.readline().split()[1:], dtype=np.float32)
        except ValueError as error:
            raise FormatError(f"{path}: row {row + 1} of {rows} is damaged or missing") from error
    return Embeddings(
        vectors=np.packbits(vectors > 0, axis=1)
        if header.fingerprint.dtype == Dtype.BINARY
        else vectors.astype(header.stored_type("vectors")),
        level=header.fingerprint.level,
        fingerprint=header.fingerprint,
        calibration=header.calibration,
        **read_rows(path, header),
    )
