"""A fine-tuned model, pruned: it begins as the whole model, and learns from the labels and from what that one says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from semvec.encoders.tuned import WHOLE, Grown, read_about
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.chance import seeded
from semvec.finetune.distilled import TAUGHT
from semvec.finetune.fewer import Pruned
from semvec.finetune.heads import Head
from semvec.finetune.model import FineTuned
from semvec.finetune.options import ROUTED, FinetuneOptions, HeadKind
from semvec.finetune.stored import check_whole
from semvec.finetune.strategies import prepare, settled
from semvec.finetune.task import HeadConfig, HeadTask, Logits
from semvec.finetune.tasks import USES
from semvec.finetune.tuned import Lesson, Loading, named
from semvec.finetune.windows import Window
from semvec.types import JSON, Pooling, Progress

ROUTERS = "routers.safetensors"
TIMES, TIMED = 3, 512
"""How often, and on how many windows at most, it is measured how fast a model is."""

OF_THE_WHOLE = ("pooling", "max_tokens", "layers", *ROUTED)
"""Options that are as the whole model has them."""


@dataclass
class PrunedModel(FineTuned):
    """A model whose encoder reads fewer tokens from some layers on."""

    @property
    def earlier(self) -> str:
        return "whole model"

    @property
    def plain_body(self) -> Any:
        return self.body.inner

    @classmethod
    def make_body(cls, encoder: Any, config: HeadConfig) -> Any:
        return Pruned(encoder, dict(config.prune))

    @classmethod
    def parts_of(cls, body: Any, head: Head) -> dict[str, torch.nn.Module]:
        return {**super().parts_of(body, head), ROUTERS: body.routers}

    @classmethod
    def start(
        cls, task: HeadTask[Any], model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading
    ) -> PrunedModel:
        whole = whole_model(task, model, examples, options, loading)
        config = replace(whole.config, prune=options.prune, dropout=options.dropout)
        with seeded(options.seed):
            body = cls.make_body(prepare(whole.body, options), config).to(whole.device)
            head = cls.make_head(task, config, whole.encoder.transformer.hidden, options, examples).to(whole.device)
        body.check()
        head.load_state_dict(whole.network.head.state_dict())
        network = cls.made_of(body, head, config.layers)
        network.new = ("body.routers.",)
        return cls(task, config, whole.encoder, whole.base, settled(options), network=network)

    @classmethod
    def before(
        cls,
        task: HeadTask[Any],
        model: str | os.PathLike[str],
        lesson: Lesson,
        options: FinetuneOptions,
        loading: Loading,
        progress: Progress | None = None,
    ) -> FineTuned:
        return whole_model(task, model, lesson.examples, options, loading)

    def learned_from(self, windows: list[Window], progress: Progress | None) -> list[Window]:
        return taught(windows, self.whole_logits(windows, progress))

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        history = super().learn(lesson, progress)
        some = self.windows(lesson.validation, labelled=False)[:TIMED]
        return {**history, "times as fast": times_as_fast(lambda: self.logits(some), lambda: self.whole_logits(some))}

    def whole_logits(self, windows: Sequence[Window], progress: Progress | None = None) -> list[Logits]:
        """Return what the head says where nothing is left out: before anything was learnt, what the whole model says."""
        with self.body.whole():
            return self.logits(windows, progress)


def whole_model(
    task: HeadTask[Any], model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading
) -> FineTuned:
    """Return ``model``, which is to be pruned; `OptionError` where it is none that can be, for this task and these examples."""
    if "prune" not in USES[task.name]:
        raise OptionError(f"prune is for labels and scores of texts, not for {task.name}")
    usual = FinetuneOptions()
    if named_too := [name for name in OF_THE_WHOLE if getattr(options, name) != getattr(usual, name)]:
        raise OptionError(f"prune: {named_too[0]} is as the model has it that is pruned, and cannot be changed")
    folder = Path(model).expanduser()
    what = f"prune: --model names a model that 'semvec finetune {task.name}' made"
    try:
        about = read_about(folder)
    except ModelError as error:
        raise OptionError(f"{what}, and {os.fspath(model)} is none ({error})") from error
    if about.get("task") != task.name:
        raise OptionError(f"{what}, and {folder} is for {about.get('task')!r:.40}")
    if isinstance(head := about.get("head"), Mapping) and head.get("prune"):
        raise OptionError(f"prune: {folder} is pruned already: prune the model that it was made from")
    check_whole(folder)
    whole = FineTuned.load(task, folder, about, loading)
    config = whole.config
    if config.layers != (-1,):
        raise OptionError(f"prune: the head of {folder} reads the layers {config.layers}, and what is left is in the last alone")
    if config.head != HeadKind.LINEAR:
        raise OptionError(f"prune: {folder} has the head {str(config.head)!r}, which chooses tokens itself")
    if config.pooling == Pooling.LAST_TOKEN:
        raise OptionError(f"prune: the head of {folder} reads the last token, which may be left out: use another pooling")
    theirs = task.config(examples, options)
    if (theirs.many, theirs.scored) != (config.many, config.scored):
        raise OptionError(f"prune: the data have labels of another kind than those {folder} has learnt")
    if strange := sorted(task.labels_of(examples, config) - set(config.labels)):
        raise InputError(f"training data: the label {strange[0]!r:.60} is none that {folder} has learnt")
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
