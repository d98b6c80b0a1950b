"""A classifier of few labelled texts: the encoder learns which of them belong together, then a linear head (arXiv:2209.11055).

The method of SetFit, on the trainer of sentence-transformers: of n texts there are n² pairs, so the pairs are drawn and capped.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semvec.embeddings.files import folder_written_whole, held
from semvec.errors import InputError, OptionError
from semvec.finetune.card import write_few_shot_card
from semvec.finetune.classify import Classify
from semvec.finetune.model import FineTuned, features_of
from semvec.finetune.options import FinetuneOptions, Loss
from semvec.finetune.place import check_apart, check_model_replaceable, part_of
from semvec.finetune.seen import save_seen
from semvec.finetune.similarity import Similar, Similarity
from semvec.finetune.strategies import counted
from semvec.finetune.task import take
from semvec.finetune.train import Trained
from semvec.finetune.tuned import Lesson, Loading, named
from semvec.text.columns import data_name, split_file
from semvec.text.examples import LabelledTexts
from semvec.text.similar import SimilarTexts
from semvec.types import JSON, Progress, Strategy

PAIRS = 4000
"""Pairs that are learnt from, at most, where nobody says how many."""

A_TEXT = 20
"""Pairs of each kind, like and unlike, that are drawn a text, at most."""

RATE = 1e-4
"""The learning rate under full: few pairs are read once; the best of three on halves of TREC's and BANKING77's train."""

LOOKED_AT = 256
"""Pairs that are looked at when an epoch is over."""

STRENGTH = 10.0
"""The inverse of what the squares of the head's weights count for (scikit-learn's C), on vectors of length 1 on average.

The best of 1, 10, 100 and 1000 on the same halves."""


def few_shot(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    pairs: int = PAIRS,
    options: FinetuneOptions | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train ``model`` on the few labelled texts of ``data`` (its train file), all of them, and write it to ``output``.

    First the encoder learns by at most ``pairs`` pairs of texts, as many of one label as of two, under the strategy of
    ``options`` (any but head; 0 pairs leave it as it is), for ``epochs`` (1); then a logistic regression is fitted on its
    vectors. No validation data are wanted. What is written is an ordinary model for classify, stored whole.

    Raises `InputError` for fewer than two labels, `OptionError`, `OutputExists` and what `load_encoder` raises.
    """
    options, target, started = options or FinetuneOptions(), Path(output), perf_counter()
    if options.many or options.knn or options.prune or options.search:
        raise OptionError("many, knn, prune and search do not go with few-shot learning")
    task, loading = Classify(), Loading(device)
    check = partial(check_model_replaceable, target, overwrite)
    check()
    check_apart(target, model, True, data)
    file = split_file(data, "train", suffixes=task.suffixes)
    examples: Any = task.read(file, options)
    with held(part_of(target)), TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        tuned, about = fitted(model, examples, Path(work), pairs=pairs, options=options, loading=loading, progress=progress)
        tuned.record = {
            "data": data_name(data),
            "examples": {"train": len(examples), "validation": 0, "split off": False},
            "parameters": about,
            "few shot": {"pairs": about["pairs"], "model": named(model), "strategy": str(options.strategy)},
            "seconds": round(perf_counter() - started, 1),
            "device": tuned.device,
            "validation": {},
            "history": {},
        }
        with folder_written_whole(target, check) as spare:
            tuned.save(spare, merge=True)
            save_seen(spare, task, examples, take(examples, []))
            write_few_shot_card(spare, tuned, target.name)
    return Trained(target, tuned, tuned.record)


