"""How a collection keeps the numbers of a vector: as they are, as float16, or as int8 codes with their scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import CollectionDamaged, InputError
from semvec.types import Dtype

LIMIT = 127
FORMS = {Dtype.FLOAT32: "<f4", Dtype.FLOAT16: "<f2", Dtype.INT8: "<i1"}
SCALE = np.dtype("<f4")


@dataclass(frozen=True)
class Codec:
    """Vectors of ``dim`` numbers as bytes. int8: ``x ≈ code · scale``, with the scale of every vector kept before its codes.

    A scale a vector needs no sample to calibrate on, and no vector can be clipped by what others hold.
    """

    dtype: Dtype
    dim: int

    @property
    def form(self) -> np.dtype[Any]:
        """How one number is kept."""
        return np.dtype(FORMS[self.dtype])

    @property
    def scaled(self) -> bool:
        """Whether every vector has a scale."""
        return self.dtype == Dtype.INT8

    @property
    def size(self) -> int:
        """The bytes of a vector."""
        return self.dim * self.form.itemsize + SCALE.itemsize * self.scaled

    def codes(self, vectors: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the codes of ``vectors`` (rows, dim), and their scales (rows,), 1 where there are none."""
        if not self.scaled:
            with np.errstate(over="ignore"):
                kept = vectors.astype(self.form)
            if not np.isfinite(kept).all():
                raise InputError("a number is too large for float16")
            if (kept.any(axis=1) < vectors.any(axis=1)).any():
                raise InputError("all numbers of a vector are too small for float16")
            return kept, np.ones(len(vectors), dtype=SCALE)
        scales = (np.abs(vectors).max(axis=1, initial=0) / LIMIT).astype(SCALE)
        scales[scales == 0] = 1
        return np.rint(vectors / scales[:, None]).astype(self.form), scales

    def encode(self, vectors: NDArray[np.float32]) -> list[bytes]:
        """Return each of ``vectors`` (rows, dim) as bytes."""
        codes, scales = self.codes(vectors)
        if not self.scaled:
            return [row.tobytes() for row in codes]
        return [scale.tobytes() + row.tobytes() for scale, row in zip(scales, codes, strict=True)]

    def split(self, stored: Sequence[bytes]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the codes and scales that `encode` wrote; raise `CollectionDamaged` where they are not of this size."""
        if any(len(one) != self.size for one in stored):
            raise CollectionDamaged(f"a vector is not of {self.dim} numbers ({self.dtype})")
        if not self.scaled:
            return np.frombuffer(b"".join(stored), dtype=self.form).reshape(-1, self.dim), np.ones(len(stored), dtype=SCALE)
        rows = np.frombuffer(b"".join(stored), dtype=[("scale", SCALE), ("codes", self.form, (self.dim,))])
        return rows["codes"], rows["scale"]

    def rounded(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``vectors`` (rows, dim) as they are after being stored."""
        return numbers(*self.codes(vectors))

    def decode(self, stored: Sequence[bytes]) -> NDArray[np.float32]:
        """Return the vectors (rows, dim) float32 that ``stored`` stands for."""
        return numbers(*self.split(stored))


def numbers(codes: NDArray[Any], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what ``codes`` (rows, dim) and their ``scales`` (rows,) stand for."""
    found = np.asarray(codes, dtype=np.float32)
    return found * scales[:, None] if codes.dtype == np.int8 else found


@dataclass(frozen=True)
class Kept:
    """Many vectors as they lie in the files of a snapshot: ``codes`` (rows, dim) and ``scales`` (rows,)."""

    codes: NDArray[Any]
    scales: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, places: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return the vectors at ``places``."""
        codes = np.asarray(self.codes)[places]
        return np.asarray(codes, dtype=np.float32) if codes.dtype != np.int8 else numbers(codes, self.scales[places])

    @classmethod
    def open(cls, folder: Path) -> Kept:
        """Return the vectors in ``folder``, memory-mapped."""
        codes = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        scaled = codes.dtype == np.int8
        scales = np.load(folder / "scales.npy", mmap_mode="r", allow_pickle=False) if scaled else np.ones(1, dtype=SCALE)
        return cls(codes, scales if scaled else np.broadcast_to(scales, len(codes)))
