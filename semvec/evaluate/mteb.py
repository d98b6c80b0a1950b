"""MTEB, the field's own suite: any encoder as one of its models (its tasks of local files are in `mteb_tasks`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import MissingExtra
from semvec.types import JSON, Level

UNKNOWN = (
    "loader", "release_date", "languages", "n_parameters", "memory_usage_mb", "license", "open_weights",
    "public_training_code", "public_training_data", "training_datasets",
)  # fmt: skip
"""What mteb wants to be told of a model, and an encoder does not know of itself."""

FRAMEWORKS = {
    "word": ["NumPy"],
    "static": ["NumPy"],
    "sentence": ["Sentence Transformers", "PyTorch"],
    "contextual": ["Transformers", "PyTorch"],
}
READS_ALL = ("word", "static")
"""The families without a limit to the length of a text."""


def library() -> Any:
    """Return mteb; raise `MissingExtra` where it is not installed."""
    try:
        import mteb
        import mteb.abstasks
        import mteb.models.model_meta
        import mteb.similarity_functions
    except ImportError as error:
        raise MissingExtra(f'MTEB needs its library ({error}): pip install "semvec[mteb]"') from error
    return mteb


class MtebEncoder:
    """An encoder as MTEB wants a model: its ``EncoderProtocol``.

    Texts are encoded whole, under the encoder's own options; queries and documents get the model's prompts for those
    (`Encoder.encode_query`), everything else its usual one. MTEB's batch size is passed over: the encoder makes its own
    batches. A text of which the model knows nothing has a zero vector. Raises `MissingExtra` without mteb.

    >>> mteb.evaluate(MtebEncoder(semvec.load_encoder("minilm")), task)            # doctest: +SKIP
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder.with_options(level=Level.TEXT)
        self.mteb_model_meta = library().models.ModelMeta(**model_meta(self.encoder))

    def encode(self, inputs: Iterable[dict[str, Any]], *, prompt_type: str | None = None, **_: Any) -> NDArray[np.float32]:
        """Return the vectors (texts, dim) of ``inputs``, batches with their texts under "text" (titles are part of them)."""
        able = {"query": self.encoder.encode_query, "document": self.encoder.encode_document}
        encode = able[prompt_type] if prompt_type else self.encoder.encode
        return encode([text for batch in inputs for text in batch["text"]]).floats()

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the score of each of ``embeddings1`` with each of ``embeddings2`` by the encoder's metric."""
        return library().similarity_functions.select_similarity(embeddings1, embeddings2, self._metric)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the score of each of ``embeddings1`` with its counterpart by the encoder's metric."""
        return library().similarity_functions.select_pairwise_similarity(embeddings1, embeddings2, self._metric)

    @property
    def _metric(self) -> Any:
        return self.mteb_model_meta.similarity_fn_name


def model_meta(encoder: Encoder) -> dict[str, JSON]:
    """Return the fields of mteb's ``ModelMeta``: what is known of ``encoder``, and None for what is not.

    The name is ``semvec/`` and the last part of the model's; the revision is a hash of the fingerprints of a text, a
    query and a document, so results of other weights, options or prompts are never taken for this encoder's.
    """
    made = encoder.fingerprint
    prints = [made, *(encoder.prompted(kind).fingerprint for kind in ("query", "document"))]
    return {
        **dict.fromkeys(UNKNOWN),
        "name": f"semvec/{PurePath(made.model).name or 'model'}",
        "revision": hashlib.sha256("".join(one.digest for one in prints).encode()).hexdigest(),
        "embed_dim": made.dim,
        "max_tokens": float("inf") if made.family in READS_ALL else made.settings.get("max_tokens"),
        "similarity_fn_name": library().models.model_meta.ScoringFunction(str(encoder.metric)),
        "framework": FRAMEWORKS.get(made.family, []),
        "use_instructions": any(one.settings.get("prompt") for one in prints),
    }


@dataclass(frozen=True)
class MtebScore:
    """The main score of a task on one of its splits, and what measure that is."""

    task: str
    split: str
    measure: str
    score: float


def mteb_scores(encoder: Encoder, tasks: Sequence[Any], folder: str | PathLike[str] | None = None) -> list[MtebScore]:
    """Return the main scores of ``encoder`` on ``tasks`` of mteb's, its own or by `local_task`, as mteb computes them.

    All that mteb finds goes into ``folder``, in its own layout; a task that is there already, of the same encoder, files
    and version, is read instead of run. Raises `MissingExtra` without mteb.
    """
    mteb, model = library(), MtebEncoder(encoder)
    cache = None if folder is None else mteb.ResultCache(folder)
    found = []
    with _no_bars():
        for task in tasks:
            again = cache is not None and _outdated(cache.load_task_result(task.metadata.name, model.mteb_model_meta), task)
            how = "always" if again else "only-missing"
            [result] = mteb.evaluate(model, task, cache=cache, overwrite_strategy=how, show_progress_bar=False).task_results
            for split, scores in result.scores.items():
                mean = float(np.mean([one["main_score"] for one in scores]))
                found.append(MtebScore(task.metadata.name, split, task.metadata.main_score, mean))
    return found


def _outdated(kept: Any, task: Any) -> bool:
    """Whether the result ``kept`` is of other data or of another mteb, which mteb itself would pass over."""
    now = task.metadata.revision, library().__version__
    return kept is not None and (kept.dataset_revision, kept.mteb_version) != now


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep the library datasets from drawing a bar for every step."""
    import datasets

    drawn = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if drawn:
            datasets.enable_progress_bars()
