"""What every format stores: a header, and flat arrays that can be written part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import ARRAYS, Embeddings, strings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.quantise import Calibration, stored_width
from semvec.errors import FormatError
from semvec.types import JSON, Dtype

FORMAT = "semvec-embeddings"
VERSION = 1

Array: TypeAlias = NDArray[Any]

TEXTUAL = {"surface": ("surface_bytes", "surface_lengths"), "ids": ("id_bytes", "id_lengths")}
FLAT: dict[str, str] = {
    "vectors": "",  # as the fingerprint says
    "text_index": "<i8",
    "start": "<i4",
    "end": "<i4",
    "surface_bytes": "|u1",
    "surface_lengths": "<u4",
    "special": "|u1",
    "oov": "|u1",
    "n_tokens": "<i4",
    "n_truncated": "<i4",
    "id_bytes": "|u1",
    "id_lengths": "<u4",
}
"""The flat arrays and how their numbers are stored. Strings are their UTF-8 bytes and their lengths."""

VECTOR_TYPES = {Dtype.FLOAT32: "<f4", Dtype.FLOAT16: "<f2", Dtype.INT8: "|i1", Dtype.BINARY: "|u1"}


@dataclass(frozen=True)
class Header:
    """What a vectors file says of itself before any number is read."""

    texts: int
    rows: int
    has_ids: bool
    fingerprint: Fingerprint
    calibration: Calibration | None = None
    job: JSON = None

    def to_json(self) -> dict[str, JSON]:
        """Return the header as JSON values, format name and version first."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "texts": self.texts,
            "rows": self.rows,
            "has_ids": self.has_ids,
            "fingerprint": self.fingerprint.to_json(),
            "calibration": self.calibration and self.calibration.to_json(),
            "job": self.job,
        }

    def dumps(self) -> str:
        """Return the header as one line of JSON."""
        return json.dumps(self.to_json(), ensure_ascii=False)

    @classmethod
    def loads(cls, where: object, text: str | bytes) -> Header:
        """Return the header in ``text``; raise `FormatError`, naming ``where``, if it is not one of ours."""
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise FormatError(f"{where}: not a vectors file of semvec")
            if record["version"] > VERSION:
                raise FormatError(f"{where}: format version {record['version']}; this semvec reads up to {VERSION}, update it")
            calibration = record["calibration"]
            return cls(
                texts=record["texts"],
                rows=record["rows"],
                has_ids=record["has_ids"],
                fingerprint=Fingerprint.from_json(record["fingerprint"]),
                calibration=None if calibration is None else Calibration.from_json(calibration),
                job=record.get("job"),
            )
        except FormatError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{where}: the header is damaged ({error})") from error

    @property
    def names(self) -> list[str]:
        """The flat arrays this file has."""
        return [name for name in FLAT if self.has_ids or not name.startswith("id_")]

    @property
    def vector_shape(self) -> tuple[int, int]:
        """The shape of the vectors as they are stored."""
        return self.rows, stored_width(self.fingerprint.dim, self.fingerprint.dtype)

    def stored_type(self, name: str) -> np.dtype[Any]:
        """Return the number type of one flat array."""
        return np.dtype(FLAT[name] or VECTOR_TYPES[self.fingerprint.dtype])


class Part(Protocol):
    """Some consecutive texts of an output: how many, and their flat arrays, fetched one at a time."""

    @property
    def texts(self) -> int:
        """How many texts there are."""

    def array(self, name: str) -> Array:
        """Return one flat array."""

    def length(self, name: str) -> int:
        """Return how long that array is, without fetching it where that can be helped."""


class MemoryPart:
    """An `Embeddings` as a part."""

    def __init__(self, embeddings: Embeddings) -> None:
        self.texts = len(embeddings)
        self._arrays = to_arrays(embeddings)

    def array(self, name: str) -> Array:
        return self._arrays[name]

    def length(self, name: str) -> int:
        return len(self._arrays[name])


def header_of(embeddings: Embeddings, job: JSON = None) -> Header:
    """Return the header that ``embeddings`` would be stored with."""
    return Header(
        texts=len(embeddings),
        rows=embeddings.rows,
        has_ids=embeddings.ids is not None,
        fingerprint=embeddings.fingerprint,
        calibration=embeddings.calibration,
        job=job,
    )


def pieces(parts: Sequence[Part], name: str, header: Header) -> Iterator[Array]:
    """Give one flat array part by part, as it is stored, ``text_index`` counted through."""
    before = 0
    for part in parts:
        piece = part.array(name)
        if name == "text_index":
            piece = piece + before
        before += part.texts
        yield np.ascontiguousarray(piece, dtype=header.stored_type(name))


def raw(piece: Array) -> memoryview:
    """Return the bytes of a contiguous array, not copied."""
    return memoryview(piece.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def to_arrays(embeddings: Embeddings) -> dict[str, Array]:
    """Return the flat arrays of ``embeddings``."""
    arrays: dict[str, Array] = {name: getattr(embeddings, name) for name in ARRAYS if name not in TEXTUAL}
    arrays["special"] = arrays["special"].astype(np.uint8)
    for name, (content, lengths) in TEXTUAL.items():
        values = getattr(embeddings, name)
        if values is not None:
            encoded = [value.encode("utf-8") for value in values]
            arrays[content] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            arrays[lengths] = np.fromiter(map(len, encoded), dtype=np.uint32, count=len(encoded))
    return arrays


def from_arrays(where: object, header: Header, arrays: Mapping[str, Array]) -> Embeddings:
    """Return the `Embeddings` that `to_arrays` took apart; raise `FormatError` where they do not fit."""
    try:
        if arrays["vectors"].shape != header.vector_shape or len(arrays["n_tokens"]) != header.texts:
            raise FormatError(f"{where}: the vectors are not those the header tells of")
        values: dict[str, Any] = {name: arrays[name] for name in ARRAYS if name not in TEXTUAL}
        values["special"] = values["special"].astype(bool)
        for name, (content, lengths) in TEXTUAL.items():
            values[name] = split_strings(arrays[content], arrays[lengths]) if lengths in arrays else None
    except KeyError as error:
        raise FormatError(f"{where}: the array {error} is missing") from error
    return Embeddings(
        **values,
        level=header.fingerprint.level,
        fingerprint=header.fingerprint,
        calibration=header.calibration,
    )


def split_strings(content: Array, lengths: Array) -> NDArray[np.object_]:
    """Return the strings whose UTF-8 bytes and lengths in bytes these are."""
    whole = content.tobytes()
    edges = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).tolist()
    return strings([whole[a:b].decode("utf-8") for a, b in pairwise(edges)])
