"""What every fine-tuned model is, whatever it does: it learns, predicts, is measured, stored and loaded."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from semvec.encoders.catalog import load_encoder
from semvec.encoders.model_folder import ABOUT
from semvec.encoders.transformer import Transformer
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.encoders.tuned import Grown
from semvec.errors import ModelError, OptionError
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import Answer, Examples, Findings, Task
from semvec.types import JSON, Progress

NO_NEIGHBOURS = "explain: this model keeps no training examples; classify, tag, relation and pairs do with --knn"


@dataclass(frozen=True)
class Loading:
    """Where a model computes, and what of it may be run or unpickled."""

    device: str | None = None
    trust_pickle: bool = False
    trust_remote_code: bool = False

    def encoder(self, model: str | os.PathLike[str]) -> TransformerEncoder:
        """Return the encoder called ``model``; `OptionError` where it has no transformer."""
        its = load_encoder(model, device=self.device, trust_pickle=self.trust_pickle, trust_remote_code=self.trust_remote_code)
        if not isinstance(its, TransformerEncoder):
            kind = its.fingerprint.family
            raise OptionError(f"{model} is a {kind} model: what is fine-tuned are transformers, sentence or contextual models")
        return its


@dataclass(frozen=True)
class Lesson:
    """What is learnt from, and by which ``measure`` on ``validation``; ``folder`` is where checkpoints go.

    Without ``validation`` the last step is kept.
    With ``resume`` the last checkpoint there is gone on from. ``told`` hears the measure at every look.
    """

    examples: Any
    validation: Any
    measure: str
    folder: Path
    resume: bool = False
    told: Callable[[float], None] | None = None


@dataclass
class Tuned(ABC):
    """A model for ``task``, as ``config`` says, made from ``base``; ``record`` is what came of its training."""

    task: Task[Any]
    config: Any
    encoder: TransformerEncoder
    base: Grown
    options: FinetuneOptions
    record: JSON = field(default_factory=dict)

    @property
    def earlier(self) -> str:
        """What it is compared with, in words."""
        return "the encoder before"

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.encoder.device

    @property
    @abstractmethod
    def module(self) -> torch.nn.Module:
        """All that it computes with, of which some learns."""

    @property
    @abstractmethod
    def body(self) -> Any:
        """The encoder's model, with what the strategy added to it."""

    @classmethod
    @abstractmethod
    def start(cls, task: Any, model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading) -> Tuned:
        """Return ``model`` ready to learn from ``examples``.

        Raises `OptionError` where the strategy or the layers do not fit the encoder, `InputError` for examples of which
        nothing can be learnt, and what `load_encoder` raises.
        """

    @classmethod
    @abstractmethod
    def load(cls, task: Any, folder: Path, about: Any, loading: Loading) -> Tuned:
        """Return the model in ``folder``, whose ``semvec.json`` says ``about``; `ModelError` where it is damaged."""

    @classmethod
    def before(
        cls,
        task: Any,
        model: str | os.PathLike[str],
        lesson: Lesson,
        options: FinetuneOptions,
        loading: Loading,
        progress: Progress | None = None,
    ) -> Tuned | None:
        """Return what the model is to be compared with: the encoder as it was; None where there is nothing of the kind."""
        return None

    @abstractmethod
    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        """Learn from the examples of ``lesson``, end as it was best on its validation data, and return the history."""

    @abstractmethod
    def predict(self, examples: Any, progress: Progress | None = None, *, explain: int = 0) -> list[Answer]:
        """Return what the model says of every example, as JSON; what that is, the task says.

        ``examples`` is what the task's reader gives (`semvec.text.examples`, …); their labels are not looked at. With
        ``explain`` every answer has ``nearest``: so many of the training examples nearest to it, or (tags) a list of these
        for every word that has one. Raises `OptionError` where the model was not trained with ``knn``.
        """

    @abstractmethod
    def save(self, folder: Path, *, merge: bool = False) -> None:
        """Write the model into ``folder``, which is empty: `load_model` reads it, and `load_encoder` as an encoder.

        Stored is what was learnt, and the name of the encoder; the whole encoder under the strategy full, and with ``merge``.
        """

    def measured(self, examples: Examples, progress: Progress | None = None) -> Findings:
        """Return what the model's answers on labelled ``examples`` are worth."""
        return self.task.findings(examples, self.predict(examples, progress), self.config)

    @property
    @abstractmethod
    def heeds(self) -> frozenset[str]:
        """The options that a search may change and that change something here."""

    def alone(self) -> Tuned | None:
        """Return the model without the neighbours that have a say in its answers; None where there are none."""
        return None

    def validated_on(self, examples: Examples) -> None:  # noqa: B027 (most have nothing to note)
        """Take note of what it will be measured on, where the measures depend on that."""

    def parts(self, examples: Examples) -> int:
        """Return how many windows more than examples are read: long ones are read in several."""
        return 0


@contextmanager
def damage_told(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while ``semvec.json`` in ``folder`` is read into `ModelError`."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder}: {ABOUT} is damaged ({type(error).__name__}: {error})") from error


def encoder_now(was: TransformerEncoder, body: Any, plain: Any = None) -> TransformerEncoder:
    """Return ``was`` with ``body`` as it has become, in which ``plain`` is the encoder's own model; none of its caches stays."""
    digest, its = sha256(), was.transformer
    for tensor in body.state_dict().values():
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    now = Transformer.of(its.tokenizer.inner, body if plain is None else plain, its.device, its.max_tokens, live=True)
    return was.with_transformer(now, model=was.model, weights=digest.hexdigest())


def named(model: str | os.PathLike[str]) -> str:
    """Return how an encoder is to be found again: a path as a whole one."""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.exists() else os.fspath(model)
