"""Clustering: do texts of one label fall together, by k-means on their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.intervals import Numbers, Outcome
from semvec.evaluate.matrices import Matrix, clustered, embedded, tf_idf
from semvec.evaluate.measures import v_measure
from semvec.evaluate.task import EvaluateOptions, Found, Task
from semvec.text.columns import split_file
from semvec.text.examples import LabelledTexts, read_labelled


def mean_v_measure(labels: Numbers, clusterings: Numbers) -> float:
    """Return the mean v-measure for ``labels`` (n,) of some ``clusterings`` (n, runs)."""
    return float(np.mean([v_measure(labels, clusters) for clusters in clusterings.T]))


def _read(data: Path, options: EvaluateOptions) -> LabelledTexts:
    found = read_labelled(split_file(data, *options.splits))
    if len(set(found.labels)) < 2:
        raise InputError(f"{data}: all {len(found):,} texts have the label {found.labels[0]!r:.40}, so there is nothing to part")
    return found


def _examine(encoder: Encoder, data: LabelledTexts, options: EvaluateOptions) -> Found:
    return _parted(embedded(encoder, data.texts)[0], data, options)


def _parted(rows: Matrix, data: LabelledTexts, options: EvaluateOptions) -> Found:
    known, gold = np.unique(np.array(data.labels), return_inverse=True)
    runs = np.stack([clustered(rows, len(known), seed=options.seed + run) for run in range(options.runs)], axis=1)
    spread = np.std([v_measure(gold, run) for run in runs.T])
    note = f"mean of {options.runs} clusterings into {len(known)}; they vary by {spread:.3f} (deviation)"
    return Found((Outcome.over_all("v-measure", mean_v_measure, gold, runs),), (note,))


def _baselines(data: LabelledTexts, options: EvaluateOptions) -> Mapping[str, Found]:
    known, gold = np.unique(np.array(data.labels), return_inverse=True)
    guessed = np.random.default_rng(options.seed).integers(0, len(known), (len(gold), options.runs))
    chance = Outcome.over_all("v-measure", mean_v_measure, gold, guessed)
    return {"TF-IDF": _parted(tf_idf(data.texts)[0], data, options), "chance": Found((chance,))}


TASK = Task(
    name="cluster",
    about="Clustering: do texts of one label fall together, by k-means (v-measure).",
    unit="texts",
    layout="a table with label and text, or a folder with test or dev in that form",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("runs",),
    example="cluster minilm --data banking77",
)
