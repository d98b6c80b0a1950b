"""Late interaction over many items of token vectors: the few that can be best, then MaxSim over what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.index.intrinsics import COLUMNS
from semvec.index.multi_vector_kernels import by_centroids
from semvec.index.residual import Asked, ResidualCodec
from semvec.index.side_by_side import side_by_side

BLOCK = 512
"""Tokens compared with a query at a time: what a core's own cache holds."""

READ = 1 << 18
"""Tokens up to which calling another thread takes longer than it helps to look at their centroids."""

STEP = 127.5
"""Steps of a byte from a cosine of 0 to one of 1."""

Items = NDArray[np.int64]


@dataclass(frozen=True)
class MultiVectors:
    """Items of token vectors, of length 1: those of item ``i`` are ``first[i]`` up to ``first[i] + count[i]`` of all.

    ``marks`` (tokens, 2) and ``codes`` (tokens, width) are what ``codec`` made of them, perhaps memory-mapped.
    """

    codec: ResidualCodec
    marks: NDArray[np.uint16]
    codes: NDArray[np.uint8]
    first: Items
    count: Items

    def __len__(self) -> int:
        return len(self.first)

    def search(
        self, query: NDArray[np.float32], k: int, *, items: Items | None = None, candidates: int | None
    ) -> tuple[Items, NDArray[np.float32]]:
        """Return the ``k`` best of ``items`` (None: all) for ``query`` (tokens, dim), best first, and their MaxSim.

        So many ``candidates``, the best by the centroids of their tokens, are scored (the two stages of Santhanam et al.,
        "PLAID", 2022); None scores all. Equal ones come in their order.
        """
        asked = self.codec.asked(normalize(query))
        among = np.arange(len(self)) if items is None else items
        if candidates is not None and len(among) > max(candidates, k):
            about = self.approximate(asked, items)
            among = among[np.sort(np.argpartition(-about, max(candidates, k) - 1)[: max(candidates, k)])]
        scores = self.exact(asked, among)
        order = np.argsort(-scores, kind="stable")[:k]
        return among[order], scores[order]

    def approximate(self, asked: Asked, items: Items | None = None) -> NDArray[np.int32]:
        """Return about the MaxSim with each of ``items`` (None: all), by the centroids alone, in steps of a byte."""
        near = np.clip((asked.near + np.float32(1)) * np.float32(STEP), 0, 255).astype(np.uint8)
        first, count = (self.first, self.count) if items is None else (self.first[items], self.count[items])
        out = np.zeros(len(first), dtype=np.int32)
        tables = []
        for at in range(0, asked.tokens, COLUMNS):
            columns = min(COLUMNS, asked.tokens - at)
            table = np.zeros((len(near), COLUMNS), dtype=np.uint8)
            table[:, :columns] = near[:, at : at + columns]
            tables.append((table, columns))

        def some(part: slice) -> None:
            for table, columns in tables:
                by_centroids(table, self.marks, first[part], count[part], columns, out[part])

        side_by_side(some, count, READ)
        return np.where(count > 0, out, np.int32(STEP * asked.tokens))  # without tokens a MaxSim is 0

    def exact(self, asked: Asked, items: Items) -> NDArray[np.float32]:
        """Return the MaxSim with what is kept of each of ``items``; 0 for one without tokens."""
        scores = np.zeros(len(items), dtype=np.float32)
        full = np.flatnonzero(self.count[items] > 0)
        scores[full] = asked.late_interaction(self.marks, self.codes, self.first[items[full]], self.count[items[full]])
        return scores

    def matches(self, asked: Asked, item: int) -> tuple[Items, NDArray[np.float32]]:
        """Return which token of ``item`` each token of a query is nearest to, and their cosines (query tokens,)."""
        sims, _ = self._cosines(asked, np.array([item]))
        best = sims.argmax(axis=0)
        return best, sims[best, np.arange(sims.shape[1])]

    def vectors(self, item: int) -> NDArray[np.float32]:
        """Return the token vectors (tokens, dim) that are kept of ``item``, of length 1."""
        its = slice(self.first[item], self.first[item] + self.count[item])
        return self.codec.decode(self.marks[its], self.codes[its])

    def nearest(self, vector: NDArray[np.float32], items: Items, k: int) -> list[tuple[int, int, float]]:
        """Return the ``k`` tokens of ``items`` nearest to ``vector`` (dim,), best first: item, which of its, cosine."""
        asked = self.codec.asked(normalize(vector[None]))
        full = items[self.count[items] > 0]
        scores, owners, tokens = np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)
        for some in _in_blocks(full, self.count[full]):
            sims, starts = self._cosines(asked, some)
            scores = np.concatenate([scores, sims[:, 0]])
            owners = np.concatenate([owners, np.repeat(some, self.count[some])])
            tokens = np.concatenate([tokens, np.arange(len(sims)) - np.repeat(starts, self.count[some])])
            if len(scores) > 2 * k + BLOCK:
                best = np.sort(np.argpartition(-scores, k)[:k])
                scores, owners, tokens = scores[best], owners[best], tokens[best]
        best = np.argsort(-scores, kind="stable")[:k]
        return list(zip(owners[best].tolist(), tokens[best].tolist(), scores[best].tolist(), strict=True))

    def _cosines(self, asked: Asked, items: Items) -> tuple[NDArray[np.float32], Items]:
        """Return the cosines (tokens, query tokens) of all tokens of ``items``, and where each item begins."""
        places, starts = self.places(items)
        return asked.cosines(self.marks[places], self.codes[places]), starts

    def places(self, items: Items) -> tuple[Items, Items]:
        """Return where the tokens of ``items`` are, one item's after the other's, and where each begins among these."""
        counts = self.count[items]
        starts = np.cumsum(counts) - counts
        return np.repeat(self.first[items] - starts, counts) + np.arange(counts.sum()), starts


def _in_blocks(items: Items, counts: Items) -> Iterator[Items]:
    """Give ``items`` in runs of about `BLOCK` tokens, of which each has so many ``counts``."""
    ends = np.cumsum(counts)
    at = 0
    while at < len(items):
        to = max(int(np.searchsorted(ends, (ends[at - 1] if at else 0) + BLOCK, side="right")), at + 1)
        yield items[at:to]
        at = to
