"""How pgvector keeps and compares vectors: its types, its operators, and the bytes it sends and takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import OptionError
from semvec.store.collection import Settings
from semvec.types import Dtype, Metric

MOST = 16_000
"""The most numbers a vector may have in pgvector."""

TYPES = {Dtype.FLOAT32: ("vector", ">f4", 2_000), Dtype.FLOAT16: ("halfvec", ">f2", 4_000)}
"""The type for each dtype, how one number is sent, and the most numbers its HNSW index takes."""

OPERATORS = {
    Metric.COSINE: ("<=>", "cosine_ops", "1 - ({})"),
    Metric.DOT: ("<#>", "ip_ops", "-({})"),
    Metric.EUCLIDEAN: ("<->", "l2_ops", "-({})"),
}
"""For each metric the distance, the class of operators for an index, and what makes a score of the distance."""


@dataclass(frozen=True)
class Form:
    """The vectors of a collection as pgvector has them; ``indexed`` is the most numbers its HNSW index takes."""

    type: str
    number: np.dtype[Any]
    dim: int
    indexed: int
    distance: str
    operators: str
    score: str

    @classmethod
    def of(cls, settings: Settings) -> Form:
        """Return the form for ``settings``; raise `OptionError` for a dtype or dim that pgvector has not."""
        if settings.dtype not in TYPES:
            raise OptionError(f"pgvector keeps float32 or float16, not {settings.dtype}")
        if settings.dim > MOST:
            raise OptionError(f"pgvector keeps vectors of at most {MOST:,} numbers, not {settings.dim:,}")
        name, number, indexed = TYPES[settings.dtype]
        operator, operators, score = OPERATORS[settings.metric]
        distance = f"vector {operator} %s::{name}"
        return cls(name, np.dtype(number), settings.dim, indexed, distance, f"{name}_{operators}", score.format(distance))

    @property
    def column(self) -> str:
        """The type of the column."""
        return f"{self.type}({self.dim})"

    def packed(self, codes: NDArray[Any]) -> list[bytes]:
        """Return each of ``codes`` (rows, dim) as the server takes it in binary: dim, an unused number, the numbers."""
        head = np.array([self.dim, 0], dtype=">i2").tobytes()
        return [head + row.tobytes() for row in codes.astype(self.number)]

    def unpacked(self, sent: Sequence[bytes]) -> NDArray[np.float32]:
        """Return the vectors (rows, dim) float32 that the server sent in binary."""
        rows = np.frombuffer(b"".join(sent), dtype=[("head", ">i2", (2,)), ("numbers", self.number, (self.dim,))])
        return np.ascontiguousarray(rows["numbers"], dtype=np.float32)


def written(vector: NDArray[Any]) -> str:
    """Return a vector (dim,) as the server reads it: ``[1.0,0.5]``."""
    return f"[{','.join(map(repr, vector.tolist()))}]"
