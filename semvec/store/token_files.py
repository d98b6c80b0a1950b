"""The token vectors of a collection on the disk: codes that grow, which item each belongs to, and where in its text it stands."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from semvec.embeddings.files import sync_folder, written_whole
from semvec.errors import CollectionDamaged
from semvec.index.multi_vector import MultiVectors
from semvec.index.residual import ResidualCodec
from semvec.store.grown import WAY_OUT, Grown
from semvec.types import JSON

CODEC = "codec.safetensors"
FORMAT = "semvec-tokens"
VERSION = 1
ITEM = ("row", "first", "count", "spans_end", "crc")
"""What is kept of an item: its row, its first token and how many it has, where its spans end, and a checksum of all that."""

Spans = NDArray[np.int32]


@dataclass(frozen=True)
class TokenBlock:
    """Token vectors of some texts: so many ``counts`` each, ``vectors`` (tokens, dim), ``spans`` (tokens, 2) of characters."""

    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    spans: NDArray[np.int32]

    @classmethod
    def joined(cls, parts: Sequence[TokenBlock]) -> TokenBlock:
        """Return the tokens of the texts of all ``parts``, of which there is one at least."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("counts", "vectors", "spans")))

    def each(self) -> Iterator[TokenBlock]:
        """Give the tokens of each text."""
        for end, count in zip(np.cumsum(self.counts).tolist(), self.counts.tolist(), strict=True):
            its = slice(end - count, end)
            yield TokenBlock(np.array([count]), self.vectors[its], self.spans[its])


@dataclass(frozen=True)
class Extent:
    """How much of the files in a folder counts: so many ``items``, ``tokens`` and bytes of ``spans``; a checksum of its codec."""

    folder: str
    codec: int
    items: int = 0
    tokens: int = 0
    spans: int = 0

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> Extent:
        return cls(**record)


@dataclass(frozen=True)
class TokenRows:
    """Token vectors at one moment: item ``i`` of ``vectors`` is row ``rows[i]``, ascending."""

    folder: Path
    rows: NDArray[np.int64]
    vectors: MultiVectors
    _spans: NDArray[np.uint8]
    _spans_end: NDArray[np.int64]
    _crc: NDArray[np.int64]

    def spans(self, item: int) -> Spans:
        """Return the characters (tokens, 2) that the tokens of ``item`` stand at, start and end."""
        try:
            return _unpacked(self.packed_spans(item))
        except (zlib.error, ValueError) as error:
            raise CollectionDamaged(f"{self.folder}: where tokens stand in a text cannot be read ({error}); {WAY_OUT}") from error

    def packed_spans(self, item: int) -> bytes:
        """Return the same as it is kept."""
        start = int(self._spans_end[item - 1]) if item else 0
        return self._spans[start : int(self._spans_end[item])].tobytes()

    def block(self, item: int) -> TokenBlock:
        """Return the tokens of ``item``, their vectors of length 1."""
        return TokenBlock(self.vectors.count[item : item + 1], self.vectors.vectors(item), self.spans(item))

    def sample(self, keep: NDArray[np.bool_], most: int) -> NDArray[np.float32]:
        """Return the vectors (tokens, dim) of about ``most`` tokens of the items to ``keep``, of whole items drawn by chance."""
        drawn, size, found = np.random.default_rng(0).permutation(np.flatnonzero(keep)), 0, []
        for item in drawn.tolist():
            if size >= most:
                break
            found.append(self.vectors.vectors(item))
            size += len(found[-1])
        return np.concatenate(found)

    def damage(self) -> list[str]:
        """Return what is wrong with them: items whose codes or spans are not what was written."""
        wrong = 0
        for at, (first, count) in enumerate(zip(self.vectors.first.tolist(), self.vectors.count.tolist(), strict=True)):
            its = slice(first, first + count)
            wrong += _checksum(self.vectors.marks[its], self.vectors.codes[its], self.packed_spans(at)) != self._crc[at]
        return [f"the token vectors of {wrong:,} items are not what was written; {WAY_OUT}"] if wrong else []


