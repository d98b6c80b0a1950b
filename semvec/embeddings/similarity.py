"""Exact similarity: the numpy oracle that every index is compared with."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.quantise import Vectors
from semvec.embeddings.topk import top_k
from semvec.embeddings.transforms import normalize
from semvec.errors import InputError, OptionError
from semvec.types import Metric

Rows: TypeAlias = Embeddings | Vectors
"""An `Embeddings`, or float vectors (rows, dim)."""


def similarity(queries: Rows, documents: Rows, metric: Metric | str = Metric.COSINE) -> Vectors:
    """Return the scores (queries, documents), float32, the greater the nearer.

    cosine and dot are what they are called (a zero vector scores 0); euclidean is the distance with its
    sign turned. Of two `Embeddings` the stored numbers are read as what they stand for, and both must be
    of one model and the same layers, else `FingerprintMismatch`; bare arrays are taken at their word.
    Raises `OptionError` where the dimensions differ, or for an array of packed bits.
    """
    one, other, metric = *_comparable(queries, documents), Metric(metric)
    if metric == Metric.COSINE:
        one, other = normalize(one), normalize(other)
    products = np.asarray(one @ other.T)
    if metric != Metric.EUCLIDEAN:
        return products
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * products
    return np.asarray(-np.sqrt(np.maximum(squares, 0)), dtype=np.float32)


def nearest(queries: Rows, documents: Rows, k: int, metric: Metric | str = Metric.COSINE) -> tuple[Vectors, Vectors]:
    """Return the ``k`` best rows of ``documents`` for each query and their scores, (queries, k) each.

    Fewer where there are fewer documents. Equal scores come in the order of the rows; the scores are never in
    memory all at once. Errors as `similarity`.
    """
    one, other, metric = *_comparable(queries, documents), Metric(metric)
    if not np.isfinite(one).all():
        raise InputError("a query holds a number that is not finite")
    if metric == Metric.COSINE:
        one, other, metric = normalize(one), normalize(other), Metric.DOT
    return top_k(lambda down, across: similarity(one[down], other[across], metric), len(one), len(other), k)


def _comparable(queries: Rows, documents: Rows) -> tuple[Vectors, Vectors]:
    """Return the numbers of both sides; raise where they are of two models, or of other dimensions."""
    if isinstance(queries, Embeddings) and isinstance(documents, Embeddings):
        queries.fingerprint.require_comparable(documents.fingerprint)
    one, other = _floats(queries), _floats(documents)
    if one.shape[1] != other.shape[1]:
        raise OptionError(f"vectors of {one.shape[1]} and of {other.shape[1]} dimensions cannot be compared")
    return one, other


def _floats(rows: Rows) -> Vectors:
    if isinstance(rows, Embeddings):
        return rows.floats()
    if rows.ndim != 2:
        raise OptionError(f"vectors of shape {rows.shape} where (rows, dim) is wanted; one vector is vectors[i : i + 1]")
    if rows.dtype == np.uint8:
        raise OptionError("packed bits cannot be compared as numbers: pass the Embeddings, or emb.floats()")
    return np.asarray(rows, dtype=np.float32)
