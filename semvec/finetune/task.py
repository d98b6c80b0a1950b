"""What a task is: how its examples are read, what its head learns of them, and what its answers are worth."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError
from semvec.finetune.heads import Head
from semvec.finetune.options import MOST_LAYERS, RANGES, FinetuneOptions, HeadKind, Scheme, check_range, schedule_of
from semvec.finetune.windows import Reader, Window
from semvec.measures.intervals import Outcome
from semvec.types import JSON, Pooling

Logits = NDArray[np.float32]
Answer = Mapping[str, JSON]
"""What is said of one example, as JSON."""


class Examples(Protocol):
    """A dataclass of lists of equal length, an example a place."""

    def __len__(self) -> int: ...


Kind = TypeVar("Kind", bound=Examples)
SHOWN = {
    "texts": "text",
    "words": "words",
    "first": "sentence1",
    "second": "sentence2",
    "questions": "question",
    "ids": "id",
    "sources": "source",
}
"""What of an example is shown, and how it is called there."""


@dataclass(frozen=True)
class HeadConfig:
    """What has to be known of a head to build it again and to read what it says.

    ``labels`` in the order of the logits; ``scored`` a head of one number, ``unanswerable`` one that may find nothing; the
    rest as in `FinetuneOptions`.
    """

    labels: tuple[str, ...] = ()
    many: bool = False
    scored: bool = False
    unanswerable: bool = False
    scheme: Scheme = Scheme.BIO
    crf: bool = False
    pooling: Pooling = Pooling.MEAN
    layers: tuple[int, ...] = (-1,)
    max_tokens: int = 512
    dropout: float = 0.1
    head: HeadKind = HeadKind.LINEAR
    keep: float = 0.5
    experts: int = 4
    expert_dim: int = 96
    capacity: float = 1.0
    prune: tuple[tuple[int, float], ...] = ()

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: JSON) -> HeadConfig:
        """Return what `to_json` gave; `KeyError`, `TypeError` or `ValueError` where it is not that."""
        known = {field.name: record[field.name] for field in fields(cls)}
        known |= {"labels": tuple(map(str, known["labels"])), "layers": tuple(map(int, known["layers"]))}
        known["prune"] = schedule_of(known["prune"])
        for name in known.keys() & RANGES.keys():
            check_range(name, known[name])
        for name in ("many", "scored", "unanswerable", "crf"):
            if not isinstance(known[name], bool):
                raise ValueError(f"{name} is {known[name]!r:.40}")
        if not known["layers"] or max(map(abs, known["layers"])) > MOST_LAYERS:
            raise ValueError(f"no layers {known['layers']!r:.40}")
        its = {"scheme": Scheme(known["scheme"]), "pooling": Pooling(known["pooling"]), "head": HeadKind(known["head"])}
        return cls(**{**known, **its})


@dataclass(frozen=True)
class ClassRow:
    """How well one class is found: precision, recall and F1, and how many of it there are."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Findings:
    """What answers are worth: an outcome a measure, the first being what is chosen by; a row a class; who was taken for whom.

    ``confusion`` (classes, classes) counts gold (rows) against said (columns), of ``classes``.
    """

    outcomes: tuple[Outcome, ...]
    rows: tuple[ClassRow, ...] = ()
    classes: tuple[str, ...] = ()
    confusion: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """What each measure comes to."""
        return {its.measure: its.value for its in self.outcomes}

    def by(self, measure: str | None) -> Outcome:
        """Return the outcome of ``measure``, the first where there is none so called."""
        return next((its for its in self.outcomes if its.measure == measure), self.outcomes[0])