@dataclass(frozen=True)
class TokenFiles:
    """A folder of token vectors that ``codec`` made."""

    folder: Path
    codec: ResidualCodec
    checksum: int
    """Of the file of the codec."""

    @classmethod
    def create(cls, folder: Path, codec: ResidualCodec) -> TokenFiles:
        """Make the folder; one of that name was never committed, and goes."""
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        about = {"format": FORMAT, "version": str(VERSION), "bits": str(codec.bits)}
        content = save({"centroids": codec.centroids, "steps": codec.steps}, metadata=about)
        with written_whole(folder / CODEC) as (stream,):
            stream.write(content)
        sync_folder(folder.parent)
        return cls(folder, codec, zlib.crc32(content))

    @classmethod
    def open(cls, folder: Path, checksum: int) -> TokenFiles:
        """Return the token vectors in ``folder``; raise `CollectionDamaged` where the codec is not what was written."""
        if zlib.crc32((folder / CODEC).read_bytes()) != checksum:
            raise CollectionDamaged(f"{folder / CODEC}: damaged, it is not what was written; {WAY_OUT}")
        try:
            with safe_open(folder / CODEC, framework="numpy") as stored:
                about = stored.metadata()
                if about["format"] != FORMAT or int(about["version"]) > VERSION:
                    raise CollectionDamaged(f"{folder}: token vectors of another format ({about})")
                codec = ResidualCodec(int(about["bits"]), stored.get_tensor("centroids"), stored.get_tensor("steps"))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CollectionDamaged(f"{folder / CODEC}: damaged ({error}); {WAY_OUT}") from error
        return cls(folder, codec, checksum)

    @property
    def empty(self) -> Extent:
        """How far it is when nothing is written yet."""
        return Extent(self.folder.name, self.checksum)

    @cached_property
    def _codes(self) -> Grown:
        return Grown(self.folder / "codes.bin", np.dtype("u1"), self.codec.width)

    @cached_property
    def _marks(self) -> Grown:
        return Grown(self.folder / "marks.bin", np.dtype("<u2"), 2)

    @cached_property
    def _items(self) -> Grown:
        return Grown(self.folder / "items.bin", np.dtype("<i8"), len(ITEM))

    @cached_property
    def _places(self) -> Grown:
        return Grown(self.folder / "spans.bin", np.dtype("u1"), 1)

    def append(self, extent: Extent, rows: Sequence[int], block: TokenBlock) -> Extent:
        """Write the tokens of ``block`` as those of items at ``rows``; return how far it is then."""
        marks, codes = self.codec.encode(block.vectors)
        ends = np.cumsum(block.counts)
        parts = [slice(end - count, end) for end, count in zip(ends.tolist(), block.counts.tolist(), strict=True)]
        packed = [_packed(block.spans[part]) for part in parts]
        checks = [_checksum(marks[part], codes[part], its) for part, its in zip(parts, packed, strict=True)]
        return self._write(extent, np.array(rows), block.counts, np.array(checks), marks, codes, packed)

    def _write(
        self,
        extent: Extent,
        rows: NDArray[np.int64],
        counts: NDArray[np.int64],
        checks: NDArray[np.int64],
        marks: NDArray[np.uint16],
        codes: NDArray[np.uint8],
        packed: Sequence[bytes],
    ) -> Extent:
        """Write items at ``rows``, of so many token ``counts``, checksums and ``packed`` spans, behind those of ``extent``."""
        first = extent.tokens + np.cumsum(counts) - counts
        ends_of_spans = extent.spans + np.cumsum([len(its) for its in packed], dtype=np.int64)
        items, spans = np.stack([rows, first, counts, ends_of_spans, checks], axis=1), b"".join(packed)
        self._codes.append(codes, extent.tokens)
        self._marks.append(marks, extent.tokens)
        self._places.append(np.frombuffer(spans, np.uint8)[:, None], extent.spans)
        self._items.append(items, extent.items)
        if not extent.items:
            sync_folder(self.folder)  # the names of new files
        return replace(
            extent, items=extent.items + len(items), tokens=extent.tokens + len(codes), spans=extent.spans + len(spans)
        )

    def read(self, extent: Extent) -> TokenRows:
        """Return what counts of the files, memory-mapped."""
        rows, first, count, spans_end, crc = np.ascontiguousarray(self._items.read(extent.items).T)
        marks = self._marks.read(extent.tokens)
        outside = len(rows) and (int((first + count).max()) > extent.tokens or int(min(first.min(), count.min())) < 0)
        if outside or (np.diff(rows) <= 0).any() or (np.diff(spans_end) < 0).any():
            raise CollectionDamaged(f"{self.folder}: damaged, its items are in no order; {WAY_OUT}")
        if len(marks) and int(marks[:, 0].max()) >= len(self.codec.centroids):
            raise CollectionDamaged(f"{self.folder}: damaged, a token has a centroid that is not there; {WAY_OUT}")
        vectors = MultiVectors(self.codec, marks, self._codes.read(extent.tokens), first, count)
        return TokenRows(self.folder, rows, vectors, self._places.read(extent.spans)[:, 0], spans_end, crc)

    def copy(
        self, extent: Extent, keep: NDArray[np.bool_], folder: Path, codec: ResidualCodec | None = None, block: int = 256
    ) -> Extent:
        """Write the items to ``keep`` (items,) into another ``folder``, with nothing between them; return how far it is.

        With a ``codec`` they are encoded anew by it.
        """
        held, other = self.read(extent), TokenFiles.create(folder, codec or self.codec)
        to = other.empty
        kept = np.flatnonzero(keep)
        for at in range(0, len(kept), block):
            chosen = kept[at : at + block]
            if codec is not None:
                to = other.append(
                    to, held.rows[chosen].tolist(), TokenBlock.joined([held.block(item) for item in chosen.tolist()])
                )
                continue
            its, (places, _) = held.vectors, held.vectors.places(chosen)
            packed = [held.packed_spans(item) for item in chosen.tolist()]
            to = other._write(
                to, held.rows[chosen], its.count[chosen], held._crc[chosen], its.marks[places], its.codes[places], packed
            )
        return to


