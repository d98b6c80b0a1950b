"""Texts that become other texts: translation, summaries, replies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semvec.encoders.catalog import find_model
from semvec.encoders.model_folder import first_line
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.tuned import WHOLE, Grown, read_grown
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.chance import seeded
from semvec.finetune.classify import read_texts
from semvec.finetune.decoder import FOLDER, load_decoder, make_decoder, make_vocabulary, put_together, save_decoder
from semvec.finetune.network import ask_all, on
from semvec.finetune.options import FinetuneOptions, check_range
from semvec.finetune.stored import check_whole, save_encoder, write_about
from semvec.finetune.strategies import LOW_RANK, PLANS, prepare, settled
from semvec.finetune.task import Answer, Findings, Task
from semvec.finetune.trainer import train
from semvec.finetune.tuned import NO_NEIGHBOURS, Lesson, Loading, Tuned, damage_told, named
from semvec.finetune.windows import Reader
from semvec.finetune.writer import Source, Writer, collate
from semvec.measures.translation import bleu, chrf
from semvec.text.parallel import ParallelTexts, read_parallel
from semvec.types import JSON, Progress, Step, Strategy

PLAIN = (".txt", ".md")
WINDOWS = 16
"""Windows of a text that are learnt from at most; all are read of one that is to become something."""

FITTING = ("full", "head", "last-n", "lora", "dora", "ia3", "bitfit")
"""Strategies after which an encoder is a plain one again: its decoder is of no use to another."""


class Seq2Seq(Task[ParallelTexts]):
    """Texts → what each is to become."""

    name = "seq2seq"

    def measures(self, config: Written) -> tuple[str, ...]:
        return ("BLEU", "chrF")

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> ParallelTexts:
        return read_parallel(path, options.columns)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> ParallelTexts:
        if os.fspath(path) == "-" or Path(path).suffix in PLAIN:
            texts = read_texts(path)
            return ParallelTexts(texts, [[] for _ in texts])
        return read_parallel(path, options.input_columns, labelled=False)

    def check(self, examples: ParallelTexts, config: Written, where: str) -> None:
        if not all(examples.targets):
            raise InputError(f"{where}: a text has nothing that it is to become")

    def findings(self, examples: ParallelTexts, answers: Sequence[Answer], config: Written) -> Findings:
        said = [answer["target"] for answer in answers]
        return Findings((bleu(said, examples.targets), chrf(said, examples.targets)))

    def groups(self, examples: ParallelTexts) -> Sequence[str]:
        return examples.sources

    def simplest(self, examples: ParallelTexts, config: Written) -> tuple[str, list[Answer]]:
        return "the source itself", [{"target": source} for source in examples.sources]


@dataclass(frozen=True)
class Written:
    """How a model writes: whether its decoder was ``fresh``, and beams and tokens as in `FinetuneOptions`."""

    fresh: bool
    max_tokens: int
    target_tokens: int
    beams: int

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: JSON) -> Written:
        """Return what `to_json` gave; `KeyError`, `TypeError` or `ValueError` where it is not that."""
        its = {name: int(record[name]) for name in ("max_tokens", "target_tokens", "beams")}
        for name, value in its.items():
            check_range(name, value)
        return cls(bool(record["fresh"]), **its)


@dataclass
class Translating(Tuned):
    """An encoder and a decoder, which are its ``writer``; ``vocabulary`` is the tokenizer of what it writes.

    ``grown`` is what the strategy made of the encoder (of the whole model, where it came with its decoder).
    """

    config: Written
    writer: Writer = None  # type: ignore[assignment]
    vocabulary: Any = None
    grown: Any = None

    @property
    def module(self) -> torch.nn.Module:
        return self.writer

    @property
    def body(self) -> Any:
        return self.grown

    @classmethod
    def start(
        cls, task: Seq2Seq, model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading
    ) -> Translating:
        if options.strategy not in FITTING:
            raise OptionError(f"strategy {str(options.strategy)!r}: seq2seq goes with {', '.join(FITTING)}")
        check_whole(model)
        encoder, folder = loading.encoder(model), find_model(model).path
        max_tokens = min(options.max_tokens or encoder.max_tokens, encoder.transformer.limit)
        fresh = not _writes(folder, loading)
        config = Written(fresh, max_tokens, options.target_tokens, options.beams)
        with seeded(options.seed):
            if fresh:
                body = encoder.transformer.model
                whole, vocabulary = _with_decoder(body, folder, examples, options)
                grown = prepare(body, options)  # last: whatever is put together is initialised anew where it is not marked
                options = settled(options)
            else:
                _check_decoders_own(options)
                whole, vocabulary = _load_whole(folder, loading), encoder.transformer.tokenizer.inner
                grown = prepare(whole, options)
                if options.strategy == Strategy.HEAD:
                    whole.requires_grad_(True)
                    whole.get_encoder().requires_grad_(False)
                usual = PLANS[Strategy.FULL if options.strategy == Strategy.HEAD else options.strategy]
                options = settled(options, learning_rate=usual.learning_rate, epochs=usual.epochs)
        _check_length(whole, options)
        base = Grown(WHOLE, named(model), encoder.weights)
        writer = Writer(whole, fresh=fresh, smoothing=options.label_smoothing).to(encoder.device)
        return cls(task, config, encoder, base, options, writer=writer, vocabulary=vocabulary, grown=grown)

    @classmethod
    def load(cls, task: Seq2Seq, folder: Path, about: Any, loading: Loading) -> Translating:
        with damage_told(folder):
            config, options = Written.from_json(about["head"]), FinetuneOptions().changed(dict(about["options"]))
        encoder = loading.encoder(folder)
        if config.fresh:
            decoder, vocabulary = load_decoder(folder)
            whole = put_together(encoder.transformer.model, decoder)
        else:
            whole, vocabulary = _load_whole(folder, loading), encoder.transformer.tokenizer.inner
        writer = Writer(whole, fresh=config.fresh).to(encoder.device).eval()
        record, grown = about.get("record", {}), encoder.transformer.model if config.fresh else whole
        return cls(task, config, encoder, read_grown(folder), options, record, writer, vocabulary, grown)

    def sources(self, examples: ParallelTexts, *, labelled: bool) -> list[Source]:
        """Return what is read of ``examples``."""
        reader = Reader(self.encoder.transformer.tokenizer, self.config.max_tokens)
        targets = self._targets([texts[0] for texts in examples.targets]) if labelled else [None] * len(examples)
        return [
            Source(at, [ids for ids, _ in reader.framed(tokens)], target)
            for at, (tokens, target) in enumerate(zip(reader.tokens(examples.sources), targets, strict=True))
        ]

    def _targets(self, texts: list[str]) -> list[Any]:
        """Return the ids of ``texts``, the last of which ends them."""
        return [np.array(ids, dtype=np.int64) for ids in self.vocabulary(text_target=texts)["input_ids"]]

    @property
    def heeds(self) -> frozenset[str]:
        own = {"epochs", "batch_size", "weight_decay", "label_smoothing"}
        if self.config.fresh:
            own |= {"head_learning_rate", "dropout"}
        if self.options.strategy in LOW_RANK:
            own.add("dropout")
        if not (self.config.fresh and self.options.strategy == Strategy.HEAD):
            own.add("learning_rate")
        return frozenset(own)

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        items, asked = self.sources(lesson.examples, labelled=True), self.sources(lesson.validation, labelled=False)
        short = [its.cut(self.config.target_tokens, WINDOWS) for its in items]

        def validate() -> Mapping[str, float]:
            return self.task.findings(lesson.validation, self._written(asked, beams=1), self.config).values

        together = partial(collate, pad=self.encoder.transformer.tokenizer.pad)
        history = train(self.writer, short, self.options, lesson, validate, self.device, collate=together, progress=progress)
        return {**history, "cut": sum(one is not other for one, other in zip(items, short, strict=True))}

    def predict(self, examples: ParallelTexts, progress: Progress | None = None, *, explain: int = 0) -> list[Answer]:
        if explain:
            raise OptionError(NO_NEIGHBOURS)
        return self._written(self.sources(examples, labelled=False), self.config.beams, progress)

    def _written(self, sources: Sequence[Source], beams: int, progress: Progress | None = None) -> list[Answer]:
        """Return what is written for each of ``sources``, the best of ``beams``."""
        found: list[Answer] = [{}] * len(sources)
        pad, tokens = self.encoder.transformer.tokenizer.pad, self.encoder.transformer.batch_tokens

        def run(batch: Sequence[Source]) -> None:
            ids = self.writer.write(on(collate(batch, pad), self.device), beams, self.config.target_tokens)
            texts = self.vocabulary.batch_decode(ids.cpu(), skip_special_tokens=True)
            for its, text in zip(batch, texts, strict=True):
                found[its.owner] = {"target": text.strip()}

        def tell(done: int) -> None:
            if progress:
                progress(Step("writing", done, len(sources), "texts"))

        with quiet_loading():
            ask_all(self.writer, sources, lambda its: its.length * beams, tokens, run, tell)
        return found

    def parts(self, examples: Any) -> int:
        return sum(len(its.windows) - 1 for its in self.sources(examples, labelled=False))

    def save(self, folder: Path, *, merge: bool = False) -> None:
        stored = PLANS[self.options.strategy].stored if hasattr(self.grown, "merge_and_unload") else WHOLE
        save_encoder(self.grown, replace(self.base, kind=stored), folder, merge=True)
        if self.config.fresh:
            save_decoder(self.writer.model, self.vocabulary, folder)
        write_about(folder, self.base, self.task.name, self.config.to_json(), self.options.to_json(), self.record)


def _writes(folder: Path, loading: Loading) -> bool:
    """Whether the model in ``folder`` has a decoder of its own."""
    from transformers import AutoConfig

    with _told(folder):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=loading.trust_remote_code, local_files_only=True)
    return bool(getattr(config, "is_encoder_decoder", False))


def _check_decoders_own(options: FinetuneOptions) -> None:
    """Raise `OptionError` for options that a decoder which is there already does not heed."""
    plain, heeded = FinetuneOptions(), options.strategy in LOW_RANK
    for name in ("decoder_layers", "vocabulary", *(() if heeded else ("dropout",))):
        if getattr(options, name) != getattr(plain, name):
            raise OptionError(f"{name} is for a new decoder, and this model has one")


def _check_length(whole: Any, options: FinetuneOptions) -> None:
    """Raise `OptionError` where the decoder of ``whole`` has no positions for as much as is to be written."""
    config = getattr(whole.config, "decoder", whole.config)
    places = getattr(config, "max_position_embeddings", None)
    if places is not None and options.target_tokens >= places:
        raise OptionError(f"target_tokens {options.target_tokens} is more than the {places - 1} that this decoder writes")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn whatever transformers says of a folder it cannot make sense of into `ModelError`."""
    try:
        yield
    except Exception as error:
        raise ModelError(f"{folder}: transformers cannot load it ({first_line(error)})") from error


