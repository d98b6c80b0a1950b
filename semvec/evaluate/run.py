"""The examination of models on data, by one of the tasks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

from semvec.encoders.catalog import find_model, load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError, TextsCut
from semvec.evaluate.report import Answers, Line, Report
from semvec.evaluate.task import AnyTask, EvaluateOptions, Found
from semvec.evaluate.tasks import task_named
from semvec.measures.intervals import FEWEST, Difference, Interval, differences
from semvec.text.columns import data_name, split_file
from semvec.types import JSON, Progress, Step

Models = Mapping[str, Encoder] | Sequence[str]
"""Encoders by names of one's own, or names of models to load."""


def evaluate(
    task: str,
    models: Models,
    data: str | os.PathLike[str],
    options: EvaluateOptions | None = None,
    *,
    load: Callable[[str], Encoder] = load_encoder,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = lambda step: None,
) -> Report:
    """Return what each of ``models`` does on ``data`` (a file or a folder) by the task called ``task``.

    Models that are named are loaded by ``load`` one after the other, and only one is in memory. With ``output``, a folder,
    the report is kept there with what every model said of every example (`Answers`). ``progress`` is told what is done.
    Raises `InputError` where the data cannot be read or asked about, `LevelError` or `OptionError` where a model cannot
    give what the task wants, `OutputExists` where there is a report already.
    """
    return evaluate_each(task, models, [data], options, load=load, output=output, overwrite=overwrite, progress=progress)[0]


def evaluate_each(
    task: str,
    models: Models,
    data: Sequence[str | os.PathLike[str]],
    options: EvaluateOptions | None = None,
    *,
    load: Callable[[str], Encoder] = load_encoder,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = lambda step: None,
) -> list[Report]:
    """Return the report of `evaluate` for each of ``data``; all are read before, and every model is loaded once."""
    chosen, options = task_named(task), EvaluateOptions() if options is None else options
    if not isinstance(options, EvaluateOptions):
        raise OptionError(f"options must be EvaluateOptions(…), not {type(options).__name__}")
    if isinstance(models, str) or not models:
        raise OptionError("models must be a list of names, or encoders by their names: evaluate('sts', ['minilm'], path)")
    places = [Path(place) for place in data]
    folders = [None] * len(places) if output is None else _folders(Path(output), task, places)
    if not isinstance(models, Mapping):
        for name in models:
            find_model(name)  # a name that is none is worth knowing before an hour's work
    with ExitStack() as stack:
        kept = [None if its is None else stack.enter_context(Answers.kept(its, overwrite=overwrite)) for its in folders]
        sets = [_Examined(chosen, place, options, its, progress) for place, its in zip(places, kept, strict=True)]
        for one in sets:
            one.ask_baselines()
        for name, encoder in _loaded(models, load):
            for one in sets:
                one.ask(name, encoder)
            del encoder
        return [one.report() for one in sets]


