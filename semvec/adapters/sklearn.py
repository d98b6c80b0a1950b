"""Texts → vectors as a transformer of scikit-learn: in a Pipeline, under GridSearchCV, cloned and pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.types import Level


class SemvecVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The vectors of texts (texts, dim) by ``model``, which `load_encoder` finds; nothing is learnt by fitting.

    ``pooling``, ``overflow``, ``prompt``, ``normalize`` and ``truncate_dim`` are those of `EncodeOptions`; None is the model's
    own. Parameters are names and numbers, so that a grid can be searched over them, models included. What is cloned or pickled
    is these, and not the model: it is loaded again where it is needed, and once a process.

    After `fit` there are ``n_features_out_``, the dimensions, and ``fingerprint_``, what decides the vectors: a pickle that is
    opened where the model is another one by now raises `InputError`.
    """

    def __init__(
        self,
        model: str = "minilm",
        *,
        pooling: str | None = None,
        overflow: str = "truncate",
        prompt: str | None = None,
        normalize: bool = False,
        truncate_dim: int | None = None,
        device: str | None = None,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.overflow = overflow
        self.prompt = prompt
        self.normalize = normalize
        self.truncate_dim = truncate_dim
        self.device = device

    def fit(self, X: Sequence[str], y: object = None) -> SemvecVectorizer:  # noqa: N803
        """Load the model; of ``X``, texts, it is looked only whether they are texts."""
        _texts(X)
        its = self._encoder()
        self.n_features_out_ = its.dim
        self.fingerprint_ = its.fingerprint.to_json()
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float32]:  # noqa: N803
        """Return the vectors (texts, dim) of ``X``, float32.

        Raises `InputError` for what is no text, and where the model is another one than the fitted one.
        """
        check_is_fitted(self)
        texts, its = _texts(X), self._encoder()
        if its.fingerprint.weights != self.fingerprint_["weights"]:
            raise InputError(f"{self.model} is another model than the one this was fitted with: its weights differ")
        if not texts:
            return np.zeros((0, its.dim), dtype=np.float32)
        return np.asarray(its.encode(texts).floats(), dtype=np.float32)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns: semvecvectorizer0, semvecvectorizer1, …"""
        check_is_fitted(self)
        return np.array([f"semvecvectorizer{at}" for at in range(self.n_features_out_)], dtype=object)

    def _encoder(self) -> Encoder:
        """Return the encoder as the parameters have it, loaded once."""
        asked = {name: value for name, value in self.get_params(deep=False).items() if name not in ("model", "device")}
        key = (self.model, self.device)
        if getattr(self, "_loaded", (None, None))[0] != key:
            self._loaded = (key, load_encoder(self.model, device=self.device))
        encoder: Encoder = self._loaded[1]
        return encoder.with_options(level=Level.TEXT, **asked)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the model: it is found again by its name."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_loaded", None)
        return state

    def __sklearn_tags__(self) -> Any:
        """Say that what comes in are texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        tags.requires_fit = True
        return tags


def _texts(given: Any) -> list[str]:
    """Return ``given`` as a list of texts; `InputError` for one string, and for what is not one row a text."""
    if isinstance(given, str):
        raise InputError("texts must be a list of texts, not one string")
    if isinstance(given, Mapping) or getattr(given, "ndim", 1) != 1:
        raise InputError("texts must be one list or column of texts, not a table: choose a column, as in frame['text']")
    rows = given.tolist() if hasattr(given, "tolist") else list(given)
    for at, one in enumerate(rows):
        if not isinstance(one, str):
            raise InputError(f"row {at}: {one!r:.40} is no text: a list, an array or a column of texts is wanted")
    return rows
