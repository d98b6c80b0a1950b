"""``.npz``: the flat arrays and ``header.json`` in one uncompressed zip, opened by ``numpy.load``."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.layout import Header, Part, from_arrays, pieces, raw
from semvec.errors import FormatError

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # no clock in the file: equal vectors make equal bytes


def write(path: Path, header: Header, parts: Sequence[Part]) -> None:
    """Write all ``parts`` as one file, holding one array of one part at a time."""
    with written_whole(path) as (stream,), zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("header.json", LONG_AGO), header.dumps())
        for name in header.names:
            length = sum(part.length(name) for part in parts)
            shape = header.vector_shape if name == "vectors" else (length,)
            with archive.open(zipfile.ZipInfo(f"{name}.npy", LONG_AGO), "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(
                    entry, {"descr": header.stored_type(name).str, "fortran_order": False, "shape": shape}
                )
                for piece in pieces(parts, name, header):
                    entry.write(raw(piece))


def read_header(path: Path) -> Header:
    """Return the header alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            return Header.loads(path, archive.read("header.json"))
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise FormatError(f"{path}: not a .npz file of semvec ({error})") from error


def read(path: Path) -> Embeddings:
    """Return the embeddings in ``path``."""
    header = read_header(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in header.names}
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise FormatError(f"{path}: damaged ({error})") from error
    return from_arrays(path, header, arrays)