class _Examined:
    """One set of data, and what has been found on it so far."""

    def __init__(self, task: AnyTask, place: Path, options: EvaluateOptions, answers: Answers | None, progress: Progress) -> None:
        if not place.exists():
            raise InputError(f"{place}: is not there; {task.name} wants {task.layout}")
        if options.split is not None and not place.is_dir():
            raise OptionError(f"{place} is a file, so there is no part {options.split!r} to choose")
        self.task, self.place, self.options, self.answers, self.progress = task, place, options, answers, progress
        self.examples = task.read(place, options)
        self.found: dict[str, Found] = {}
        self.simple: dict[str, Found] = {}
        self.fingerprints: dict[str, Mapping[str, JSON]] = {}
        self.missing: list[str] = []

    def ask_baselines(self) -> None:
        """Find what the simple baselines do."""
        if not self.options.baselines:
            return
        self.progress(Step(f"baselines on {self.place.name}", 0, None, "texts"))
        try:
            self.simple = dict(self.task.baselines(self.examples, self.options))
        except InputError as error:
            self.missing.append(f"no baseline: {error}")
        self.simple = {name: self._kept(name, found) for name, found in self.simple.items()}

    def ask(self, name: str, encoder: Encoder) -> None:
        """Find what ``encoder`` does, called ``name``."""
        stage = f"{name} on {self.place.name}"
        told = encoder.with_options(progress=lambda done, total: self.progress(Step(stage, done, total, "texts")))
        with _cuts_noted() as notes:
            found = self.task.examine(told, self.examples, self.options)
        name = name if name not in self.simple else f"{name} (model)"
        self.found[name] = self._kept(name, replace(found, notes=(*found.notes, *notes)))
        self.fingerprints[name] = encoder.fingerprint.to_json()

    def _kept(self, name: str, found: Found) -> Found:
        """Return ``found`` without the answers, which may be many, after they are written."""
        note = self.answers.write(name, found) if self.answers is not None else None
        return replace(found, notes=(*found.notes, note) if note else found.notes, answers=tuple, run=None)

    def report(self) -> Report:
        """Return what was found, with intervals and differences."""
        lines = [line for name, its in (self.found | self.simple).items() if (line := self._line(name, its))]
        if self.missing:
            lines[0] = replace(lines[0], notes=(*lines[0].notes, *self.missing))
        heeded = {name: getattr(self.options, name) for name in ("split", "seed", "resamples", *self.task.options)}
        asked = split_file(self.place, *self.options.splits, suffixes=self.task.suffixes) if self.task.suffixes else self.place
        count = self.task.count(self.examples)
        made = Report(
            task=self.task.name,
            data=str(asked),
            examples=count,
            size=f"{count:,} {self.task.unit}{self.task.size(self.examples)}",
            unit=self.task.unit,
            measure=next(iter(lines[0].measures)),
            lines=tuple(lines),
            differences=tuple(self._differences([line.model for line in lines if line.baseline])),
            options=heeded,
            semvec=version("semvec"),
        )
        if self.answers is not None:
            self.answers.end(made)
        return made

    def _line(self, name: str, found: Found) -> Line | None:
        """Return what is said of a model, None for a baseline that has no value."""
        intervals: dict[str, Interval] = {}
        try:
            for at, its in enumerate(found.outcomes):
                self.progress(Step(f"intervals of {name}", at, len(found.outcomes), "measures"))
                intervals[its.measure] = its.interval(seed=self.options.seed, resamples=self.options.resamples)
        except InputError as error:
            if name in self.found:
                raise InputError(f"{name} on {self.place}: {error}") from None
            self.missing.append(f"no baseline {name}: {error}")
            return None
        notes = found.notes
        if (units := found.outcomes[0].units) < FEWEST:
            notes = (
                *notes,
                f"only {units:,} {'example' if units == 1 else 'examples'} to draw from: the intervals are too narrow",
            )
        return Line(name, intervals, notes, len(found.outcomes[0].examples), self.fingerprints.get(name))

    def _differences(self, baselines: Sequence[str]) -> list[Difference]:
        """Return how all models differ from each other, then each from the best of ``baselines``."""
        firsts = {name: its.outcomes[0] for name, its in (self.found | self.simple).items()}
        compared = partial(differences, firsts, seed=self.options.seed, resamples=self.options.resamples)
        found = compared(list(combinations(self.found, 2)))
        if baselines:
            best = max(baselines, key=lambda name: firsts[name].value)
            found += compared([(name, best) for name in self.found])
        return found


@contextmanager
def _cuts_noted() -> Iterator[list[str]]:
    """Give a list of what is said about texts that were cut, so that it stands beside the numbers."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TextsCut)
        yield notes
    for its in caught:
        if isinstance(its.message, TextsCut):
            notes.append(str(its.message))
        else:
            warnings.warn_explicit(its.message, its.category, its.filename, its.lineno)


def _folders(output: Path, task: str, places: Sequence[Path]) -> list[Path]:
    """Return where the reports on ``places`` are kept, ``output/task-name`` each."""
    names = [f"{task}-{data_name(place)}" for place in places]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(f"two reports would be called {output / twice}: evaluate one after the other, into two folders")
    return [output / name for name in names]


def _loaded(models: Models, load: Callable[[str], Encoder]) -> Iterator[tuple[str, Encoder]]:
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for name in dict.fromkeys(models):
        yield name, load(name)
