"""Cross-encoders: models of sentence-transformers that read a query and a text together and give one score."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from semvec.encoders.catalog import find_model
from semvec.encoders.model_folder import check_folder, first_line
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.transformer import choose_device
from semvec.errors import ModelError, SemvecError


class CrossEncoder:
    """Scores texts for a query, far slower and better than comparing vectors: for some dozens of candidates."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self.name = name

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | None = None,
        trust_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Return the model called ``name``: a path or a hub id.

        Raises `ModelError` where it is none or gives more than one score, `PickleRefused` and `RemoteCodeRefused` as
        `load_encoder`.
        """
        folder = find_model(name, trust_pickle=trust_pickle).path
        check_folder(folder, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
        try:
            with quiet_loading():
                from sentence_transformers import CrossEncoder as Loaded

                loaded = Loaded(
                    str(folder), device=choose_device(device), trust_remote_code=trust_remote_code, local_files_only=True
                )
        except SemvecError:
            raise
        except Exception as error:
            raise ModelError(f"{folder}: cannot be loaded as a cross-encoder ({first_line(error)})") from error
        if loaded.num_labels != 1:
            raise ModelError(f"{name}: gives {loaded.num_labels} scores for a pair where a reranker gives one")
        return cls(loaded, str(name))

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the score of each of ``texts`` for ``query``, what ``CrossEncoder.predict`` gives."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        pairs = [(query, text) for text in texts]
        return np.asarray(self._model.predict(pairs, show_progress_bar=False), dtype=np.float32).reshape(-1)
