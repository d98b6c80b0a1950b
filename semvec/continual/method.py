"""What every way of going from task to task has: it is taught a task, says how likely labels are, is kept and read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semvec.continual.options import ContinualOptions
from semvec.errors import ModelError
from semvec.finetune.tuned import Loading
from semvec.text.examples import LabelledTexts
from semvec.types import JSON, Progress

Shares = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """One task as it is taught: the ``number`` it has (from 0), labels as they are called in the head, which of them are ``new``.

    ``folder`` is where checkpoints go; with ``resume`` the last one there is gone on from.
    """

    name: str
    number: int
    examples: LabelledTexts
    new: tuple[str, ...]
    folder: Path
    resume: bool = False
    progress: Progress | None = None


class Method(ABC):
    """A way of going from task to task; ``labels`` are those known, ``origin`` says which task each is of."""

    can_add: ClassVar[bool] = False
    """Whether examples are taken in without training."""

    def __init__(self, options: ContinualOptions, model: str, loading: Loading) -> None:
        self.options, self.model, self.loading = options, model, loading
        self.labels: tuple[str, ...] = ()
        self.origin: dict[str, int] = {}

    def know(self, labels: Sequence[str], number: int) -> None:
        """Take note that ``labels`` come with task ``number``."""
        self.labels += tuple(labels)
        self.origin |= dict.fromkeys(labels, number)

    @abstractmethod
    def check(self, labels: Sequence[str]) -> None:
        """Raise what beginning with a task of ``labels`` would raise: where the model, the device or the options do not go."""

    @abstractmethod
    def learn(self, part: Part) -> JSON:
        """Learn a task, its new labels among all, and return what is to be said of that."""

    @abstractmethod
    def shares(self, texts: Sequence[str], task: int | None, among: Sequence[int], progress: Progress | None = None) -> Shares:
        """Return how likely each label is of each text (texts, labels), 0 of those not ``among``, which are numbers of labels.

        ``task`` is the number of the task that the texts are of, None where that is not known.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learnt into ``folder``, which is there."""

    @abstractmethod
    def restore(self, folder: Path, parts: Sequence[str]) -> None:
        """Become what `save` wrote of the tasks named ``parts``; ``labels`` and ``origin`` are set before."""

    @property
    @abstractmethod
    def weights(self) -> str:
        """The hash of the weights of the encoder it is made from."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where it computes."""

    @property
    def bytes(self) -> int:
        """How much it keeps beside the model itself, so as not to forget."""
        return 0

    def tasks_of(self, texts: Sequence[str], progress: Progress | None = None) -> list[int] | None:
        """Return the numbers of the tasks that texts are most likely of, None where it does not tell tasks apart."""
        return None


def softmax_among(logits: NDArray[Any], among: Sequence[int]) -> Shares:
    """Return the softmax of ``logits`` (rows, labels) over the labels ``among``; 0 elsewhere."""
    some = logits[:, list(among)].astype(np.float64)
    exps = np.exp(some - some.max(axis=1, keepdims=True))
    shares = np.zeros(logits.shape, dtype=np.float32)
    shares[:, list(among)] = exps / exps.sum(axis=1, keepdims=True)
    return shares


def tensors_of(file: Path, device: str) -> dict[str, Tensor]:
    """Return the tensors in ``file``; `ModelError` where it is missing or damaged."""
    from safetensors.torch import load_file

    try:
        found = dict(load_file(file, device=device))
        if wrong := next((name for name, its in found.items() if its.is_floating_point() and not its.isfinite().all()), None):
            raise ValueError(f"{wrong} holds numbers that are not finite")
        return found
    except Exception as error:  # whatever safetensors and torch say of a file that is none
        raise ModelError(f"{file}: is missing or damaged ({str(error).splitlines()[0]:.120})") from error


def unlabelled(texts: Sequence[str]) -> LabelledTexts:
    """Return ``texts`` as examples whose labels are not known."""
    return LabelledTexts(list(texts), [""] * len(texts))
