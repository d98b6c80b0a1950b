"""Sentence pairs with a score, such as STS-B: how well cosines agree with people, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.evaluate.measures import Interval, bootstrap, spearman
from semvec.text.examples import ScoredPairs


@dataclass(frozen=True)
class PairQuality:
    """Spearman's rank correlation of an encoder's cosines with people's scores, and its texts per second."""

    spearman: Interval
    texts_per_second: float


def pair_quality(encoder: Encoder, pairs: ScoredPairs, *, seed: int = 0) -> PairQuality:
    """Return how well ``encoder`` does on ``pairs``, and its speed over their texts, each of which counts once.

    A first few are encoded before the clock starts. ``seed`` is that of the bootstrap.
    """
    plain = encoder.with_options(level="text", dtype="float32", calibration=None)
    texts = list(dict.fromkeys(pairs.first + pairs.second))
    plain.encode(texts[:16])
    started = perf_counter()
    found = plain.encode(texts)
    seconds = perf_counter() - started
    place, vectors = {text: row for row, text in enumerate(texts)}, normalize(found.vectors)
    sides = ([place[text] for text in side] for side in (pairs.first, pairs.second))
    cosines = np.einsum("ij,ij->i", *(vectors[rows] for rows in sides))
    agreement = bootstrap(spearman, cosines, np.array(pairs.scores), seed=seed)
    return PairQuality(agreement, len(texts) / seconds)
