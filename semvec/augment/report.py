"""What a model that looks things up is worth on test data, beside the same model where nothing is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from semvec.augment.classifier import RetrievalAugmentedClassifier, findings
from semvec.augment.tagger import RetrievalAugmentedTagger
from semvec.finetune.classify import Classify
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.report import SPLITS
from semvec.finetune.tag import Tag
from semvec.finetune.train import measures_of
from semvec.measures.intervals import differences
from semvec.results import Hits
from semvec.text.columns import split_file
from semvec.text.examples import read_labelled
from semvec.types import JSON, Way

FOUND, ALONE = "with what it finds", "where nothing is found"
READS = (
    "this model has learnt to read what is found, so without it it is worse than one trained alone: compare a 'semvec finetune'"
)


@dataclass(frozen=True)
class Compared:
    """The measures of a model with and without what it finds, on ``size`` examples, what these show, and what to know of it."""

    size: int
    lines: Mapping[str, JSON]
    differences: tuple[str, ...]
    notes: tuple[str, ...] = ()


def compared(
    model: RetrievalAugmentedClassifier | RetrievalAugmentedTagger,
    data: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    seed: int = 0,
) -> Compared:
    """Return what ``model`` is worth on the labelled ``data``: a file, or a folder with test or dev (or ``split``)."""
    splits = (split,) if split else SPLITS
    if isinstance(model, RetrievalAugmentedTagger):
        tagged = Tag().read(split_file(data, *splits, suffixes=Tag.suffixes), FinetuneOptions(columns=columns or {}))
        found, size = {FOUND: model.measured(tagged), ALONE: model.measured(tagged, [Hits(())] * len(tagged))}, len(tagged)
    else:
        examples = read_labelled(split_file(data, *splits, suffixes=Classify.suffixes), columns)
        answers = {FOUND: model.predict(examples.texts), ALONE: model.alone(examples.texts)}
        found, size = {name: findings(examples, its) for name, its in answers.items()}, len(examples)
    outcomes = {name: its.outcomes[0] for name, its in found.items()}
    said = tuple(f"{outcomes[FOUND].measure}: {its}" for its in differences(outcomes, seed=seed))
    notes = () if model.described.way in (Way.KNN, Way.GATE) else (READS,)
    return Compared(size, {name: measures_of(its, seed) for name, its in found.items()}, said, notes)
