"""`Embeddings`: rows of vectors, and what each row stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.quantise import Calibration, Vectors, dequantise, stored_width
from semvec.errors import FormatError, InputError
from semvec.types import Dtype, Level, Oov

ARRAYS = ("vectors", "text_index", "start", "end", "surface", "special", "oov", "n_tokens", "n_truncated")
PER_ROW = ARRAYS[:7]
STORED_AS: dict[Dtype, np.dtype[Any]] = {
    Dtype.FLOAT32: np.dtype(np.float32),
    Dtype.FLOAT16: np.dtype(np.float16),
    Dtype.INT8: np.dtype(np.int8),
    Dtype.BINARY: np.dtype(np.uint8),
}


def strings(values: Sequence[str]) -> NDArray[np.object_]:
    """Return ``values`` as a one-dimensional object array, also when they are empty."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The one result of every encoder: ``rows`` vectors over ``texts`` inputs.

    ======================= ======================== ====================================================
    ``vectors``             (rows, dim)              float32, float16, int8; uint8 (rows, dim/8) when binary
    ``text_index``          (rows,) int64            which input a row belongs to; non-decreasing
    ``start``, ``end``      (rows,) int32            characters: ``texts[i][start:end] == surface``
    ``surface``             (rows,) object, str      the piece of text itself
    ``special``             (rows,) bool             CLS, SEP, BOS, …; only there when asked for
    ``oov``                 (rows,) uint8            rung of the out-of-vocabulary ladder (`Oov`)
    ``n_tokens``            (texts,) int32           tokens each text had
    ``n_truncated``         (texts,) int32           how many of them were not read
    ``fingerprint``                                  what made the vectors
    ``ids``                 (texts,) object, str     the user's ids, or None where there were none
    ``calibration``                                  what int8 codes stand for, or None
    ``rungs``               (texts, 6) int32         how many of a text's words stood on which rung; only
                                                     word encoders count them, and no file keeps them
    ======================= ======================== ====================================================

    A row that nothing could be read for (an empty text, a span that was cut off, an unknown word) is
    all zeros and has ``oov == Oov.ZERO``; there is never a NaN. At ``level="text"`` there is exactly
    one row a text. ``emb[i]`` is the rows of text ``i``; ``len(emb)`` is the number of texts.
    """

    vectors: Vectors
    level: Level
    text_index: NDArray[np.int64]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    surface: NDArray[np.object_]
    special: NDArray[np.bool_]
    oov: NDArray[np.uint8]
    n_tokens: NDArray[np.int32]
    n_truncated: NDArray[np.int32]
    fingerprint: Fingerprint
    ids: NDArray[np.object_] | None = None
    calibration: Calibration | None = None
    rungs: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        rows, texts = len(self.vectors), len(self.n_tokens)
        wrong = [name for name in PER_ROW if len(getattr(self, name)) != rows]
        if self.rungs is not None and self.rungs.shape != (texts, len(Oov)):
            raise FormatError(f"rungs of shape {self.rungs.shape} where ({texts}, {len(Oov)}) is wanted")
        if wrong or len(self.n_truncated) != texts or (self.ids is not None and len(self.ids) != texts):
            raise FormatError(f"arrays of unequal length: {wrong or 'ids, n_tokens, n_truncated'}")
        width = stored_width(self.fingerprint.dim, self.fingerprint.dtype)
        if self.vectors.ndim != 2 or self.vectors.shape[1] != width:
            raise FormatError(f"vectors of shape {self.vectors.shape} where the fingerprint says (rows, {width})")
        if self.vectors.dtype != STORED_AS[self.fingerprint.dtype]:
            raise FormatError(f"vectors of {self.vectors.dtype} where the fingerprint says {self.fingerprint.dtype}")
        index = self.text_index
        if rows and (index[0] < 0 or index[-1] >= texts or (np.diff(index) < 0).any()):
            raise FormatError("text_index must be non-decreasing and stay below the number of texts")

    @property
    def dim(self) -> int:
        """How many dimensions a vector has (also when eight of them share a byte)."""
        return self.fingerprint.dim

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return len(self.vectors)

    def floats(self) -> Vectors:
        """Return the vectors as float32 (rows, dim), whatever they are stored as; bits are −1 and 1."""
        floats = dequantise(self.vectors, self.fingerprint.dtype, self.dim, self.calibration)
        if self.fingerprint.dtype == Dtype.BINARY:
            floats[self.oov == Oov.ZERO] = 0
        return floats

    def __len__(self) -> int:
        return len(self.n_tokens)

    def __getitem__(self, text: int | slice) -> Embeddings:
        """Return the rows of one text, or of a range of texts, as an `Embeddings` (views, not copies)."""
        if isinstance(text, slice):
            first, last, step = text.indices(len(self))
            if step != 1:
                raise IndexError("a range of texts has step 1")
            return self.slice(first, max(first, last))
        if not -len(self) <= text < len(self):
            raise IndexError(f"text {text} of {len(self)}")
        return self.slice(text % len(self), text % len(self) + 1)

    def __iter__(self) -> Iterator[Embeddings]:
        return (self[i] for i in range(len(self)))

    def slice(self, first: int, last: int) -> Embeddings:
        """Return texts ``first`` up to ``last`` (views, not copies)."""
        low, high = np.searchsorted(self.text_index, [first, last])
        parts: dict[str, Any] = {name: getattr(self, name)[low:high] for name in PER_ROW}
        parts["text_index"] = parts["text_index"] - first
        return replace(
            self,
            **parts,
            n_tokens=self.n_tokens[first:last],
            n_truncated=self.n_truncated[first:last],
            ids=None if self.ids is None else self.ids[first:last],
            rungs=None if self.rungs is None else self.rungs[first:last],
        )

    def with_ids(self, ids: Sequence[str]) -> Embeddings:
        """Return the same rows with ``ids`` (texts,) for their texts, all different.

        Raises `InputError` for too many or too few, for one that is no string, and for one that comes twice.
        """
        if len(ids) != len(self):
            raise InputError(f"{len(ids):,} ids for {len(self):,} texts")
        if strange := next((name for name in ids if not isinstance(name, str)), None):
            raise InputError(f"an id is not a string but {type(strange).__name__} ({strange!r:.60})")
        if len(set(ids)) < len(ids):
            twice = next(name for name, count in Counter(ids).items() if count > 1)
            raise InputError(f"id {twice!r} comes more than once")
        return replace(self, ids=strings(ids))

    def __eq__(self, other: object) -> bool:
        """Whether every array, the ids, the calibration and the fingerprint are equal, bit for bit (``rungs`` left out)."""
        if not isinstance(other, Embeddings):
            return NotImplemented
        if self.fingerprint != other.fingerprint or self.calibration != other.calibration:
            return False
        if (self.ids is None) != (other.ids is None):
            return False
        names = (*ARRAYS, "ids") if self.ids is not None else ARRAYS
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Embeddings({len(self):,} texts, {self.rows:,} rows; {self.fingerprint})"

    @staticmethod
    def concatenate(parts: Sequence[Embeddings]) -> Embeddings:
        """Return the texts of all ``parts`` one after the other.

        Raises `FingerprintMismatch` where two encoders, or two calibrations, made them.
        """
        first = parts[0]
        for part in parts[1:]:
            first.fingerprint.require(part.fingerprint)
            if first.calibration != part.calibration or (first.ids is None) != (part.ids is None):
                raise FormatError(
                    "parts with different calibrations (give calibration= to the later calls), or with and without ids"
                )
        offsets = np.cumsum([0] + [len(part) for part in parts[:-1]])
        joined: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ARRAYS}
        joined["text_index"] = np.concatenate([p.text_index + at for p, at in zip(parts, offsets, strict=True)])
        ids = None if first.ids is None else np.concatenate([p.ids for p in parts])
        counted = [part.rungs for part in parts if part.rungs is not None]
        rungs = np.concatenate(counted) if len(counted) == len(parts) else None
        return replace(first, **joined, ids=ids, rungs=rungs)


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool((one == other).all())
