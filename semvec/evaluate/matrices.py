"""Texts as rows of a matrix, made by an encoder or by TF-IDF, and what scikit-learn does with either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.similarity import nearest
from semvec.encoders.protocol import Encoder, Text
from semvec.errors import InputError
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


def plain(encoder: Encoder, level: Level = Level.TEXT) -> Encoder:
    """Return the encoder with full numbers at ``level``: what is examined is the model, not how its vectors are kept."""
    return encoder.with_options(level=level, dtype=Dtype.FLOAT32, calibration=None)


def embedded(encoder: Encoder, *parts: Sequence[Text]) -> list[NDArray[np.float32]]:
    """Return the vectors of each of ``parts``, (texts, dim), as the encoder gives them; equal texts are encoded once."""
    texts = list(dict.fromkeys(text if isinstance(text, str) else tuple(text) for part in parts for text in part))
    vectors = plain(encoder).encode(texts).floats()
    place = {text: row for row, text in enumerate(texts)}
    return [vectors[[place[text if isinstance(text, str) else tuple(text)] for text in part]] for part in parts]


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
    """Return the cosine of every row of ``first`` with that of ``second`` (rows,); 0 for a row of zeros."""
    from sklearn.preprocessing import normalize as scaled

    product = scaled(first).multiply(scaled(second)) if hasattr(first, "multiply") else scaled(first) * scaled(second)
    return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()


def probe(train: Matrix, labels: Sequence[str], test: Matrix, *, seed: int) -> tuple[NDArray[Any], float]:
    """Return the labels that a logistic regression on ``train`` gives to ``test``, and the strength C it chose.

    C is the one of `STRENGTHS` that is best on a part of the training examples that was held out; then it learns from all.
    """
    known, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(known) < 2:
        raise InputError(f"all training examples have the label {known[0]!r:.40}, so there is nothing to learn")
    order = np.random.default_rng(seed).permutation(len(codes))
    out = order[: int(len(order) * HELD_OUT)]
    kept = order[len(out) :]
    strength = 1.0
    if len(out) >= FEWEST_HELD_OUT and len(np.unique(codes[kept])) == len(known):
        right = [(_regression(train[kept], codes[kept], c, seed).predict(train[out]) == codes[out]).mean() for c in STRENGTHS]
        strength = STRENGTHS[int(np.argmax(right))]
    return known[_regression(train, codes, strength, seed).predict(test)], strength


def few_shot(train: Matrix, labels: Sequence[str], test: Matrix, *, iterations: int, seed: int) -> NDArray[Any]:
    """Return the labels that a logistic regression of C 1 on a few examples gives to ``test``."""
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
    found, scores = nearest(test, train, k)
    votes = np.zeros((len(test), len(known)), dtype=np.float64)
    np.add.at(votes, (np.arange(len(test))[:, None], codes[np.asarray(found, dtype=np.int64)]), scores)
    return np.asarray(known[votes.argmax(axis=1)])


def clustered(rows: Matrix, k: int, *, seed: int) -> NDArray[np.int64]:
    """Return the cluster (rows,) of every row by k-means, the best of three starts."""
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(k, n_init=3, random_state=seed).fit_predict(rows), dtype=np.int64)
