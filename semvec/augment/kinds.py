"""The tasks that are done by looking things up, and the models that do them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semvec.augment.classifier import RetrievalAugmentedClassifier
from semvec.augment.described import Described
from semvec.augment.examples import FoundSentences, FoundTexts, Looked, notes, sentences
from semvec.augment.tagger import Helped, RetrievalAugmentedTagger
from semvec.augment.ways import READERS
from semvec.errors import OptionError
from semvec.finetune.model import FineTuned
from semvec.finetune.tag import Tag
from semvec.results import Hits
from semvec.types import Way


@dataclass(frozen=True)
class Kind:
    """What a ``task`` is to one that looks things up: the ``texts`` and ``documents`` of its examples, what is noted of each.

    ``found`` puts examples and what was found for them together; ``reads`` are the classes of the models that read this, by way.
    """

    task: Any
    texts: Callable[[Any], list[str]]
    notes: Callable[[Any], list[str]]
    documents: Callable[[Any], list[str | None] | None]
    found: Callable[[Any, list[Hits]], Any]
    reads: Mapping[Way, type[FineTuned]]


def kind_of(task: str) -> Kind:
    """Return what ``task`` is; `OptionError` for one that does not look things up."""
    if task == "tag":
        return Kind(
            Tag(),
            lambda its: sentences(its.words),
            notes,
            lambda its: None,
            lambda its, hits: FoundSentences(its.words, its.tags, hits),
            {Way.CONCAT: Helped},
        )
    if task != "classify":
        raise OptionError(f"augment is for classify and tag, not for {task!r:.40}")
    return Kind(
        Looked(),
        lambda its: its.texts,
        lambda its: its.labels,
        lambda its: its.documents,
        lambda its, hits: FoundTexts(its.texts, its.labels, hits, its.documents),
        READERS,
    )


def open_model(
    folder: str | os.PathLike[str], *, encoder: str | None = None, device: str | None = None
) -> RetrievalAugmentedClassifier | RetrievalAugmentedTagger:
    """Return the model that looks things up in ``folder``, whatever its task; see `RetrievalAugmentedClassifier.open`."""
    task = Described.read(Path(folder).expanduser()).task
    of: type[Any] = RetrievalAugmentedTagger if task == "tag" else RetrievalAugmentedClassifier
    found: RetrievalAugmentedClassifier | RetrievalAugmentedTagger = of.open(folder, encoder=encoder, device=device)
    return found