def _with_decoder(body: Any, folder: Path, examples: ParallelTexts, options: FinetuneOptions) -> tuple[Any, Any]:
    """Return ``body`` and a decoder, and what the decoder writes with: those in ``folder`` already, else new ones."""
    if (folder / FOLDER).is_dir():
        _check_decoders_own(options)
        decoder, vocabulary = load_decoder(folder)
    else:
        vocabulary = make_vocabulary([text for texts in examples.targets for text in texts], options.vocabulary)
        decoder = make_decoder(body, len(vocabulary), options.decoder_layers, options.target_tokens, options.dropout)
    try:
        return put_together(body, decoder), vocabulary
    except ValueError as error:  # of a kind of encoder that transformers puts no decoder behind
        raise OptionError(f"{folder}: no decoder can be put behind this encoder ({first_line(error)})") from error


def _load_whole(folder: Path, loading: Loading) -> Any:
    """Return the model in ``folder`` with its decoder; `ModelError` where transformers cannot load it."""
    from transformers import AutoModelForSeq2SeqLM

    with _told(folder), quiet_loading():
        model = AutoModelForSeq2SeqLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=None if loading.trust_pickle else True,
            trust_remote_code=loading.trust_remote_code,
            local_files_only=True,
        )
        one, other = model.config, model.generation_config
        start = getattr(one, "decoder_start_token_id", None)  # old checkpoints have it here, new ones there
        one.decoder_start_token_id = other.decoder_start_token_id if start is None else start
        other.decoder_start_token_id = one.decoder_start_token_id
        return model
