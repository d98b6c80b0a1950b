"""What a model that looks things up is worth, beside the same model where nothing is found, and what looking up costs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any

from semvec.augment.described import COSTS
from semvec.augment.kinds import kind_of
from semvec.augment.looks_up import LooksUp
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.report import SPLITS
from semvec.finetune.seen import seen_notes
from semvec.finetune.task import Findings
from semvec.finetune.train import measures_of
from semvec.measures.intervals import differences
from semvec.results import Hits
from semvec.text.columns import split_file
from semvec.types import JSON, Way

FOUND, ALONE = "with what it finds", "where nothing is found"
READS = (
    "this model has learnt to read what is found, so without it it is worse than one trained alone: compare a 'semvec finetune'"
)


@dataclass(frozen=True)
class Examined:
    """What a model's answers are worth with and without what is found, and what these cost.

    ``ms`` are milliseconds a text, spent ``looking`` things up, ``answering`` with them, and answering where nothing is found
    (``alone``); the memory has so many ``items`` and ``bytes``, where the store says.
    """

    found: Mapping[str, Findings]
    ms: Mapping[str, float]
    items: int
    bytes: int | None

    def to_json(self) -> JSON:
        """Return what it costs as JSON."""
        return {"ms": dict(self.ms), "items": self.items, "bytes": self.bytes}


def examined(model: LooksUp, examples: Any, look: Callable[[], list[Hits]] | None = None) -> Examined:
    """Return what ``model`` is worth on labelled ``examples``, with the neighbours that ``look`` gives, and alone."""
    times, found = [perf_counter()], {}
    hits = look() if look else model.look(examples)
    times.append(perf_counter())
    for name, its in ((FOUND, hits), (ALONE, [Hits(())] * len(examples))):
        found[name] = model.measured(examples, its)
        times.append(perf_counter())
    spent = [1e3 * (after - before) / len(examples) for before, after in pairwise(times)]
    memory = model.memory.collection
    return Examined(found, dict(zip(COSTS, spent, strict=True)), memory.count(), memory.info().get("bytes"))


@dataclass(frozen=True)
class Compared:
    """The measures of a model with and without what it finds, on ``size`` examples, what these show, and what to know of it."""

    size: int
    lines: Mapping[str, JSON]
    differences: tuple[str, ...]
    examined: Examined
    notes: tuple[str, ...] = ()


def compared(
    model: LooksUp,
    data: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    seed: int = 0,
) -> Compared:
    """Return what ``model`` is worth on the labelled ``data``: a file, or a folder with test or dev (or ``split``)."""
    task = kind_of(model.described.task).task
    file = split_file(data, *((split,) if split else SPLITS), suffixes=task.suffixes)
    examples = task.read(file, FinetuneOptions(columns=columns or {}))
    notes = [] if model.folder is None else [*seen_notes(model.folder, task, examples)]
    if model.described.way not in (Way.KNN, Way.GATE):
        notes.append(READS)
    its = examined(model, examples)
    outcomes = {name: found.outcomes[0] for name, found in its.found.items()}
    said = tuple(f"{outcomes[FOUND].measure}: {one}" for one in differences(outcomes, seed=seed))
    lines = {name: measures_of(found, seed) for name, found in its.found.items()}
    return Compared(len(examples), lines, said, its, tuple(notes))
