"""The words of a local collection: those of its snapshot, and of the rows written since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semvec.index.bm25 import Part, Postings, bm25
from semvec.store.database import Database
from semvec.store.snapshot import Snapshot

Rows = NDArray[np.int64]
MOST_PARTS = 16
"""Writes whose words are counted each on their own; after so many they are counted together."""


@dataclass(frozen=True)
class Keywords:
    """The words of one moment: of a snapshot and, write by write, of the rows ``newer`` than it."""

    snapshot: Snapshot | None
    newer: tuple[tuple[Rows, Postings], ...]
    parts: tuple[tuple[Rows, Part], ...]

    @classmethod
    def of(
        cls,
        database: Database,
        snapshot: Snapshot | None,
        alive: NDArray[np.bool_] | None,
        tail_rows: Rows,
        former: Keywords | None,
    ) -> Keywords:
        """Return the words of the rows of ``snapshot`` that are ``alive`` (None: all) and of ``tail_rows``.

        What ``former`` counted already is not counted again. Inside `Database.reading`.
        """
        newer = former.newer if former is not None and former.snapshot is snapshot and len(former.newer) < MOST_PARTS else ()
        last = int(newer[-1][0][-1]) if newer else snapshot.about.up_to if snapshot else 0
        if (fresh := tail_rows[tail_rows > last]).size:
            newer = (*newer, (fresh, Postings.of(database.texts_after(last))))
        return cls(snapshot, newer, tuple(_parts(snapshot, alive, tail_rows, newer)))

    def best(self, query: str, k: int, mask: NDArray[np.bool_] | None) -> tuple[list[int], list[float]]:
        """Return the rows of the ``k`` best texts for ``query``, and their scores; one without a word of it is never found.

        Only rows where ``mask`` (by row number; None: all) is true are found; how telling a word is, all texts decide.
        """
        scores = bm25(query, [part for _, part in self.parts])
        rows, found = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        for (numbers, _), its in zip(self.parts, scores, strict=True):
            wanted = its > 0 if mask is None else (its > 0) & mask[numbers]
            places = np.flatnonzero(wanted)
            rows, found = np.concatenate([rows, numbers[places]]), np.concatenate([found, its[places]])
        order = np.lexsort((rows, -found))[:k]
        return rows[order].tolist(), found[order].tolist()


def _parts(
    snapshot: Snapshot | None, alive: NDArray[np.bool_] | None, tail_rows: Rows, newer: tuple[tuple[Rows, Postings], ...]
) -> Iterator[tuple[Rows, Part]]:
    """Give the postings with the rows they are of, without those that are gone or have no words."""
    if snapshot is not None and snapshot.postings is not None:
        worded = snapshot.postings.lengths > 0
        yield snapshot.row_numbers, Part(snapshot.postings, worded if alive is None else worded & alive)
    for rows, postings in newer:
        yield rows, Part(postings, np.isin(rows, tail_rows) & (postings.lengths > 0))
