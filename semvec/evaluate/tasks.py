"""The tasks by their names; what they are about is known without loading any."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from semvec.errors import OptionError
from semvec.types import did_you_mean

if TYPE_CHECKING:
    from semvec.evaluate.task import AnyTask


class Known(NamedTuple):
    """What a task is ``about``, and where it is."""

    about: str
    place: str


TASKS = {
    "sts": Known("Sentence similarity: how well cosines agree with people.", "sts:TASK"),
    "words": Known("Word similarity: how well cosines of words agree with people.", "word_tasks:WORDS"),
    "analogy": Known("Analogies: a is to b as c is to what? Word vectors only.", "word_tasks:ANALOGY"),
    "wic": Known("Word in context: does a word mean the same in two sentences?", "wic:TASK"),
    "retrieval": Known("Retrieval over a BEIR folder: dense, late interaction, hybrid; BM25 beside it.", "retrieval:TASK"),
    "classify": Known("Classification on frozen vectors; --shots for few labels, as MTEB has it.", "classify:TASK"),
    "cluster": Known("Clustering: do texts of one label fall together?", "cluster:TASK"),
    "pairs": Known("Duplicates, paraphrases, answers: which pairs belong together?", "pairs:TASK"),
    "tagging": Known("Tagging, such as names, on frozen word vectors.", "tagging:TASK"),
}


def check_task(name: str) -> None:
    """Raise `OptionError`, listing those there are, where no task is called ``name``."""
    if name not in TASKS:
        raise OptionError(f"no task {name!r}{did_you_mean(name, list(TASKS))}: there are {', '.join(TASKS)}")


def task_named(name: str) -> AnyTask:
    """Return the task called ``name``, loaded; raise `OptionError` where there is none."""
    check_task(name)
    module, _, attribute = TASKS[name].place.partition(":")
    task: AnyTask = getattr(import_module(f"semvec.evaluate.{module}"), attribute)
    return task
