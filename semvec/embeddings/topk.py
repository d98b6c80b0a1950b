"""The best columns of a score matrix that is made tile by tile and never whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semvec.errors import OptionError

Tile = Callable[[slice, slice], NDArray[np.float32]]
"""Gives the scores of some queries (rows) with some documents (columns)."""

QUERIES = 512
CELLS = 1 << 21
"""Most queries, and scores, in one tile."""

COLUMNS = 1 << 13
"""Columns of a tile that are looked through first, so that few of the others count."""


def top_k(tile: Tile, queries: int, documents: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ``k`` best columns of each row, and their scores, best first: (queries, k) each.

    Fewer where there are fewer documents. Equal scores come in the order of the columns. After the first columns a
    score counts only if it beats the worst one kept, so nearly all of the work is making the tiles; memory is
    that of one tile (`CELLS` scores) and of the result.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise OptionError(f"k must be a whole number of at least 1, not {k!r}")
    k = min(int(k), documents)
    columns = np.zeros((queries, k), dtype=np.int64)
    scores = np.full((queries, k), -np.inf, dtype=np.float32)
    width = max(CELLS // max(1, min(queries, QUERIES)), k, 1)
    for left in range(0, documents, width):
        across = slice(left, min(left + width, documents))
        for top in range(0, queries, QUERIES):
            down = slice(top, min(top + QUERIES, queries))
            found = np.asarray(tile(down, across), dtype=np.float32)
            first = max(COLUMNS, k)
            _merge(columns[down], scores[down], found[:, :first], left)
            _merge(columns[down], scores[down], found[:, first:], left + first)
    return columns, scores


def _merge(columns: NDArray[np.int64], scores: NDArray[np.float32], found: NDArray[np.float32], left: int) -> None:
    """Put what beats the worst score kept in each row into its place; ``found`` begins at column ``left``."""
    k = columns.shape[1]
    if left == 0:
        worst = np.partition(found, -k, axis=1)[:, -k]
        row, column = np.nonzero(found >= worst[:, None])
    else:
        row, column = np.nonzero(found > scores[:, -1:])
    if not len(row):
        return
    counts = np.bincount(row, minlength=len(found))
    place = k + np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = k + int(counts.max())
    all_scores = np.full((len(found), width), -np.inf, dtype=np.float32)
    all_columns = np.zeros((len(found), width), dtype=np.int64)
    all_scores[:, :k], all_columns[:, :k] = scores, columns
    all_scores[row, place], all_columns[row, place] = found[row, column], column + left
    best = np.argsort(-all_scores, axis=1, kind="stable")[:, :k]
    scores[:] = np.take_along_axis(all_scores, best, axis=1)
    columns[:] = np.take_along_axis(all_columns, best, axis=1)
