"""Labelled examples and an encoder → a model that does a task, in a folder."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from semvec.embeddings.files import folder_written_whole, held
from semvec.encoders.tuned import WHOLE
from semvec.errors import InputError, OptionError
from semvec.finetune.card import write_card
from semvec.finetune.options import FinetuneOptions, HeadKind, Precision
from semvec.finetune.pictures import draw_pictures
from semvec.finetune.place import (
    BEFORE,
    CHECKPOINTS,
    SEARCH,
    check_apart,
    check_model_replaceable,
    check_output,
    part_of,
    same_run,
)
from semvec.finetune.processes import by_all, by_first, check_alone, many, number, own_device, together
from semvec.finetune.search import search, sought
from semvec.finetune.seen import save_seen
from semvec.finetune.stored import check_mergeable
from semvec.finetune.strategies import counted
from semvec.finetune.task import Findings, Task, split_off
from semvec.finetune.tasks import model_of, task_named
from semvec.finetune.tuned import Lesson, Loading, Tuned
from semvec.text.columns import data_name, has_split, split_file
from semvec.types import JSON, Progress, Step, Strategy, did_you_mean

HELD_OUT = ("dev", "validation", "valid")
ALONE = ("similarity",)
"""Tasks that one process learns: the others of a batch are what a text is told apart from."""

PACKAGES = ("semvec", "torch", "transformers", "sentence-transformers", "peft", "accelerate")


@dataclass(frozen=True)
class Trained:
    """A model that was trained: where it is, and what came of it (``record``, which is in its ``semvec.json`` too)."""

    path: Path
    model: Tuned
    record: JSON


@dataclass(frozen=True)
class _Data:
    """Examples to learn from and to validate on, and whether these were split off from those."""

    train: Any
    validation: Any
    split: bool
    name: str


def finetune(
    task: str,
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    validation: str | os.PathLike[str] | None = None,
    options: FinetuneOptions | None = None,
    before: bool = True,
    merge: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    trust_pickle: bool = False,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train ``model``, an encoder, for ``task`` on the labelled ``data``; write what it becomes to the folder ``output``.

    ``task`` is one of `semvec.finetune.tasks.TASKS`. ``data`` is a file, or a folder with the files train and, for
    ``validation``, dev; a test file there is not looked at. Without validation data a share of the training examples is split
    off. ``before`` measures the encoder as it was too, with a linear head of its own where the task has a head. ``merge``
    stores the whole encoder where only what it learnt would be. A run that was stopped leaves ``output.part``, from which
    ``resume`` goes on. Several processes, which ``torchrun`` starts, share every batch and learn what one would, rounding and
    dropout apart; the first of them writes.

    Raises `InputError` for data of which nothing can be learnt, `OptionError` for options that do not fit, `OutputExists`,
    `ResumeMismatch` where the unfinished run was another one, and what `load_encoder` raises.
    """
    options, target, say, started = options or FinetuneOptions(), Path(output), progress or (lambda _: None), perf_counter()
    _check_together(task, options)
    kind, loading = task_named(task), Loading(own_device(device), trust_pickle, trust_remote_code)
    # two runs into one folder would each take the other's for one that was stopped
    with held(part_of(target)) if number() == 0 else nullcontext(), together(loading.device):
        work = by_first(partial(check_output, target, overwrite=overwrite, resume=resume))
        examples = by_all(partial(read_data, kind, data, validation, options))
        start = partial(_started, kind, model, examples, loading)
        tuned = by_all(partial(start, options))
        if merge:
            check_mergeable(tuned.body, tuned.base)
        check_apart(target, model, merge or tuned.base.kind == WHOLE, data, validation)
        measure = chosen_measure(kind, tuned, options)
        by_first(partial(same_run, work, _digest(tuned, examples), options, resume))
        lesson = Lesson(examples.train, examples.validation, measure, work / CHECKPOINTS, resume)
        tried: JSON = None
        if options.search:
            usual, names = tuned.options, sought(options, tuned.heeds)
            del tuned
            options, tried = search(start, options, usual, names, replace(lesson, folder=work / SEARCH), progress)
            tuned = start(options)
        history = tuned.learn(lesson, progress)
        plain = replace(lesson, folder=work / BEFORE, resume=False)
        earlier = _before(kind, model, plain, options, loading, progress) if before else None

        def store() -> JSON:
            found = tuned.measured(examples.validation, progress)
            tuned.record = {
                **_record(tuned, examples, measure, options),
                "validation": measures_of(found, options.seed),
                "before": None if earlier is None else measures_of(earlier.measured(examples.validation), options.seed),
                "history": history,
                "search": tried,
                "processes": many(),
                "seconds": round(perf_counter() - started, 1),
            }
            say(Step("storing", 0, None, "files"))
            with folder_written_whole(target, partial(check_model_replaceable, target, overwrite)) as spare:
                tuned.save(spare, merge=merge)
                if earlier is not None:
                    (spare / BEFORE).mkdir()
                    earlier.save(spare / BEFORE)
                draw_pictures(spare, tuned.record, found)
                save_seen(spare, kind, examples.train, examples.validation)
                write_card(spare, tuned, found, target.name)
            shutil.rmtree(work, ignore_errors=True)
            return tuned.record

        tuned.record = by_first(store)
        return Trained(target, tuned, tuned.record)


