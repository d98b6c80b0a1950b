"""Word in context (WiC): does a word mean the same in two sentences, by the cosine of its vectors there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.matrices import cosines, finite, plain
from semvec.evaluate.task import EvaluateOptions, Found, Parts, Task, train_file
from semvec.measures.basic import average_precision, best_threshold, mean
from semvec.measures.intervals import Outcome
from semvec.text.columns import split_file
from semvec.text.examples import WordsInContext, read_words_in_context
from semvec.types import JSON, Level, Overflow


def _read(data: Path, options: EvaluateOptions) -> Parts[WordsInContext]:
    train = train_file(data, options)
    if train is None:
        raise InputError(f"{data}: no training pairs, which the threshold is chosen on: a folder with train.tsv, or --train FILE")
    asked, known = read_words_in_context(split_file(data, *options.splits)), read_words_in_context(train)
    for its, where in ((asked, data), (known, train)):
        if len(set(its.labels)) < 2:
            raise InputError(f"{where}: all {len(its):,} pairs have the same label, so there is nothing to tell apart")
    return Parts(asked, known)


def _examine(encoder: Encoder, data: Parts[WordsInContext], options: EvaluateOptions) -> Found:
    able = plain(encoder, Level.SPAN)
    known = np.array(data.train.labels)
    threshold = best_threshold(known, _alike(able, data.train))
    scores = _alike(able, data.asked)
    return _found(data, scores >= threshold, scores, f"threshold {threshold:.3f}, chosen on training pairs")


def _alike(encoder: Encoder, pairs: WordsInContext) -> NDArray[np.float64]:
    sides = ((pairs.first, pairs.first_spans), (pairs.second, pairs.second_spans))
    one, two = (encoder.encode(texts, spans=[[its] for its in spans], overflow=Overflow.WINDOWS) for texts, spans in sides)
    return cosines(finite(one, encoder), finite(two, encoder))


def _found(data: Parts[WordsInContext], said: NDArray[np.bool_], scores: NDArray[np.float64], *notes: str) -> Found:
    """Return accuracy and AP; pairs about the same word are drawn together."""
    its = data.asked
    gold, groups = np.array(its.labels), np.unique(its.targets, return_inverse=True)[1]

    def answers() -> Iterator[Mapping[str, JSON]]:
        columns = (its.targets, its.first, its.second, its.labels, scores.tolist(), said.tolist())
        for target, one, two, label, cosine, same in zip(*columns, strict=True):
            yield {"target": target, "sentence1": one, "sentence2": two, "label": label, "cosine": cosine, "said": same}

    outcomes = (
        Outcome.over_all("accuracy", mean, (gold == said).astype(float), groups=groups),
        Outcome.over_all("AP", average_precision, gold, scores, groups=groups),
    )
    return Found(outcomes, notes, answers)


def _baselines(data: Parts[WordsInContext], options: EvaluateOptions) -> Mapping[str, Found]:
    gold = np.array(data.asked.labels)
    commoner = np.full(len(gold), np.mean(data.train.labels) > 0.5)
    same = np.zeros(len(gold), dtype=np.float64)
    return {"commoner label": _found(data, commoner, same)}


TASK = Task(
    name="wic",
    measured="accuracy and AP of the cosine of the word's vectors in either sentence",
    unit="pairs",
    layout="a folder with train and test or dev: label, target, index1, index2 (or start1, end1, …), sentence1, sentence2",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("train",),
    example="wic minilm --data wic",
)
