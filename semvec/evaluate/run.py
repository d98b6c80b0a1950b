"""Tasks by their names, and the examination of several models by one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from itertools import combinations
from pathlib import Path

from semvec.encoders.catalog import find_model, load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.evaluate.intervals import Difference, Interval, differences
from semvec.evaluate.task import AnyTask, EvaluateOptions, Found
from semvec.text.columns import split_file
from semvec.types import JSON, did_you_mean

TASKS = {
    "sts": "semvec.evaluate.sts:TASK",
    "words": "semvec.evaluate.word_tasks:WORDS",
    "analogy": "semvec.evaluate.word_tasks:ANALOGY",
    "wic": "semvec.evaluate.wic:TASK",
    "retrieval": "semvec.evaluate.retrieval:TASK",
    "classify": "semvec.evaluate.classify:TASK",
    "cluster": "semvec.evaluate.cluster:TASK",
    "pairs": "semvec.evaluate.pairs:TASK",
    "tagging": "semvec.evaluate.tagging:TASK",
}


@dataclass(frozen=True)
class Line:
    """What was found of one model: every measure with its interval; ``baseline`` where it is none of the models asked for."""

    model: str
    measures: Mapping[str, Interval]
    notes: tuple[str, ...]
    baseline: bool


@dataclass(frozen=True)
class Report:
    """What several models do on the same data: a line each, and how they compare by ``measure``.

    All pairs of models are compared, and each with the best of the baselines, Holm's correction made for either kind.
    """

    task: str
    data: str
    size: str
    unit: str
    measure: str
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    options: Mapping[str, JSON]

    def to_json(self) -> dict[str, JSON]:
        """Return all of it as JSON has it."""
        return {
            "task": self.task,
            "data": self.data,
            "size": self.size,
            "unit": self.unit,
            "models": [
                asdict(line) | {"measures": {name: asdict(its) for name, its in line.measures.items()}} for line in self.lines
            ],
            "differences": [{**asdict(its), "measure": self.measure, "shown": its.shown} for its in self.differences],
            "options": dict(self.options),
        }


def task_named(name: str) -> AnyTask:
    """Return the task called ``name``; raise `OptionError` listing those there are."""
    if name not in TASKS:
        raise OptionError(f"no task {name!r}{did_you_mean(name, list(TASKS))}: there are {', '.join(TASKS)}")
    module, _, attribute = TASKS[name].partition(":")
    task: AnyTask = getattr(import_module(module), attribute)
    return task


def evaluate(
    task: str,
    models: Mapping[str, Encoder] | Sequence[str],
    data: str | os.PathLike[str],
    options: EvaluateOptions | None = None,
    *,
    device: str | None = None,
    watch: Callable[[str], None] = lambda what: None,
) -> Report:
    """Return what each of ``models`` (encoders by their names, or names to load) does on ``data`` by the task called ``task``.

    Models that are named are loaded one after the other, and only one is in memory. ``watch`` is told what is being done.
    Raises `InputError` where the data cannot be read or asked about, `LevelError` or `OptionError` where a model cannot
    give what the task wants.
    """
    chosen, options = task_named(task), options or EvaluateOptions()
    if isinstance(models, str) or not models:
        raise OptionError("models must be a list of names, or encoders by their names: evaluate('sts', ['minilm'], path)")
    place = Path(data)
    if not place.exists():
        raise InputError(f"{place}: is not there; {task} wants {chosen.layout}")
    if options.split is not None and not place.is_dir():
        raise OptionError(f"{place} is a file, so there is no part {options.split!r} to choose")
    if not isinstance(models, Mapping):
        for name in models:
            find_model(name)  # a name that is none is worth knowing before an hour's work
    examples = chosen.read(place, options)
    watch(f"baselines on {place.name}")
    simple: Mapping[str, Found] = {}
    missing: tuple[str, ...] = ()
    try:
        simple = chosen.baselines(examples, options) if options.baselines else {}
    except InputError as error:
        missing = (f"no baseline: {error}",)
    found: dict[str, Found] = {}
    for name, encoder in _loaded(models, device):
        watch(f"{name} on {place.name}")
        found[name if name not in simple else f"{name} (model)"] = chosen.examine(encoder, examples, options)
        del encoder
    lines, firsts = [], {}
    for name, its in [*found.items(), *simple.items()]:
        watch(f"intervals of {name}")
        try:
            intervals = {one.measure: one.interval(seed=options.seed, resamples=options.resamples) for one in its.outcomes}
        except InputError as error:
            if name in found:
                raise InputError(f"{name} on {place}: {error}") from None
            missing = (*missing, f"no baseline {name}: {error}")
            continue
        lines.append(Line(name, intervals, its.notes, name not in found))
        firsts[name] = its.outcomes[0]
    if missing:
        lines[0] = replace(lines[0], notes=(*lines[0].notes, *missing))
    compared = differences(firsts, list(combinations(found, 2)), seed=options.seed, resamples=options.resamples)
    able = [name for name in simple if name in firsts]
    if able:
        best = max(able, key=lambda name: firsts[name].value)
        compared += differences(firsts, [(name, best) for name in found], seed=options.seed, resamples=options.resamples)
    measure = next(iter(firsts.values())).measure
    heeded = {name: getattr(options, name) for name in ("split", "seed", "resamples", *chosen.options)}
    size = chosen.sizes(examples)
    asked = split_file(place, *options.splits, suffixes=chosen.suffixes) if chosen.suffixes else place
    return Report(task, str(asked), size, chosen.unit, measure, tuple(lines), tuple(compared), heeded)


def _loaded(models: Mapping[str, Encoder] | Sequence[str], device: str | None) -> Iterator[tuple[str, Encoder]]:
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for name in dict.fromkeys(models):
        yield name, load_encoder(name, device=device)
