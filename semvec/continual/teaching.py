"""A network is taught one task: its windows, what is remembered beside them, and the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semvec.continual.method import Part
from semvec.continual.taught import REPLAYED, SAID, Taught, Terms
from semvec.errors import InputError
from semvec.finetune.chance import seeded
from semvec.finetune.heads import Batch
from semvec.finetune.model import FineTuned
from semvec.finetune.network import Network
from semvec.finetune.trainer import learnt, train, unvalidated
from semvec.finetune.tuned import Lesson
from semvec.finetune.windows import Window, collate
from semvec.text.examples import LabelledTexts
from semvec.types import JSON


def seed_of(seed: int, number: int) -> int:
    """Return the seed of task ``number`` of a stream that is decided by ``seed``."""
    return int(np.random.default_rng((seed, number)).integers(2**31))


def widen(tuned: FineTuned, labels: tuple[str, ...], seed: int) -> None:
    """Give the head of ``tuned`` rows for ``labels``, which begin with those it has: these stay as they are."""
    head: Any = tuned.network.head
    was: nn.Linear = head.linear
    if len(labels) > was.out_features:
        with seeded(seed), torch.no_grad():
            wider = nn.Linear(head.dim, len(labels)).to(was.weight.device)
            nn.init.normal_(wider.weight, std=0.02)
            nn.init.zeros_(wider.bias)
            wider.weight[: was.out_features] = was.weight
            wider.bias[: was.out_features] = was.bias
        head.linear, head.outputs = wider, len(labels)
    tuned.config = replace(tuned.config, labels=labels)


def read(tuned: FineTuned, examples: LabelledTexts, part: Part, *, first: bool = False) -> list[Window]:
    """Return what is read of ``examples``; of a frozen encoder what it made of them, standardised by the ``first`` task."""
    windows = tuned.windows(examples, labelled=True)
    tuned.check_runs(windows)
    if not (tuned.frozen and tuned.features_fit(windows)):
        return windows
    windows = tuned.read_once(windows, part.progress)
    if first:
        tuned.standardise(windows)
    return windows


def noted(windows: Sequence[Window], said: Sequence[NDArray[np.float32] | None], labels: int, *, replayed: bool) -> list[Window]:
    """Return ``windows`` with what was ``said`` of each example (None: nothing), filled up to so many ``labels``."""
    made = []
    for window in windows:
        row, its = np.full(labels, np.nan, dtype=np.float32), said[window.owner]
        if its is not None:
            row[: len(its)] = its
        made.append(replace(window, inputs={**window.inputs, REPLAYED: np.array(float(replayed), dtype=np.float32), SAID: row}))
    return made


def teach(tuned: FineTuned, windows: list[Window], terms: Terms, part: Part, memory: Sequence[Window] = ()) -> JSON:
    """Teach ``tuned`` what is in ``windows``, with as much of ``memory`` in every batch, and return the history."""
    if not windows:
        raise InputError(f"task {part.name!r:.60}: its texts have no token to learn from")
    seed, epoch = seed_of(tuned.options.seed, part.number), [0]
    options = replace(tuned.options, seed=seed)

    def together(some: Sequence[Any]) -> Batch:
        drawn: list[Window] = []
        if memory:
            rng = np.random.default_rng([seed, epoch[0], *(window.owner for window in some)])
            drawn = [memory[at] for at in rng.permutation(len(memory))[: len(some)]]
        return collate([*some, *drawn], tuned.pad)

    lesson = Lesson(part.examples, None, "steps", part.folder, part.resume)

    def begins(at: int) -> None:
        epoch[0] = at

    taught = Taught(tuned.network, terms)
    history = train(
        taught, windows, options, lesson, unvalidated, tuned.device, collate=together, at_epoch=begins, progress=part.progress
    )
    tuned.network.eval()
    return {"steps": history["steps"], "losses": history["losses"]}


def state_of(network: Network) -> dict[str, torch.Tensor]:
    """Return a copy of all that was learnt by ``network``, by name."""
    return {name: its.detach().clone().cpu().contiguous() for name, its in learnt(network).items()}
