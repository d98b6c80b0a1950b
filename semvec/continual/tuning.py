"""One network for all tasks, whose head grows: taught naively, jointly, or with what keeps it from forgetting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semvec.continual.fisher import Importance, information, learning
from semvec.continual.memory import Memory, Remembered
from semvec.continual.method import Part, Shares, softmax_among, tensors_of
from semvec.continual.options import CONSOLIDATING, REPLAYING, Among, ContinualOptions, ContinualStrategy
from semvec.continual.task import Scenario
from semvec.continual.taught import Terms
from semvec.continual.teaching import noted, read, seed_of, state_of, teach, widen
from semvec.continual.training import Training, put, started
from semvec.errors import ModelError
from semvec.finetune.network import Network
from semvec.finetune.strategies import counted
from semvec.finetune.tuned import Loading
from semvec.finetune.windows import Window
from semvec.text.examples import LabelledTexts
from semvec.types import JSON, Progress

STATE, MEMORY, IMPORTANCE = "learnt.safetensors", "memory.json", "importance.safetensors"
ALL = 10_000_000
"""Examples that joint training keeps, at most."""


class Tuning(Training):
    """One network, started from ``model`` at the first task."""

    def __init__(self, options: ContinualOptions, model: str, loading: Loading) -> None:
        super().__init__(options, model, loading)
        self.importance: Importance | None = None
        joint, seed = options.strategy == ContinualStrategy.JOINT, options.finetune.seed
        self.memory = (
            Memory(ALL if joint else options.remembers, options.selection, seed)
            if joint or options.strategy in REPLAYING
            else None
        )

    def learn(self, part: Part) -> JSON:
        self.know(part.new, part.number)
        strategy, examples = self.options.strategy, part.examples
        before = self.tuned
        said: list[NDArray[np.float32]] | None = None
        if strategy == ContinualStrategy.JOINT and self.memory is not None:
            self.memory.add(Remembered(text, label) for text, label in zip(examples.texts, examples.labels, strict=True))
            examples, before = _examples(self.memory.kept), None
        if before is None:
            self.tuned = tuned = started(self.model, self.labels, self.options, self.loading)
        else:
            tuned = before
            if strategy == ContinualStrategy.LWF:
                said = list(self.logits(examples.texts, part.progress))
            widen(tuned, self.labels, seed_of(tuned.options.seed, part.number))
        windows = read(tuned, examples, part, first=before is None)
        terms, memory = self._terms(part), self._remembered(part)
        if said is not None or memory:
            windows = noted(windows, [None] * len(examples) if said is None else said, len(self.labels), replayed=False)
        history = teach(tuned, windows, terms, part, memory)
        self._afterwards(part, examples, terms)
        learns, everything = counted(tuned.module)
        return {"learning": learns, "all": everything, **history}

    def _terms(self, part: Part) -> Terms:
        """Return what the loss of this task is made of."""
        its, device = self.options, self.device
        here = set(part.examples.labels)
        pull = its.counts / 2
        anchors = [] if self.importance is None else [partial(_penalty, self.importance, pull)]
        return Terms(
            torch.tensor([self.origin[label] for label in self.labels], device=device),
            torch.tensor([label in here for label in self.labels], device=device),
            apart=its.told_apart == Among.TASK and its.strategy != ContinualStrategy.JOINT and len(here) > 1,
            own=its.scenario == Scenario.TASK,
            alpha=its.alpha if its.strategy == ContinualStrategy.DER else 0.0,
            beta=its.beta if its.strategy == ContinualStrategy.DER else 1.0,
            strength=its.counts if its.strategy == ContinualStrategy.LWF else 0.0,
            temperature=its.temperature,
            anchors=anchors,
        )

    def _remembered(self, part: Part) -> list[Window]:
        """Return what is read of the examples that are replayed."""
        if self.memory is None or self.options.strategy not in REPLAYING or not self.memory.kept:
            return []
        kept = self.memory.kept
        windows = read(self.taught, _examples(kept), part)
        return noted(windows, [one.said for one in kept], len(self.labels), replayed=True)

    def _afterwards(self, part: Part, examples: LabelledTexts, terms: Terms) -> None:
        """Keep of a task that was learnt what later ones want."""
        its, tuned = self.options, self.taught
        if its.strategy in REPLAYING and self.memory is not None:
            said = (
                list(self.logits(examples.texts, part.progress))
                if its.strategy == ContinualStrategy.DER
                else [None] * len(examples)
            )
            rows = np.random.default_rng(seed_of(its.finetune.seed, part.number)).permutation(len(examples))
            self.memory.add(Remembered(examples.texts[at], examples.labels[at], said[at]) for at in rows.tolist())
        if its.strategy in CONSOLIDATING:
            windows = read(tuned, examples, part)
            seed = seed_of(its.finetune.seed, part.number)
            matters = information(
                tuned.network, windows, terms, its.fisher, samples=its.fisher_samples, seed=seed, pad=tuned.pad,
                device=tuned.device, progress=part.progress,
            )  # fmt: skip
            now = {name: weight.detach().clone() for name, weight in learning(tuned.network).items()}
            if self.importance is None:
                self.importance = Importance(now, matters)
            elif its.strategy == ContinualStrategy.ONLINE_EWC:
                self.importance = self.importance.after(now, matters, its.decay)
            else:
                self.importance = self.importance.with_task(now, matters)

    def shares(self, texts: Sequence[str], task: int | None, among: Sequence[int], progress: Progress | None = None) -> Shares:
        if not len(texts):
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        return softmax_among(self.logits(texts, progress), among)

    @property
    def bytes(self) -> int:
        return (self.memory.bytes if self.memory else 0) + (self.importance.bytes if self.importance else 0)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file(state_of(self.taught.network), folder / STATE)
        if self.memory is not None:
            (folder / MEMORY).write_text(json.dumps(self.memory.to_json(), ensure_ascii=False) + "\n", encoding="utf-8")
        if self.importance is not None:
            parts = (("weights", self.importance.weights), ("matters", self.importance.matters))
            save_file(
                {f"{kind}.{name}": its.cpu().contiguous() for kind, some in parts for name, its in some.items()},
                folder / IMPORTANCE,
            )

    def restore(self, folder: Path, parts: Sequence[str]) -> None:
        self.tuned = tuned = started(self.model, self.labels, self.options, self.loading)
        put(tuned.network, tensors_of(folder / STATE, tuned.device), folder / STATE)
        tuned.network.eval()
        if self.memory is not None:
            try:
                self.memory.restore(json.loads((folder / MEMORY).read_text(encoding="utf-8")))
                if not all(
                    one.label in self.labels and (one.said is None or len(one.said) <= len(self.labels))
                    for one in self.memory.kept
                ):
                    raise ValueError("it remembers labels that there are not")
            except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
                raise ModelError(f"{folder / MEMORY}: is missing or damaged ({error!s:.80})") from error
        if self.options.strategy in CONSOLIDATING:
            found: dict[str, dict[str, Tensor]] = {"weights": {}, "matters": {}}
            for key, its in tensors_of(folder / IMPORTANCE, tuned.device).items():
                kind, _, name = key.partition(".")
                found.setdefault(kind, {})[name] = its
            self.importance = Importance(found["weights"], found["matters"])
            if not self.importance.fits(tuned.network):
                raise ModelError(f"{folder / IMPORTANCE}: is damaged, or of another network")


def _penalty(one: Importance, pull: float, network: Network) -> Tensor:
    return pull * one.penalty(network)


def _examples(kept: Sequence[Remembered]) -> LabelledTexts:
    return LabelledTexts([one.text for one in kept], [one.label for one in kept])
