"""A text longer than the model reads → the windows that are read, and what is taken from each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Window:
    """The model reads tokens ``start`` up to ``end``; the vectors of ``own_start`` up to ``own_end`` are kept."""

    start: int
    end: int
    own_start: int
    own_end: int


def overlapping(n: int, size: int, overlap: int) -> list[Window]:
    """Return windows of ``size`` tokens over ``n``, neighbours sharing at least ``overlap``.

    Every token belongs to exactly one window. Where two share tokens the border runs through the middle
    of what they share, so that each is read with at least ``overlap // 2`` tokens on both sides, as far
    as the text goes. The last window is moved back to be full. ``overlap`` must be below ``size``.
    """
    if n <= size:
        return [Window(0, n, 0, n)]
    step = size - overlap
    starts = [*range(0, n - size, step), n - size]
    borders = [0] + [(before + size + after + 1) // 2 for before, after in pairwise(starts)] + [n]
    return [Window(start, start + size, borders[i], borders[i + 1]) for i, start in enumerate(starts)]
