"""A classifier of few labelled texts: the encoder learns which of them belong together, then a linear head (arXiv:2209.11055).

The method of SetFit, on the trainer of sentence-transformers: of n texts there are n² pairs, so the pairs are drawn and capped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch

from semvec.embeddings.files import folder_written_whole, held
from semvec.encoders.tuned import WHOLE
from semvec.errors import InputError, OptionError
from semvec.finetune.card import write_few_shot_card
from semvec.finetune.classify import Classify
from semvec.finetune.cloze import PATTERN
from semvec.finetune.cloze_tuned import Words, learnt_cloze
from semvec.finetune.model import FineTuned, features_of
from semvec.finetune.options import FinetuneOptions, Loss
from semvec.finetune.place import check_apart, check_model_replaceable, part_of
from semvec.finetune.seen import save_seen
from semvec.finetune.similarity import Similar, Similarity
from semvec.finetune.stored import check_mergeable
from semvec.finetune.strategies import counted
from semvec.finetune.task import take
from semvec.finetune.train import Trained
from semvec.finetune.tuned import Lesson, Loading, Tuned, named
from semvec.finetune.windows import Window
from semvec.text.columns import data_name, split_file
from semvec.text.examples import LabelledTexts
from semvec.text.similar import SimilarTexts
from semvec.types import JSON, FewShot, Progress, Strategy

PAIRS = 4000
"""Pairs that are learnt from, at most, where nobody says how many."""

A_TEXT = 20
"""Pairs of each kind, like and unlike, that are drawn a text, at most."""

RATES = {FewShot.PAIRS: 1e-4, FewShot.LABELS: 5e-5}
"""Learning rates of the whole encoder; the best of three on halves of TREC's and BANKING77's train."""

EPOCHS = {FewShot.PAIRS: 1.0, FewShot.LABELS: 5.0}
MANY = 256
"""Texts from which on labels teach more than pairs do, of which 4,000 are then a small part.

On half of BANKING77's train (616 texts learnt) accuracy was 81.9 by pairs and 83.5 by labels; on TREC's (48) 74 and 60."""

IGNORED = ("many", "knn", "prune", "search", "balanced", "measure", "layers", "pooling", "max_tokens", "head", "loss")
"""Options that do not go with learning of few examples."""

STRENGTH = 10.0
"""The inverse of what the squares of the head's weights count for (scikit-learn's C), on vectors of length 1 on average.

