"""Token vectors in few bits: the nearest of some centroids, and in 1, 2 or 4 bits a dimension what is left of the vector."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.index.intrinsics import FILL, OF_BYTES
from semvec.index.kinds import WHOLE, check_bits, code_width
from semvec.index.multi_vector_kernels import (
    SCALE,
    add_centroids,
    late_interaction,
    late_interaction_of_bytes,
    products,
    unpack,
)
from semvec.index.side_by_side import side_by_side

STEPS = {1: 1.596, 2: 0.9957, 4: 0.3352}
"""The steps, in standard deviations, of the uniform quantiser of so many bits that loses least of normal numbers (Max, 1960)."""

WIDER = {1: 1.0, 2: 1.1, 4: 1.1}
"""What is left of vectors has longer tails than normal numbers: so much wider steps lose least of it (of MiniLM's tokens)."""

SAMPLE = 32
"""Tokens a centroid is made of."""

MOST = 8192
ROUNDS = 6
TINY = 1e-20
"""What is smaller is 0: with numbers below float32's normal ones a processor takes ten times as long."""

BLOCK = 512
"""Rows compared with all centroids at a time."""

SCORED = 1 << 11
"""Tokens up to which calling another thread takes longer than it helps to compare them."""


@dataclass(frozen=True)
class ResidualCodec:
    """What token vectors of length 1 are kept as: two marks and ``width`` bytes of codes.

    ``centroids`` (centroids, dim); ``steps`` (dim,) how far two neighbouring codes of a dimension are apart. A vector is
    ``(centroid + step · (code - middle)) · scale``: the marks are the number of the centroid and the scale, which makes it of
    length 1, in steps of `SCALE`. (After Santhanam et al., "ColBERTv2", 2022, with uniform steps that suit each dimension in
    the place of one table of quantiles.) With 16 bits the codes are the numbers, and the centroid only serves to find them.
    """

    bits: int
    centroids: NDArray[np.float32]
    steps: NDArray[np.float32]

    @classmethod
    def learned(cls, sample: NDArray[np.float32], bits: int, *, tokens: int, seed: int = 0) -> ResidualCodec:
        """Return the codec for about ``tokens`` vectors of which ``sample`` (rows, dim) are some; the same for the same seed."""
        check_bits(bits)
        rng, sample = np.random.default_rng(seed), normalize(sample)
        count = centroid_count(tokens, len(sample))
        if len(sample) > SAMPLE * count:
            sample = sample[np.sort(rng.choice(len(sample), SAMPLE * count, replace=False))]
        centroids = k_means(sample, count, rng)
        left = sample - centroids[nearest(sample, centroids)]
        spread = np.sqrt((left**2).mean(axis=0))
        return cls(bits, centroids, np.maximum(spread * STEPS.get(bits, 1) * WIDER.get(bits, 1), 1e-9).astype(np.float32))

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self.centroids.shape[1])

    @property
    def width(self) -> int:
        """The bytes of the codes of a vector."""
        return code_width(self.dim, self.bits)

    @property
    def _middle(self) -> np.float32:
        return np.float32((2**self.bits - 1) / 2)

    def encode(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Return the marks (rows, 2) and the codes (rows, width) of ``vectors`` (rows, dim), whose lengths do not matter."""
        marks = np.empty((len(vectors), 2), dtype="<u2")
        codes = np.empty((len(vectors), self.width), dtype=np.uint8)
        for at in range(0, len(vectors), BLOCK):
            some, to = normalize(vectors[at : at + BLOCK]), slice(at, at + BLOCK)
            its = nearest(some, self.centroids)
            kept, codes[to] = self._whole(some) if self.bits == WHOLE else self._parted(some, its)
            marks[to, 0], marks[to, 1] = its, _scales(kept)
        return marks, codes

    def _whole(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        halves = vectors.astype("<f2")
        return halves.astype(np.float32), halves.view(np.uint8)

    def _parted(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return what is kept of ``vectors``, and its codes: dimension ``d`` is in byte ``d mod width``."""
        least, most = np.float32(0), np.float32(2**self.bits - 1)
        codes = np.clip(np.rint((vectors - self.centroids[ids]) / self.steps + self._middle), least, most)
        kept = self.centroids[ids] + (codes - self._middle) * self.steps
        places = 8 // self.bits
        parts = np.zeros((len(codes), places * self.width), dtype=np.uint8)
        parts[:, : self.dim] = codes
        shifts = np.arange(places, dtype=np.uint8) * np.uint8(self.bits)
        return kept, np.bitwise_or.reduce(parts.reshape(len(codes), places, self.width) << shifts[:, None], axis=1)

    def decode(self, marks: NDArray[np.uint16], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vectors (rows, dim) that ``marks`` and ``codes`` stand for."""
        scales = _scales_of(marks)[:, None]
        if self.bits == WHOLE:
            return np.asarray(self._numbers(codes) * scales, dtype=np.float32)
        left = (self._numbers(codes)[:, : self.dim] - self._middle) * self.steps
        return np.asarray((self.centroids[marks[:, 0]] + left) * scales, dtype=np.float32)

    def _numbers(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = np.empty((len(codes), self.width * 8 // self.bits), dtype=np.float32)
        unpack(np.ascontiguousarray(codes), self.bits, out)
        return out

    def asked(self, query: NDArray[np.float32]) -> Asked:
        """Return ``query`` (tokens, dim), of length 1, made ready to be compared with codes."""
        columns = -(-len(query) // FILL) * FILL
        across = np.zeros((self.dim, columns), dtype=np.float32)
        across[:, : len(query)] = query.T
        near = np.empty((len(self.centroids), columns), dtype=np.float32)
        each = np.ones(len(near), dtype=np.int64)
        side_by_side(lambda part: products(self.centroids[part], across, near[part]), each, BLOCK)
        if self.bits == WHOLE:
            return Asked(self, len(query), across, near, np.zeros_like(near))
        across *= self.steps[:, None]
        across[np.abs(across) < TINY] = 0
        steps = np.zeros((self.width * 8 // self.bits, columns), dtype=np.float32)
        steps[: self.dim] = across
        return Asked(self, len(query), steps, near, near - self._middle * across.sum(axis=0))


@dataclass(frozen=True)
class Asked:
    """A query as it is compared with codes: a token's cosine is ``(codes · steps + base of its centroid) · scale``.

    ``steps`` (numbers, columns) and ``base`` (centroids, columns) have a column for each of the ``tokens``, and some of zeros
    after them; ``near`` (centroids, columns) are the products with the centroids themselves.
    """

    codec: ResidualCodec
    tokens: int
    steps: NDArray[np.float32]
    near: NDArray[np.float32]
    base: NDArray[np.float32]

    def cosines(self, marks: NDArray[np.uint16], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the cosines (rows, tokens) of what ``marks`` and ``codes`` stand for: the products with `decode`."""
        sims = self.codec._numbers(codes) @ self.steps[:, : self.tokens]
        add_centroids(sims, self.base, np.ascontiguousarray(marks), _scales_of(marks))
        return sims

    def late_interaction(
        self, marks: NDArray[np.uint16], codes: NDArray[np.uint8], first: NDArray[np.int64], count: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the MaxSim (items,) with item ``i``: its tokens, one or more, are ``first[i]`` up to ``first[i] + count[i]``."""
        out, bits = np.zeros(len(first), dtype=np.float32), self.codec.bits
        if OF_BYTES and bits != WHOLE:
            query, units, kept = in_bytes(self.steps)
            base = self.near - self.codec._middle * kept

            def some(part: slice) -> None:
                its = (first[part], count[part], query, units, base, self.tokens, out[part])
                late_interaction_of_bytes(codes, marks, bits, *its)
        else:

            def some(part: slice) -> None:
                late_interaction(codes, marks, bits, first[part], count[part], self.steps, self.base, self.tokens, out[part])

        side_by_side(some, count, SCORED)
        return out


def in_bytes(steps: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Return ``steps`` (numbers, columns) in two bytes each, their units (columns,), and the sums (columns,) of what is kept.

    They come as int32 (quarters, 2 · columns) of four bytes below each other: the 256s of all columns, then the ones. A number is
    kept to 1/65,000 of the greatest of its column.
    """
    units = np.maximum(np.abs(steps).max(axis=0) / np.float32(127 * 256), np.float32(TINY))
    whole = np.zeros((-(-len(steps) // 4) * 4, steps.shape[1]), dtype=np.int32)
    whole[: len(steps)] = np.rint(steps / units)
    high = (whole + 128) >> 8
    both = np.concatenate([high, whole - 256 * high], axis=1).astype(np.int8)
    fours = np.ascontiguousarray(both.reshape(-1, 4, both.shape[1]).transpose(0, 2, 1))
    return fours.view("<i4")[:, :, 0], units, (whole.sum(axis=0) * units).astype(np.float32)


def centroid_count(tokens: int, sample: int) -> int:
    """Return how many centroids suit so many ``tokens``, of which a ``sample`` is known: a power of two near 4 √tokens."""
    return max(1, min(1 << round(log2(4 * sqrt(max(tokens, 1)))), MOST, sample // 4))


def k_means(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``count`` means (count, dim) of ``points``, after `ROUNDS` rounds (Lloyd): FAISS's own takes three times as long."""
    means = points[np.sort(rng.choice(len(points), count, replace=False))].copy()
    for _ in range(ROUNDS):
        groups = nearest(points, means)
        sizes = np.bincount(groups, minlength=count)
        full = np.flatnonzero(sizes)
        starts = (np.cumsum(sizes) - sizes)[full]
        sums = np.add.reduceat(points[np.argsort(groups, kind="stable")], starts, axis=0)
        means[full] = sums / sizes[full, None].astype(np.float32)
        empty = np.flatnonzero(sizes == 0)
        means[empty] = points[rng.choice(len(points), len(empty))]
    return means


def nearest(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the nearest of ``centroids`` to each of ``vectors``, the first of equal ones."""
    half = (centroids**2).sum(axis=1) / 2
    found = np.empty(len(vectors), dtype=np.int64)
    for at in range(0, len(vectors), BLOCK):
        found[at : at + BLOCK] = np.argmax(vectors[at : at + BLOCK] @ centroids.T - half, axis=1)
    return found


def _scales(kept: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return what makes each row of ``kept`` of length 1, in steps of `SCALE`."""
    lengths = np.sqrt(np.einsum("ij,ij->i", kept, kept))
    return np.asarray(np.minimum(np.rint(1 / np.maximum(lengths, 1e-3) / SCALE), 0xFFFF), dtype="<u2")


def _scales_of(marks: NDArray[np.uint16]) -> NDArray[np.float32]:
    return marks[:, 1].astype(np.float32) * SCALE
