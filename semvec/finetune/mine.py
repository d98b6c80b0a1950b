"""Hard negatives: for every pair, texts that are near its first text and yet not its second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from semvec.embeddings.similarity import nearest
from semvec.encoders.protocol import Encoder

MARGIN = 0.95
"""A text nearer than so much of the pair's own similarity may well be right (NV-Retriever, arXiv:2407.15831)."""

LOOKED_AT = 30


def hard_negatives(encoder: Encoder, first: Sequence[str], second: Sequence[str], count: int, seed: int = 0) -> list[list[str]]:
    """Return ``count`` texts of ``second`` for every pair: the nearest to its first text, at most 95 % as near as its own.

    No text that ``first`` has among its pairs is taken; where too few are near, others are drawn by ``seed``.
    """
    texts, rng = list(dict.fromkeys(second)), np.random.default_rng(seed)
    own: dict[str, set[str]] = defaultdict(set)
    for one, other in zip(first, second, strict=True):
        own[one] |= {other, one}
    askers = list(own)
    vectors = encoder.encode_document(texts, normalize=True).vectors
    asking = encoder.encode_query(askers, normalize=True).vectors
    places, scores = nearest(asking, vectors, min(len(texts), count + LOOKED_AT))
    number = {text: at for at, text in enumerate(texts)}
    found: dict[str, list[str]] = {}
    for row, asker in enumerate(askers):
        least = MARGIN * min(float(asking[row] @ vectors[number[text]]) for text in own[asker] if text in number)
        near = [texts[at] for at, score in zip(places[row].tolist(), scores[row].tolist(), strict=True) if score <= least]
        chosen = [text for text in near if text not in own[asker]][:count]
        others = (texts[at] for at in rng.permutation(len(texts))[: 4 * count + len(own[asker])].tolist())
        chosen += [text for text in others if text not in own[asker] and text not in chosen]
        found[asker] = chosen[:count]
    return [found[one] for one in first]
