"""Texts as rows of a matrix, made by an encoder or by TF-IDF, and what scikit-learn does with either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.similarity import nearest
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, ModelError
from semvec.text.words import split_words
from semvec.types import Dtype, Level

Matrix: TypeAlias = Any
"""A row a text: an array (texts, dim), or a sparse matrix of scipy's."""

STRENGTHS = (1.0, 10.0, 100.0)
"""The values of C that a linear probe chooses among, on a fifth of its training examples that it does not learn from."""

HELD_OUT = 0.2
FEWEST_HELD_OUT = 20
ITERATIONS = 300
NEIGHBOURS = 10
BLOCK = 1024


def plain(encoder: Encoder, level: Level = Level.TEXT) -> Encoder:
    """Return the encoder with full numbers at ``level``: what is examined is the model, not how its vectors are kept."""
    return encoder.with_options(level=level, dtype=Dtype.FLOAT32, calibration=None)


def embedded(encoder: Encoder, *parts: Sequence[str]) -> list[NDArray[np.float32]]:
    """Return the vectors of each of ``parts``, (texts, dim), as the encoder gives them; equal texts are encoded once."""
    found = finite(plain(encoder).encode([text for part in parts for text in part]), encoder)
    return np.split(found, np.cumsum([len(part) for part in parts])[:-1])


def unknown_note(*parts: NDArray[np.float32]) -> tuple[str, ...]:
    """Return what is to be said of texts (rows of ``parts``) of which the model knows nothing: their vectors are zeros."""
    count, texts = (sum(its) for its in zip(*((int((~part.any(axis=1)).sum()), len(part)) for part in parts), strict=True))
    return (f"{count:,} of {texts:,} texts hold nothing that the model knows: they are like no other",) if count else ()


def finite(found: Embeddings, encoder: Encoder) -> NDArray[np.float32]:
    """Return the vectors; raise `ModelError` where one holds a number that is not finite."""
    vectors = found.floats()
    if not np.isfinite(vectors).all():
        raise ModelError(f"{encoder.fingerprint.model}: a vector holds numbers that are not finite, so nothing can be measured")
    return vectors


def tf_idf(*parts: Sequence[str], fit: Sequence[str] | None = None) -> list[Matrix]:
    """Return the TF-IDF weights of each of ``parts``, sparse, learnt from ``fit`` (None: all of them); any script's words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    known = [text for part in parts for text in part] if fit is None else fit
    words = TfidfVectorizer(
        tokenizer=lambda text: [text[a:b] for a, b in split_words(text)], token_pattern=None, sublinear_tf=True
    )
    try:
        words.fit(known)
    except ValueError:
        raise InputError("there is no word in any of the texts") from None
    return [words.transform(part) for part in parts]


def cosines(first: Matrix, second: Matrix) -> NDArray[np.float64]:
    """Return the cosine of every row of ``first`` with that of ``second`` (rows,), to six digits; 0 for a row of zeros.

    The digits after that are noise, which would part what is equal.
    """
    from sklearn.preprocessing import normalize as scaled

    one, other = (scaled(side.astype(np.float64)) for side in (first, second))
    product = one.multiply(other) if hasattr(one, "multiply") else one * other
    return np.round(np.asarray(product.sum(axis=1), dtype=np.float64).ravel(), 6)


def probe(train: Matrix, labels: Sequence[str], test: Matrix, *, seed: int) -> tuple[NDArray[Any], str]:
    """Return the labels that a logistic regression on ``train`` gives to ``test``, and how its strength C was chosen.

    C is the one of `STRENGTHS` that is best on a part of the training examples that was held out; then it learns from all.
    Labels with one example are never held out; with too few examples C is 1.
    """
    known, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(known) < 2:
        raise InputError(f"all training examples have the label {known[0]!r:.40}, so there is nothing to learn")
    order = np.random.default_rng(seed).permutation(len(codes))
    firsts = np.unique(codes[order], return_index=True)[1]  # one of every label stays to learn from
    able = np.delete(order, firsts)
    out = able[: int(len(order) * HELD_OUT)]
    strength, how = 1.0, "too few texts to choose another"
    if len(out) >= FEWEST_HELD_OUT:
        kept = np.setdiff1d(order, out)
        right = [(_regression(train[kept], codes[kept], c, seed).predict(train[out]) == codes[out]).mean() for c in STRENGTHS]
        strength, how = STRENGTHS[int(np.argmax(right))], "chosen on a fifth of the training texts"
    return known[_regression(train, codes, strength, seed).predict(test)], f"C = {strength:g}, {how}"


def plain_probe(train: Matrix, labels: Sequence[str], test: Matrix, *, iterations: int, seed: int) -> NDArray[Any]:
    """Return the labels that a logistic regression of C 1 on ``train`` gives to ``test``."""
    known, codes = np.unique(np.asarray(labels), return_inverse=True)
    return np.asarray(known[_regression(train, codes, 1.0, seed, iterations).predict(test)])


def _regression(rows: Matrix, codes: NDArray[Any], strength: float, seed: int, iterations: int = ITERATIONS) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=iterations, random_state=seed).fit(rows, codes)


def vote(train: NDArray[np.float32], labels: Sequence[str], test: NDArray[np.float32], k: int = NEIGHBOURS) -> NDArray[Any]:
    """Return the labels that the ``k`` nearest rows of ``train`` give to each of ``test``, weighted by their cosine."""
    known, codes = np.unique(np.asarray(labels), return_inverse=True)
    said = np.full(len(test), np.bincount(codes).argmax())  # a text of which nothing is known has no neighbours
    for at in range(0, len(test), BLOCK):
        part = test[at : at + BLOCK]
        found, scores = nearest(part, train, k)
        votes = np.zeros((len(part), len(known)), dtype=np.float64)
        np.add.at(votes, (np.arange(len(part))[:, None], codes[np.asarray(found, dtype=np.int64)]), scores)
        said[at : at + BLOCK] = np.where(part.any(axis=1), votes.argmax(axis=1), said[at : at + BLOCK])
    return np.asarray(known[said])


def clustered(rows: Matrix, k: int, *, seed: int) -> NDArray[np.int64]:
    """Return the cluster (rows,) of every row by k-means, the best of three starts."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different texts than clusters
        return np.asarray(KMeans(k, n_init=3, random_state=seed).fit_predict(rows), dtype=np.int64)
