"""Clustering: do texts of one label fall together, by k-means on their vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.matrices import Matrix, clustered, embedded, tf_idf, unknown_note
from semvec.evaluate.task import EvaluateOptions, Found, Task
from semvec.measures.basic import v_measure
from semvec.measures.intervals import Numbers, Outcome
from semvec.text.columns import split_file
from semvec.text.examples import LabelledTexts, read_labelled
from semvec.types import JSON


def mean_v_measure(labels: Numbers, clusterings: Numbers) -> float:
    """Return the mean v-measure for ``labels`` (n,) of some ``clusterings`` (n, runs)."""
    return float(np.mean([v_measure(labels, clusters) for clusters in clusterings.T]))


def _read(data: Path, options: EvaluateOptions) -> LabelledTexts:
    found = read_labelled(split_file(data, *options.splits))
    if len(set(found.labels)) < 2:
        raise InputError(f"{data}: all {len(found):,} texts have the label {found.labels[0]!r:.40}, so there is nothing to part")
    return found


def _examine(encoder: Encoder, data: LabelledTexts, options: EvaluateOptions) -> Found:
    rows = embedded(encoder, data.texts)[0]
    found = _parted(rows, data, options)
    return replace(found, notes=(*found.notes, *unknown_note(rows)))


def _parted(rows: Matrix, data: LabelledTexts, options: EvaluateOptions) -> Found:
    """Return the mean over clusterings of all texts; its interval is from clusterings of as many random halves."""
    known, gold = np.unique(np.array(data.labels), return_inverse=True)
    rng, all_of_them, halves = np.random.default_rng(options.seed), [], []
    for run in range(options.runs):
        seed = options.seed + run
        all_of_them.append(clustered(rows, len(known), seed=seed))
        part = np.sort(rng.permutation(len(gold))[: max(2, len(gold) // 2)])
        halves.append(v_measure(gold[part], clustered(rows[part], min(len(np.unique(gold[part])), len(part)), seed=seed)))
    note = f"mean of {options.runs} clusterings into {len(known)}; the interval is from clusterings of halves"
    runs = np.stack(all_of_them, axis=1)

    def answers() -> Iterator[Mapping[str, JSON]]:
        for text, label, cluster in zip(data.texts, data.labels, runs[:, 0].tolist(), strict=True):
            yield {"text": text, "label": label, "cluster": cluster}

    return Found((Outcome.over_all("v-measure", mean_v_measure, gold, runs, refits=np.array(halves)),), (note,), answers)


def _baselines(data: LabelledTexts, options: EvaluateOptions) -> Mapping[str, Found]:
    known, gold = np.unique(np.array(data.labels), return_inverse=True)
    rng = np.random.default_rng(options.seed)
    guessed = rng.integers(0, len(known), (len(gold), options.runs))
    halves = [
        v_measure(gold[part], guessed[part, 0]) for part in (rng.permutation(len(gold))[: len(gold) // 2] for _ in guessed.T)
    ]
    chance = Outcome.over_all("v-measure", mean_v_measure, gold, guessed, refits=np.array(halves))
    return {"TF-IDF": _parted(tf_idf(data.texts)[0], data, options), "chance": Found((chance,))}


TASK = Task(
    name="cluster",
    measured="v-measure of k-means, mean of --runs clusterings",
    unit="texts",
    layout="a table with label and text, or a folder with test or dev in that form",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("runs",),
    example="cluster minilm --data banking77",
)
