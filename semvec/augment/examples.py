"""Labelled texts as models that look things up learn them: with the document that each is a part of, and with what was found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semvec.augment.memory import label_of
from semvec.errors import InputError
from semvec.finetune.classify import Classify, balance
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import HeadConfig
from semvec.results import Hit, Hits
from semvec.text.columns import read_columns, require_some
from semvec.text.examples import LABELLED, LabelledTexts
from semvec.text.tagged import TaggedSentences, entities

CHARACTERS = 640
"""Characters of all neighbours together that are read beside a text, so that both fit into what an encoder reads at once."""

DOCUMENTS = ("document", "document_id", "doc_id")


@dataclass(frozen=True)
class DocumentedTexts(LabelledTexts):
    """Texts with a label each, and the ``documents`` they are parts of, where that is known."""

    documents: list[str | None]


@dataclass(frozen=True)
class FoundTexts(LabelledTexts):
    """Texts with a label each, their neighbours, ``hits``, and the ``documents`` they are parts of, where that is known."""

    hits: Sequence[Hits]
    documents: list[str | None] | None = None


class Looked(Classify):
    """Classification of texts that may be parts of documents, which are not torn apart."""

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> DocumentedTexts:
        names = {**LABELLED, "document": DOCUMENTS}
        found = DocumentedTexts([], [], [])
        for row in read_columns(path, names, optional=("document",), columns=options.columns or None):
            found.labels.append(row.label(0))
            found.texts.append(row.text(1))
            found.documents.append(None if row.cells[2] is None else str(row.cells[2]))
        require_some(path, found.texts, "examples")
        if empty := next((at for at, label in enumerate(found.labels) if not label), None):
            raise InputError(f"{os.fspath(path)}: example {empty + 1} has no label")
        return found

    def groups(self, examples: Any) -> Sequence[str] | None:
        documents = getattr(examples, "documents", [])
        if not any(its is not None for its in documents):
            return None
        return [f"alone {at}" if its is None else f"document {its}" for at, its in enumerate(documents)]


@dataclass(frozen=True)
class FoundSentences(TaggedSentences):
    """Sentences with a tag for each word, and their neighbours, ``hits``."""

    hits: Sequence[Hits]


def sentences(words: Sequence[Sequence[str]]) -> list[str]:
    """Return sentences as texts, a blank between words."""
    return [" ".join(its) for its in words]


def notes(examples: TaggedSentences) -> list[str]:
    """Return what is to be remembered of the tags of each sentence: its spans and their kinds, "-" where there are none."""
    found = []
    for words, tags in zip(examples.words, examples.tags, strict=True):
        parts = [f"{' '.join(words[its.start : its.end])} ({its.kind})" for its in entities(tags)]
        found.append(", ".join(parts) or "-")
    return found


def beside(hits: Sequence[Hit] | Hits) -> str:
    """Return what is read beside a text: the label of each neighbour, if it has one, and its beginning, of all as much."""
    parts, each = [], CHARACTERS // max(1, len(hits))
    for hit in hits:
        text, label = " ".join((hit.text or "").split())[:each], label_of(hit)
        parts.append(text if label is None else f"{label}: {text}")
    return " ; ".join(parts)


def of_labels(config: HeadConfig, options: FinetuneOptions, examples: Any) -> dict[str, Any]:
    """Return what the ``options`` make of a head's loss, where it learns from labelled ``examples``."""
    weights = balance(examples.labels, config.labels) if options.balanced and examples is not None else None
    return {"smoothing": options.label_smoothing, "weights": weights}
