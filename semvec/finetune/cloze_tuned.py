"""A masked language model that learns which words stand for labels in the gap of a pattern (PET, arXiv:2001.07676).

As in LM-BFF (arXiv:2012.15723) all that there is of a label is its words: no head begins with nothing learnt.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from semvec.encoders.catalog import find_model
from semvec.encoders.tuned import WHOLE, Grown, read_grown
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.chance import seeded
from semvec.finetune.classify import label_answer
from semvec.finetune.cloze import PATTERN, Cloze
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.stored import save_encoder, write_about
from semvec.finetune.strategies import prepare, settled
from semvec.finetune.task import Answer, HeadConfig
from semvec.finetune.trainer import train, unvalidated
from semvec.finetune.tuned import Lesson, Loading, Tuned, damage_told, encoder_now, named
from semvec.finetune.windows import Window, collate
from semvec.text.examples import LabelledTexts
from semvec.types import JSON, Progress, Strategy

ABLE = (Strategy.FULL, Strategy.LAST_N, Strategy.BITFIT)
"""Strategies that add no parts, so that what is stored is a checkpoint like the one it was made from."""

EPOCHS = 20
AT_ONCE = 512

Words = Mapping[str, Sequence[str]]
"""The words that stand for each label."""


class Filling(nn.Module):
    """``model``, and of each label the mean of what it says of its words (label, word) in the gap ``mask``."""

    new: tuple[str, ...] = ()

    def __init__(self, model: Any, words: Sequence[Sequence[int]], mask: int) -> None:
        super().__init__()
        self.model, self.mask = model, mask
        self.words = [word for its in words for word in its]
        owners = torch.repeat_interleave(torch.arange(len(words)), torch.tensor([len(its) for its in words]))
        shares = nn.functional.one_hot(owners, len(words)).float()
        self.register_buffer("shares", shares / shares.sum(dim=0), persistent=False)

    def forward(self, ids: Tensor, mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy of ``labels`` (rows,) among all labels, and the ``logits`` (rows, labels)."""
        places = (ids == self.mask).int().argmax(dim=1)
        output = self.model(input_ids=ids, attention_mask=mask).logits
        logits = output[torch.arange(len(ids), device=ids.device), places][:, self.words].float() @ self.shares
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@dataclass
class ClozeTuned(Tuned):
    """A classifier that fills the gap of a pattern; ``words`` stand for its labels."""

    config: HeadConfig
    cloze: Cloze = None  # type: ignore[assignment]
    words: Words = field(default_factory=dict)

    @property
    def module(self) -> nn.Module:
        return self.cloze.model  # type: ignore[no-any-return]

    @property
    def body(self) -> Any:
        return self.cloze.model.base_model

    @property
    def heeds(self) -> frozenset[str]:
        return frozenset({"learning_rate", "epochs", "batch_size", "weight_decay"})

    @classmethod
    def start(
        cls, task: Any, model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading
    ) -> ClozeTuned:
        raise OptionError("a model that fills gaps wants words for its labels: few_shot takes them")

    @classmethod
    def of(
        cls, task: Any, model: str | os.PathLike[str], words: Words, pattern: str, options: FinetuneOptions, loading: Loading
    ) -> ClozeTuned:
        """Return ``model``, a checkpoint with a masked-LM head, ready to learn which of ``words`` fit into ``pattern``."""
        if options.strategy not in ABLE:
            raise OptionError(f"by cloze the strategy is {', '.join(ABLE[:-1])} or {ABLE[-1]}, not {options.strategy}")
        place = find_model(model, trust_pickle=loading.trust_pickle).path
        cloze, encoder = _shared(place, model, pattern, loading)
        with seeded(options.seed):
            prepare(cloze.model, options)
        base = Grown(WHOLE, named(model), encoder.weights, options.reduction)
        its = cls(task, HeadConfig(labels=tuple(words)), encoder, base, settled(options, epochs=EPOCHS), cloze=cloze, words=words)
        its.numbers()
        return its

    @classmethod
    def load(cls, task: Any, folder: Path, about: Any, loading: Loading) -> ClozeTuned:
        grown = read_grown(folder)
        with damage_told(folder):
            config, options = HeadConfig.from_json(about["head"]), FinetuneOptions().changed(dict(about["options"]))
            its = about["head"]["cloze"]
            pattern, words = str(its["pattern"]), {str(name): [str(one) for one in some] for name, some in its["words"].items()}
            if tuple(words) != config.labels or not all(words.values()):
                raise ValueError("its words are not those of its labels")
        try:
            cloze, encoder = _shared(folder, folder, pattern, loading)
        except OptionError as error:
            raise ModelError(f"{folder}: is damaged ({error})") from error
        return cls(task, config, encoder, grown, options, about.get("record", {}), cloze, words)

    def numbers(self) -> list[list[int]]:
        """Return the ids of every label's words; `OptionError` for a word of several pieces."""
        return [[self.cloze.word(one) for one in some] for some in self.words.values()]

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        examples, number = lesson.examples, {label: at for at, label in enumerate(self.config.labels)}
        gaps = [
            Window(at, {"ids": self.cloze.ids(text), "labels": np.array(number[label])})
            for at, (text, label) in enumerate(zip(examples.texts, examples.labels, strict=True))
        ]
        filling = Filling(self.cloze.model, self.numbers(), self.cloze.tokenizer.mask_token_id).to(self.device)
        together = partial(collate, pad=self.cloze.reader.pad)
        history = train(filling, gaps, self.options, lesson, unvalidated, self.device, collate=together, progress=progress)
        self.cloze.model.eval()
        self.encoder = encoder_now(self.encoder, self.body)
        return history

    def predict(self, examples: LabelledTexts, progress: Progress | None = None, *, explain: int = 0) -> list[Answer]:
        if explain:
            raise OptionError("explain: a model that fills gaps keeps no training examples")
        numbers, found = self.numbers(), list[Answer]()
        for start in range(0, len(examples), AT_ONCE):
            means = self.cloze.label_logs(examples.texts[start : start + AT_ONCE], numbers)
            found += [label_answer(row.astype(np.float32), self.config.labels) for row in softmax(means, axis=1)]
        return found

    def save(self, folder: Path, *, merge: bool = False) -> None:
        grown = save_encoder(self.cloze.model, self.base, folder)
        its = {"pattern": self.cloze.pattern, "words": {name: list(some) for name, some in self.words.items()}}
        write_about(folder, grown, self.task.name, {**self.config.to_json(), "cloze": its}, self.options.to_json(), self.record)


