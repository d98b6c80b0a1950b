"""Pairs that belong together or not: duplicates, paraphrases, questions and answers, told apart by their cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.matrices import Matrix, cosines, embedded, tf_idf, unknown_note
from semvec.evaluate.task import EvaluateOptions, Found, Task, train_file
from semvec.measures.basic import average_precision, best_threshold, f1, mean
from semvec.measures.intervals import Outcome
from semvec.text.columns import split_file
from semvec.text.examples import LabelledPairs, read_labelled_pairs
from semvec.types import JSON


@dataclass(frozen=True)
class PairData:
    """The pairs that are asked about, and those that the threshold is chosen on (None: there are none)."""

    asked: LabelledPairs
    train: LabelledPairs | None

    def __len__(self) -> int:
        return len(self.asked)

    @cached_property
    def groups(self) -> NDArray[np.int64] | None:
        """Which pairs share their first text, such as a question and all its answers; None where all are different."""
        known, groups = np.unique(np.array(self.asked.first), return_inverse=True)
        return None if len(known) == len(self) else groups.astype(np.int64)


def _found(data: PairData, scores: NDArray[np.float64], threshold: float | None, *notes: str) -> Found:
    """Return AP of ``scores``, and accuracy and F1 of saying yes from ``threshold`` on, where there is one."""
    asked = data.asked
    gold, said = np.array(asked.labels), None if threshold is None else scores >= threshold
    outcomes = [Outcome.over_all("AP", average_precision, gold, scores, groups=data.groups)]
    if said is not None:
        outcomes += [
            Outcome.over_all("accuracy", mean, (gold == said).astype(float), groups=data.groups),
            Outcome.over_all("F1", f1, gold, said, groups=data.groups),
        ]

    def answers() -> Iterator[Mapping[str, JSON]]:
        yes = [None] * len(gold) if said is None else said.tolist()
        for one, two, label, cosine, its in zip(asked.first, asked.second, asked.labels, scores.tolist(), yes, strict=True):
            yield {"sentence1": one, "sentence2": two, "label": label, "cosine": cosine, "said": its}

    return Found(tuple(outcomes), notes, answers)


def _read(data: Path, options: EvaluateOptions) -> PairData:
    asked = read_labelled_pairs(split_file(data, *options.splits))
    if not any(asked.labels) or all(asked.labels):
        raise InputError(f"{data}: all {len(asked):,} pairs have the same label, so there is nothing to tell apart")
    train = train_file(data, options)
    known = None if train is None else read_labelled_pairs(train)
    if known is not None and len(set(known.labels)) < 2:
        raise InputError(f"{train}: all {len(known):,} pairs have the same label, so no threshold can be learnt")
    return PairData(asked, known)


def _examine(encoder: Encoder, data: PairData, options: EvaluateOptions) -> Found:
    return _told_apart(partial(embedded, encoder), data)


def _baselines(data: PairData, options: EvaluateOptions) -> Mapping[str, Found]:
    return {"TF-IDF": _told_apart(tf_idf, data), "chance": _chance(data)}


def _told_apart(vectors: Callable[..., list[Matrix]], data: PairData) -> Found:
    parts = [data.asked.first, data.asked.second]
    if data.train is not None:
        parts += [data.train.first, data.train.second]
    found = vectors(*parts)
    scores = cosines(found[0], found[1])
    unknown = unknown_note(*found[:2]) if isinstance(found[0], np.ndarray) else ()
    if data.train is None:
        return _found(data, scores, None, "no training pairs to choose a threshold on, so no accuracy and no F1", *unknown)
    threshold = best_threshold(np.array(data.train.labels), cosines(found[2], found[3]))
    return _found(data, scores, threshold, f"threshold {threshold:.3f}, the most often right on training pairs", *unknown)


def _chance(data: PairData) -> Found:
    """Return what equal scores for all are worth, and the commoner label for every pair."""
    same = np.zeros(len(data), dtype=np.float64)
    if data.train is None:
        return _found(data, same, None)
    return _found(data, same, 0.0 if np.mean(data.train.labels) > 0.5 else 1.0)


TASK = Task(
    name="pairs",
    measured="AP of cosines; accuracy and F1 with a threshold that is most often right on training pairs",
    unit="pairs",
    layout="a table with label (0 or 1), sentence1 and sentence2, or question and answer; a folder with test or dev, and train",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("train",),
    example="pairs minilm --data trecqa",
)
