"""A column of a map: what its points are coloured by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semvec.types import JSON

NAMED = 200
"""Values that have a name of their own; all others are one."""

LARGEST = 1e300
FEW = 12
"""Whole numbers of so few values are names."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#A6761D")
"""The first six tell apart whoever sees colours otherwise (Okabe and Ito, 2008; their yellow and black are lost on white or black
paper); the last two are for more than six."""

GREY = "#9AA0A6"
"""Values without a name, and points without a value."""

SCALE = (
    "#440154", "#48186a", "#472d7b", "#424086", "#3b528b", "#33638d", "#2c728e", "#26828e", "#21918c",
    "#1fa088", "#28ae80", "#3fbc73", "#5ec962", "#84d44b", "#addc30", "#d8e219", "#fde725",
)  # fmt: skip
"""From small to large (viridis); it reads in grey as well."""


@dataclass(frozen=True, eq=False)
class Column:
    """Values of n points by their ``name``: ``numbers`` (n,), nan where there is none, or ``codes`` (n,) of ``values``.

    Values come with their counts, the most frequent first; code -1 stands for no value or for one of ``others`` more.
    """

    name: str
    codes: NDArray[np.int32]
    values: tuple[tuple[str, int], ...] = ()
    others: int = 0
    numbers: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, name: str, values: Sequence[JSON]) -> Column:
        """Return ``values`` (n,) as a column: of numbers where all are, and there are more than a few of them, else of names."""
        there = [value for value in values if value is not None]
        if there and all(map(_is_number, there)) and (len(set(there)) > FEW or any(its != int(its) for its in there)):
            numbers = np.array([np.nan if value is None else float(value) for value in values])
            return cls(name, np.full(len(values), -1, dtype=np.int32), numbers=numbers)
        named = [None if value is None else _name(value) for value in values]
        counts = Counter(its for its in named if its is not None)
        kept = sorted(counts.items(), key=lambda its: (-its[1], its[0]))[:NAMED]
        code = {value: at for at, (value, _) in enumerate(kept)}
        codes = np.array([-1 if its is None else code.get(its, -1) for its in named], dtype=np.int32)
        return cls(name, codes, tuple(kept), len(counts) - len(kept))

    def colours(self, points: NDArray[np.float32]) -> list[int]:
        """Return for each of the values which of `COLOURS` it has: where they do not suffice, those far from each other on the
        map (``points``, (n, 2)) share one."""
        if len(self.values) <= len(COLOURS):
            return list(range(len(self.values)))
        middles = np.stack([np.median(points[self.codes == at], axis=0) for at in range(len(self.values))])
        given: list[int] = []
        for at, middle in enumerate(middles):
            gaps = np.linalg.norm(middles[:at] - middle, axis=1)
            taken = np.array(given, dtype=np.int64)
            nearest = [gaps[taken == colour].min(initial=np.inf) for colour in range(len(COLOURS))]
            given.append(int(np.argmax(nearest)))
        return given


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST  # nan is not


def _name(value: JSON) -> str:
    return " ".join(str(value).split()) or "(empty)"
