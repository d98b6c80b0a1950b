"""Scores of tokens that were learned: a weight for each number of a vector, from tokens of which it is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.transforms import normalize
from semvec.errors import FormatError, InputError
from semvec.types import Oov

FORMAT = "semvec-token-scorer"
MOST = 200_000
"""Tokens that are learned from, at most."""


@dataclass(frozen=True)
class LearnedScorer:
    """The log odds of being telling: ``weights`` (dim,) times a token's vector of length 1, and ``bias``."""

    weights: NDArray[np.float32]
    bias: float
    fingerprint: Fingerprint | None = None

    @classmethod
    def fit(
        cls, vectors: NDArray[np.float32], telling: NDArray[np.bool_], *, fingerprint: Fingerprint | None = None, seed: int = 0
    ) -> LearnedScorer:
        """Return the scorer that a logistic regression learns from ``vectors`` (tokens, dim), some of which are ``telling``.

        Both kinds weigh the same. Of more than `MOST` tokens some are drawn. Raises `InputError` where all are alike.
        """
        from sklearn.linear_model import LogisticRegression

        if len(set(telling.tolist())) < 2:
            raise InputError("to learn which tokens are telling, some must be and some must not")
        if len(vectors) > MOST:
            chosen = np.sort(np.random.default_rng(seed).choice(len(vectors), MOST, replace=False))
            vectors, telling = vectors[chosen], telling[chosen]
        made = LogisticRegression(class_weight="balanced", max_iter=300).fit(normalize(vectors), telling)
        return cls(made.coef_[0].astype(np.float32), float(made.intercept_[0]), fingerprint)

    def scores(self, tokens: Embeddings) -> NDArray[np.float64]:
        """Return how telling each row of ``tokens`` is; raise `FingerprintMismatch` for those of another encoder."""
        if self.fingerprint is not None:
            self.fingerprint.require_comparable(tokens.fingerprint)
        return (normalize(tokens.floats()) @ self.weights).astype(np.float64) + self.bias

    def save(self, path: Path) -> None:
        """Write the scorer to ``path``, a .safetensors file."""
        made = json.dumps(self.fingerprint and self.fingerprint.to_json())
        about = {"format": FORMAT, "version": "1", "bias": repr(self.bias), "fingerprint": made}
        with written_whole(path) as (stream,):
            stream.write(save({"weights": self.weights}, metadata=about))

    @classmethod
    def load(cls, path: Path) -> LearnedScorer:
        """Return the scorer in ``path``; raise `FormatError` where there is none."""
        try:
            with safe_open(path, framework="numpy") as stored:
                about = stored.metadata() or {}
                if about.get("format") != FORMAT:
                    raise FormatError(f"{path}: holds no scorer of tokens")
                made = json.loads(about["fingerprint"])
                return cls(stored.get_tensor("weights"), float(about["bias"]), made and Fingerprint.from_json(made))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise FormatError(f"{path}: cannot be read as a scorer of tokens ({error})") from error


def met_by(queries: Sequence[Embeddings], document: Embeddings) -> NDArray[np.bool_]:
    """Return which tokens of ``document`` (one text) are the nearest to some token of the ``queries`` it answers.

    What late interaction never looks at can be left out: these are the tokens to learn from (`LearnedScorer.fit`).
    """
    met = np.zeros(document.rows, dtype=np.bool_)
    vectors = normalize(document.floats())
    for query in queries:
        asked = normalize(query.floats()[query.oov != Oov.ZERO])
        if document.rows and len(asked):
            met[np.unique((asked @ vectors.T).argmax(axis=1))] = True
    return met
