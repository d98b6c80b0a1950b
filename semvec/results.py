"""What a search gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import overload

from semvec.types import JSON


@dataclass(frozen=True)
class Evidence:
    """A token of a query and the token of a text that is nearest to it: the characters of both, and their cosine ``score``."""

    query_start: int
    query_end: int
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Hit:
    """One item that was found: its ``id``, its ``score`` (the greater the nearer), its text and metadata.

    ``parts`` holds what a score was made of where several were joined: ``{"dense": 0.71, "dense_rank": 1, …}``. ``evidence`` is
    there where token vectors were searched and it was asked for, a piece for every token of the query: a MaxSim is the sum of
    their scores.
    """

    id: str
    score: float
    text: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Hits:
    """What one query found, best first; ``query`` is its text where it had one."""

    hits: tuple[Hit, ...]
    query: str | None = None

    @property
    def ids(self) -> list[str]:
        """The ids, best first."""
        return [hit.id for hit in self.hits]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...

    @overload
    def __getitem__(self, at: slice) -> Hits: ...

    def __getitem__(self, at: int | slice) -> Hit | Hits:
        return Hits(self.hits[at], self.query) if isinstance(at, slice) else self.hits[at]
