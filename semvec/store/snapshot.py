"""What is derived from the truth to search fast: vectors in one memory-mapped array, an index over them, and the words.

A snapshot holds the rows there were when it was made and never changes. Rows that went since are masked, rows that
came since are searched beside it. It is written under a temporary name and takes its own when it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import flush, save_array, sync_folder
from semvec.errors import CollectionDamaged, FormatError
from semvec.index.bm25 import Postings
from semvec.index.faiss import FaissIndex, exact
from semvec.index.kinds import KINDS, Kind
from semvec.store.codec import Codec, Kept
from semvec.types import Metric

PREFIX = "index-"
SUBSET = 2_000_000
"""Numbers in the vectors a filter leaves, up to which they are searched exactly: a few milliseconds."""

EXACT_BLOCK = 1 << 16
"""Vectors that are turned into float32 at a time to be searched exactly."""

SAMPLE = 200


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
    words: bool = False


@dataclass(frozen=True)
class Chosen:
    """Which rows of a snapshot may be found: ``mask`` (rows,) is true of them."""

    mask: NDArray[np.bool_]

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Their positions."""
        return np.flatnonzero(self.mask)

    @cached_property
    def bits(self) -> NDArray[np.uint8]:
        """The mask as FAISS takes it."""
        return np.packbits(self.mask, bitorder="little")


@dataclass(frozen=True)
class Snapshot:
    """An open snapshot: ``row_numbers`` (rows,) ascending, and ``vectors`` (rows, dim), of length 1 for cosine.

    ``postings`` are the words of the texts, None where no item had a text.
    """

    about: About
    row_numbers: NDArray[np.int64]
    vectors: Kept
    index: FaissIndex | None
    postings: Postings | None = None

    @classmethod
    def open(cls, folder: Path) -> Snapshot:
        """Return the snapshot in ``folder``; raise `CollectionDamaged` where its files do not fit together."""
        try:
            about = About(**json.loads((folder / "header.json").read_bytes()))
            rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
            vectors = Kept.open(folder)
            if vectors.codes.shape != (about.rows, about.dim) or rows.shape != (about.rows,):
                raise FormatError(f"{vectors.codes.shape} vectors where {(about.rows, about.dim)} is told")
            kind = KINDS[about.kind]
            index = FaissIndex.open(folder / "index.faiss", kind) if kind.factory else None
            if index is not None and index.index.ntotal != about.rows:
                raise FormatError(f"{index.index.ntotal} vectors in the index where {about.rows} are told")
            postings = Postings.open(folder) if about.words else None
            if postings is not None and len(postings.lengths) != about.rows:
                raise FormatError(f"words of {len(postings.lengths)} texts where {about.rows} are told")
        except Exception as error:
            raise CollectionDamaged(f"{folder}: damaged ({type(error).__name__}: {error})") from error
        return cls(about, rows, vectors, index, postings)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: Chosen | None, *, effort: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return positions and scores (queries, ≤ k) of the best rows among ``allowed`` (None: all), best first.

        −1 stands where there were fewer. What a filter leaves few of is searched exactly; so is what the index did
        not find k of.
        """
        metric = Metric(self.about.metric)
        count = self.about.rows if allowed is None else len(allowed.places)
        k = min(k, count)
        if k == 0:
            return np.zeros((len(queries), 0), dtype=np.int64), np.zeros((len(queries), 0), dtype=np.float32)
        if self.index is None or (allowed is not None and count * self.about.dim <= SUBSET):
            return self._exactly(queries, k, metric, allowed)
        kept = min(k * self.index.kind.refine, count)
        tries = effort or self.about.effort
        if not self.index.kind.has_lists:
            tries = max(tries, kept)
        if allowed is not None:  # as many of the allowed must be met as of all without a filter
            tries = int(np.ceil(tries * self.about.rows / count))
        if self.index.kind.has_lists:
            tries = min(tries, self.index.efforts[-1])
        positions, scores = self.index.search(queries, kept, effort=tries, allowed=None if allowed is None else allowed.bits)
        if self.index.kind.refine > 1:
            positions, scores = self._refined(queries, positions, k, metric)
        short = (positions[:, :k] < 0).any(axis=1)
        positions, scores = positions[:, :k], scores[:, :k]
        if short.any():
            positions[short], scores[short] = self._exactly(queries[short], k, metric, allowed)
        return positions, scores

    def _exactly(
        self, queries: NDArray[np.float32], k: int, metric: Metric, allowed: Chosen | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return exact_in(queries, self.vectors, k, metric, None if allowed is None else allowed.places)

    def _refined(
        self, queries: NDArray[np.float32], positions: NDArray[np.int64], k: int, metric: Metric
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score the candidates again by the stored vectors."""
        vectors = self.vectors.take(np.maximum(positions, 0).ravel()).reshape(*positions.shape, -1)
        if metric == Metric.EUCLIDEAN:
            scores = -np.sqrt(((vectors - queries[:, None, :]) ** 2).sum(axis=2))
        else:
            scores = np.einsum("qkd,qd->qk", vectors, queries)
        scores[positions < 0] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1).astype(np.float32)