class Task(ABC, Generic[Kind]):
    """One kind of task, without state: what was learnt of the labels is its configuration."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".csv", ".jsonl", ".parquet")

    @abstractmethod
    def measures(self, config: Any) -> tuple[str, ...]:
        """Return the names of the measures, the one that is chosen by first."""

    @abstractmethod
    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Kind:
        """Return the labelled examples of a file; `InputError`, naming the line, for what is none."""

    @abstractmethod
    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Kind:
        """Return the examples of a file without their labels."""

    @abstractmethod
    def check(self, examples: Kind, config: Any, where: str) -> None:
        """Raise `InputError` where a label of ``examples`` is none of those learnt."""

    def labels_of(self, examples: Kind, config: Any) -> set[str]:
        """Return the labels of ``examples``, where a task has labels."""
        return set()

    @abstractmethod
    def findings(self, examples: Kind, answers: Sequence[Answer], config: Any) -> Findings:
        """Return what ``answers`` are worth."""

    def simplest(self, examples: Kind, config: Any) -> tuple[str, list[Answer]] | None:
        """Return the simplest answers there are to ``examples``, and what they are; None where there are none."""
        return None

    def shown(self, examples: Kind, at: int) -> dict[str, JSON]:
        """Return what example ``at`` is, without its label."""
        return {name: getattr(examples, field)[at] for field, name in SHOWN.items() if hasattr(examples, field)}

    def strata(self, examples: Kind) -> Sequence[str] | None:
        """Return what should be spread evenly when examples are split off, a name an example."""
        return None

    def groups(self, examples: Kind) -> Sequence[str] | None:
        """Return what must not be torn apart when examples are split off, a name an example."""
        return None


class HeadTask(Task[Kind]):
    """A task that a head does, on what an encoder makes of windows of tokens."""

    default_layers: ClassVar[tuple[int, ...]] = (-1,)
    frozen_layers: ClassVar[tuple[int, ...]] = (-1,)
    reads: ClassVar[int | None] = None
    """Tokens that are read at once, where the encoder has positions for so many; None is as the encoder does it."""

    @abstractmethod
    def config(self, examples: Kind, options: FinetuneOptions) -> HeadConfig:
        """Return what the head is to know of ``examples``; `InputError` where nothing can be learnt of them."""

    @abstractmethod
    def head(self, config: HeadConfig, dim: int, options: FinetuneOptions, examples: Kind | None = None) -> Head:
        """Return a new head for vectors of ``dim`` numbers."""

    @abstractmethod
    def windows(self, examples: Kind, reader: Reader, config: HeadConfig, *, labelled: bool) -> list[Window]:
        """Return what the encoder is to read of ``examples``, at least a window each."""

    @abstractmethod
    def answers(
        self, logits: Sequence[Logits], windows: Sequence[Window], examples: Kind, config: HeadConfig, head: Head
    ) -> list[Answer]:
        """Return what ``logits``, those of each of ``windows``, say of every example."""


def take(examples: Kind, rows: Iterable[int]) -> Kind:
    """Return the examples at ``rows``."""
    chosen = list(rows)
    its = {field.name: [getattr(examples, field.name)[row] for row in chosen] for field in fields(examples)}  # type: ignore[arg-type]
    return type(examples)(**its)


def split_off(task: Task[Kind], examples: Kind, share: float, seed: int) -> tuple[Kind, Kind]:
    """Return ``examples`` without a ``share`` of them, and these, drawn by ``seed``.

    Labels are spread evenly over both; examples of one group (an article) are not torn apart. Raises `InputError` where
    there is nothing to split.
    """
    n, rng = len(examples), np.random.default_rng(seed)
    if n < 2:
        raise InputError("one example alone cannot be split into training and validation: name --validation FILE")
    wanted = min(max(1, round(share * n)), n - 1)
    groups = task.groups(examples)
    if groups is not None and len(set(groups)) > 1:
        names, counts = np.unique(np.array(groups), return_counts=True)
        order = rng.permutation(len(names))
        before = np.cumsum(counts[order]) - counts[order]
        held = set(names[order[:-1][before[:-1] < wanted]].tolist())
        off = [row for row in range(n) if groups[row] in held]
    else:
        off = _evenly(task.strata(examples) or [""] * n, wanted, rng)
    chosen = set(off)
    return take(examples, (row for row in range(n) if row not in chosen)), take(examples, off)


def _evenly(strata: Sequence[str], wanted: int, rng: np.random.Generator) -> list[int]:
    """Return ``wanted`` rows, spread evenly over ``strata``, none of which loses its only one."""
    order = rng.permutation(len(strata))
    order = order[np.argsort(np.array(strata)[order], kind="stable")]
    names, counts = np.unique(np.array(strata), return_counts=True)
    single = {str(name) for name, count in zip(names, counts, strict=True) if count == 1}
    able = [int(row) for row in order if strata[row] not in single] or [int(row) for row in order]
    wanted = min(wanted, len(able))
    return sorted(able[int((at + 0.5) * len(able) / wanted)] for at in range(wanted))


def mean_by_owner(values: Sequence[Logits], windows: Sequence[Window], count: int) -> Logits:
    """Return the mean (count, n) of the ``values`` (n,) of the windows of every example."""
    owners = np.array([window.owner for window in windows])
    sums = np.zeros((count, len(values[0])), dtype=np.float64)
    np.add.at(sums, owners, np.stack(values))
    return np.asarray(sums / np.bincount(owners, minlength=count)[:, None], dtype=np.float32)


def class_rows(gold: NDArray[np.int64], said: NDArray[np.int64], classes: Sequence[str]) -> tuple[ClassRow, ...]:
    """Return a row for every class, ``gold`` and ``said`` (n,) being their numbers."""
    n = len(classes)
    right = np.bincount(gold[gold == said], minlength=n)
    return rows_of(right, np.bincount(said, minlength=n), np.bincount(gold, minlength=n), classes)


def rows_of(right: Any, said: Any, true: Any, classes: Sequence[str]) -> tuple[ClassRow, ...]:
    """Return a row for every class, of which so many were found rightly, said and there."""
    found = []
    for name, r, s, t in zip(classes, right, said, true, strict=True):
        found.append(ClassRow(name, float(r / max(s, 1)), float(r / max(t, 1)), float(2 * r / max(s + t, 1)), int(t)))
    return tuple(found)
