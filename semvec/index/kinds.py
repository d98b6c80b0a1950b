"""The kinds of index there are, and which suits how many vectors."""

from __future__ import annotations

from dataclasses import dataclass

from semvec.errors import OptionError
from semvec.types import did_you_mean

WHOLE = 16
"""The bits of a number that is kept as float16."""

BITS = (1, 2, 4, WHOLE)
"""The bits that a number of a token's vector may be kept in."""

EXACT_UP_TO = 20_000_000
"""Numbers in all vectors up to which they are searched exactly unless asked otherwise: 50,000 × 384 take 5 milliseconds."""

GRAPH_UP_TO = 5_000_000
"""Vectors up to which a graph is made unless asked otherwise: quicker than lists at any recall, but it is built in memory."""


@dataclass(frozen=True)
class Kind:
    """One kind of index.

    ``factory`` is FAISS's description with ``{lists}`` and ``{parts}`` to fill in, empty for the exact one;
    ``refine`` how many candidates for each hit are scored again by
    the stored vectors, 1 where the index keeps them as they are; ``least`` how many vectors it must have to learn from.
    """

    name: str
    factory: str
    about: str
    refine: int = 1
    least: int = 1

    @property
    def has_lists(self) -> bool:
        """Whether only some lists of it are looked through (``nprobe``)."""
        return self.factory.startswith("IVF")

    def describe(self, rows: int, dim: int) -> str:
        """Return FAISS's description for ``rows`` vectors of ``dim`` numbers."""
        return self.factory.format(lists=lists_for(rows), parts=parts_for(dim))


KINDS = {
    kind.name: kind
    for kind in (
        Kind("flat", "", "exact"),
        Kind("ivf", "IVF{lists},Flat", "lists of near vectors, kept as they are"),
        Kind("sq8", "SQ8", "every vector, a byte a number", 4),
        Kind("ivf-sq8", "IVF{lists},SQ8", "lists, a byte a number", 4),
        Kind("ivf-pq", "IVF{lists},PQ{parts}x8", "lists, product quantisation: a byte for eight numbers", 20, 256),
        Kind("rabitq", "IVF{lists},RaBitQ", "lists, a bit a number (RaBitQ)", 20),
        Kind("hnsw", "HNSW32,SQ8", "a graph, a byte a number: the quickest", 2),
    )
}
AUTO = "auto"
GOOD = 0.98
"""The recall at 10 that an index is tuned to, unless asked otherwise."""


def choose_kind(name: str, rows: int, dim: int) -> Kind:
    """Return the kind called ``name``; for "auto" one that suits ``rows`` vectors of ``dim`` numbers.

    The exact one as long as it takes milliseconds (`EXACT_UP_TO`), then hnsw, from `GRAPH_UP_TO` vectors on ivf-sq8.
    """
    if name == AUTO:
        return KINDS["flat" if rows * dim <= EXACT_UP_TO else "hnsw" if rows <= GRAPH_UP_TO else "ivf-sq8"]
    if name not in KINDS:
        known = [AUTO, *KINDS]
        raise OptionError(f"index kind {name!r} is unknown: choose from {', '.join(known)}{did_you_mean(name, known)}")
    if 0 < rows < KINDS[name].least:
        raise OptionError(f"an index of kind {name} learns from {KINDS[name].least} vectors at least, and there are {rows}")
    return KINDS[name]


def lists_for(rows: int) -> int:
    """Return how many lists ``rows`` vectors are parted into: about 4 √rows, at least 39 vectors each."""
    return max(1, min(int(4 * rows**0.5), rows // 39))


def parts_for(dim: int) -> int:
    """Return how many parts product quantisation cuts ``dim`` numbers into: as near to dim / 8 as divides it."""
    wanted = max(1, dim // 8)
    return next(parts for parts in range(wanted, 0, -1) if dim % parts == 0)


def check_bits(bits: int) -> int:
    """Return ``bits``; raise `OptionError` where token vectors are not kept in so many."""
    if bits not in BITS:
        raise OptionError(f"bits must be {', '.join(map(str, BITS[:-1]))} or {WHOLE} (float16), not {bits!r}")
    return bits


def code_width(dim: int, bits: int) -> int:
    """Return the bytes of a token vector of ``dim`` numbers, beside the two of its centroid."""
    return -(-dim * bits // 8)