def _shared(place: Path, model: str | os.PathLike[str], pattern: str, loading: Loading) -> tuple[Cloze, Any]:
    """Return the checkpoint as what fills gaps, and as an encoder, both with the same weights."""
    cloze, encoder = Cloze.load(place, pattern, device=loading.device), loading.encoder(model)
    setattr(cloze.model, cloze.model.base_model_prefix, encoder.transformer.model)
    cloze.model.tie_weights()
    return cloze, encoder


def check_words(words: Words, examples: LabelledTexts) -> None:
    """Raise `InputError` where a label of ``examples`` has no words, `OptionError` for words that tell no labels apart."""
    for label, some in words.items():
        if isinstance(some, str) or not some:
            raise OptionError(f"the label {label!r:.60} wants a list of words, and at least one")
    every = [word for some in words.values() for word in some]
    if twice := next((word for word in every if every.count(word) > 1), None):
        raise OptionError(f"the word {twice!r:.60} stands for two labels, or twice for one")
    if without := sorted(set(examples.labels) - set(words)):
        raise InputError(f"the label {without[0]!r:.60} has no words: describe it by labels, as {without[0]}=word")


def learnt_cloze(
    model: str | os.PathLike[str],
    task: Any,
    examples: LabelledTexts,
    words: Words,
    *,
    pattern: str = PATTERN,
    options: FinetuneOptions,
    loading: Loading,
    work: Path,
    progress: Progress | None = None,
) -> ClozeTuned:
    """Return ``model`` that has learnt ``examples``, all of them, by the ``words`` of their labels in ``pattern``."""
    check_words(words, examples)
    tuned = ClozeTuned.of(task, model, words, pattern, options, loading)
    tuned.learn(Lesson(examples, None, "steps", work / "checkpoints"), progress)
    return tuned
