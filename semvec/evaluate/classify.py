"""Classification on frozen vectors: a linear probe and the nearest neighbours; few labels as MTEB has it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.intervals import Numbers, Outcome
from semvec.evaluate.matrices import Matrix, embedded, few_shot, probe, tf_idf, vote
from semvec.evaluate.measures import accuracy, macro_f1, mean
from semvec.evaluate.task import EvaluateOptions, Found, Task
from semvec.text.columns import split_file
from semvec.text.examples import LabelledTexts, read_labelled

MTEB_ITERATIONS = 100


@dataclass(frozen=True)
class ClassifyData:
    """The texts that are asked about, and those that are learnt from."""

    asked: LabelledTexts
    train: LabelledTexts

    def __len__(self) -> int:
        return len(self.asked)


def train_file(data: Path, options: EvaluateOptions) -> Path:
    """Return the file that is learnt from; raise `InputError` where there is none."""
    if options.train is None and not data.is_dir():
        raise InputError(f"{data}: what to learn from? A folder with train and test, or --train FILE")
    return split_file(options.train or data, "train")


def _read(data: Path, options: EvaluateOptions) -> ClassifyData:
    asked, train = read_labelled(split_file(data, *options.splits)), read_labelled(train_file(data, options))
    if len(set(train.labels)) < 2:
        raise InputError(f"{data}: all {len(train):,} training examples have the label {train.labels[0]!r:.40}")
    if unknown := sorted(set(asked.labels) - set(train.labels)):
        raise InputError(f"{data}: the label {unknown[0]!r:.40} is asked about and in no training example")
    return ClassifyData(asked, train)


def _examine(encoder: Encoder, data: ClassifyData, options: EvaluateOptions) -> Found:
    train, asked = embedded(encoder, data.train.texts, data.asked.texts)
    found = _learnt(train, asked, data, options)
    if options.shots:
        return found
    nearest = Outcome.over_all("kNN accuracy", accuracy, *_codes(data.asked.labels, vote(train, data.train.labels, asked)))
    return Found((*found.outcomes, nearest), found.notes)


def _learnt(train: Matrix, asked: Matrix, data: ClassifyData, options: EvaluateOptions) -> Found:
    if options.shots:
        return _few(train, asked, data, options)
    said, strength = probe(train, data.train.labels, asked, seed=options.seed)
    columns = _codes(data.asked.labels, said)
    outcomes = (Outcome.over_all("accuracy", accuracy, *columns), Outcome.over_all("macro F1", macro_f1, *columns))
    return Found(outcomes, (f"linear probe with C = {strength:g}, chosen on a fifth of the training texts",))


def _few(train: Matrix, asked: Matrix, data: ClassifyData, options: EvaluateOptions) -> Found:
    """Return the mean accuracy of probes on ``shots`` texts a class each, drawn ``runs`` times.

    With 8 shots, 10 runs and the seed 42 these are the draws and the classifier of MTEB's classification tasks.
    """
    gold, right = np.array(data.asked.labels), []
    for rows in draws(data.train.labels, options.shots, options.runs, options.seed):
        labels = [data.train.labels[row] for row in rows]
        right.append(few_shot(train[rows], labels, asked, iterations=MTEB_ITERATIONS, seed=options.seed) == gold)
    shares = np.mean(right, axis=0)
    spread = np.std(np.mean(right, axis=1))
    note = f"{options.runs} draws of {options.shots} texts a class; between draws the accuracy varies by {spread:.3f} (deviation)"
    return Found((Outcome.over_all("accuracy", mean, shares),), (note,))


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


def _codes(gold: Sequence[str], said: NDArray[np.str_] | Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return labels as numbers, which are quicker to compare."""
    _, codes = np.unique(np.concatenate([np.asarray(gold), np.asarray(said)]), return_inverse=True)
    return codes[: len(gold)], codes[len(gold) :]


def _baselines(data: ClassifyData, options: EvaluateOptions) -> Mapping[str, Found]:
    train, asked = tf_idf(data.train.texts, data.asked.texts, fit=data.train.texts)
    commonest = Counter(data.train.labels).most_common(1)[0][0]
    columns = _codes(data.asked.labels, [commonest] * len(data))
    guessed = (Outcome.over_all("accuracy", accuracy, *columns), Outcome.over_all("macro F1", macro_f1, *columns))
    return {"TF-IDF": _learnt(train, asked, data, options), "commonest label": Found(guessed[:1] if options.shots else guessed)}


TASK = Task(
    name="classify",
    about="Classification on frozen vectors: linear probe, nearest neighbours (accuracy, macro F1); --shots for few labels.",
    unit="texts",
    layout="a folder with train and test (or dev), tables with label and text; or a table, and --train FILE",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("train", "shots", "runs"),
    example="classify minilm --data banking77 --shots 8 --seed 42",
)
