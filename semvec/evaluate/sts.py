"""Sentence similarity (STS): how well cosines agree with people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from semvec.encoders.protocol import Encoder
from semvec.evaluate.matrices import Matrix, cosines, embedded, plain, tf_idf, unknown_note
from semvec.evaluate.task import EvaluateOptions, Found, Task
from semvec.measures.basic import pearson, spearman
from semvec.measures.intervals import Interval, Outcome
from semvec.text.columns import split_file
from semvec.text.examples import ScoredPairs, read_scored_pairs
from semvec.types import JSON


@dataclass(frozen=True)
class PairQuality:
    """Spearman's rank correlation of an encoder's cosines with people's scores, and its texts per second."""

    spearman: Interval
    texts_per_second: float


def pair_quality(encoder: Encoder, pairs: ScoredPairs, *, seed: int = 0) -> PairQuality:
    """Return how well ``encoder`` does on ``pairs``, and its speed over their texts, each of which counts once.

    A first few are encoded before the clock starts. ``seed`` is that of the bootstrap.
    """
    plain(encoder).encode(pairs.first[:16])
    started = perf_counter()
    first, second = embedded(encoder, pairs.first, pairs.second)
    seconds = perf_counter() - started
    agreement = _agreement((first, second), pairs).outcomes[0].interval(seed=seed)
    return PairQuality(agreement, len({*pairs.first, *pairs.second}) / seconds)


def _read(data: Path, options: EvaluateOptions) -> ScoredPairs:
    return read_scored_pairs(split_file(data, *options.splits))


def _examine(encoder: Encoder, pairs: ScoredPairs, options: EvaluateOptions) -> Found:
    sides = embedded(encoder, pairs.first, pairs.second)
    return replace(_agreement(sides, pairs), notes=unknown_note(*sides))


def _agreement(sides: Sequence[Matrix], pairs: ScoredPairs) -> Found:
    first, second = sides
    scores, gold = cosines(first, second), np.array(pairs.scores)

    def answers() -> Iterator[Mapping[str, JSON]]:
        for one, two, score, cosine in zip(pairs.first, pairs.second, pairs.scores, scores.tolist(), strict=True):
            yield {"sentence1": one, "sentence2": two, "score": score, "cosine": cosine}

    outcomes = (Outcome.over_all(of.__name__, of, scores, gold, range=(-1, 1)) for of in (spearman, pearson))
    return Found(tuple(outcomes), answers=answers)


def _baselines(pairs: ScoredPairs, options: EvaluateOptions) -> Mapping[str, Found]:
    return {"TF-IDF": _agreement(tf_idf(pairs.first, pairs.second), pairs)}


TASK = Task(
    name="sts",
    measured="Spearman and Pearson of cosines",
    unit="pairs",
    layout="a table with score, sentence1 and sentence2 (STS-B, SICK), or a folder with test or dev in that form",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    example="sts minilm glove-50d --data stsb",
)
