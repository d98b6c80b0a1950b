"""A fine-tuned model on a test set: measures with intervals, beside the encoder before and the simplest answer; every class."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from semvec.errors import SemvecError
from semvec.finetune.card import rows_table, shown
from semvec.finetune.loading import load_model
from semvec.finetune.pictures import CONFUSION
from semvec.finetune.place import BEFORE
from semvec.finetune.routings import Routings, routings_of
from semvec.finetune.seen import seen_notes
from semvec.finetune.task import Answer, Findings
from semvec.finetune.train import measures_of
from semvec.finetune.tuned import Tuned
from semvec.measures.intervals import differences
from semvec.text.columns import data_name, split_file
from semvec.text.markdown import table
from semvec.types import JSON, Progress
from semvec.visualise.curves import confusion_picture

TUNED, ALONE = "fine-tuned", "without its neighbours"
SPLITS = ("test", "dev")


@dataclass(frozen=True)
class Report:
    """What a model is worth on labelled ``data``.

    ``lines`` are the measures of the model and of what it is compared with, each with its 95 % interval; ``differences`` say
    which of them are shown by these examples. ``found`` holds the classes and the confusions of the model itself.
    """

    model: str
    data: str
    task: str
    size: int
    lines: Mapping[str, JSON]
    differences: tuple[str, ...]
    found: Findings
    answers: Sequence[Answer]
    notes: tuple[str, ...] = ()
    routings: Routings | None = None

    def to_json(self) -> JSON:
        """Return the report as JSON, what was said of every example apart."""
        rows = [vars(row) for row in self.found.rows]
        confusion = None if self.found.confusion is None else self.found.confusion.tolist()
        return {
            "model": self.model,
            "data": self.data,
            "task": self.task,
            "examples": self.size,
            "measures": dict(self.lines),
            "differences": list(self.differences),
            "classes": rows,
            "confusion": {"classes": list(self.found.classes), "counts": confusion} if confusion else None,
            "notes": list(self.notes),
            **({"routing": self.routings.to_json()} if self.routings else {}),
        }

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        names = list(self.lines[TUNED])
        parts = [
            f"**{self.task}**: {self.model} on {self.data} ({self.size:,} examples)",
            table([["", *names], *([name, *(shown(its.get(one)) for one in names)] for name, its in self.lines.items())]),
            "\n".join(f"- {line}" for line in (*self.differences, *self.notes)),
        ]
        if self.found.rows:
            parts.append(rows_table(self.found.rows))
        if self.routings:
            parts.append("\n".join(f"- {line}" for line in self.routings.lines()))
        return "\n\n".join(part for part in parts if part)


def report(
    path: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    split: str | None = None,
    baselines: bool = True,
    device: str | None = None,
    trust_pickle: bool = False,
    trust_remote_code: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Return what the model in the folder ``path`` is worth on the labelled ``data``: a file, or a folder with test or dev.

    With ``baselines`` the linear head on the frozen encoder, that was trained with it, is examined too, the model without the
    say of its neighbours, and what always says the commonest label of these very examples. Raises `InputError` for labels
    the model does not know.
    """
    load = partial(load_model, device=device, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
    tuned = load(path)
    task = tuned.task
    file = split_file(data, *((split,) if split else SPLITS), suffixes=task.suffixes)
    examples = task.read(file, tuned.options)
    config, unknown = _widened(tuned, examples)
    notes = [*seen_notes(Path(path), task, examples), *unknown]
    task.check(examples, config, os.fspath(file))
    answers = tuned.predict(examples, progress)
    found = {TUNED: task.findings(examples, answers, config)}
    notes += found[TUNED].notes
    if baselines:
        probe, reason = _probe(Path(path) / BEFORE, load)
        if probe is not None:
            found[tuned.earlier] = task.findings(examples, probe.predict(examples, progress), config)
        elif reason:
            notes.append(reason)
        if (alone := tuned.alone()) is not None:
            found[ALONE] = task.findings(examples, alone.predict(examples, progress), config)
        if simplest := task.simplest(examples, config):
            found[simplest[0]] = task.findings(examples, simplest[1], config)
    notes += _windowed(tuned, examples)
    if fast := tuned.record.get("history", {}).get("times as fast"):
        notes.append(f"{fast:.2f} times as fast as the whole model, as measured on the validation data when it was made")
    return Report(
        Path(path).name,
        _called(data, file),
        task.name,
        len(examples),
        {name: measures_of(its, seed) for name, its in found.items()},
        tuple(_differences(found, tuned.record.get("measure"), seed)),
        found[TUNED],
        answers,
        tuple(notes),
        routings_of(tuned, examples, progress),
    )


def write_report(its: Report, folder: Path) -> None:
    """Write ``its`` numbers, answers and confusions into ``folder``, which is there."""
    (folder / "report.json").write_text(json.dumps(its.to_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(its.to_markdown() + "\n", encoding="utf-8")
    with open(folder / "answers.jsonl", "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(answer, ensure_ascii=False) + "\n" for answer in its.answers)
    if its.found.confusion is not None:
        (folder / CONFUSION).write_bytes(confusion_picture(its.found.confusion, its.found.classes))
    if its.routings is not None:
        its.routings.write(folder, f"{its.model} on {its.data}", [_said(answer) for answer in its.answers])


def _said(answer: Answer) -> str:
    """Return an answer in a few words."""
    if "labels" in answer:
        return ", ".join(answer["labels"])
    return str(answer["label"]) if "label" in answer else f"{answer['score']:.2f}"


def _probe(path: Path, load: Callable[[Path], Tuned]) -> tuple[Tuned | None, str]:
    """Return the linear head on the encoder as it was, or why there is none."""
    if not path.is_dir():
        return None, ""
    try:
        return load(path), ""
    except SemvecError as error:
        return None, f"the encoder before could not be examined: {error}"


def _differences(found: Mapping[str, Findings], measure: str | None, seed: int) -> list[str]:
    """Return whether the model is better than what it is compared with, by the ``measure`` that it was chosen by."""
    chosen = {name: its.by(measure) for name, its in found.items()}
    pairs = [(TUNED, name) for name in chosen if name != TUNED]
    return [f"{chosen[TUNED].measure}: {its}" for its in differences(chosen, pairs, seed=seed)]


def _called(data: str | os.PathLike[str], file: Path) -> str:
    """Return what the data are called: a folder's name and which file of it."""
    return f"{data_name(data)}, {file.name}" if Path(data).is_dir() else file.name


def _widened(tuned: Tuned, examples: Any) -> tuple[Any, list[str]]:
    """Return the model's configuration with labels of ``examples`` that it never learnt, and what is to be said of them.

    As it is where no label of ``examples`` was learnt: they are of another task.
    """
    labels = tuned.task.labels_of(examples, tuned.config)
    unknown = sorted(labels - set(getattr(tuned.config, "labels", labels)))
    if not unknown or len(unknown) == len(labels):
        return tuned.config, []
    wider = replace(tuned.config, labels=(*tuned.config.labels, *unknown))
    some = ", ".join(f"{label!r:.40}" for label in unknown[:5]) + (", …" if len(unknown) > 5 else "")
    return wider, [f"labels that were not learnt, so that what has them is always wrong: {some}"]


def _windowed(tuned: Tuned, examples: Any) -> list[str]:
    parts = tuned.parts(examples)
    return [f"long examples were read in several windows, {parts:,} more than there are examples"] if parts else []
