"""A fine-tuned model → the same model, pruned: its start is the whole model, which teaches it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

from semvec.encoders.tuned import WHOLE, Grown, read_about
from semvec.errors import ModelError, OptionError
from semvec.finetune.distilled import TAUGHT
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.stored import check_whole
from semvec.finetune.task import HeadTask, Logits
from semvec.finetune.tuned import Loading, Tuned, named
from semvec.finetune.windows import Window

Model = TypeVar("Model", bound=Tuned)
TIMES = 5
"""How often it is measured how fast a model is."""


def whole_model(
    of: type[Model],
    task: HeadTask[Any],
    model: str | os.PathLike[str],
    examples: Any,
    options: FinetuneOptions,
    loading: Loading,
) -> Model:
    """Return ``model``, which is to be pruned; `OptionError` where it is none that can be, for this task and these examples."""
    folder = Path(model).expanduser()
    what = f"prune: --model names a model that 'semvec finetune {task.name}' made"
    try:
        about = read_about(folder)
    except ModelError as error:
        raise OptionError(f"{what}, and {os.fspath(model)} is none ({error})") from error
    if about.get("task") != task.name:
        raise OptionError(f"{what}, and {folder} is for {about.get('task')!r:.40}")
    check_whole(folder)
    whole: Model = of.load(task, folder, about, loading)  # type: ignore[assignment]
    config = whole.config
    if config.prune:
        raise OptionError(f"prune: {folder} is pruned already: prune the model that it was made from")
    if config.layers != (-1,):
        raise OptionError(f"prune: the head of {folder} reads the layers {config.layers}, and what is left is in the last alone")
    theirs = task.config(examples, options)
    if (theirs.many, theirs.scored) != (config.many, config.scored):
        raise OptionError(f"prune: the data have labels of another kind than those {folder} has learnt")
    task.check(examples, config, "training data")
    whole.base = Grown(WHOLE, named(folder), whole.encoder.weights)
    return whole


def taught(windows: Sequence[Window], logits: Sequence[Logits]) -> list[Window]:
    """Return ``windows`` with what the whole model says of each."""
    return [replace(window, inputs={**window.inputs, TAUGHT: row}) for window, row in zip(windows, logits, strict=True)]


def times_as_fast(quick: Callable[[], Any], slow: Callable[[], Any]) -> float:
    """Return how many times as fast ``quick`` is as ``slow``: the ratio of the medians of some runs of both in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(TIMES):
        for run, its in zip((quick, slow), seconds, strict=True):
            began = perf_counter()
            run()
            its.append(perf_counter() - began)
    return median(seconds[1]) / max(median(seconds[0]), 1e-9)
