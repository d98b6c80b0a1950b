"""Classification on frozen vectors: a linear probe and the nearest neighbours; few labels as MTEB has it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.matrices import Matrix, embedded, plain_probe, probe, tf_idf, unknown_note, vote
from semvec.evaluate.task import EvaluateOptions, Found, Parts, Task, needed_train_file
from semvec.measures.basic import macro_f1, mean
from semvec.measures.intervals import Outcome
from semvec.text.columns import split_file
from semvec.text.examples import LabelledTexts, read_labelled
from semvec.types import JSON

MTEB_ITERATIONS = 100


def _read(data: Path, options: EvaluateOptions) -> Parts[LabelledTexts]:
    asked, train = read_labelled(split_file(data, *options.splits)), read_labelled(needed_train_file(data, options))
    if len(set(train.labels)) < 2:
        raise InputError(f"{data}: all {len(train):,} training examples have the label {train.labels[0]!r:.40}")
    if unknown := sorted(set(asked.labels) - set(train.labels)):
        raise InputError(f"{data}: the label {unknown[0]!r:.40} is asked about and in no training example")
    return Parts(asked, train)


def _examine(encoder: Encoder, data: Parts[LabelledTexts], options: EvaluateOptions) -> Found:
    train, asked = embedded(encoder, data.train.texts, data.asked.texts)
    found = _learnt(train, asked, data, options)
    found = replace(found, notes=(*found.notes, *unknown_note(train, asked)))
    if options.shots:
        return found
    said = vote(train, data.train.labels, asked)
    near = Outcome.over_all("kNN accuracy", mean, (said == np.array(data.asked.labels)).astype(float))
    answers = partial(_with, found.answers, "kNN", said.tolist())
    return replace(found, outcomes=(*found.outcomes, near), answers=answers)


def _with(answers: Callable[[], Iterable[Mapping[str, JSON]]], name: str, values: Sequence[JSON]) -> Iterator[Mapping[str, JSON]]:
    for its, value in zip(answers(), values, strict=True):
        yield {**its, name: value}


def _learnt(train: Matrix, asked: Matrix, data: Parts[LabelledTexts], options: EvaluateOptions) -> Found:
    if options.shots:
        return _few(train, asked, data, options)
    said, how = probe(train, data.train.labels, asked, seed=options.seed)
    return _found(said, data, f"linear probe with {how}")


def _found(said: NDArray[np.str_], data: Parts[LabelledTexts], *notes: str) -> Found:
    known = np.unique(np.array(data.train.labels))  # as numbers labels are quicker to compare
    gold, codes = (np.searchsorted(known, labels) for labels in (np.array(data.asked.labels), said))
    right = Outcome.over_all("accuracy", mean, (gold == codes).astype(float))
    return Found(
        (right, Outcome.over_all("macro F1", macro_f1, gold, codes)), notes, partial(_answers, data, "said", said.tolist())
    )


def _answers(data: Parts[LabelledTexts], name: str, values: Sequence[JSON]) -> Iterator[Mapping[str, JSON]]:
    for text, label, value in zip(data.asked.texts, data.asked.labels, values, strict=True):
        yield {"text": text, "label": label, name: value}


def _few(train: Matrix, asked: Matrix, data: Parts[LabelledTexts], options: EvaluateOptions) -> Found:
    """Return the mean accuracy of probes on ``shots`` texts a class each, drawn ``runs`` times.

    With 8 shots, 10 runs and the seed 42 these are the draws and the classifier of MTEB's classification tasks.
    """
    gold, right = np.array(data.asked.labels), []
    rng = np.random.default_rng(options.seed)
    for rows in draws(data.train.labels, options.shots, options.runs, options.seed):
        labels = [data.train.labels[row] for row in rows]
        right.append(plain_probe(train[rows], labels, asked, iterations=MTEB_ITERATIONS, seed=options.seed) == gold)
    halves = [its[rng.permutation(len(gold))[: max(1, len(gold) // 2)]].mean() for its in right]
    short = sum(count < options.shots for count in Counter(data.train.labels).values())
    drawn = f"{options.runs} draws of {options.shots} texts a class" + (f" ({short} classes have fewer)" if short else "")
    note = f"{drawn}; the interval is of one draw and half of the texts asked about"
    shares = np.mean(right, axis=0)
    outcome = Outcome.over_all("accuracy", mean, shares, refits=np.array(halves))
    return Found((outcome,), (note,), partial(_answers, data, "share of draws right", shares.tolist()))


def draws(labels: Sequence[str], shots: int, runs: int, seed: int) -> list[list[int]]:
    """Return the rows of ``runs`` draws of ``shots`` examples of every label, fewer where a label has fewer; as MTEB draws."""
    order, found = list(range(len(labels))), []
    for _ in range(runs):
        np.random.RandomState(seed).shuffle(order)  # the former order, shuffled in the same way again
        taken: dict[str, int] = defaultdict(int)
        rows = []
        for row in order:
            if taken[labels[row]] < shots:
                taken[labels[row]] += 1
                rows.append(row)
        found.append(rows)
    return found


def _baselines(data: Parts[LabelledTexts], options: EvaluateOptions) -> Mapping[str, Found]:
    train, asked = tf_idf(data.train.texts, data.asked.texts, fit=data.train.texts)
    commonest = Counter(data.train.labels).most_common(1)[0][0]
    guessed = _found(np.full(len(data), commonest), data)
    if options.shots:
        guessed = replace(guessed, outcomes=guessed.outcomes[:1])
    return {"TF-IDF": _learnt(train, asked, data, options), "commonest label": guessed}


TASK = Task(
    name="classify",
    measured="accuracy and macro F1 of a linear probe, and the accuracy of the vote of the 10 nearest; --shots for few labels",
    unit="texts",
    layout="a folder with train and test (or dev), tables with label and text; or a table, and --train FILE",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("train", "shots", "runs"),
    example="classify minilm --data banking77 --shots 8 --seed 42",
)