def _check_together(task: str, options: FinetuneOptions) -> None:
    """Raise `OptionError` for what several processes would learn otherwise than one."""
    apart = {
        f"the task {task}": task in ALONE,
        "a search": bool(options.search),
        f"the head {options.head}": options.head == HeadKind.EXPERT_CHOICE,  # whose own loss is a mean over tokens
        "prune with balanced labels": bool(options.prune) and options.balanced,  # whose two losses are means of other things
    }
    for what, so in apart.items():
        if so:
            check_alone(what)


def _started(
    task: Task[Any], model: str | os.PathLike[str], examples: _Data, loading: Loading, options: FinetuneOptions
) -> Tuned:
    """Return ``model`` ready to learn from ``examples`` and to be measured on them."""
    tuned: Tuned = model_of(task.name, pruned=bool(options.prune)).start(task, model, examples.train, options, loading)
    task.check(examples.validation, tuned.config, "validation data")
    tuned.validated_on(examples.validation)
    return tuned


def _record(tuned: Tuned, examples: _Data, measure: str, options: FinetuneOptions) -> JSON:
    """Return what is known of a training whatever comes of it."""
    learning, everything = counted(tuned.module)
    return {
        "data": examples.name,
        "examples": {"train": len(examples.train), "validation": len(examples.validation), "split off": examples.split},
        "parameters": {"learning": learning, "all": everything},
        "measure": measure,
        "device": tuned.device,
        "versions": _versions(),
    }


def _before(
    task: Task[Any],
    model: str | os.PathLike[str],
    lesson: Lesson,
    options: FinetuneOptions,
    loading: Loading,
    progress: Progress | None,
) -> Tuned | None:
    """Return the encoder as it was, with a linear head that learnt from the same examples, where the task has a head.

    Of a model that was pruned, the whole one.
    None where that is what was trained, or where it would not fit into memory.
    """
    kind: type[Tuned] = model_of(task.name, pruned=bool(options.prune))
    if options.strategy == Strategy.HEAD:
        return None
    if options.prune:
        return kind.before(task, model, lesson, options, loading, progress)
    plain = replace(
        options,
        strategy=Strategy.HEAD,
        epochs=None,
        learning_rate=None,
        head_learning_rate=None,
        crf=False,
        knn=False,
        head=HeadKind.LINEAR,
        precision=Precision.FLOAT32,
    )
    return kind.before(task, model, lesson, plain, loading, progress)


def measures_of(found: Findings, seed: int) -> JSON:
    """Return the measures with their 95 % intervals as JSON."""
    made = {}
    for outcome in found.outcomes:
        its = outcome.interval(seed=seed)
        made[outcome.measure] = {"value": its.value, "low": its.low, "high": its.high}
    return made


def read_data(
    task: Task[Any], data: str | os.PathLike[str], validation: str | os.PathLike[str] | None, options: FinetuneOptions
) -> _Data:
    """Return what to learn from and what to validate on: ``validation``, or dev in the folder ``data``, or a share of train."""
    place = Path(data)
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    examples = task.read(split_file(place, "train", suffixes=task.suffixes), options)
    named = validation
    if named is None and place.is_dir():
        split = next((its for its in HELD_OUT if has_split(place, its, task.suffixes)), None)
        named = None if split is None else split_file(place, split, suffixes=task.suffixes)
    if named is not None:
        return _Data(examples, task.read(named, options), False, data_name(data))
    return _Data(*split_off(task, examples, options.validation, options.seed), True, data_name(data))


def chosen_measure(task: Task[Any], tuned: Tuned, options: FinetuneOptions) -> str:
    """Return the measure that is chosen by; `OptionError`, before anything is trained, where the task has none so called."""
    known = task.measures(tuned.config)
    if options.measure is None:
        return known[0]
    by_name = {name.lower().replace(" ", "_"): name for name in known} | {name: name for name in known}
    if options.measure not in by_name:
        hint = did_you_mean(options.measure, list(by_name))
        raise OptionError(f"measure {options.measure!r} is none of this task{hint}: there are {', '.join(known)}")
    return by_name[options.measure]


def _digest(tuned: Tuned, examples: _Data) -> str:
    """Return what tells this run from another one."""
    parts = [tuned.task.name, tuned.base.to_json(), tuned.config.to_json(), tuned.options.to_json()]
    digest = sha256(json.dumps(parts, sort_keys=True).encode())
    for its in (examples.train, examples.validation):
        digest.update(repr(its).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
