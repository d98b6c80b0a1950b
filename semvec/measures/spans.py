"""Span F1: how many of the marked spans were found, in kind and extent (CoNLL 2003; Tjong Kim Sang and De Meulder)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError
from semvec.text.tagged import entities


def span_counts(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> NDArray[np.int64]:
    """Return how many spans of every sentence are right, predicted and gold (sentences, 3), of their IOB2 tags."""
    if len(gold) != len(predicted):
        raise InputError(f"{len(gold):,} sentences cannot be compared with {len(predicted):,}")
    rows = []
    for its, other in zip(gold, predicted, strict=True):
        true, said = set(entities(its)), set(entities(other))
        rows.append((len(true & said), len(said), len(true)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def span_f1(counts: NDArray[np.int64]) -> float:
    """Return the F1 over all sentences of `span_counts`, 0 where nothing is right."""
    right, said, true = counts.sum(axis=0).tolist()
    return float(2 * right / max(1, said + true))
