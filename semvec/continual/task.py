"""What a stream is made of: tasks, each with examples to learn from, and some to be examined on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from semvec.errors import InputError, LabelRepeated, OptionError
from semvec.text.document import flaw
from semvec.text.examples import LabelledTexts
from semvec.types import Choice

BETWEEN = " / "
"""Stands between a task and its label, where every task has labels of its own."""


class Scenario(Choice):
    """What changes from task to task, and what is known when a text is asked about (van de Ven and Tolias, arXiv:1904.07734).

    ``class``: new labels; said is one of all labels so far. ``task``: every task has labels of its own, and it is told, of
    every text, which task it is of. ``domain``: the labels stay, the texts are of another kind.
    """

    CLASS = "class"
    TASK = "task"
    DOMAIN = "domain"


@dataclass(frozen=True)
class ContinualTask:
    """Labelled texts to learn from, ``train``, and to be examined on, ``test``, where there are any."""

    name: str
    train: LabelledTexts
    test: LabelledTexts | None = None


def named_labels(task: str, labels: Sequence[str], scenario: Scenario) -> list[str]:
    """Return what ``labels`` of ``task`` are called in the head: where every task has its own, with its name before."""
    return [f"{task}{BETWEEN}{label}" for label in labels] if scenario == Scenario.TASK else list(labels)


def new_labels(task: ContinualTask, known: Sequence[str], scenario: Scenario, *, repeats: bool) -> tuple[str, ...]:
    """Return the labels of ``task`` that are not among those ``known``, sorted.

    Raises `LabelRepeated` where a label comes again in a stream of new labels (unless it ``repeats``, meaning the same),
    `InputError` where one is new in a stream of domains, or there is nothing to learn from.
    """
    check_examples(task.train.texts, task.train.labels, f"task {task.name!r:.60}")
    if scenario == Scenario.TASK and BETWEEN in task.name:
        raise InputError(
            f"task {task.name!r:.60}: in the scenario task its name must not have {BETWEEN!r} in it, which parts it from labels"
        )
    names = set(named_labels(task.name, task.train.labels, scenario))
    new = tuple(sorted(names - set(known)))
    if not known:
        if len(new) < 2:
            raise InputError(f"task {task.name!r:.60}: has one label, {new[0]!r:.60}; the first task must have two to tell apart")
        return new
    if scenario == Scenario.DOMAIN and new:
        raise InputError(
            f"task {task.name!r:.60}: the label {new[0]!r:.60} is new, but in a stream of domains all tasks have the same labels;"
            " new ones are for the scenario class"
        )
    if scenario == Scenario.CLASS and not repeats and (again := sorted(names & set(known))):
        raise LabelRepeated(
            f"task {task.name!r:.60}: the label {again[0]!r:.60} was learnt before; if it means the same, say repeats, if not,"
            " give it another name, or take the scenario task"
        )
    return new


def check_examples(texts: Sequence[object], labels: Sequence[object], what: str) -> None:
    """Raise `InputError`, beginning with ``what``, where ``texts`` and ``labels`` are not as many, and texts, all of them."""
    if isinstance(texts, str) or isinstance(labels, str):
        raise InputError(f"{what}: lists of texts and of labels are wanted, not a string")
    if not len(texts):
        raise InputError(f"{what}: there is nothing in it")
    if len(texts) != len(labels):
        raise InputError(f"{what}: there are {len(texts):,} texts and {len(labels):,} labels, and as many of both are wanted")
    for kind, some in (("text", texts), ("label", labels)):
        for at, one in enumerate(some):
            if not isinstance(one, str) or flaw(one):
                raise InputError(f"{what}: {kind} {at}: {flaw(one) or f'{one!r:.40} is no text'}")
            if kind == "label" and not one.strip():
                raise InputError(f"{what}: label {at} is empty")
    if not any(str(one).strip() for one in texts):
        raise InputError(f"{what}: its texts are blank, all of them")


def check_test(task: ContinualTask, known: Sequence[str], scenario: Scenario) -> None:
    """Raise `InputError` where a label of the test of ``task`` is none of its own, nor (of domains) of those ``known``."""
    if task.test is None:
        return
    check_examples(task.test.texts, task.test.labels, f"task {task.name!r:.60}, its test")
    able = set(known) if scenario == Scenario.DOMAIN else set(named_labels(task.name, task.train.labels, scenario))
    if unknown := sorted(set(named_labels(task.name, task.test.labels, scenario)) - able):
        raise InputError(f"task {task.name!r:.60}: the label {unknown[0]!r:.60} of its test is in none of its training examples")


def split_by_labels(train: LabelledTexts, test: LabelledTexts | None, tasks: int, seed: int) -> Iterator[ContinualTask]:
    """Give ``tasks`` tasks, each with as many of the labels as the others, or one more; ``seed`` decides which are together."""
    labels = sorted(set(train.labels))
    if not 2 <= tasks <= len(labels) // 2:
        raise OptionError(f"tasks must be from 2 to {len(labels) // 2}, as there are {len(labels):,} labels, not {tasks}")
    order = np.random.default_rng(seed).permutation(len(labels))
    for at, some in enumerate(np.array_split(order, tasks), start=1):
        its = {labels[int(one)] for one in some}
        yield ContinualTask(f"task {at}", _of(train, its), None if test is None else _of(test, its))


def _of(examples: LabelledTexts, labels: set[str]) -> LabelledTexts:
    rows = [at for at, label in enumerate(examples.labels) if label in labels]
    return LabelledTexts([examples.texts[at] for at in rows], [examples.labels[at] for at in rows])