def exact_in(
    queries: NDArray[np.float32], vectors: Kept, k: int, metric: Metric, places: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ``k`` best of ``vectors`` at ``places`` (None: all) for each query, and their scores (queries, k).

    Memory holds `EXACT_BLOCK` vectors at a time, where they are not float32 in one piece.
    """
    if places is None and vectors.codes.dtype == np.float32:
        return exact(queries, np.asarray(vectors.codes), k, metric)
    best = np.zeros((len(queries), 0), dtype=np.int64)
    scores = np.zeros((len(queries), 0), dtype=np.float32)
    for at in range(0, len(vectors) if places is None else len(places), EXACT_BLOCK):
        part = slice(at, at + EXACT_BLOCK) if places is None else places[at : at + EXACT_BLOCK]
        found, its = exact(queries, vectors.take(part), k, metric)
        numbers = found + at if places is None else places[at : at + EXACT_BLOCK][found]
        best, scores = np.concatenate([best, numbers], axis=1), np.concatenate([scores, its], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best, scores = np.take_along_axis(best, order, axis=1), np.take_along_axis(scores, order, axis=1)
    return best, scores


def write_snapshot(
    folder: Path,
    blocks: Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]],
    texts: Iterable[str | None] | None,
    kind: Kind,
    codec: Codec,
    *,
    rows: int,
    up_to: int,
    metric: Metric,
    target: float,
    seed: int,
) -> About:
    """Write a snapshot of ``rows`` vectors that come in ``blocks`` (row numbers, vectors) and their ``texts`` (None: no words).

    Memory is bounded by a block and by what FAISS keeps in its index. The effort is the least that finds ``target``
    of the true ten nearest of a sample. Returns what it is.
    """
    spare = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(spare, ignore_errors=True)
    spare.mkdir()
    try:
        numbers = np.empty(rows, dtype=np.int64)
        codes = np.lib.format.open_memmap(spare / "vectors.npy", mode="w+", dtype=codec.form, shape=(rows, codec.dim))
        scales = np.ones(rows, dtype=np.float32)
        at = 0
        for its_numbers, its_vectors in blocks:
            to = slice(at, at + len(its_numbers))
            numbers[to] = its_numbers
            codes[to], scales[to] = codec.codes(its_vectors)
            at += len(its_numbers)
        if at != rows:
            raise CollectionDamaged(f"{folder.parent}: {at:,} vectors where {rows:,} were counted")
        codes.flush()
        arrays = {"rows.npy": numbers} | ({"scales.npy": scales} if codec.scaled else {})
        for name, array in arrays.items():
            save_array(spare / name, array)
        vectors = Kept(codes, scales)
        about = About(kind.name, rows, codec.dim, up_to, str(metric))
        if kind.factory:
            index = FaissIndex.build(vectors.take, codes.shape, kind, metric, seed=seed)
            effort, recall = _tuned(Snapshot(about, numbers, vectors, index), target, seed)
            about = replace(about, effort=effort, recall=recall)
            index.save(spare / "index.faiss")
        if texts is not None:
            Postings.of(texts).save(spare)
            about = replace(about, words=True)
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
    queries = snapshot.vectors.take(np.sort(places))
    k = min(11, snapshot.about.rows)
    true, _ = exact_in(queries, snapshot.vectors, k, Metric(snapshot.about.metric), None)
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
