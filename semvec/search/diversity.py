"""Fewer hits that say the same: maximal marginal relevance, and one hit a group."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.results import Hits
from semvec.search.fusion import brought_to_one
from semvec.types import JSON


def diverse(hits: Hits, vectors: NDArray[np.float32], k: int, diversity: float) -> Hits:
    """Return ``k`` of ``hits``, chosen one after the other: each the best that is unlike those before it.

    Of ``vectors`` (hits, dim), the next is the one with the greatest (1 − ``diversity``) · score − ``diversity`` · the
    greatest cosine to one chosen before; scores are brought to 0…1 (MMR; Carbonell and Goldstein, 1998). Scores stay.
    """
    score = np.array(brought_to_one(hits))
    unit = normalize(vectors)
    like = np.full(len(hits), -1.0)
    chosen: list[int] = []
    while len(chosen) < min(k, len(hits)):
        value = (1 - diversity) * score - (diversity * like if chosen else 0)
        value[chosen] = -np.inf
        best = int(np.argmax(value))
        chosen.append(best)
        like = np.maximum(like, unit @ unit[best])
    return Hits(tuple(hits.hits[at] for at in chosen), hits.query)


def best_of_groups(hits: Hits, field: str) -> Hits:
    """Return the best hit of each value of ``field``; those without the field are each on their own."""
    seen: set[str] = set()
    kept = []
    for hit in hits:
        value: JSON = hit.metadata.get(field)
        key = json.dumps(value, sort_keys=True) if value is not None else None
        if key is None or key not in seen:
            kept.append(hit)
        if key is not None:
            seen.add(key)
    return Hits(tuple(kept), hits.query)
