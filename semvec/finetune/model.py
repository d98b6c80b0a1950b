"""An encoder and a head that do a task: trained, asked, stored."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.encoders.tuned import Grown, read_grown
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.chance import seeded
from semvec.finetune.heads import FEATURES, Head
from semvec.finetune.neighbours import COUNTS, Found, Neighbours, check_room, spread_of
from semvec.finetune.network import Network, ask_all, on
from semvec.finetune.options import HEAD_POOLINGS, ROUTED, FinetuneOptions, HeadKind
from semvec.finetune.stored import save_encoder, write_about
from semvec.finetune.strategies import PLANS, prepare, settled
from semvec.finetune.task import Answer, Examples, HeadConfig, HeadTask, Logits
from semvec.finetune.tasks import USES
from semvec.finetune.trainer import train, unvalidated
from semvec.finetune.tuned import NO_NEIGHBOURS, Lesson, Loading, Tuned, damage_told, encoder_now, named
from semvec.finetune.windows import Reader, Window, collate
from semvec.measures.intervals import Outcome
from semvec.text.tagged import OUTSIDE
from semvec.types import JSON, Pooling, Progress, Step, Strategy

HEAD = "head.safetensors"
MOST_BYTES = 4 << 30
"""The most that is kept of what a head reads of a frozen encoder; of more, the encoder is run every time."""

LEAST_TOKENS = 16
"""Tokens of a text that there must be room for beside virtual ones."""


@dataclass
class FineTuned(Tuned):
    """An encoder with a head, which are its ``network``."""

    task: HeadTask[Any]
    config: HeadConfig
    network: Network = None  # type: ignore[assignment]
    neighbours: Neighbours | None = None
    made_of: ClassVar[type[Network]] = Network

    @property
    def earlier(self) -> str:
        return "frozen encoder, linear head"

    @property
    def module(self) -> torch.nn.Module:
        return self.network

    @property
    def body(self) -> Any:
        return self.network.body

    @property
    def pad(self) -> int:
        """The token that fills up rows."""
        return self.encoder.transformer.tokenizer.pad

    @property
    def reader(self) -> Reader:
        """What cuts texts into windows."""
        return Reader(self.encoder.transformer.tokenizer, self.config.max_tokens, self.network.takes_types)

    @classmethod
    def start(
        cls, task: HeadTask[Any], model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading
    ) -> FineTuned:
        config = task.config(examples, options)
        encoder = loading.encoder(model)
        with seeded(options.seed):
            body = prepare(encoder.transformer.model, options).to(encoder.device)
            config = replace(config, **_of_head(task, options), **_fitted(task, encoder, body, options))
            head = cls.make_head(task, config, encoder.transformer.hidden, options, examples).to(encoder.device)
        base = Grown(PLANS[options.strategy].stored, named(model), encoder.weights, options.reduction)
        return cls(task, config, encoder, base, settled(options), network=cls.made_of(body, head, config.layers))

    @classmethod
    def load(cls, task: HeadTask[Any], folder: Path, about: Any, loading: Loading) -> FineTuned:
        from safetensors.torch import load_file

        grown = read_grown(folder)
        with damage_told(folder):
            config, options = HeadConfig.from_json(about["head"]), FinetuneOptions().changed(dict(about["options"]))
        encoder = loading.encoder(folder)
        with damage_told(folder):
            head = cls.make_head(task, config, encoder.transformer.hidden, options)
            body = cls.make_body(encoder.transformer.model, config)
        for name, module in cls.parts_of(body, head).items():
            try:
                module.load_state_dict(load_file(folder / name))
            except Exception as error:  # whatever safetensors and torch say of a file that is none, or of another module
                raise ModelError(f"{folder}: {name} is missing or damaged ({str(error).splitlines()[0]:.120})") from error
        network = cls.made_of(body.to(encoder.device), head.to(encoder.device), config.layers).eval()
        return cls(task, config, encoder, grown, options, about.get("record", {}), network, Neighbours.load(folder))

    @classmethod
    def make_body(cls, encoder: Any, config: HeadConfig) -> Any:
        """Return what reads the tokens, made of the ``encoder``'s model."""
        return encoder

    @classmethod
    def parts_of(cls, body: Any, head: Head) -> dict[str, torch.nn.Module]:
        """Return what is stored beside the encoder, by the name of its file."""
        return {HEAD: head}

    @property
    def plain_body(self) -> Any:
        """The encoder's own model in the body."""
        return self.body

    @classmethod
    def make_head(
        cls, task: HeadTask[Any], config: HeadConfig, hidden: int, options: FinetuneOptions, examples: Any = None
    ) -> Head:
        """Return a new head on the layers of an encoder whose states have ``hidden`` numbers."""
        return task.head(config, hidden * len(config.layers), options, examples)

    def windows(self, examples: Examples, *, labelled: bool) -> list[Window]:
        """Return what is read of ``examples``."""
        return self.task.windows(examples, self.reader, self.config, labelled=labelled)

    def parts(self, examples: Examples) -> int:
        windows = self.windows(examples, labelled=False)
        return len(windows) - len({window.owner for window in windows})

    def logits(self, windows: Sequence[Window], progress: Progress | None = None) -> list[Logits]:
        """Return what the head says of each of ``windows``."""
        return self._run(windows, lambda batch: self.network(**batch)["logits"], progress)

    def features(self, windows: Sequence[Window], progress: Progress | None = None) -> list[Logits]:
        """Return what the head reads of each of ``windows``."""
        return self._run(windows, self.network.features, progress)

    def _run(self, windows: Sequence[Window], ask: Any, progress: Progress | None) -> list[Logits]:
        found: list[Any] = [None] * len(windows)

        def run(batch: Sequence[tuple[int, Window]]) -> None:
            rows = ask(on(collate([window for _, window in batch], self.pad), self.device)).float().cpu().numpy()
            for (at, window), row in zip(batch, rows, strict=True):
                found[at] = row[: window.rows] if row.ndim > 1 else row

        def tell(done: int) -> None:
            if progress:
                progress(Step("reading", done, len(windows), "windows"))

        tokens = self.encoder.transformer.batch_tokens
        ask_all(self.network, list(enumerate(windows)), lambda pair: pair[1].cost, tokens, run, tell)
        return found

    def predict(self, examples: Examples, progress: Progress | None = None, *, explain: int = 0) -> list[Answer]:
        windows, its = self.windows(examples, labelled=False), self.neighbours
        if its is None and explain:
            raise OptionError(NO_NEIGHBOURS)
        if its is None or not (its.weight or explain):
            return self._answers(self.logits(windows, progress), windows, examples)
        read = self.read_once(windows, progress)
        found = its.find(features_of(read), max(explain, its.k if its.weight else 1))
        answers = self._answers(its.mixed(self.logits(read), found), read, examples)
        return self._explained(answers, windows, its, (found[0][:, :explain], found[1][:, :explain])) if explain else answers

    @property
    def heeds(self) -> frozenset[str]:
        own = {"head_learning_rate", "epochs", "batch_size", "dropout", "weight_decay"}
        if self.options.strategy != Strategy.HEAD:
            own.add("learning_rate")
        if "label_smoothing" in USES[self.task.name] and not (self.config.many or self.config.scored):
            own.add("label_smoothing")
        return frozenset(own)

    def alone(self) -> FineTuned | None:
        return replace(self, neighbours=None) if self.neighbours is not None and self.neighbours.weight else None

    def _explained(self, answers: list[Answer], windows: Sequence[Window], its: Neighbours, found: Found) -> list[Answer]:
        """Return ``answers`` with the nearest examples; of a text in several windows those of the first."""
        nearest, made, row = its.explained(found, self.config.labels), [dict(answer) for answer in answers], 0
        for window in windows:
            answer = made[window.owner]
            for word in window.known.get("words", (None,)):
                if word is None:
                    answer.setdefault("nearest", nearest[row])
                elif answer["tags"][word] != OUTSIDE:
                    answer.setdefault("nearest", {})[str(word)] = nearest[row]
                row += 1
        return list(made)

    def _answers(self, logits: Sequence[Logits], windows: Sequence[Window], examples: Examples) -> list[Answer]:
        return self.task.answers(logits, windows, examples, self.config, self.network.head)

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        windows, asked = self.windows(lesson.examples, labelled=True), self.windows(lesson.validation, labelled=False)
        if not windows:
            raise InputError("the training examples have no token to learn from")
        if self.options.knn:
            check_room(windows, self.network.head.dim)
        self.check_runs(windows)
        if self.frozen and self.features_fit(windows):
            windows, asked = self.read_once(windows, progress), self.read_once(asked, progress)
            self.standardise(windows)
        windows = self.learned_from(windows, progress)

        def validate() -> Mapping[str, float]:
            now = self.renewed(lesson.validation, asked, labelled=False)
            said = self._answers(self.logits(now), now, lesson.validation)
            return self.task.findings(lesson.validation, said, self.config).values

        together, renew = partial(collate, pad=self.pad), None
        if type(self).renewed is not FineTuned.renewed:
            renew = partial(self.renewed, lesson.examples, windows, labelled=True)
        history = train(
            self.network, windows, self.options, lesson, validate, self.device, collate=together, renew=renew, progress=progress
        )
        self.network.eval()
        if not self.frozen:
            self.encoder = encoder_now(self.encoder, self.body, self.plain_body)
        if self.options.knn:
            history["neighbours"] = self._ask_neighbours(lesson, windows, asked, progress)
        return history

    def taught(self, windows: list[Window], lesson: Lesson, progress: Progress | None = None) -> JSON:
        """Learn labelled ``windows`` of a lesson without validation from what it is now, and return the history."""

        together = partial(collate, pad=self.pad)
        history = train(
            self.network, windows, self.options, lesson, unvalidated, self.device, collate=together, progress=progress
        )
        self.network.eval()
        if not self.frozen:
            self.encoder = encoder_now(self.encoder, self.body, self.plain_body)
        return history

    def renewed(self, examples: Any, windows: list[Window], *, labelled: bool, inside: bool = False) -> list[Window]:
        """Return ``windows`` of ``examples`` as they are to be read now: of most models as they are.

        Asked before an epoch (``labelled``), or a look; ``inside`` an epoch where a run goes on that was stopped there.
        """
        return windows

    def learned_from(self, windows: list[Window], progress: Progress | None) -> list[Window]:
        """Return ``windows`` with all that is to be learnt from."""
        return windows

    def _ask_neighbours(self, lesson: Lesson, windows: list[Window], asked: list[Window], progress: Progress | None) -> JSON:
        """Keep what the head reads of the training examples, choose on the validation data what it is to count, and say so."""
        say = progress or (lambda _: None)
        read, asked = self.read_once(windows, progress), self.read_once(asked, progress)
        shown = [self.task.shown(lesson.examples, at) for at in range(len(lesson.examples))]
        its = Neighbours.of(read, features_of(read), shown)
        found = its.find(features_of(asked), max(COUNTS))

        def worth(logits: list[Logits]) -> Outcome:
            said = self._answers(logits, asked, lesson.validation)
            return self.task.findings(lesson.validation, said, self.config).by(lesson.measure)

        def tell(done: int, total: int) -> None:
            say(Step("weighing the neighbours", done, total, "settings"))

        self.neighbours, without, best = its.chosen(self.logits(asked), found, worth, tell)
        chosen = {"k": self.neighbours.k, "temperature": self.neighbours.temperature, "weight": self.neighbours.weight}
        return {**chosen, "without": without, "with": best}

    @classmethod
    def before(
        cls,
        task: HeadTask[Any],
        model: str | os.PathLike[str],
        lesson: Lesson,
        options: FinetuneOptions,
        loading: Loading,
        progress: Progress | None = None,
    ) -> FineTuned | None:
        probe = cls.start(task, model, lesson.examples, options, loading)
        if not probe.features_fit(probe.windows(lesson.examples, labelled=False)):
            return None
        probe.learn(lesson, progress)
        return probe

    @property
    def frozen(self) -> bool:
        """Whether nothing of the encoder learns."""
        return not any(weight.requires_grad for weight in self.body.parameters())

    def features_fit(self, windows: Sequence[Window]) -> bool:
        """Whether what the head reads of ``windows`` can be kept in memory."""
        head = self.network.head
        rows = sum(window.length if head.per_token else window.kept for window in windows)
        return rows * head.dim * 4 < MOST_BYTES

    def read_once(self, windows: Sequence[Window], progress: Progress | None) -> list[Window]:
        """Return ``windows`` with the head's features in the place of the tokens."""
        if windows and FEATURES in windows[0].inputs:
            return list(windows)
        every = zip(windows, self.features(windows, progress), strict=True)
        return [window.read(np.asarray(its, np.float32)) for window, its in every]

    def standardise(self, windows: Sequence[Window]) -> None:
        """Have what the head reads of ``windows`` come out at mean 0 and deviation 1."""
        spread = spread_of(np.concatenate([np.atleast_2d(its) for its in features_of(windows)]))
        self.network.head.standardise(*(torch.from_numpy(its).to(self.device) for its in spread))

    def check_runs(self, windows: Sequence[Window]) -> None:
        """Raise `OptionError` where the strategy's parts do not fit the model, which only running it says."""
        try:
            self.logits(sorted(windows, key=lambda window: window.length)[:2])
        except (RuntimeError, TypeError, ValueError) as error:
            if self.options.strategy in (Strategy.FULL, Strategy.HEAD):
                raise
            said = str(error).splitlines()[0]
            raise OptionError(f"strategy {str(self.options.strategy)!r} does not fit this model: {said:.160}") from error

    def save(self, folder: Path, *, merge: bool = False) -> None:
        from safetensors.torch import save_file

        for name, module in self.parts_of(self.body, self.network.head).items():
            save_file({key: its.cpu().contiguous() for key, its in module.state_dict().items()}, folder / name)
        if self.neighbours is not None:
            self.neighbours.save(folder)
        grown = save_encoder(self.plain_body, self.base, folder, merge=merge)
        write_about(folder, grown, self.task.name, self.config.to_json(), self.options.to_json(), self.record)


