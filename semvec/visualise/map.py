"""What is drawn: points with their texts, columns and true neighbours, seen in one or more ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semvec.visualise.column import Column
from semvec.visualise.honesty import Honesty
from semvec.visualise.near import Near

SAMPLE = 2000
"""Points of a group that are looked at for where it is densest."""

MOSTLY = 0.5
"""A point less than such a share of whose neighbours on the map are true is faded, where that is asked for."""


@dataclass(frozen=True, eq=False)
class View:
    """Where the points stand (n, 2), how true that is, what was done (``about``: "umap, 15 neighbours, seed 0") and of what."""

    name: str
    points: NDArray[np.float32]
    honesty: Honesty
    about: str

    @property
    def caution(self) -> str:
        """What not to read from the map; PCA keeps directions."""
        return "" if self.about == "PCA" else "distances and directions between groups mean little"


@dataclass(frozen=True, eq=False)
class Map:
    """``views`` of the same n points, each with an id, a text and its nearest others in the original space (of the first view).

    ``cosine`` says whether distances are those of vectors of length 1. ``colour`` names the one of ``columns`` that points are
    coloured by, ``named`` the one whose values are written on the map.
    """

    title: str
    views: tuple[View, ...]
    ids: Sequence[str]
    texts: Sequence[str]
    near: Near
    cosine: bool = True
    columns: Mapping[str, Column] = field(default_factory=dict)
    colour: str | None = None
    named: str | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def labels(self, view: View, most: int) -> list[tuple[str, float, float]]:
        """Return the ``most`` frequent values of the column ``named``, and where most of their points stand close together."""
        if self.named is None:
            return []
        column = self.columns[self.named]
        middles = (_densest(view.points[column.codes == at]) for at in range(len(column.values[:most])))
        return [(name, float(x), float(y)) for (name, _), (x, y) in zip(column.values, middles, strict=False) if name]


def _densest(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the one of ``points`` (n, 2) that has a fifth of the others nearest around it."""
    from scipy.spatial import cKDTree

    if len(points) > SAMPLE:
        points = points[np.random.default_rng(0).choice(len(points), SAMPLE, replace=False)]
    part = max(1, len(points) // 5)
    row = int(cKDTree(points).query(points, [part])[0][:, 0].argmin())
    return np.asarray(points[row])
