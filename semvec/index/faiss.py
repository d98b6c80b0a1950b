"""FAISS behind one class: build, keep, open, search, with a bitmap of the rows that may be found."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.errors import FormatError
from semvec.index.kinds import Kind
from semvec.types import Metric

Take: TypeAlias = Callable[[NDArray[np.int64] | slice], NDArray[np.float32]]
"""Gives the vectors (places, dim) at some places."""

CARE = 120
"""How wide a graph is searched when a vector is added; FAISS's own 40 finds less at every width later on."""

GRAPH_EFFORTS = [24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024]
TRAIN = 64
"""Vectors a list is trained on, at most."""

BLOCK = 1 << 16


@dataclass(frozen=True)
class FaissIndex:
    """Vectors (rows, dim) in an index of FAISS. Positions are the rows they were added in."""

    index: Any
    kind: Kind

    @classmethod
    def build(cls, take: Take, shape: tuple[int, int], kind: Kind, metric: Metric, *, seed: int = 0) -> FaissIndex:
        """Return an index of the vectors of ``shape`` (rows, dim) that ``take`` gives by their places, block by block.

        The same for the same ``seed``. Scores are inner products (cosine: vectors and queries are of length 1) or, for
        euclidean, distances.
        """
        faiss = _faiss()

        rows, dim = shape
        measure = faiss.METRIC_L2 if metric == Metric.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(dim, kind.describe(rows, dim), measure)
        if kind.name == "hnsw":
            index.hnsw.efConstruction = CARE
        if kind.has_lists:
            index.cp.seed = seed
            index.cp.min_points_per_centroid = 1  # FAISS would print what it thinks of few
            most = TRAIN * index.nlist
        else:
            most = 1 << 16
        sample = np.random.default_rng(seed).choice(rows, min(rows, most), replace=False)
        if hasattr(index, "pq"):
            index.pq.cp.min_points_per_centroid = 1
        index.train(take(np.sort(sample)))
        for at in range(0, rows, BLOCK):
            index.add(take(slice(at, at + BLOCK)))
        return cls(index, kind)

    def save(self, path: Path) -> None:
        """Write the index to ``path``, on the disk when this returns."""
        faiss = _faiss()

        try:
            faiss.write_index(self.index, str(path))
        except RuntimeError as error:
            raise OSError(errno.EIO, f"the index cannot be written ({str(error).splitlines()[0]:.200})", str(path)) from error
        with open(path, "rb+") as stream:
            os.fsync(stream.fileno())

    @classmethod
    def open(cls, path: Path, kind: Kind) -> FaissIndex:
        """Return the index in ``path``, memory-mapped where FAISS can; raise `FormatError` where it is damaged."""
        faiss = _faiss()

        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), kind)
        except RuntimeError as error:
            raise FormatError(f"{path}: damaged, FAISS cannot read it ({str(error).splitlines()[0]:.200})") from error

    def search(self, queries: NDArray[np.float32], k: int, *, effort: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the positions of about the ``k`` best rows of each query and their scores (queries, k), best first.

        ``effort`` is how many lists are looked through, or how wide the graph is searched. Position −1 stands where fewer
        were found.
        """
        faiss = _faiss()

        if self.kind.has_lists:
            wanted = faiss.SearchParametersIVF(nprobe=min(effort, self.index.nlist))
        elif self.kind.name == "hnsw":
            wanted = faiss.SearchParametersHNSW(efSearch=effort)
        else:
            wanted = faiss.SearchParameters()
        scores, positions = self.index.search(np.ascontiguousarray(queries, dtype=np.float32), k, params=wanted)
        return positions, -np.sqrt(np.maximum(scores, 0)) if self.index.metric_type == faiss.METRIC_L2 else scores

    @property
    def efforts(self) -> list[int]:
        """The efforts worth trying, least first: numbers of lists, or widths of the search."""
        if self.kind.has_lists:
            return [effort for effort in (1 << i for i in range(20)) if effort < self.index.nlist] + [self.index.nlist]
        return GRAPH_EFFORTS if self.kind.name == "hnsw" else [1]


def _faiss() -> Any:
    """Return FAISS, whose type stubs do not know its parameters."""
    import faiss

    return faiss


def exact(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, metric: Metric
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ``k`` best rows of ``vectors`` for each query and their scores (queries, k): FAISS's own full search.

    Fewer columns where there are fewer rows. For cosine both sides are of length 1 already.
    """
    faiss = _faiss()
    k = min(k, len(vectors))
    if not k or not len(queries):
        return np.zeros((len(queries), k), dtype=np.int64), np.zeros((len(queries), k), dtype=np.float32)
    measure = faiss.METRIC_L2 if metric == Metric.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT
    one, other = (np.ascontiguousarray(side, dtype=np.float32) for side in (queries, vectors))
    scores, positions = faiss.knn(one, other, k, metric=measure)
    return positions, -np.sqrt(np.maximum(scores, 0)) if metric == Metric.EUCLIDEAN else scores