def _of_head(task: HeadTask[Any], options: FinetuneOptions) -> Mapping[str, Any]:
    """Return what of ``options`` makes the head; `OptionError` where the task has no such head."""
    if options.head != HeadKind.LINEAR:
        if "head" not in USES[task.name]:
            raise OptionError(f"head {str(options.head)!r} is for labels of texts, not for {task.name}")
        if options.knn:
            raise OptionError("knn goes with the head 'linear': the others read all tokens of a text")
    return {name: getattr(options, name) for name in ("dropout", *ROUTED)}


def features_of(windows: Sequence[Window]) -> list[Logits]:
    """Return what the head reads of ``windows`` that have it in the place of tokens."""
    return [window.inputs[FEATURES] for window in windows]


def _fitted(task: HeadTask[Any], encoder: TransformerEncoder, body: Any, options: FinetuneOptions) -> Mapping[str, Any]:
    """Return the layers, the pooling and the length that fit the encoder, where the options leave them open."""
    n = encoder.transformer.n_layers
    layers = options.layers or (task.frozen_layers if options.strategy == Strategy.HEAD else task.default_layers)
    if options.layers is None and len(layers) > n:
        layers = (-1,)
    if wrong := [layer for layer in layers if not -n - 1 <= layer <= n]:
        raise OptionError(f"the model has no layer {wrong[0]}: there are 0 (before all) to {n}, or -1 (the last) to -{n + 1}")
    own = encoder.own_pooling[0]
    pooling = options.pooling or (own if own in HEAD_POOLINGS else Pooling.MEAN)
    before = options.virtual_tokens if options.strategy == Strategy.PREFIX else 0  # they have no place, but take positions
    limit = encoder.transformer.limit - getattr(body, "virtual", 0) - before
    if limit < LEAST_TOKENS:
        most = encoder.transformer.limit
        raise OptionError(f"virtual_tokens {options.virtual_tokens}: this model reads {most} tokens, the text's among them")
    if (options.max_tokens or 0) > limit:
        raise OptionError(f"max_tokens {options.max_tokens} is more than the {limit} this model reads")
    own_limit = task.reads or encoder.max_tokens
    return {"layers": tuple(layers), "pooling": pooling, "max_tokens": options.max_tokens or min(own_limit, limit)}
