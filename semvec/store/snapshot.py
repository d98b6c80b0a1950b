"""What is derived from the truth to search fast: vectors in one memory-mapped array, and an index over them.

A snapshot holds the rows there were when it was made and never changes. Rows that went since are masked, rows that
came since are searched beside it. It is written under a temporary name and takes its own when it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import flush, sync_folder
from semvec.errors import CollectionDamaged, FormatError
from semvec.index.faiss import FaissIndex, exact
from semvec.index.kinds import KINDS, Kind
from semvec.types import Metric

PREFIX = "index-"
SUBSET = 4_000_000
"""Numbers in the vectors a filter leaves, up to which they are searched exactly: a few milliseconds."""

SAMPLE = 200
GOOD = 0.98


@dataclass(frozen=True)
class About:
    """What a snapshot says of itself: ``rows`` vectors of ``dim`` numbers, made of all rows up to ``up_to``.

    ``effort`` is what reached ``recall`` (share of the 10 true nearest that were found, over a sample).
    """

    kind: str
    rows: int
    dim: int
    up_to: int
    metric: str
    effort: int = 1
    recall: float = 1.0


@dataclass(frozen=True)
class Snapshot:
    """An open snapshot: ``row_numbers`` (rows,) ascending, and ``vectors`` (rows, dim), of length 1 for cosine."""

    about: About
    row_numbers: NDArray[np.int64]
    vectors: NDArray[Any]
    index: FaissIndex | None

    @classmethod
    def open(cls, folder: Path) -> Snapshot:
        """Return the snapshot in ``folder``; raise `CollectionDamaged` where its files do not fit together."""
        try:
            about = About(**json.loads((folder / "header.json").read_bytes()))
            rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
            vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
            if vectors.shape != (about.rows, about.dim) or rows.shape != (about.rows,):
                raise FormatError(f"{vectors.shape} vectors where {(about.rows, about.dim)} is told")
            kind = KINDS[about.kind]
            index = FaissIndex.open(folder / "index.faiss", kind) if kind.factory else None
            if index is not None and index.index.ntotal != about.rows:
                raise FormatError(f"{index.index.ntotal} vectors in the index where {about.rows} are told")
        except Exception as error:
            raise CollectionDamaged(f"{folder}: damaged ({type(error).__name__}: {error})") from error
        return cls(about, rows, vectors, index)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None, *, effort: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return positions and scores (queries, ≤ k) of the best rows among ``allowed`` (None: all), best first.

        −1 stands where there were fewer. What a filter leaves few of is searched exactly; so is what the index did
        not find k of.
        """
        metric = Metric(self.about.metric)
        count = self.about.rows if allowed is None else int(allowed.sum())
        k = min(k, count)
        if k == 0:
            return np.zeros((len(queries), 0), dtype=np.int64), np.zeros((len(queries), 0), dtype=np.float32)
        if self.index is None or (allowed is not None and count * self.about.dim <= SUBSET):
            return self._exactly(queries, k, metric, allowed)
        tries = effort or self.about.effort
        if allowed is not None:  # as many of the allowed must be met as of all without a filter
            tries = min(int(np.ceil(tries * self.about.rows / count)), self.index.efforts[-1])
        kept = min(k * self.index.kind.refine, count)
        positions, scores = self.index.search(queries, kept, effort=tries, allowed=allowed)
        if self.index.kind.refine > 1:
            positions, scores = self._refined(queries, positions, k, metric)
        short = (positions[:, :k] < 0).any(axis=1)
        positions, scores = positions[:, :k], scores[:, :k]
        if short.any():
            positions[short], scores[short] = self._exactly(queries[short], k, metric, allowed)
        return positions, scores

    def _exactly(
        self, queries: NDArray[np.float32], k: int, metric: Metric, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if allowed is None:
            return exact(queries, np.asarray(self.vectors), k, metric)
        places = np.flatnonzero(allowed)
        best, scores = exact(queries, np.asarray(self.vectors[places]), k, metric)
        return places[best], scores

    def _refined(
        self, queries: NDArray[np.float32], positions: NDArray[np.int64], k: int, metric: Metric
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score the candidates again by the stored vectors."""
        vectors = np.asarray(self.vectors[np.maximum(positions, 0)], dtype=np.float32)
        if metric == Metric.EUCLIDEAN:
            scores = -np.sqrt(((vectors - queries[:, None, :]) ** 2).sum(axis=2))
        else:
            scores = np.einsum("qkd,qd->qk", vectors, queries)
        scores[positions < 0] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1).astype(np.float32)


def write_snapshot(
    folder: Path,
    blocks: Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]],
    kind: Kind,
    *,
    rows: int,
    dim: int,
    up_to: int,
    metric: Metric,
    dtype: str,
    target: float,
    seed: int,
) -> About:
    """Write a snapshot of ``rows`` vectors that come in ``blocks`` (row numbers, vectors), and return what it is.

    Memory is bounded by a block and by what FAISS keeps in its index. The effort is the least that finds ``target``
    of the true ten nearest of a sample.
    """
    spare = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(spare, ignore_errors=True)
    spare.mkdir()
    try:
        numbers = np.empty(rows, dtype=np.int64)
        vectors = np.lib.format.open_memmap(spare / "vectors.npy", mode="w+", dtype=dtype, shape=(rows, dim))
        at = 0
        for its_numbers, its_vectors in blocks:
            numbers[at : at + len(its_numbers)], vectors[at : at + len(its_numbers)] = its_numbers, its_vectors
            at += len(its_numbers)
        if at != rows:
            raise CollectionDamaged(f"{folder.parent}: {at:,} vectors where {rows:,} were counted")
        vectors.flush()
        with open(spare / "rows.npy", "wb") as stream:
            np.save(stream, numbers)
            flush(stream)
        about = About(kind.name, rows, dim, up_to, str(metric))
        if kind.factory:
            index = FaissIndex.build(vectors, kind, metric, seed=seed)
            effort, recall = _tuned(Snapshot(about, numbers, vectors, index), target, seed)
            about = About(kind.name, rows, dim, up_to, str(metric), effort, recall)
            index.save(spare / "index.faiss")
        with open(spare / "header.json", "wb") as stream:
            stream.write(json.dumps(asdict(about)).encode())
            flush(stream)
        sync_folder(spare)
        shutil.rmtree(folder, ignore_errors=True)
        spare.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(spare, ignore_errors=True)
    return about


def _tuned(snapshot: Snapshot, target: float, seed: int) -> tuple[int, float]:
    """Return the least effort whose recall at 10 reaches ``target`` on a sample of the vectors, and that recall."""
    assert snapshot.index is not None
    places = np.random.default_rng(seed).choice(snapshot.about.rows, min(SAMPLE, snapshot.about.rows), replace=False)
    queries = np.asarray(snapshot.vectors[np.sort(places)], dtype=np.float32)
    k = min(11, snapshot.about.rows)
    true, _ = exact(queries, np.asarray(snapshot.vectors), k, Metric(snapshot.about.metric))
    effort, recall = 1, 0.0
    for effort in snapshot.index.efforts:
        found, _ = snapshot.search(queries, k, None, effort=effort)
        recall = float(
            np.mean(
                [len(set(one[1:]) & set(other)) / max(1, k - 1) for one, other in zip(true.tolist(), found.tolist(), strict=True)]
            )
        )
        if recall >= target:
            break
    return effort, round(recall, 4)


def clear_others(folder: Path, keep: str | None) -> None:
    """Remove every snapshot in ``folder`` but the one called ``keep``, and what half-made ones left."""
    for path in [*folder.glob(f"{PREFIX}*"), *folder.glob(f".{PREFIX}*")]:
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)
