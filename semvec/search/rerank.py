"""Hits looked at again, by something slower and better than the vectors they were found by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.maxsim import maxsim
from semvec.encoders.cross_encoder import CrossEncoder
from semvec.encoders.protocol import Encoder
from semvec.errors import OptionError, StoreError
from semvec.results import Hits
from semvec.types import Level

MAXSIM = "maxsim"


class Reranker(Protocol):
    """Scores texts for a query: `CrossEncoder`, `MaxSim`, or anything that has this method."""

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a score for each of ``texts``, the greater the better."""
        ...


class MaxSim:
    """Late interaction by the token vectors of any encoder that has them (see `maxsim`)."""

    def __init__(self, encoder: Encoder) -> None:
        if Level.TOKEN not in encoder.levels and Level.WORD not in encoder.levels:
            raise OptionError(f"maxsim wants token vectors, and {encoder.fingerprint.model} gives {', '.join(encoder.levels)}")
        self._encoder = encoder.with_options(level=Level.TOKEN if Level.TOKEN in encoder.levels else Level.WORD)

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the MaxSim of ``query`` with each of ``texts``."""
        asked = self._encoder.encode_query([query]).floats()
        found = self._encoder.encode_document(list(texts))
        return np.array([maxsim(asked, found[at].floats()) for at in range(len(texts))], dtype=np.float32)


def reranker(name: str, encoder: Encoder, *, device: str | None = None) -> Reranker:
    """Return the reranker called ``name``: "maxsim" by ``encoder``, else a cross-encoder (a path or a hub id)."""
    return MaxSim(encoder) if name == MAXSIM else CrossEncoder.from_pretrained(name, device=device)


def rerank(query: str, hits: Hits, by: Reranker, scored: dict[str, float] | None = None) -> Hits:
    """Return ``hits`` with the scores of ``by``, best first; what they were found by stays in ``parts``.

    ``scored`` are scores by id that were found before; new ones are put there.
    Raises `StoreError` for a hit without a text.
    """
    if missing := [hit.id for hit in hits if hit.text is None]:
        raise StoreError(f"item {missing[0]!r} has no text, so it cannot be reranked")
    scored = {} if scored is None else scored
    fresh = [hit for hit in hits if hit.id not in scored]
    scored.update(zip((hit.id for hit in fresh), by.scores(query, [hit.text or "" for hit in fresh]).tolist(), strict=True))
    scores = np.array([scored[hit.id] for hit in hits], dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    found = []
    for at in order.tolist():
        hit = hits.hits[at]
        parts: Mapping[str, float] = hit.parts or {"dense": hit.score, "dense_rank": at + 1}
        found.append(replace(hit, score=float(scores[at]), parts={**parts, "rerank": float(scores[at])}))
    return Hits(tuple(found), hits.query)