def read_extent(record: JSON) -> Extent | None:
    """Return what a collection says of its token vectors, None where it has none yet."""
    try:
        return None if record is None else Extent.from_json(record)
    except TypeError as error:
        raise CollectionDamaged(f"what it says of its token vectors cannot be read: {json.dumps(record)}") from error


def _packed(spans: Spans) -> bytes:
    """Return the spans of a text in few bytes: how far each begins behind the one before, and how long it is, compressed."""
    ends = np.concatenate([[0], spans[:-1, 1]]) if len(spans) else np.zeros(0, np.int32)
    told = np.stack([spans[:, 0] - ends, spans[:, 1] - spans[:, 0]]).astype("<i4")
    return zlib.compress(told.view(np.uint8).reshape(-1, 4).T.tobytes(), 6)


def _unpacked(packed: bytes) -> Spans:
    told = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1).T
    gaps, lengths = np.ascontiguousarray(told).view("<i4").reshape(2, -1)
    ends = np.cumsum(gaps + lengths)
    return np.stack([ends - lengths, ends], axis=1).astype(np.int32)


def _checksum(marks: NDArray[np.uint16], codes: NDArray[np.uint8], packed: bytes) -> int:
    return zlib.crc32(
        packed, zlib.crc32(np.ascontiguousarray(codes).tobytes(), zlib.crc32(np.ascontiguousarray(marks).tobytes()))
    )
