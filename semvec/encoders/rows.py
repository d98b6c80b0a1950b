"""The rows found for some texts, before they become an `Embeddings`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.pooling import Groups
from semvec.types import Oov


@dataclass(frozen=True)
class RowBatch:
    """Rows of several texts, one text after the other: ``counts`` (texts,) says how many each has.

    ``vectors`` (rows, dim) float32; ``start``, ``end``, ``special``, ``oov`` (rows,) and ``n_tokens``,
    ``n_truncated`` (texts,) and ``rungs`` (texts, 6) as in `Embeddings`.
    """

    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    special: NDArray[np.bool_]
    oov: NDArray[np.uint8]
    n_tokens: NDArray[np.int32]
    n_truncated: NDArray[np.int32]
    rungs: NDArray[np.int32] | None = None

    def take(self, which: Sequence[int]) -> RowBatch:
        """Return the rows of the texts ``which``, in that order; a text may be taken more than once."""
        if which == list(range(len(self.counts))):
            return self
        texts = np.array(which, dtype=np.int64)
        first = np.cumsum(self.counts) - self.counts
        rows = Groups.ranges(first[texts], first[texts] + self.counts[texts]).tokens
        return RowBatch(
            self.counts[texts],
            self.vectors[rows],
            self.start[rows],
            self.end[rows],
            self.special[rows],
            self.oov[rows],
            self.n_tokens[texts],
            self.n_truncated[texts],
            None if self.rungs is None else self.rungs[texts],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[RowBatch], dim: int) -> RowBatch:
        """Return the texts of all ``parts``, one after the other."""
        parts = [*parts, cls.solid(np.zeros(0, np.int64), np.zeros((0, dim), np.float32), np.zeros((0, 2), np.int32))]
        names = ("counts", "vectors", "start", "end", "special", "oov", "n_tokens", "n_truncated")
        counted = [part.rungs for part in parts[:-1] if part.rungs is not None]
        rungs = np.concatenate(counted) if counted and len(counted) == len(parts) - 1 else None
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        return replace(cls(*joined), rungs=rungs)

    @classmethod
    def solid(
        cls,
        counts: NDArray[np.int64],
        vectors: NDArray[np.float32],
        edges: NDArray[np.int32],
        *,
        oov: NDArray[np.uint8] | None = None,
        n_tokens: NDArray[np.int32] | None = None,
        rungs: NDArray[np.int32] | None = None,
    ) -> RowBatch:
        """Return rows without special ones, of texts that were read whole; ``edges`` (rows, 2) are characters."""
        rows, texts = len(vectors), len(counts)
        return cls(
            counts,
            vectors,
            np.ascontiguousarray(edges[:, 0], dtype=np.int32),
            np.ascontiguousarray(edges[:, 1], dtype=np.int32),
            np.zeros(rows, dtype=bool),
            np.full(rows, Oov.EXACT, dtype=np.uint8) if oov is None else oov,
            np.zeros(texts, dtype=np.int32) if n_tokens is None else n_tokens,
            np.zeros(texts, dtype=np.int32),
            rungs,
        )
