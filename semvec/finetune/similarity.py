"""Sentence encoders that learn which texts are alike, by the losses and the trainer of sentence-transformers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semvec.embeddings.similarity import similarity
from semvec.encoders.catalog import find_model
from semvec.encoders.model_folder import first_line
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.encoders.tuned import INSTALL, Grown, read_grown
from semvec.errors import InputError, MissingExtra, OptionError
from semvec.finetune.chance import seeded
from semvec.finetune.mine import hard_negatives
from semvec.finetune.options import FinetuneOptions, Loss
from semvec.finetune.stored import save_encoder, write_about
from semvec.finetune.strategies import LOW_RANK, PLANS, prepare, settled
from semvec.finetune.task import Answer, Findings, Task
from semvec.finetune.trainer import Validated, arguments, callbacks, run
from semvec.finetune.tuned import NO_NEIGHBOURS, Lesson, Loading, Tuned, damage_told, named
from semvec.measures.basic import average_precision, mean, pearson, spearman
from semvec.measures.intervals import Outcome
from semvec.text.similar import SimilarTexts, read_similar
from semvec.types import JSON, Progress, Step, Strategy

MEASURES = {
    "scored": ("spearman", "pearson"),
    "labelled": ("average precision",),
    "pairs": ("reciprocal rank", "first is right"),
    "triplets": ("reciprocal rank", "first is right"),
}
FITTING = {"scored": Loss.COSENT, "labelled": Loss.CONTRASTIVE, "pairs": Loss.MNR, "triplets": Loss.MNR, "texts": Loss.SIMCSE}
WANTED = {
    Loss.COSENT: ("scored", "labelled"),
    Loss.MNR: ("pairs", "triplets"),
    Loss.TRIPLET: ("triplets",),
    Loss.CONTRASTIVE: ("labelled",),
    Loss.SIMCSE: ("texts",),
    Loss.TSDAE: ("texts",),
}
RATES = {Strategy.FULL: 2e-5}
"""Learning rates that differ from those of heads: an encoder that is good already is easily spoilt."""

Vectors = NDArray[np.float32]
RANKED_AT_ONCE = 1024
ROUNDING = 1e-6
"""Cosines that differ by no more are equal: the same two texts give others in another product of matrices."""

DELETED = 0.6
"""The share of words that TSDAE leaves out (arXiv:2104.06979)."""


@dataclass(frozen=True)
class Compared:
    """What kind of examples a model is measured on, which decides by what (`MEASURES`)."""

    kind: str

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return {"kind": self.kind}

    @classmethod
    def from_json(cls, record: JSON) -> Compared:
        """Return what `to_json` gave; `KeyError`, `TypeError` or `ValueError` where it is not that."""
        if record["kind"] not in MEASURES:
            raise ValueError(f"no kind {record['kind']!r:.40}")
        return cls(record["kind"])


class Similarity(Task[SimilarTexts]):
    """Pairs of texts → how alike they are, the cosine of their vectors."""

    name = "similarity"

    def measures(self, config: Compared) -> tuple[str, ...]:
        return MEASURES[config.kind]

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> SimilarTexts:
        return read_similar(path, options.columns)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> SimilarTexts:
        found = read_similar(path, options.input_columns)
        if not all(found.second):
            raise InputError(f"{os.fspath(path)}: has one text a row, where two are compared; 'semvec encode' gives vectors")
        return found

    def check(self, examples: SimilarTexts, config: Compared, where: str) -> None:
        if examples.kind == "texts":
            raise InputError(f"{where}: texts alone say nothing of similarity; name pairs with --validation FILE")
        if not all(examples.second):
            raise InputError(f"{where}: an example has no second text")
        if examples.kind in ("scored", "labelled") and len(set(examples.scores)) < 2:
            raise InputError(f"{where}: all examples have the score {examples.scores[0]:g}: two are needed to compare by")

    def findings(self, examples: SimilarTexts, answers: Sequence[Answer], config: Compared) -> Findings:
        kind = examples.kind
        said = np.array([answer["score"] for answer in answers])
        if kind == "scored":
            gold = np.array(examples.scores)
            both = (("spearman", spearman), ("pearson", pearson))
            return Findings(tuple(Outcome.over_all(name, of, gold, said, range=(-1.0, 1.0)) for name, of in both))
        if kind == "labelled":
            gold = np.array(examples.scores) > 0
            return Findings((Outcome.over_all("average precision", average_precision, gold, said),))
        ranks = np.array([answer["rank"] for answer in answers])
        return Findings(
            (
                Outcome.over_all("reciprocal rank", mean, 1.0 / ranks),
                Outcome.over_all("first is right", mean, (ranks == 1).astype(float)),
            ),
            notes=("the second text of each pair is looked for among those of all",),
        )


@dataclass
class Similar(Tuned):
    """A sentence encoder that learns; ``live`` is the model of sentence-transformers while it does."""

    config: Compared
    live: Any = None

    @property
    def module(self) -> torch.nn.Module:
        return self.live  # type: ignore[no-any-return]

    @property
    def body(self) -> Any:
        return self.live[0].model

    @classmethod
    def start(
        cls, task: Similarity, model: str | os.PathLike[str], examples: Any, options: FinetuneOptions, loading: Loading
    ) -> Similar:
        if options.strategy == Strategy.HEAD:
            raise OptionError("strategy 'head' trains a head alone, and similarity has none: choose another")
        loss = _loss_for(examples, options)
        encoder = loading.encoder(model)
        live = _live(encoder, find_model(model).path, options, loading)
        options = settled(replace(options, loss=loss), learning_rate=RATES.get(options.strategy))
        base = Grown(PLANS[options.strategy].stored, named(model), encoder.weights, options.reduction)
        return cls(task, Compared(examples.kind), encoder, base, options, live=live)

    @classmethod
    def load(cls, task: Similarity, folder: Path, about: Any, loading: Loading) -> Similar:
        with damage_told(folder):
            config, options = Compared.from_json(about["head"]), FinetuneOptions().changed(dict(about["options"]))
        return cls(task, config, loading.encoder(folder), read_grown(folder), options, about.get("record", {}))

    @classmethod
    def before(
        cls,
        task: Similarity,
        model: str | os.PathLike[str],
        lesson: Lesson,
        options: FinetuneOptions,
        loading: Loading,
        progress: Progress | None = None,
    ) -> Similar:
        encoder = loading.encoder(model)
        base = Grown(PLANS[Strategy.HEAD].stored, named(model), encoder.weights)
        return cls(task, Compared(lesson.validation.kind), encoder, base, options)

    @property
    def heeds(self) -> frozenset[str]:
        own = frozenset({"learning_rate", "epochs", "batch_size", "weight_decay"})
        return own | {"dropout"} if self.options.strategy in LOW_RANK else own

    def validated_on(self, examples: Any) -> None:
        self.config = Compared(examples.kind)

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.base.sampler import BatchSamplers

        class Loop(Validated, SentenceTransformerTrainer):  # type: ignore[misc]
            """The loop of sentence-transformers, with validation, checkpoints and a card of ours."""

            def add_model_card_callback(self, default_args_dict: Any) -> None:
                return

        def validate() -> Mapping[str, float]:
            was = self.live.training
            try:
                return self.measured(lesson.validation).values
            finally:
                self.live.train(was)

        rows = self._rows(lesson.examples, progress)
        settings = arguments(len(rows), self.options, lesson, self.device)
        loss = _loss(self.live, self.options)
        apart = BatchSamplers.NO_DUPLICATES if self.options.loss in (Loss.MNR, Loss.SIMCSE) else BatchSamplers.BATCH_SAMPLER

        def make() -> Any:
            return Loop(
                learner=loss if self.options.loss == Loss.TSDAE else self.live,
                lesson=lesson,
                validate=validate,
                options=self.options,
                model=self.live,
                args=SentenceTransformerTrainingArguments(**settings, batch_sampler=apart),
                train_dataset=rows,
                eval_dataset=rows.select([0]),  # never read: it is wanted where something is validated
                loss=loss,
                callbacks=callbacks(len(rows), self.options, lesson, progress),
            )

        history = run(make, self.options.seed, lesson)
        self.live.eval()
        return history

    def _rows(self, examples: SimilarTexts, progress: Progress | None) -> Any:
        """Return the examples as the loss wants them: a Dataset whose columns are the texts, and the score."""
        try:
            from datasets import Dataset
        except ImportError as error:
            raise MissingExtra(f"similarity needs the library datasets ({error}): {INSTALL}") from error
        its = self.options.loss
        if its == Loss.SIMCSE:
            columns: dict[str, Any] = {"anchor": examples.first, "positive": examples.first}
        elif its == Loss.TSDAE:
            noisy = _noisy(examples.first, self.options.seed)
            columns = {"damaged": noisy, "original": examples.first}
        else:
            columns = {"first": examples.first, "second": examples.second}
        others = examples.others
        if self.options.hard_negatives:
            if progress:
                progress(Step("looking for hard negatives", 0, None, "pairs"))
            others = hard_negatives(self.encoder, examples.first, examples.second, self.options.hard_negatives, self.options.seed)
        if its in (Loss.MNR, Loss.TRIPLET) and any(others):
            few = min(len(texts) for texts in others)
            if not few:
                raise InputError("some examples have a negative and some have none: all must, or none")
            columns |= {f"other_{at}": [texts[at] for texts in others] for at in range(few if its == Loss.MNR else 1)}
        if its in (Loss.COSENT, Loss.CONTRASTIVE):
            columns["label"] = examples.scores if its == Loss.COSENT else [int(score) for score in examples.scores]
        return Dataset.from_dict(columns)

    @property
    def _asked(self) -> TransformerEncoder:
        """The encoder as it is now."""
        if self.live is None:
            return self.encoder
        return SentenceEncoder.of(self.live, name=self.base.base, weights="live")

    def predict(self, examples: SimilarTexts, progress: Progress | None = None, *, explain: int = 0) -> list[Answer]:
        if explain:
            raise OptionError(NO_NEIGHBOURS)
        encoder = self._asked
        say = (lambda done, total: progress(Step("reading", done, total, "texts"))) if progress else None
        one = encoder.encode_query(examples.first, normalize=True, overflow="windows", progress=say).vectors
        other = encoder.encode_document(examples.second, normalize=True, overflow="windows", progress=say).vectors
        cosines = np.einsum("nd,nd->n", one, other)
        if examples.kind in ("scored", "labelled"):
            return [{"score": float(its)} for its in cosines]
        ranks = _ranks(one, other, examples, cosines)
        if any(examples.others):
            ranks = ranks + _nearer(one, examples, cosines, encoder)
        return [{"score": float(its), "rank": int(rank)} for its, rank in zip(cosines, ranks, strict=True)]

    def save(self, folder: Path, *, merge: bool = False) -> None:
        body = self.encoder.transformer.model if self.live is None else self.body
        if self.live is None:
            body.requires_grad_(False)
        grown = save_encoder(body, self.base, folder, merge=merge)
        if self.live is not None and grown.kind == "whole" and not (folder / "modules.json").is_file():
            self.live.save_pretrained(str(folder), create_model_card=False)  # a bare transformer becomes one that pools
        write_about(folder, grown, self.task.name, self.config.to_json(), self.options.to_json(), self.record)


def _ranks(one: Vectors, other: Vectors, examples: SimilarTexts, own: Vectors) -> NDArray[np.int64]:
    """Return the place (pairs,) of every second text among the second ones of all pairs, when ranked for the first.

    ``one`` and ``other`` (pairs, dim) are the vectors of both, ``own`` (pairs,) how alike those of a pair are.
    """
    _, first = np.unique(np.array(examples.second, dtype=object), return_index=True)
    pool, places = other[first], []
    for start in range(0, len(one), RANKED_AT_ONCE):
        scores = similarity(one[start : start + RANKED_AT_ONCE], pool, "dot")
        right = own[start : start + RANKED_AT_ONCE, None]
        places.append((scores > right + ROUNDING).sum(axis=1) + 1)
    return np.concatenate(places)


def _nearer(one: Vectors, examples: SimilarTexts, own: Vectors, encoder: TransformerEncoder) -> NDArray[np.int64]:
    """Return how many of every pair's own negatives are nearer to its first text than its second one (pairs,)."""
    texts = [text for its in examples.others for text in its]
    owner = np.repeat(np.arange(len(one)), [len(its) for its in examples.others])
    against = encoder.encode_document(texts, normalize=True, overflow="windows").vectors
    nearer = np.einsum("nd,nd->n", one[owner], against) > own[owner] + ROUNDING
    return np.bincount(owner[nearer], minlength=len(one))


