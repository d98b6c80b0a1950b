"""``.npy``: the vectors as a bare array that can be memory-mapped; header and rows stand beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.companions import header_path, read_header, read_rows, rows_path, write_header, write_rows
from semvec.embeddings.formats.layout import Header, Part, pieces, raw
from semvec.errors import FormatError

__all__ = ["read", "read_header", "write"]


def write(path: Path, header: Header, parts: Sequence[Part]) -> None:
    """Write all ``parts`` as three files, the array last, holding one part at a time."""
    with written_whole(header_path(path), rows_path(path), path) as (head, rows, stream):
        write_header(head, header)
        write_rows(rows, header, parts, vectors=False)
        kind = header.stored_type("vectors").str
        np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": header.vector_shape})
        for piece in pieces(parts, "vectors", header):
            stream.write(raw(piece))


def read(path: Path) -> Embeddings:
    """Return the embeddings in ``path``; the vectors stay on the disk, memory-mapped."""
    header = read_header(path)
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path}: not an array that can be read ({error})") from error
    if vectors.shape != header.vector_shape:
        raise FormatError(f"{path}: an array of shape {vectors.shape} where the header says {header.vector_shape}")
    return Embeddings(
        vectors=vectors,
        level=header.fingerprint.level,
        fingerprint=header.fingerprint,
        calibration=header.calibration,
        **read_rows(path, header),
    )
