"""A memory of examples that does not grow: every one so far with the same chance to be in it, or as many of every label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.continual.options import Selection
from semvec.types import JSON


@dataclass(frozen=True)
class Remembered:
    """One example: its text, its label, and the logits that it had when its task was learnt, where these are kept."""

    text: str
    label: str
    said: NDArray[np.float32] | None = None


@dataclass
class Memory:
    """At most ``size`` of the examples that were told to it, chosen by ``selection``.

    ``seen`` counts them, by label; ``full`` are labels of which it held as many as of any other when it was full.
    """

    size: int
    selection: Selection
    seed: int
    kept: list[Remembered] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    full: set[str] = field(default_factory=set)

    def add(self, examples: Iterable[Remembered]) -> None:
        """Remember ``examples``, or forget others for them; the same ones for the same seed and order."""
        for one in examples:
            rng = np.random.default_rng((self.seed, self.seen.total()))
            self.seen[one.label] += 1
            if len(self.kept) < self.size:
                self.kept.append(one)
            elif (place := (self._by_chance if self.selection == Selection.RESERVOIR else self._evenly)(one, rng)) is not None:
                self.kept[place] = one

    def _by_chance(self, one: Remembered, rng: np.random.Generator) -> int | None:
        """Return whose place an example takes, if any: of n so far each is kept by size / n (Vitter's algorithm R, 1985)."""
        place = int(rng.integers(self.seen.total()))
        return place if place < self.size else None

    def _evenly(self, one: Remembered, rng: np.random.Generator) -> int | None:
        """Return whose place an example takes: of the label with most, or its own if that is full (Chrysakis and Moens, 2020)."""
        counts = Counter(its.label for its in self.kept)
        most = max(counts.values())
        self.full |= {label for label, count in counts.items() if count == most}
        if one.label not in self.full:
            largest = min(label for label, count in counts.items() if count == most)
            places = [at for at, its in enumerate(self.kept) if its.label == largest]
            return places[int(rng.integers(len(places)))]
        if rng.random() >= counts[one.label] / self.seen[one.label]:
            return None
        places = [at for at, its in enumerate(self.kept) if its.label == one.label]
        return places[int(rng.integers(len(places)))]

    @property
    def bytes(self) -> int:
        """How much room it takes: texts and labels in UTF-8, and logits."""
        texts = sum(len(one.text.encode("utf-8", "surrogatepass")) + len(one.label.encode()) for one in self.kept)
        return texts + sum(0 if one.said is None else one.said.nbytes for one in self.kept)

    def to_json(self) -> JSON:
        """Return the memory as JSON."""
        kept = [{"text": one.text, "label": one.label, "said": _listed(one.said)} for one in self.kept]
        return {"seen": dict(self.seen), "full": sorted(self.full), "kept": kept}

    def restore(self, record: Any) -> None:
        """Become what `to_json` gave; `KeyError`, `TypeError` or `ValueError` where it is not that."""
        self.seen = Counter({str(label): int(count) for label, count in record["seen"].items()})
        self.full = set(map(str, record["full"]))
        self.kept = [
            Remembered(
                str(one["text"]), str(one["label"]), None if one["said"] is None else np.array(one["said"], dtype=np.float32)
            )
            for one in record["kept"]
        ]


def _listed(said: NDArray[np.float32] | None) -> list[float] | None:
    return None if said is None else [float(one) for one in said]
