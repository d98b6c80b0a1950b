"""Smaller numbers for the same vectors: float16, int8 and one bit a dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.errors import OptionError
from semvec.types import JSON, Dtype

Vectors: TypeAlias = NDArray[Any]
LIMIT = 127
KEPT = 0.9999


@dataclass(frozen=True)
class Calibration:
    """How int8 codes stand for numbers: ``x ≈ code * scale``, one scale for all dimensions.

    Symmetric and the same for every dimension, so that codes can be compared as they are: their dot
    products are those of the vectors up to one factor, and their cosines are those of the vectors,
    whatever the scale. Neither can a single text turn into a constant, as it does where each dimension
    is stretched over what a batch happened to hold. Values beyond ``127 * scale`` are clipped.
    """

    scale: float
    rows: int

    @classmethod
    def fit(cls, vectors: Vectors) -> Calibration:
        """Return a calibration for vectors like ``vectors`` (rows, dim).

        All but one in ten thousand of the numbers are kept without clipping, so that a single outlier does
        not take the room of all others; rows of zeros do not count. Of zeros alone the scale is 1.
        """
        sizes = np.abs(vectors[np.any(vectors, axis=1)], dtype=np.float32)
        largest = float(np.quantile(sizes, KEPT, method="higher")) if sizes.size else 0.0
        return cls(scale=largest / LIMIT or 1.0, rows=len(sizes))

    def to_json(self) -> dict[str, JSON]:
        """Return the calibration as JSON values."""
        return {"scale": self.scale, "rows": self.rows}

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> Calibration:
        """Return the calibration that `to_json` wrote."""
        return cls(scale=float(record["scale"]), rows=int(record["rows"]))


def stored_width(dim: int, dtype: Dtype) -> int:
    """Return how many numbers one stored row of ``dim`` dimensions holds: bits come eight to a byte."""
    return -(-dim // 8) if dtype == Dtype.BINARY else dim


def quantise(vectors: Vectors, dtype: Dtype, calibration: Calibration | None = None) -> Vectors:
    """Return float ``vectors`` (rows, dim) as ``dtype``.

    - float16: rounded; raises `OptionError` where a number is too large for it;
    - int8 (rows, dim): ``round(x / scale)``, clipped to ±127, by ``calibration``, which it needs;
    - binary (rows, ceil(dim / 8)) uint8: bit 1 where ``x > 0``, first dimension in the highest bit.
    """
    if dtype == Dtype.FLOAT32:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    if dtype == Dtype.FLOAT16:
        with np.errstate(over="ignore"):
            halves = vectors.astype(np.float16)
        if not np.isfinite(halves).all():
            raise OptionError("float16 cannot hold these vectors (a number beyond 65504): use float32 or normalize")
        return halves
    if dtype == Dtype.BINARY:
        return np.packbits(vectors > 0, axis=1)
    if calibration is None:
        raise OptionError("int8 needs a calibration: Calibration.fit(vectors)")
    codes = np.rint(vectors / np.float32(calibration.scale))
    return np.clip(codes, -LIMIT, LIMIT).astype(np.int8)


def dequantise(vectors: Vectors, dtype: Dtype, dim: int, calibration: Calibration | None = None) -> Vectors:
    """Return stored ``vectors`` as float32 (rows, dim); bits become −1 and +1."""
    if dtype == Dtype.BINARY:
        bits = np.unpackbits(vectors, axis=1, count=dim)
        return bits.astype(np.float32) * 2 - 1
    floats = vectors.astype(np.float32)
    return floats * np.float32(calibration.scale) if dtype == Dtype.INT8 and calibration else floats
