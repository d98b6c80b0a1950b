"""Exact similarity: the numpy oracle that every index is compared with."""

from __future__ import annotations

import numpy as np

from semvec.embeddings.quantise import Vectors
from semvec.embeddings.transforms import normalize
from semvec.errors import OptionError
from semvec.types import Metric


def similarity(queries: Vectors, documents: Vectors, metric: Metric = Metric.COSINE) -> Vectors:
    """Return the scores (queries, documents), float32, the greater the nearer.

    cosine and dot are what they are called (a zero vector scores 0); euclidean is the distance with its
    sign turned. Raises `OptionError` where the dimensions differ.
    """
    if queries.shape[1] != documents.shape[1]:
        raise OptionError(f"vectors of {queries.shape[1]} and of {documents.shape[1]} dimensions cannot be compared")
    if metric == Metric.COSINE:
        queries, documents = normalize(queries), normalize(documents)
    products = np.asarray(queries, dtype=np.float32) @ np.asarray(documents, dtype=np.float32).T
    if metric != Metric.EUCLIDEAN:
        return np.asarray(products)
    squares = (queries**2).sum(1)[:, None] + (documents**2).sum(1)[None] - 2 * products
    return np.asarray(-np.sqrt(np.maximum(squares, 0)), dtype=np.float32)


def nearest(queries: Vectors, documents: Vectors, k: int, metric: Metric = Metric.COSINE) -> tuple[Vectors, Vectors]:
    """Return the ``k`` best rows of ``documents`` for each query and their scores, (queries, k) each.

    Fewer where there are fewer documents. Equal scores come in the order of the rows.
    """
    scores = similarity(queries, documents, metric)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return best, np.take_along_axis(scores, best, axis=1)
