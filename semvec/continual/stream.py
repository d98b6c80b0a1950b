"""A stream that is written down: a TOML file → tasks, and how they are learnt."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from semvec.continual.learner import digest_of
from semvec.continual.options import MEMORY, REPLAYING, STRENGTHS, ContinualOptions, ContinualStrategy
from semvec.continual.task import ContinualTask, Scenario, check_test, new_labels, split_by_labels
from semvec.errors import InputError, MemoryTooLarge, OptionError
from semvec.finetune.options import FinetuneOptions
from semvec.text.columns import has_split, split_file
from semvec.text.examples import read_labelled
from semvec.types import check_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KEYS = (
    "model",
    "scenario",
    "strategy",
    "strategies",
    "seed",
    "seeds",
    "repeats",
    "columns",
    "data",
    "tasks",
    "split_seed",
    "task",
    "options",
    "finetune",
)
TASK_KEYS = ("name", "train", "test")
TESTS = ("test", "dev", "validation")


@dataclass(frozen=True)
class Stream:
    """Tasks in their order, what learns them, and how often: by each of ``strategies`` with each of ``seeds``."""

    model: str
    tasks: tuple[ContinualTask, ...]
    strategies: tuple[ContinualStrategy, ...]
    seeds: tuple[int, ...]
    options: ContinualOptions
    repeats: bool = False

    def options_of(self, strategy: ContinualStrategy, seed: int) -> ContinualOptions:
        """Return how ``strategy`` learns with ``seed``."""
        return replace(self.options, strategy=strategy, finetune=self.options.finetune.changed({"seed": seed}))

    @cached_property
    def digests(self) -> list[str]:
        """What tells each task from another one."""
        return [digest_of(task) for task in self.tasks]


def read_stream(file: str | os.PathLike[str]) -> Stream:
    """Return the stream that the TOML ``file`` describes; paths in it begin where it lies.

    It names ``model`` (minilm), ``scenario`` (class), ``strategy`` or ``strategies`` (replay), ``seed`` or ``seeds`` (0), and
    either ``data``, a folder with train and test whose labels are split into ``tasks`` tasks (which are together is decided by
    ``split_seed``), or a ``[[task]]`` for each, with ``name``, ``train`` and ``test``. ``[columns]`` says what label and text
    are called, ``[options]`` are those of `ContinualOptions`, ``[finetune]`` those of `FinetuneOptions`. With ``repeats = true``
    labels that come again mean what they meant.

    All is read and checked: raises `InputError` (`LabelRepeated`) for tasks that do not fit the scenario, `OptionError` for
    names and values that are none, `MemoryTooLarge` for a memory that would hold everything.
    """
    place = Path(file)
    try:
        its: Mapping[str, Any] = tomllib.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise InputError(f"{place}: is no TOML in UTF-8 ({str(error).splitlines()[0]:.120})") from error
    try:
        check_names(its, list(KEYS))
        options = _options(its)
        strategies = tuple(ContinualStrategy(one) for one in _several(its, "strategy", "strategies", "replay"))
        seeds = tuple(_seed(one) for one in _several(its, "seed", "seeds", 0))
        tasks = tuple(_tasks(its, place.parent))
        if options.memory is None:
            options = replace(options, memory=min(MEMORY, max(1, len(tasks[0].train) // 5)))
        stream = Stream(_model(its, place.parent), tasks, strategies, seeds, options, _flag(its, "repeats"))
        for strategy in strategies:
            stream.options_of(strategy, seeds[0])
        if options.strength is not None and len({STRENGTHS[one] for one in strategies if one in STRENGTHS}) > 1:
            raise OptionError("[options] strength: is of another scale for ewc than for lwf; give each a stream of its own")
    except OptionError as error:
        raise type(error)(f"{place}: {error}") from error
    _check(stream, place)
    return stream


def _options(its: Mapping[str, Any]) -> ContinualOptions:
    own, finetune = _table(its, "options"), _table(its, "finetune")
    for name, elsewhere in (("strategy", "strategy or strategies"), ("scenario", "scenario"), ("finetune", "[finetune]")):
        if name in own:
            raise OptionError(f"[options] {name}: is said as {elsewhere}, not there")
    if "seed" in finetune:
        raise OptionError("[finetune] seed: is said as seed or seeds, not there")
    try:
        FinetuneOptions().changed(finetune)
    except OptionError as error:
        raise OptionError(f"[finetune] {error}") from error
    try:
        return ContinualOptions.from_json({"scenario": its.get("scenario", "class"), **own, "finetune": finetune})
    except TypeError as error:
        raise OptionError(f"[options] {error}") from error


def _table(its: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = its.get(name, {})
    if not isinstance(found, dict):
        raise OptionError(f"{name}: a table [{name}] is wanted, not {found!r:.40}")
    return found


def _several(its: Mapping[str, Any], one: str, many: str, default: Any) -> list[Any]:
    """Return what is said once or several times."""
    if one in its and many in its:
        raise OptionError(f"{one} and {many} are both there: name one of them")
    found = its.get(many, [its.get(one, default)])
    if not isinstance(found, list) or not found or len({str(each) for each in found}) < len(found):
        raise OptionError(f"{many}: a list is wanted in which nothing comes twice, not {found!r:.60}")
    return found


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise OptionError(f"a seed is a whole number from 0 to {2**31 - 1}, not {value!r:.40}")
    return value


def _flag(its: Mapping[str, Any], name: str) -> bool:
    value = its.get(name, False)
    if not isinstance(value, bool):
        raise OptionError(f"{name}: true or false is wanted, not {value!r:.40}")
    return value


def _model(its: Mapping[str, Any], folder: Path) -> str:
    value = its.get("model", "minilm")
    if not isinstance(value, str) or not value:
        raise OptionError(f"model: a name or a folder is wanted, not {value!r:.40}")
    return str(folder / value) if (folder / value).exists() else value


def _tasks(its: Mapping[str, Any], folder: Path) -> list[ContinualTask]:
    """Return the tasks that are named, or into which the labels of ``data`` are split."""
    columns = _table(its, "columns") or None
    if ("data" in its) == ("task" in its):
        raise OptionError("name either data, whose labels are split into tasks, or a [[task]] for each")
    if "data" in its:
        return _split(its, folder, columns)
    if wrong := next((name for name in ("tasks", "split_seed") if name in its), None):
        raise OptionError(f"{wrong} goes with data, not with [[task]]")
    if not isinstance(its["task"], list) or not its["task"] or not all(isinstance(one, dict) for one in its["task"]):
        raise OptionError("task: a table [[task]] for each is wanted")
    return [_named(one, at, folder, columns) for at, one in enumerate(its["task"], start=1)]


def _split(its: Mapping[str, Any], folder: Path, columns: dict[str, str] | None) -> list[ContinualTask]:
    if Scenario(its.get("scenario", "class")) == Scenario.DOMAIN:
        raise OptionError("data is split by its labels, which in a stream of domains stay the same: name a [[task]] for each")
    tasks, seed = its.get("tasks"), _seed(its.get("split_seed", 0))
    if isinstance(tasks, bool) or not isinstance(tasks, int):
        raise OptionError(f"tasks: the number of tasks into which the labels of data are split is wanted, not {tasks!r:.40}")
    place = _path(its["data"], "data", folder)
    train, test = read_labelled(split_file(place, "train"), columns), None
    if place.is_dir() and (split := next((one for one in TESTS if has_split(place, one)), None)):
        test = read_labelled(split_file(place, split), columns)
    return list(split_by_labels(train, test, tasks, seed))


def _named(one: Mapping[str, Any], at: int, folder: Path, columns: dict[str, str] | None) -> ContinualTask:
    """Return the task that is number ``at`` of those named."""
    check_names(one, list(TASK_KEYS))
    if "train" not in one:
        raise OptionError(f"[[task]] {at}: train is missing, the file it is learnt from")
    name = one.get("name", f"task {at}")
    if not isinstance(name, str) or not name.strip():
        raise OptionError(f"[[task]] {at}: the name {name!r:.40} is none")
    train = read_labelled(split_file(_path(one["train"], "train", folder), "train"), columns)
    if "test" not in one:
        return ContinualTask(name, train)
    return ContinualTask(name, train, read_labelled(split_file(_path(one["test"], "test", folder), *TESTS), columns))


def _path(value: object, what: str, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise OptionError(f"{what}: a file or a folder is wanted, not {value!r:.40}")
    place = folder / Path(value).expanduser()
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    return place


def _check(stream: Stream, place: Path) -> None:
    """Raise what learning the stream would raise, before anything is learnt."""
    scenario, known = stream.options.scenario, tuple[str, ...]()
    names = [task.name for task in stream.tasks]
    if twice := next((name for at, name in enumerate(names) if name in names[:at]), None):
        raise InputError(f"{place}: two tasks are called {twice!r:.60}")
    for task in stream.tasks:
        try:
            known += new_labels(task, known, scenario, repeats=stream.repeats)
            check_test(task, tuple(known), scenario)
        except InputError as error:
            raise type(error)(f"{place}: {error}") from error
    examples = sum(len(task.train) for task in stream.tasks)
    if any(strategy in REPLAYING for strategy in stream.strategies) and stream.options.remembers >= examples:
        raise MemoryTooLarge(
            f"{place}: a memory of {stream.options.remembers:,} would hold all {examples:,} examples there are, which is joint"
            " training: take a smaller memory, or the strategy joint"
        )