def fitted(
    model: str | os.PathLike[str],
    examples: LabelledTexts,
    work: Path,
    *,
    pairs: int,
    options: FinetuneOptions,
    loading: Loading,
    progress: Progress | None = None,
) -> tuple[FineTuned, dict[str, JSON]]:
    """Return a classifier of ``examples``, made in the empty folder ``work``, and what of it learnt."""
    Classify().config(examples, options)  # two labels there must be
    learnt: dict[str, JSON] = {"pairs": 0, "learning": 0, "all": 0}
    if pairs:
        drawn = drawn_pairs(examples, pairs, options.seed)
        rate = options.learning_rate or (RATE if options.strategy == Strategy.FULL else None)
        own = replace(options, loss=Loss.COSENT, epochs=options.epochs or 1, learning_rate=rate, columns={})
        similar = Similar.start(Similarity(), model, drawn, own, loading)
        learning, everything = counted(similar.module)
        learnt = {"pairs": len(drawn), "learning": learning, "all": everything}
        some = take(drawn, np.random.default_rng(options.seed).permutation(len(drawn))[:LOOKED_AT].tolist())
        similar.learn(Lesson(drawn, some, "average precision", work / "checkpoints"), progress)
        model = work / "encoder"
        model.mkdir()
        similar.save(model, merge=True)
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
    plain = FinetuneOptions(strategy=Strategy.HEAD, seed=options.seed, columns=options.columns)
    tuned = FineTuned.start(Classify(), model, examples, plain, loading)
    windows = tuned.windows(examples, labelled=True)
    vectors = np.stack(features_of(tuned._read_once(windows, progress)))
    _fit(tuned, vectors, np.array([int(its.inputs["labels"]) for its in windows]), options.seed)
    return tuned, learnt


def drawn_pairs(examples: LabelledTexts, most: int, seed: int) -> SimilarTexts:
    """Return at most ``most`` pairs of different texts, half of them of one label (score 1) and half of two (0), none twice.

    At most `A_TEXT` of each kind begin with the same text. Raises `InputError` where no label has two texts.
    """
    rng, labels = np.random.default_rng(seed), np.array(examples.labels)
    if max(Counter(examples.labels).values()) < 2:
        raise InputError("no label has two examples, so there is nothing that belongs together")
    each = max(1, min(A_TEXT, most // (2 * len(labels)) or 1))
    found: dict[tuple[int, int], float] = {}
    for score in (1.0, 0.0):
        made: list[tuple[int, int]] = []
        for at, label in enumerate(labels):
            pool = np.flatnonzero((labels == label) == bool(score))
            made += [(at, int(other)) for other in rng.permutation(pool[pool != at])[:each]]
        order = [made[at] for at in rng.permutation(len(made))]
        kept = dict.fromkeys((min(pair), max(pair)) for pair in order)
        found |= dict.fromkeys(list(kept)[: max(1, most // 2)], score)
    texts = examples.texts
    return SimilarTexts(
        [texts[one] for one, _ in found], [texts[other] for _, other in found], [[] for _ in found], list(found.values())
    )


def _fit(tuned: FineTuned, vectors: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> None:
    """Have the head of ``tuned`` say what a logistic regression of ``vectors`` (n, dim) says."""
    from sklearn.linear_model import LogisticRegression

    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(vectors, axis=1).mean()) or 1.0
    its = LogisticRegression(C=STRENGTH, max_iter=1000, random_state=seed).fit((vectors - mean) / length, labels)
    weights, bias = its.coef_, its.intercept_
    if len(weights) == 1:  # of two labels there is the difference alone
        weights, bias = (np.concatenate([-one, one]) / 2 for one in (weights, bias))
    head: Any = tuned.network.head
    head.standardise(*(torch.from_numpy(one.astype(np.float32)).to(tuned.device) for one in (mean, np.full(len(mean), length))))
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(np.asarray(weights, dtype=np.float32)))
        head.linear.bias.copy_(torch.from_numpy(np.asarray(bias, dtype=np.float32)))


def shots_of(labels: Sequence[str], shots: int, seed: int) -> list[int]:
    """Return the rows of ``shots`` examples of every label, drawn by ``seed``, fewer where a label has fewer."""
    rng, rows = np.random.default_rng(seed), np.array(labels)
    return sorted(int(at) for label in dict.fromkeys(labels) for at in rng.permutation(np.flatnonzero(rows == label))[:shots])
