"""What is derived from the truth to search fast: vectors in one memory-mapped array, an index over them, and the words.

A snapshot holds the rows there were when it was made and never changes. Rows that went since are masked, rows that
came since are searched beside it. It is written under a temporary name and takes its own when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import ceil
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
NAMES = re.compile(rf"{PREFIX}\d{{6,}}|\.{PREFIX}\d{{6,}}\.tmp")
"""What snapshots are called, and those that are being made."""

SUBSET = 2_000_000
"""Numbers in the vectors a filter leaves, up to which they are searched exactly: a few milliseconds."""

FEW = 0.3
"""The share of the rows from which on reading all of them costs less than gathering those that are allowed."""

LEAST = 11
"""Hits that candidates are looked for at least: an index is tuned by the ten nearest of its own vectors."""

DEEPEST = 8
"""No more than one in so many rows is asked of the index: beyond, all that are allowed are searched exactly."""

CANDIDATES = 1 << 24
"""Numbers in the vectors of the candidates of some queries, at most at a time."""

EXACT_BLOCK = 1 << 16
"""Vectors that are turned into float32 at a time to be searched exactly."""

SAMPLE = 500
STRICT = 0.4
"""The share of the misses that are allowed which a sample of the index's own vectors may have."""


@dataclass(frozen=True)
class About:
    """What a snapshot says of itself: ``rows`` vectors of ``dim`` numbers, made of all rows up to ``up_to``.

    ``effort`` is what reached ``recall`` (share of the 10 true nearest that were found, over a sample). ``files`` are the
    sha256 of its files.
    """

    kind: str
    rows: int
    dim: int
    up_to: int
    metric: str
    effort: int = 1
    recall: float = 1.0
    words: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chosen:
    """Which rows of a snapshot may be found: ``mask`` (rows,) is true of them."""

    mask: NDArray[np.bool_]

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Their positions."""
        return np.flatnonzero(self.mask)


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
    def open(cls, folder: Path, metric: Metric) -> Snapshot:
        """Return the snapshot in ``folder``; raise `CollectionDamaged` where its files do not fit together.

        Their content is not looked at: `damage` does that.
        """
        try:
            about = _about(folder)
            if about.metric != metric:
                raise FormatError(f"made for {about.metric} where the collection compares by {metric}")
            rows = np.asarray(np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False))
            vectors = Kept.open(folder)
            if vectors.codes.shape != (about.rows, about.dim) or rows.shape != (about.rows,):
                raise FormatError(f"{vectors.codes.shape} vectors where {(about.rows, about.dim)} is told")
            if (np.diff(rows) <= 0).any() or (len(rows) and not 0 < rows[0] <= rows[-1] <= about.up_to):
                raise FormatError("its rows are in no order")
            kind = KINDS[about.kind]
            index = FaissIndex.open(folder / "index.faiss", kind) if kind.factory else None
            if index is not None and index.index.ntotal != about.rows:
                raise FormatError(f"{index.index.ntotal} vectors in the index where {about.rows} are told")
            postings = Postings.open(folder) if about.words else None
            if postings is not None and len(postings.lengths) != about.rows:
                raise FormatError(f"words of {len(postings.lengths)} texts where {about.rows} are told")
        except (FormatError, ValueError, KeyError, TypeError, EOFError, FileNotFoundError) as error:
            raise CollectionDamaged(f"{folder}: damaged ({type(error).__name__}: {error})") from error
        return cls(about, rows, vectors, index, postings)

    def damage(self, folder: Path) -> list[str]:
        """Return which files in ``folder`` are not what was written."""
        return [f"{folder / name}: damaged" for name, digest in self.about.files.items() if _sha256(folder / name) != digest]

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: Chosen | None, *, effort: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return positions and scores (queries, ≤ k) of the best rows among ``allowed`` (None: all), best first.

        Where few are allowed, they are searched exactly. Else the index is asked for as many as hold enough allowed ones,
        deeper and deeper, and what is still short at a depth that costs as much is searched exactly. So a filter costs no
        recall, even if it leaves out just what is near: an index that skips rows while it looks finds others instead, far off.
        """
        count = self.about.rows if allowed is None else len(allowed.places)
        k = min(k, count)
        if k == 0 or not len(queries):
            return np.zeros((len(queries), k), dtype=np.int64), np.zeros((len(queries), k), dtype=np.float32)
        if allowed is not None and (count * self.about.dim <= SUBSET or (self.index is None and count < FEW * self.about.rows)):
            return self._exactly(queries, k, allowed.places)
        if self.index is None and allowed is None:
            return self._exactly(queries, k, None)
        block = max(1, CANDIDATES // (min(max(k, LEAST) * self._refine, count) * self.about.dim))
        parts = [self._deeper(queries[at : at + block], k, allowed, count, effort) for at in range(0, len(queries), block)]
        return np.concatenate([its for its, _ in parts]), np.concatenate([its for _, its in parts])

    @property
    def _refine(self) -> int:
        return 1 if self.index is None else self.index.kind.refine

    def _deeper(
        self, queries: NDArray[np.float32], k: int, allowed: Chosen | None, count: int, effort: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return what the index finds, asked for more until enough of it is allowed, and the exact hits of the rest."""
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        enough = min(max(k, LEAST) * self._refine, count)
        if allowed is None and (found := self._candidates(queries, enough, effort))[:, k - 1].min() >= 0:
            return self._best_of(queries, found, k)
        depth = -(-enough * self.about.rows // count)
        left = np.arange(len(queries))
        while len(left) and depth * DEEPEST <= max(self.about.rows, DEEPEST * enough):
            found = self._candidates(queries[left], depth, effort)
            if allowed is not None:
                found = np.where((found >= 0) & allowed.mask[np.maximum(found, 0)], found, -1)
            full = (found >= 0).sum(axis=1) >= (k if allowed is None else enough)
            positions[left[full]], scores[left[full]] = self._best_of(queries[left[full]], _first(found[full], enough), k)
            left = left[~full]
            depth *= 4
        if len(left):
            positions[left], scores[left] = self._exactly(queries[left], k, None if allowed is None else allowed.places)
        return positions, scores

    def _candidates(self, queries: NDArray[np.float32], depth: int, effort: int | None) -> NDArray[np.int64]:
        """Return the positions of about the ``depth`` nearest rows of each query, nearest first, −1 where there are none.

        The index is tuned for ``depth`` of `LEAST` hits, and works as much harder as more are wanted.
        """
        depth = min(depth, self.about.rows)
        if self.index is None:
            return self._exactly(queries, depth, None)[0]
        tuned = LEAST * self._refine
        least = max(effort or self.about.effort, 1 if self.index.kind.has_lists else tuned)
        return self.index.search(queries, depth, effort=ceil(least * max(1.0, depth / tuned)))[0]

    def _best_of(
        self, queries: NDArray[np.float32], candidates: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the ``k`` best of the ``candidates`` (queries, …) of each query and their scores, by the stored vectors."""
        vectors = self.vectors.take(np.maximum(candidates, 0).ravel()).reshape(*candidates.shape, self.about.dim)
        if self.about.metric == Metric.EUCLIDEAN:
            scores = -np.sqrt(((vectors - queries[:, None]) ** 2).sum(axis=2))
        else:
            scores = (vectors @ queries[:, :, None])[:, :, 0]
        scores[candidates < 0] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        rows = np.arange(len(queries))[:, None]
        return candidates[rows, order], scores[rows, order]

    def _exactly(
        self, queries: NDArray[np.float32], k: int, places: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return exact_in(queries, self.vectors, k, Metric(self.about.metric), places)


def _first(found: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the first ``count`` of each row of ``found`` that are not −1, in their order, with −1 behind them."""
    if found.shape[1] == count:
        return found
    order = np.argsort(found < 0, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(found, order, axis=1)


def read_about(folder: Path) -> About | None:
    """Return what the snapshot in ``folder`` says of itself, None where it is damaged."""
    try:
        return _about(folder)
    except (ValueError, TypeError, FileNotFoundError):
        return None


def _about(folder: Path) -> About:
    about = About(**json.loads((folder / "header.json").read_bytes()))
    if not all(isinstance(number, int) for number in (about.rows, about.dim, about.up_to, about.effort)):
        raise FormatError("its header holds something else than numbers")
    return about


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


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

    Memory is bounded by a block, by what FAISS keeps in its index, and by what `Postings.of` says of the words. The effort is
    the least that finds ``target`` of the true ten nearest of a sample.
    """
    spare = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(spare, ignore_errors=True)
    spare.mkdir()
    try:
        numbers = np.empty(rows, dtype=np.int64)
        codes = np.lib.format.open_memmap(spare / "vectors.npy", mode="w+", dtype=codec.form, shape=(rows, codec.dim))
        _reserve(spare / "vectors.npy")
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
        about = replace(about, files={path.name: _sha256(path) for path in sorted(spare.iterdir())})
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


def _reserve(path: Path) -> None:
    """Take the room of the whole file at once: a disk that fills up while memory is mapped to it kills the process."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "rb+") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _tuned(snapshot: Snapshot, target: float, seed: int) -> tuple[int, float]:
    """Return the least effort that suits ``target``, and its recall at 10 on a sample of the vectors.

    New queries miss more than vectors that are in the index themselves: those of held-out sentences by MiniLM 8.2 % where the
    sample missed 3.4 %. So the sample may miss only `STRICT` of what ``target`` allows.
    """
    target = 1 - (1 - target) * STRICT
    assert snapshot.index is not None
    places = np.random.default_rng(seed).choice(snapshot.about.rows, min(SAMPLE, snapshot.about.rows), replace=False)
    queries = snapshot.vectors.take(np.sort(places))
    k = min(LEAST, snapshot.about.rows)
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
    for path in folder.iterdir():
        if NAMES.fullmatch(path.name) and path.name != keep:
            shutil.rmtree(path, ignore_errors=True)
