"""What an evaluation is made of: data in files, what runs on an encoder, and the simple baselines that stand beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from numbers import Integral
from os import fspath
from pathlib import Path
from typing import Any, Generic, TypeVar

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.evaluate.ranking import RankMeasure, Run
from semvec.measures.intervals import RESAMPLES, Outcome
from semvec.text.columns import SUFFIXES, has_split, split_file
from semvec.types import JSON, Choice

Data = TypeVar("Data")
Examples = TypeVar("Examples", bound=Sized)

MOST = 1_000_000
"""The greatest seed, and the most draws, that anybody has a use for."""


class Mode(Choice):
    """How documents are ranked for a query."""

    DENSE = "dense"
    LATE = "late"
    HYBRID = "hybrid"


@dataclass(frozen=True)
class EvaluateOptions:
    """How models are examined.

    ``split`` is the part of the data that is asked about ("test", and "dev" where there is no test, if None); ``train`` is
    where tasks that learn take their examples from, if not from beside it. ``seed`` decides the draws of the bootstrap, of
    which there are ``resamples``, and every other chance. ``mode`` and ``measures`` are for retrieval, ``shots`` (labelled
    texts a class, 0: all of them) for classification, ``runs`` for what depends on chance: clusterings, draws of shots.
    """

    split: str | None = None
    train: str | None = None
    seed: int = 0
    resamples: int = RESAMPLES
    baselines: bool = True
    mode: Mode = Mode.DENSE
    measures: tuple[str, ...] = ()
    shots: int = 0
    runs: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", Mode(self.mode))
        object.__setattr__(self, "measures", _names(self.measures))
        if self.train is not None:
            object.__setattr__(self, "train", fspath(self.train))
        for name, least in (("seed", 0), ("resamples", 100), ("shots", 0), ("runs", 3)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or (number := int(value)) < least:
                raise OptionError(f"{name} must be a whole number of at least {least}, not {value!r}")
            if number > MOST:
                raise OptionError(f"{name} must be at most {MOST:,}, not {number:,}")
            object.__setattr__(self, name, number)
        if self.split is not None and not re.fullmatch(r"[\w-]+", self.split):
            raise OptionError(f"split must be the name of a part, such as test, not {self.split!r}")

    @property
    def splits(self) -> Sequence[str]:
        """The names the asked part may have, the likeliest first."""
        return (self.split,) if self.split else ("test", "dev")


def _names(measures: str | RankMeasure | Iterable[str | RankMeasure]) -> tuple[str, ...]:
    """Return the names of ``measures``, each of which there is."""
    several = (measures,) if isinstance(measures, str | RankMeasure) else tuple(measures)
    return tuple((one if isinstance(one, RankMeasure) else RankMeasure.named(one)).name for one in several)


@dataclass(frozen=True)
class Parts(Generic[Examples]):
    """The examples that are asked about, and those that are learnt from."""

    asked: Examples
    train: Examples

    def __len__(self) -> int:
        return len(self.asked)


@dataclass(frozen=True)
class Found:
    """What an evaluation found of one model: an outcome a measure, the one that counts first; and what is worth saying.

    ``answers`` gives what the model said of every example, beside what is right, and ``run`` its rankings, where it ranked.
    """

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    answers: Callable[[], Iterable[Mapping[str, JSON]]] = tuple
    run: Run | None = None


@dataclass(frozen=True)
class Task(Generic[Data]):
    """A kind of evaluation. ``unit`` is what its examples are, ``read`` reads them, ``examine`` runs them on an encoder.

    ``measured`` is what it measures, in words, ``count`` how many examples there are, ``size`` how much else.

    ``baselines`` are what needs no encoder: the same measures for TF-IDF, the commonest label, … by their names. ``options``
    are the fields of `EvaluateOptions` that it heeds besides those that all do, and ``suffixes`` those of files that may be
    its parts, none where its data have none or are a folder as a whole.
    """

    name: str
    measured: str
    unit: str
    layout: str
    read: Callable[[Path, EvaluateOptions], Data]
    examine: Callable[[Encoder, Data, EvaluateOptions], Found]
    baselines: Callable[[Data, EvaluateOptions], Mapping[str, Found]]
    options: tuple[str, ...] = ()
    example: str = ""
    suffixes: tuple[str, ...] = SUFFIXES
    count: Callable[[Any], int] = len
    size: Callable[[Data], str] = lambda data: ""


AnyTask = Task[Any]


def train_file(data: Path, options: EvaluateOptions, suffixes: Sequence[str] = SUFFIXES) -> Path | None:
    """Return the file that is learnt from: what ``options`` name, else train beside the data; None where there is neither."""
    if options.train is None and not (data.is_dir() and has_split(data, "train", suffixes)):
        return None
    found = split_file(options.train or data, "train", suffixes=suffixes)
    if found.exists() and found.samefile(split_file(data, *options.splits, suffixes=suffixes)):
        raise InputError(f"{found}: is what is asked about, so nothing may be learnt from it")
    return found


def needed_train_file(data: Path, options: EvaluateOptions, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """Return the same; raise `InputError` where there is none."""
    found = train_file(data, options, suffixes)
    if found is None:
        raise InputError(f"{data}: what to learn from? A folder that holds train{suffixes[0]} too, or --train FILE")
    return found