def _loss_for(examples: SimilarTexts, options: FinetuneOptions) -> Loss:
    """Return the loss to learn by; `OptionError` where the one asked for does not fit the data."""
    kind = examples.kind
    loss = FITTING[kind] if options.loss == Loss.AUTO else options.loss
    if kind not in WANTED[loss]:
        raise OptionError(f"loss {str(loss)!r} wants {' or '.join(WANTED[loss])}, and the data are {kind}")
    if options.hard_negatives and loss != Loss.MNR:
        raise OptionError(f"hard_negatives go with the loss 'mnr', not with {str(loss)!r}")
    if options.hard_negatives and kind == "triplets":
        raise OptionError("hard_negatives: the data have negatives of their own")
    if loss == Loss.TSDAE and (options.strategy != Strategy.FULL or options.matryoshka):
        raise OptionError("loss 'tsdae' goes with strategy 'full' alone, and not with matryoshka")
    return loss


LEARNS_IN: dict[str, Any] = {"dtype": "float32"}
"""However a model was stored: steps are lost where weights have but 16 bits."""


def _live(encoder: TransformerEncoder, folder: Path, options: FinetuneOptions, loading: Loading) -> Any:
    """Return the encoder as a model of sentence-transformers, made ready to learn."""
    with quiet_loading():
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer

        if (folder / "modules.json").is_file():
            live = SentenceTransformer(
                str(folder),
                device=encoder.device,
                local_files_only=True,
                trust_remote_code=loading.trust_remote_code,
                model_kwargs=LEARNS_IN,
            )
        elif (folder / "config.json").is_file():
            inner = Transformer(str(folder), model_kwargs=LEARNS_IN)
            pooling = Pooling(inner.get_word_embedding_dimension(), pooling_mode="mean")
            live = SentenceTransformer(modules=[inner, pooling], device=encoder.device)
        else:
            raise OptionError(f"{folder}: is itself stored as what it learnt alone: store that one whole (--merge) first")
    live.model_card_data.generate_widget_examples = False
    wrong = [dim for dim in options.matryoshka if not 1 <= dim <= live.get_embedding_dimension()]
    if wrong:
        raise OptionError(f"matryoshka {wrong[0]}: the vectors have {live.get_embedding_dimension()} dimensions")
    with seeded(options.seed):
        live[0].model = prepare(live[0].model, options).to(encoder.device)
    for module in list(live)[1:]:
        module.requires_grad_(False)  # a Dense behind the pooling is stored as it was
    return live


