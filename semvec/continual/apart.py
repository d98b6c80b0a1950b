"""Weights of its own for every task beside one frozen encoder, whose embedding says of which task a text is.

In the manner of adapters and LoRA a task (arXiv:1902.00751, arXiv:2106.09685); the task is inferred by the nearest class mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays

from semvec.continual.method import Part, Shares, softmax_among, tensors_of, unlabelled
from semvec.continual.options import ContinualOptions
from semvec.continual.taught import Terms
from semvec.continual.teaching import read, seed_of, state_of, teach
from semvec.continual.training import Training, put, started
from semvec.embeddings.transforms import normalize
from semvec.errors import ModelError
from semvec.finetune.chance import seeded
from semvec.finetune.classify import Classify
from semvec.finetune.model import FineTuned
from semvec.finetune.strategies import counted
from semvec.finetune.task import mean_by_owner
from semvec.finetune.tuned import Loading
from semvec.types import JSON, Progress

MEANS, ABOUT = "means.safetensors", "apart.json"


class Apart(Training):
    """One encoder, and for every task what it learnt and a head; of each (task, label) a mean on the encoder as it was."""

    def __init__(self, options: ContinualOptions, model: str, loading: Loading) -> None:
        super().__init__(options, model, loading)
        self.untaught: dict[str, torch.Tensor] = {}
        self.states: list[dict[str, torch.Tensor]] = []
        self.spoken: list[tuple[str, ...]] = []
        self.means = np.zeros((0, 0), dtype=np.float32)
        self.tasks = np.zeros(0, dtype=np.int64)
        self.current = -1

    def _start(self) -> FineTuned:
        if self.tuned is None:
            self.tuned = started(self.model, self.labels, self.options, self.loading)
            self.untaught = {name: its for name, its in state_of(self.tuned.network).items() if not name.startswith("head.")}
        return self.tuned

    def _with_head(self, labels: tuple[str, ...], seed: int) -> None:
        """Give the network a new head for ``labels``."""
        tuned = self.taught
        config = replace(tuned.config, labels=labels)
        with seeded(seed):
            head = Classify().head(config, tuned.network.head.dim, tuned.options)
        tuned.network.head, tuned.config, self.current = head.to(tuned.device), config, -1

    def learn(self, part: Part) -> JSON:
        self.know(part.new, part.number)
        mine = tuple(sorted(set(part.examples.labels)))
        tuned = self._start()
        tuned.network.load_state_dict(self.untaught, strict=False)
        self._remember(part)
        self._with_head(mine, seed_of(tuned.options.seed, part.number))
        windows = read(tuned, part.examples, part, first=True)
        one = torch.zeros(len(mine), dtype=torch.int64, device=tuned.device)
        history = teach(tuned, windows, Terms(one, one == 0), part)
        self.states.append(state_of(tuned.network))
        self.spoken.append(mine)
        self.current = len(self.states) - 1
        learns, everything = counted(tuned.module)
        return {"learning": learns, "all": everything, **history}

    def _remember(self, part: Part) -> None:
        """Keep the mean of every label of a task, on the encoder as it was, which the network is now."""
        vectors = self._vectors(part.examples.texts, part.progress)
        labels = np.array(part.examples.labels)
        means = normalize(np.stack([vectors[labels == label].mean(axis=0) for label in sorted(set(labels.tolist()))]))
        self.means = means if not len(self.means) else np.concatenate([self.means, means])
        self.tasks = np.concatenate([self.tasks, np.full(len(means), part.number)])

    def _vectors(self, texts: Sequence[str], progress: Progress | None) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        windows = self.taught.windows(unlabelled(texts), labelled=False)
        return normalize(mean_by_owner(self.taught.features(windows, progress), windows, len(texts)))

    def tasks_of(self, texts: Sequence[str], progress: Progress | None = None) -> list[int]:
        if not len(texts):
            return []
        self.taught.network.load_state_dict(self.untaught, strict=False)
        self.current = -1
        nearest = (self._vectors(texts, progress) @ self.means.T).argmax(axis=1)
        return [int(one) for one in self.tasks[nearest]]

    def _switch(self, task: int) -> None:
        if self.current != task:
            self._with_head(self.spoken[task], 0)
            self.taught.network.load_state_dict(self.states[task], strict=False)
            self.taught.network.eval()
            self.current = task

    def shares(self, texts: Sequence[str], task: int | None, among: Sequence[int], progress: Progress | None = None) -> Shares:
        tasks = np.array(self.tasks_of(texts, progress) if task is None else [task] * len(texts), dtype=np.int64)
        found, place = (
            np.zeros((len(texts), len(self.labels)), dtype=np.float32),
            {label: at for at, label in enumerate(self.labels)},
        )
        for number in np.unique(tasks).tolist():
            self._switch(number)
            rows = np.flatnonzero(tasks == number)
            logits = self.logits([texts[row] for row in rows.tolist()], progress)
            columns = np.array([place[label] for label in self.spoken[number]])
            found[np.ix_(rows, columns)] = softmax_among(logits, range(len(columns)))
        return found

    @property
    def bytes(self) -> int:
        return self.means.nbytes + sum(its.numel() * its.element_size() for one in self.states for its in one.values())

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_arrays({"means": self.means, "tasks": self.tasks}, folder / MEANS)
        for at, state in enumerate(self.states):
            save_file(state, folder / f"task-{at}.safetensors")
        (folder / ABOUT).write_text(json.dumps(self.spoken, ensure_ascii=False) + "\n", encoding="utf-8")

    def restore(self, folder: Path, parts: Sequence[str]) -> None:
        arrays = tensors_of(folder / MEANS, "cpu")
        try:
            self.means, self.tasks = arrays["means"].float().numpy(), arrays["tasks"].long().numpy()
            spoken = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            self.spoken = [tuple(map(str, one)) for one in spoken]
            whole = (
                len(self.spoken) == len(parts)
                and len(self.means) == len(self.tasks)
                and set(self.tasks.tolist()) == set(range(len(parts)))
            )
            if not whole or not all(one and set(one) <= set(self.labels) for one in self.spoken):
                raise ValueError("it is not of these tasks")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder}: {MEANS} or {ABOUT} is missing or damaged ({error!s:.80})") from error
        self._start()
        for at in range(len(parts)):
            file = folder / f"task-{at}.safetensors"
            self._with_head(self.spoken[at], 0)
            self.states.append(tensors_of(file, "cpu"))
            put(self.taught.network, self.states[at], file)