The best of 1, 10, 100 and 1000 on the same halves."""


def few_shot(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    by: FewShot | str = FewShot.AUTO,
    pairs: int = PAIRS,
    words: Words | None = None,
    pattern: str = PATTERN,
    options: FinetuneOptions | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train ``model`` on the few labelled texts of ``data`` (its train file), all of them, and write it to ``output``.

    ``by`` pairs the encoder learns by at most ``pairs`` pairs of texts, as many of one label as of two, under the strategy of
    ``options`` (one that can be merged, as it is stored whole; 0 pairs leave it as it is), for ``epochs`` (1); then a logistic
    regression is fitted on its pooled states. ``by`` labels that is fitted first, and then it and the encoder learn on together,
    for ``epochs`` (5): a head that knows something does not distort the encoder (LP-FT, arXiv:2202.10054). No validation data
    are wanted. What is written is an ordinary model for classify.

    With ``words`` for every label ``model`` is a checkpoint with a masked-LM head, and learns which of them fits into the gap of
    ``pattern`` (PET, arXiv:2001.07676), under the strategy full, last-n or bitfit, for ``epochs`` (20); there are no pairs then.

    Raises `InputError` for fewer than two labels, `OptionError`, `OutputExists` and what `load_encoder` raises.
    """
    options, target, started = options or FinetuneOptions(), Path(output), perf_counter()
    check_options(options, pairs)
    if words is None and pattern != PATTERN:
        raise OptionError("a pattern goes with words for the labels")
    task, loading = Classify(), Loading(device)
    check = partial(check_model_replaceable, target, overwrite)
    check()
    check_apart(target, model, True, data)
    file = split_file(data, "train", suffixes=task.suffixes)
    examples: Any = task.read(file, options)
    with held(part_of(target)), TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        how: Any = {"options": options, "loading": loading, "progress": progress}
        tuned, about = fitted(model, examples, Path(work), by=by, pairs=pairs, words=words, pattern=pattern, **how)
        tuned.record = {
            "data": data_name(data),
            "examples": {"train": len(examples), "validation": 0, "split off": False},
            "parameters": about,
            "few shot": {
                "pairs": about["pairs"],
                "model": named(model),
                "strategy": str(options.strategy),
                "by": about["by"],
                "pattern": None if words is None else pattern,
            },
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


def check_options(options: FinetuneOptions, pairs: int) -> None:
    """Raise `OptionError` for what does not go with few-shot learning."""
    if named_too := next((name for name in IGNORED if getattr(options, name) != getattr(FinetuneOptions(), name)), None):
        raise OptionError(f"{named_too} does not go with few-shot learning")
    if pairs < 0 or pairs == 1:
        raise OptionError(f"pairs must be 0, for none, or at least 2, not {pairs!r}")


def fitted(
    model: str | os.PathLike[str],
    examples: LabelledTexts,
    work: Path,
    *,
    by: FewShot | str = FewShot.AUTO,
    pairs: int,
    words: Words | None = None,
    pattern: str = PATTERN,
    options: FinetuneOptions,
    loading: Loading,
    progress: Progress | None = None,
) -> tuple[Tuned, dict[str, JSON]]:
    """Return a classifier of ``examples``, made in the empty folder ``work``, and what of it learnt."""
    Classify().config(examples, options)  # two labels there must be
    if words is not None:
        if FewShot(by) != FewShot.AUTO or pairs != PAIRS:
            raise OptionError("by and pairs do nothing with words for the labels, which are learnt by cloze")
        how: Any = {"pattern": pattern, "options": options, "loading": loading, "work": work, "progress": progress}
        filling = learnt_cloze(model, Classify(), examples, words, **how)
        return filling, {"pairs": 0, "by": "cloze", **dict(zip(("learning", "all"), counted(filling.module), strict=True))}
    way = _way(by, len(examples), pairs)
    learnt: dict[str, JSON] = {"pairs": 0, "by": str(way), "learning": 0, "all": 0}
    rate = options.learning_rate or (RATES[way] if options.strategy == Strategy.FULL else None)
    epochs, origin = options.epochs or EPOCHS[way], None
    if way == FewShot.LABELS:
        return _by_labels(model, examples, work, replace(options, learning_rate=rate, epochs=epochs), loading, learnt, progress)
    if pairs:
        drawn = drawn_pairs(examples, pairs, options.seed)
        own = replace(options, loss=Loss.COSENT, epochs=epochs, learning_rate=rate, columns={})
        similar = Similar.start(Similarity(), model, drawn, own, loading)
        check_mergeable(similar.body, similar.base)
        learning, everything = counted(similar.module)
        learnt, origin = {**learnt, "pairs": len(drawn), "learning": learning, "all": everything}, similar.base
        similar.learn(Lesson(drawn, None, "looks", work / "checkpoints"), progress)
        model = work / "encoder"
        model.mkdir()
        similar.save(model, merge=True)
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
    plain = FinetuneOptions(strategy=Strategy.HEAD, seed=options.seed, columns=options.columns)
    tuned = FineTuned.start(Classify(), model, examples, plain, loading)
    _fit(tuned, tuned.read_once(tuned.windows(examples, labelled=True), progress), options.seed)
    if origin is not None:
        tuned.base = replace(origin, kind=WHOLE)
    tuned.options = replace(options, epochs=epochs, learning_rate=rate)
    return tuned, learnt


def _way(by: FewShot | str, texts: int, pairs: int) -> FewShot:
    """Return what ``texts`` texts are learnt by; where somebody says how many pairs, by these."""
    way = FewShot(by)
    if way == FewShot.LABELS and pairs != PAIRS:
        raise OptionError("pairs do nothing by labels: leave them out, or learn by pairs")
    if way != FewShot.AUTO:
        return way
    return FewShot.LABELS if texts > MANY and pairs == PAIRS else FewShot.PAIRS


def _by_labels(
    model: str | os.PathLike[str],
    examples: LabelledTexts,
    work: Path,
    options: FinetuneOptions,
    loading: Loading,
    learnt: dict[str, JSON],
    progress: Progress | None,
) -> tuple[FineTuned, dict[str, JSON]]:
    """Return a classifier of ``examples`` whose head was fitted, and then learnt on with the encoder."""
    tuned = FineTuned.start(
        Classify(),
        model,
        examples,
        replace(options, head_learning_rate=options.head_learning_rate or options.learning_rate),
        loading,
    )
    check_mergeable(tuned.body, tuned.base)
    learning, everything = counted(tuned.module)
    windows = tuned.windows(examples, labelled=True)
    _fit(tuned, tuned.read_once(windows, progress), options.seed)
    tuned.taught(windows, Lesson(examples, None, "steps", work / "checkpoints"), progress)
    return tuned, {**learnt, "learning": learning, "all": everything}


def drawn_pairs(examples: LabelledTexts, most: int, seed: int) -> SimilarTexts:
    """Return at most ``most`` pairs of different texts, half of them of one label (score 1) and half of two (0).

    Of the kind of which there are fewer pairs (mostly that of one label) some come again, the other way round or as they are;
    the other ones are drawn once each, at most `A_TEXT` a text. Raises `InputError` where no label has two different texts.
    """
    rng, texts = np.random.default_rng(seed), examples.texts
    names, numbers = np.unique(np.array(examples.labels), return_inverse=True)
    by_label = [np.flatnonzero(numbers == at) for at in range(len(names))]
    wanted = max(1, min(most // 2, A_TEXT * len(texts)))
    drawn: list[list[tuple[int, int]]] = []
    for alike in (True, False):
        pairs: dict[tuple[int, int], None] = {}
        for at in rng.integers(0, len(texts), 4 * wanted).tolist():
            pool = by_label[numbers[at]] if alike else np.arange(len(texts))
            other = int(pool[rng.integers(len(pool))])
            if texts[at] != texts[other] and (numbers[at] == numbers[other]) == alike:
                pairs[min(at, other), max(at, other)] = None
            if len(pairs) == wanted:
                break
        drawn.append(list(pairs))
    like, unlike = drawn
    if not like or not unlike:
        raise InputError(
            "no two different texts have the same label, or none have two, so nothing is learnt of pairs; by labels it is"
        )
    both = [_again(its, max(len(like), len(unlike))) for its in (like, unlike)]
    found = [*both[0], *both[1]]
    scores = [1.0] * len(both[0]) + [0.0] * len(both[1])
    return SimilarTexts([texts[one] for one, _ in found], [texts[other] for _, other in found], [[] for _ in found], scores)


def _again(pairs: list[tuple[int, int]], wanted: int) -> list[tuple[int, int]]:
    """Return ``pairs``, and from the first on again, every second time the other way round, until there are ``wanted``."""
    ways = (pairs, [(other, one) for one, other in pairs])
    rounds = -(-wanted // len(pairs))
    return [pair for at in range(rounds) for pair in ways[at % 2]][:wanted]


def _fit(tuned: FineTuned, windows: Sequence[Window], seed: int) -> None:
    """Have the head of ``tuned`` say what a logistic regression of the pooled states of ``windows`` says; a text counts once."""
    from sklearn.linear_model import LogisticRegression

    vectors, labels = np.stack(features_of(windows)), np.array([int(its.inputs["labels"]) for its in windows])
    owners = np.array([its.owner for its in windows])
    once = 1 / np.bincount(owners)[owners]

    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(vectors, axis=1).mean()) or 1.0
    its = LogisticRegression(C=STRENGTH, max_iter=1000, random_state=seed).fit((vectors - mean) / length, labels, once)
    weights, bias = its.coef_, its.intercept_
    if len(weights) == 1:  # of two labels there is the difference alone
        weights, bias = (np.concatenate([-one, one]) / 2 for one in (weights, bias))
    head: Any = tuned.network.head
    head.standardise(*(torch.from_numpy(one.astype(np.float32)).to(tuned.device) for one in (mean, np.full(len(mean), length))))
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(np.asarray(weights, dtype=np.float32)))
        head.linear.bias.copy_(torch.from_numpy(np.asarray(bias, dtype=np.float32)))


def shots_of(labels: Sequence[str], shots: int, seed: int | tuple[int, int]) -> list[int]:
    """Return the rows of ``shots`` examples of every label, drawn by ``seed``, fewer where a label has fewer."""
    rng, rows = np.random.default_rng(seed), np.array(labels)
    return sorted(int(at) for label in dict.fromkeys(labels) for at in rng.permutation(np.flatnonzero(rows == label))[:shots])
