"""A classifier that looks things up: a model, a memory of labelled texts, and a way in which both come to one answer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from typing_extensions import Self

from semvec.augment.described import MODEL, Described
from semvec.augment.examples import Looked
from semvec.augment.joint import Joint, check_alike
from semvec.augment.looks_up import LooksUp, open_parts
from semvec.augment.memory import Memory, as_evidence, label_of, without
from semvec.augment.ways import READERS, Answering, Shares, Weighed, answering
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.classify import label_answer, label_findings
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.task import Answer, Findings
from semvec.finetune.tuned import Loading
from semvec.results import Hits
from semvec.text.document import is_text
from semvec.text.examples import LabelledTexts
from semvec.types import JSON, Way


class RetrievalAugmentedClassifier(LooksUp):
    """Says labels of texts, with what it finds in its memory; whatever is added or removed there counts at once.

    To be closed after use (``with RetrievalAugmentedClassifier.open(folder) as model``). Made by `semvec.augment.train.train`.
    """

    def __init__(self, answering: Answering, memory: Memory, described: Described, held: ExitStack | None = None) -> None:
        super().__init__(memory, described, held)
        self.answering = answering

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, encoder: str | None = None, device: str | None = None) -> Self:
        """Return the classifier in ``folder``; ``encoder`` names the one of its memory, if it is not found by its name.

        Raises `ModelNotFound`, `ModelError` where it is damaged, `CollectionNotFound` where its memory is gone, and
        `FingerprintMismatch` where the memory was made by another encoder.
        """
        with ExitStack() as held:
            its = open_parts(folder, "classify", held, encoder=encoder, device=device)
            way, place = its.described.way, its.place / MODEL
            reader, loading = READERS.get(way), Loading(device)
            model: Any = reader.load(Looked(), place, its.about, loading) if reader else load_model(place, device=device)
            if not isinstance(model, FineTuned) or not model.config.labels:
                raise ModelError(f"{place}: is no model that says labels")
            if isinstance(model, Joint):
                check_alike(its.memory.searcher.encoder, model.found_dim)
                model.attend(its.memory)
            made = cls(answering(way, model, its.described.weighing), its.memory, its.described, held.pop_all())
        made.folder = its.place
        return made

    @property
    def wanted(self) -> int:
        return self.answering.wanted(self.described.retrieval.k)

    def _labels(self, hits: Sequence[Hits]) -> list[str]:
        """Return the labels that can be said: those the model has learnt and, where labels are weighed, those of ``hits``."""
        own = list(self.answering.own_labels)
        if not isinstance(self.answering, Weighed) or self.answering.weighing.silent:
            return own
        return own + sorted({label for its in hits for hit in its if (label := label_of(hit)) is not None} - set(own))

    def found(self, texts: Sequence[str], *, evidence: bool = False) -> list[Hits]:
        """Return the neighbours of ``texts``: as many as count, or, as ``evidence`` where none do, as many as were to."""
        return self._found(texts, self.wanted or (self.described.retrieval.k if evidence else 0))

    def predict(self, texts: Sequence[str], *, return_evidence: bool = False) -> list[Answer]:
        """Return the likeliest label of each of ``texts``, and how likely all are.

        With ``return_evidence`` every answer has its ``neighbours``: their id, text, label, score, and ``influence``, how much
        less likely the label is without this one. A text of blanks has none, and an empty memory is as if nothing was found.
        """
        if isinstance(texts, str) or not all(map(is_text, texts := list(texts))):
            raise InputError("texts must be a list of texts: predict([text])")
        if not texts:
            return []
        return self.weighed(texts, self.found(texts, evidence=return_evidence), evidence=return_evidence)

    def weighed(self, texts: Sequence[str], hits: Sequence[Hits], *, evidence: bool = False) -> list[Answer]:
        """Return the answers to ``texts`` whose neighbours are ``hits``."""
        names = self._labels(hits)
        labels, begun = {name: at for at, name in enumerate(names)}, self.answering.begun(texts)
        shares = self.answering.shares(texts, hits, labels, begun)
        answers: list[dict[str, Any]] = [dict(label_answer(row.astype(np.float32), names)) for row in shares]
        if evidence:
            for answer, its in zip(answers, self._influences(texts, hits, labels, begun, shares), strict=True):
                answer["neighbours"] = its
        return list(answers)

    def alone(self, texts: Sequence[str]) -> list[Answer]:
        """Return the answers to ``texts`` where nothing is found."""
        return self.weighed(texts, [Hits((), text) for text in texts])

    def _influences(
        self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any, shares: Shares
    ) -> list[list[JSON]]:
        """Return what each neighbour is, and what the answer's share loses without it."""
        rows, best = np.arange(len(texts)), shares.argmax(axis=1)
        found: list[list[JSON]] = [[] for _ in texts]
        for at in range(max(map(len, hits), default=0)):
            less = [without(its, at) for its in hits]
            lost = shares[rows, best] - self.answering.shares(texts, less, labels, begun)[rows, best]
            for its, row, influence in zip(hits, found, lost.tolist(), strict=True):
                if at < len(its):
                    row.append(as_evidence(its[at], influence))
        return found

    def look(self, examples: LabelledTexts) -> list[Hits]:
        return self.found(examples.texts)

    def measured(self, examples: LabelledTexts, hits: Sequence[Hits] | None = None) -> Findings:
        return findings(examples, self.weighed(examples.texts, self.look(examples) if hits is None else hits))

    def add(self, texts: Sequence[str], labels: Sequence[str] | None = None, ids: Sequence[str] | None = None) -> list[str]:
        """Write ``texts`` into the memory with their ``labels``, without any training, and return their ids.

        An id is made of a text and its label where none are given, so that the same twice is one item. Raises `OptionError`
        for a label that the model cannot say: only where labels are weighed (knn, gate), and have a weight, new ones can be
        taught. Whether a new one wins hangs on that weight: one of 0.3 does not outvote a model that is sure.
        """
        if isinstance(texts, str) or isinstance(labels, str):
            raise InputError("texts and labels are lists: add([text], [label])")
        if labels is not None and len(labels) != len(texts):
            raise InputError(f"{len(labels):,} labels for {len(texts):,} texts")
        if labels is not None and not all(isinstance(label, str) and label for label in labels):
            raise InputError("a label is a string that is not empty; texts without labels are added without any")
        if self.described.way in (Way.KNN, Way.GATE) and self.answering.wanted(1) == 0:
            raise OptionError(
                "what is found has no say in this model, as it did not help on validation data: train with --weight to teach it"
            )
        new = sorted(set(labels or ()) - set(self.answering.own_labels))
        if new and not isinstance(self.answering, Weighed):
            raise OptionError(f"the label {new[0]!r:.60} was never learnt, and {self.described.way} can say none but those")
        return self._write(texts, labels, ids)


def findings(examples: LabelledTexts, answers: Sequence[Answer]) -> Findings:
    """Return what ``answers`` to ``examples`` are worth."""
    return label_findings(examples.labels, answers, sorted({*examples.labels, *(str(answer["label"]) for answer in answers)}))
