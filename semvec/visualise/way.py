"""What a method of making maps is: how vectors find their places, and how others are put among them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semvec.types import Progress
from semvec.visualise.near import Near, Vectors
from semvec.visualise.options import MapOptions


class Ground(Protocol):
    """A map that points are put on: the places of its own (n, 2), how it was made, and PCA's mean (dim,) and axes (2, dim)."""

    @property
    def points(self) -> Vectors:
        """The places."""

    @property
    def options(self) -> MapOptions:
        """How they were found."""

    @property
    def mean(self) -> NDArray[np.float32]:
        """The mean of the vectors."""

    @property
    def axes(self) -> NDArray[np.float32]:
        """Their two main directions."""


class Way(Protocol):
    """What the module of a method offers."""

    def fit(self, vectors: Vectors, near: Near, options: MapOptions, start: Vectors, progress: Progress | None) -> Vectors:
        """Return the places (n, 2) of ``vectors`` (n, dim), looked for from ``start`` (n, 2) on."""

    def place(self, new: Vectors, near: Near, onto: Ground, progress: Progress | None) -> Vectors:
        """Return the places (m, 2) of ``new`` vectors, whose neighbours on the map are ``near``."""
