"""``.safetensors``: the flat arrays as tensors, the header in the metadata. Also the format of a shard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.layout import Array, Header, Part, from_arrays, pieces, raw
from semvec.errors import FormatError

TYPE_NAMES = {"<f4": "F32", "<f2": "F16", "|i1": "I8", "|u1": "U8", "<i4": "I32", "<u4": "U32", "<i8": "I64"}
ALIGNMENT = 8


def write(path: Path, header: Header, parts: Sequence[Part]) -> None:
    """Write all ``parts`` as one file, holding one array of one part at a time.

    The library's own ``save_file`` wants every array in memory; the layout (eight bytes of length, a
    JSON table of names, types, shapes and offsets, then the bytes) is simple enough to stream.
    Arrays stand in the order of falling item size, so that each is aligned.
    """
    table: dict[str, object] = {"__metadata__": {"semvec": header.dumps()}}
    names = sorted(header.names, key=lambda name: -header.stored_type(name).itemsize)
    at = 0
    for name in names:
        shape = list(header.vector_shape) if name == "vectors" else [sum(part.length(name) for part in parts)]
        kind = header.stored_type(name)
        size = kind.itemsize
        for extent in shape:
            size *= extent
        table[name] = {"dtype": TYPE_NAMES[kind.str], "shape": shape, "data_offsets": [at, at + size]}
        at += size
    encoded = json.dumps(table, ensure_ascii=False).encode("utf-8")
    encoded += b" " * (-len(encoded) % ALIGNMENT)
    with written_whole(path) as (stream,):
        stream.write(len(encoded).to_bytes(8, "little"))
        stream.write(encoded)
        for name in names:
            for piece in pieces(parts, name, header):
                stream.write(raw(piece))


class ShardPart:
    """A file of this format as a part; arrays are fetched from disk each time they are asked for."""

    __slots__ = ("path", "texts")

    def __init__(self, path: Path, texts: int) -> None:
        self.path = path
        self.texts = texts

    def array(self, name: str) -> Array:
        return _fetch(self.path, [name])[name]

    def length(self, name: str) -> int:
        from safetensors import safe_open

        with safe_open(self.path, framework="numpy") as file:
            return int(file.get_slice(name).get_shape()[0])


def _fetch(path: Path, names: Sequence[str]) -> dict[str, Array]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path}: damaged ({error})") from error


def read_header(path: Path) -> Header:
    """Return the header alone."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path}: not a .safetensors file ({error})") from error
    if "semvec" not in metadata:
        raise FormatError(f"{path}: tensors without a header of semvec (a model, perhaps?)")
    return Header.loads(path, metadata["semvec"])


def read(path: Path) -> Embeddings:
    """Return the embeddings in ``path``."""
    header = read_header(path)
    return from_arrays(path, header, _fetch(path, header.names))
