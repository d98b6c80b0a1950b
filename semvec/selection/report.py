"""What became of the tokens in a layer of experts: how many each took, how many none did, and which are typical of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from semvec.types import JSON

SHOWN = 6
"""Typical tokens of each expert of which is said how often the other ones took them."""

SEEN = 3
"""How often a token must have come before it can be typical of an expert."""


@dataclass(frozen=True)
class TextRouting:
    """One text: its tokens' ``surfaces``, which experts ``took`` each (experts, tokens), their ``gates`` (tokens, experts)."""

    surfaces: Sequence[str]
    took: NDArray[np.bool_]
    gates: NDArray[np.float32]


@dataclass(frozen=True)
class Typical:
    """A token, how often an expert took it, and how often it came."""

    token: str
    taken: int
    seen: int


@dataclass(frozen=True)
class RoutingReport:
    """What became of ``tokens`` tokens of ``texts`` texts.

    ``per_expert`` how many each expert took; ``left_behind`` the share that none took, ``by_several`` the share that more than
    one did; ``entropy`` how undecided the router is, the mean over all tokens, from 0 to 1 (every expert alike); ``typical``
    of each expert the tokens that it takes oftener than others do. Of the first few of these, ``words``, each expert took the
    ``shares`` (experts, words) of all times that they came.
    """

    texts: int
    tokens: int
    per_expert: tuple[int, ...]
    left_behind: float
    by_several: float
    entropy: float
    typical: tuple[tuple[Typical, ...], ...]
    words: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]

    def to_json(self) -> JSON:
        """Return the report as JSON."""
        return asdict(self)


class RoutingTally:
    """Counts what becomes of the tokens of one text after the other."""

    def __init__(self) -> None:
        self.texts = self.tokens = self.several = self.none = 0
        self.entropy, self.taken, self.seen = 0.0, list[Counter[str]](), Counter[str]()

    def add(self, its: TextRouting) -> None:
        """Count the tokens of a text."""
        times = its.took.sum(axis=0)
        self.texts, self.tokens = self.texts + 1, self.tokens + len(its.surfaces)
        self.none, self.several = self.none + int((times == 0).sum()), self.several + int((times > 1).sum())
        shares = np.maximum(its.gates.astype(np.float64), 1e-12)
        self.entropy += float(-(shares * np.log(shares)).sum())
        words = [surface.casefold() for surface in its.surfaces]
        self.seen.update(words)
        self.taken = self.taken or [Counter() for _ in its.took]
        for counts, row in zip(self.taken, its.took, strict=True):
            counts.update(word for word, yes in zip(words, row, strict=True) if yes)

    def report(self, *, most: int = 10) -> RoutingReport:
        """Return what became of all tokens, with the ``most`` typical ones of each expert."""
        tokens = max(self.tokens, 1)
        typical = tuple(_typical(counts, self.seen, self.tokens, most) for counts in self.taken)
        words = tuple(dict.fromkeys(one.token for its in typical for one in its[:SHOWN]))
        return RoutingReport(
            self.texts,
            self.tokens,
            tuple(counts.total() for counts in self.taken),
            self.none / tokens,
            self.several / tokens,
            float(self.entropy / tokens / np.log(max(len(self.taken), 2))),
            typical,
            words,
            tuple(tuple(counts[word] / self.seen[word] for word in words) for counts in self.taken),
        )


def routing_report(routings: Iterable[TextRouting], *, most: int = 10) -> RoutingReport:
    """Return what became of the tokens of some texts, with the ``most`` typical tokens of each expert."""
    tally = RoutingTally()
    for its in routings:
        tally.add(its)
    return tally.report(most=most)


def _typical(counts: Counter[str], seen: Counter[str], tokens: int, most: int) -> tuple[Typical, ...]:
    """Return the tokens an expert takes more often than it takes tokens at all, the surest first (by the z of the share)."""
    rate = counts.total() / max(tokens, 1)
    found = [
        ((taken - rate * seen[token]) / np.sqrt(max(rate * (1 - rate) * seen[token], 1e-9)), Typical(token, taken, seen[token]))
        for token, taken in counts.items()
        if seen[token] >= SEEN
    ]
    found.sort(key=lambda pair: (-pair[0], pair[1].token))
    return tuple(typical for z, typical in found[:most] if z > 0)