def _loss(live: Any, options: FinetuneOptions) -> Any:
    from sentence_transformers import losses

    made = {
        Loss.COSENT: losses.CoSENTLoss,
        Loss.MNR: losses.MultipleNegativesRankingLoss,
        Loss.TRIPLET: losses.TripletLoss,
        Loss.CONTRASTIVE: losses.OnlineContrastiveLoss,
        Loss.SIMCSE: losses.MultipleNegativesRankingLoss,
        Loss.TSDAE: losses.DenoisingAutoEncoderLoss,
    }
    try:
        loss = made[options.loss](live)
    except Exception as error:  # of a model that has no decoder to learn with
        raise OptionError(f"loss {str(options.loss)!r} does not fit this model: {first_line(error)}") from error
    if options.matryoshka:
        whole = live.get_embedding_dimension()
        return losses.MatryoshkaLoss(live, loss, matryoshka_dims=sorted({whole, *options.matryoshka}, reverse=True))
    return loss


def _noisy(texts: Sequence[str], seed: int) -> list[str]:
    """Return ``texts`` without six words of ten, but never without all."""
    rng, found = np.random.default_rng(seed), []
    for text in texts:
        words = text.split()
        keep = rng.random(len(words)) > DELETED
        if len(words) and not keep.any():
            keep[rng.integers(len(words))] = True
        found.append(" ".join(word for word, yes in zip(words, keep, strict=True) if yes))
    return found
