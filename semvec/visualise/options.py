"""How a map is made."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from semvec.errors import OptionError
from semvec.types import Choice


class Method(Choice):
    """How many dimensions become two."""

    PCA = "pca"
    UMAP = "umap"
    TSNE = "tsne"
    PACMAP = "pacmap"


@dataclass(frozen=True)
class MapOptions:
    """What the methods go by.

    ``neighbours`` are those of a point that UMAP and PaCMAP keep near it, ``min_dist`` is the least distance of points on UMAP's
    map, ``perplexity`` about how many neighbours of a point t-SNE looks at, ``seed`` that of all that is drawn by chance.
    """

    method: Method = Method.UMAP
    neighbours: int = 15
    min_dist: float = 0.1
    perplexity: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.neighbours < 2:
            raise OptionError(f"neighbours must be at least 2, not {self.neighbours!r}")
        if not 0 <= self.min_dist <= 3:
            raise OptionError(f"min_dist must be between 0 and 3, not {self.min_dist!r}")
        if not (isfinite(self.perplexity) and self.perplexity >= 1):
            raise OptionError(f"perplexity must be at least 1, not {self.perplexity!r}")
        if not 0 <= self.seed < 2**31:
            raise OptionError(f"the seed must be between 0 and {2**31 - 1}, not {self.seed!r}")

    @property
    def wants(self) -> int:
        """How many neighbours of each point the method looks at."""
        return int(3 * self.perplexity) if self.method == Method.TSNE else self.neighbours if self.method != Method.PCA else 0
