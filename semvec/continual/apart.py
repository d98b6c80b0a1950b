"""Weights of its own for every task beside one frozen encoder, whose embedding says of which task a text is.

In the manner of adapters and LoRA a task (arXiv:1902.00751, arXiv:2106.09685); the task is inferred by the nearest class mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays

from semvec.continual.method import Method, Part, Shares, arrays_of, softmax_among, unlabelled
from semvec.continual.options import ContinualOptions
from semvec.continual.taught import Terms
from semvec.continual.teaching import read, seed_of, state_of, teach
from semvec.continual.tuning import put, started, tensors_of
from semvec.embeddings.transforms import normalize
from semvec.errors import InputError, ModelError
from semvec.finetune.chance import seeded
from semvec.finetune.classify import Classify
from semvec.finetune.model import FineTuned
from semvec.finetune.strategies import counted
from semvec.finetune.task import mean_by_owner
from semvec.finetune.tuned import Loading
from semvec.types import JSON, Progress

MEANS, ABOUT = "means.safetensors", "apart.json"


class Apart(Method):
    """One encoder, and for every task what it learnt and a head; of each (task, label) a mean on the encoder as it was."""

    def __init__(self, options: ContinualOptions, model: str | os.PathLike[str], loading: Loading) -> None:
        super().__init__(options)
        self.model, self.loading = model, loading
        self.tuned: FineTuned | None = None
        self.untaught: dict[str, torch.Tensor] = {}
        self.states: list[dict[str, torch.Tensor]] = []
        self.spoken: list[tuple[str, ...]] = []
        self.means = np.zeros((0, 0), dtype=np.float32)
        self.tasks = np.zeros(0, dtype=np.int64)
        self.current = -1

    @property
    def weights(self) -> str:
        return str(self._started.base.weights)

    @property
    def device(self) -> str:
        return self._started.device

    @property
    def _started(self) -> FineTuned:
        if self.tuned is None:
            raise InputError("nothing was learnt yet")
        return self.tuned

    def _start(self) -> FineTuned:
        if self.tuned is None:
            self.tuned = started(self.model, self.labels, self.options, self.loading)
            self.untaught = {name: its for name, its in state_of(self.tuned.network).items() if not name.startswith("head.")}
        return self.tuned

    def _with_head(self, labels: tuple[str, ...], seed: int) -> None:
        """Give the network a new head for ``labels``."""
        tuned = self._started
        config = replace(tuned.config, labels=labels)
        with seeded(seed):
            head = Classify().head(config, tuned.network.head.dim, tuned.options)
        tuned.network.head, tuned.config, self.current = head.to(tuned.device), config, -1

    def check(self, labels: Sequence[str]) -> None:
        started(self.model, labels, self.options, self.loading)

    def learn(self, part: Part) -> JSON:
        self.know(part.new, part.number)
        mine = tuple(sorted(set(part.examples.labels)))
        tuned = self._start()
        tuned.network.load_state_dict(self.untaught, strict=False)
        self._remember(part)
        self._with_head(mine, seed_of(tuned.options.seed, part.number))
        windows = read(tuned, part.examples, part, first=True)
        if not windows:
            raise InputError(f"task {part.name!r:.60}: its texts have no token to learn from")
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
        windows = self._started.windows(unlabelled(texts), labelled=False)
        return normalize(mean_by_owner(self._started.features(windows, progress), windows, len(texts)))

    def tasks_of(self, texts: Sequence[str], progress: Progress | None = None) -> list[int]:
        if not len(texts):
            return []
        self._started.network.load_state_dict(self.untaught, strict=False)
        self.current = -1
        nearest = (self._vectors(texts, progress) @ self.means.T).argmax(axis=1)
        return [int(one) for one in self.tasks[nearest]]

    def _switch(self, task: int) -> None:
        if self.current != task:
            self._with_head(self.spoken[task], 0)
            self._started.network.load_state_dict(self.states[task], strict=False)
            self._started.network.eval()
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
            its = unlabelled([texts[row] for row in rows.tolist()])
            windows = self._started.windows(its, labelled=False)
            logits = mean_by_owner(self._started.logits(windows, progress), windows, len(its))
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
        arrays = arrays_of(folder / MEANS)
        try:
            self.means, self.tasks = np.asarray(arrays["means"], np.float32), np.asarray(arrays["tasks"], np.int64)
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
            put(self._started.network, self.states[at], file)
