"""Folders of static token vectors → a table: a tokenizer, and one vector a token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.model_folder import combined_hash, config_hash, first_line, read_config, weights_hash
from semvec.encoders.quick import METRICS
from semvec.errors import ModelError
from semvec.types import JSON, Metric

MODULES = ("StaticEmbedding", "Normalize")
SETTINGS = "config_sentence_transformers.json"


@dataclass(frozen=True)
class StaticTable:
    """A tokenizer of ``tokenizers`` and the vectors (tokens, dim) float32 of its tokens, weights multiplied in.

    ``unknown`` is the id that stands for what the tokenizer does not know, where that counts for nothing;
    ``normalized`` whether the vectors of texts are scaled to length 1; ``prompts`` those of the model.
    """

    tokenizer: Any
    vectors: NDArray[np.float32]
    weights: str
    config: str = ""
    unknown: int | None = None
    normalized: bool = False
    metric: Metric = Metric.COSINE
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""

    @property
    def dim(self) -> int:
        """How many dimensions a vector has."""
        return int(self.vectors.shape[1])


def is_static(folder: Path) -> bool:
    """Return whether ``folder`` holds static token vectors, by its configuration."""
    return _is_model2vec(folder) or _modules(folder)[:1] == ["StaticEmbedding"]


def read_static_folder(folder: Path) -> StaticTable:
    """Return the static vectors in ``folder``, as model2vec or sentence-transformers saved them.

    model2vec leaves unknown tokens out of its means, sentence-transformers counts them like any other, and
    so do their tables. Padding and truncation that a tokenizer brings along are switched off: a text is
    read whole, and nothing but the text. Raises `ModelError` for anything else than such a folder.
    """
    read = _read_model2vec if _is_model2vec(folder) else _read_sentence_transformers
    try:
        return read(folder)
    except ModelError:
        raise
    except Exception as error:  # whatever safetensors and tokenizers say of a damaged file
        raise ModelError(f"{folder}: cannot be read as static vectors ({first_line(error)})") from error


def read_package(weights: Path, tokenizer: Path) -> StaticTable:
    """Return the vectors that the package wordllama carries, a file of each kind."""
    vectors, its = _vectors(weights), _tokenizer(tokenizer)
    return StaticTable(its, _checked(weights, vectors, its), combined_hash([weights, tokenizer]))


def _read_model2vec(folder: Path) -> StaticTable:
    tokenizer, config = _tokenizer(folder / "tokenizer.json"), read_config(folder)
    name = getattr(tokenizer.model, "unk_token", None)
    return StaticTable(
        tokenizer,
        _checked(folder, _vectors(folder / "model.safetensors"), tokenizer),
        weights=weights_hash(folder),
        config=config_hash(folder),
        unknown=None if name is None else tokenizer.token_to_id(name),
        normalized=bool(config.get("normalize", False)),
    )


def _read_sentence_transformers(folder: Path) -> StaticTable:
    kinds = _modules(folder)
    if kinds[:1] != ["StaticEmbedding"] or any(kind not in MODULES for kind in kinds):
        what = f"a model of {', '.join(kinds)}" if kinds else "no modules.json and no config.json of model2vec"
        raise ModelError(f"{folder}: {what}, where static vectors are {' and '.join(MODULES)}")
    inner = folder / json.loads((folder / "modules.json").read_bytes())[0]["path"]
    settings: dict[str, JSON] = read_config(folder, SETTINGS) if (folder / SETTINGS).is_file() else {}
    prompts = {name: text for name, text in (settings.get("prompts") or {}).items() if text}
    tokenizer = _tokenizer(inner / "tokenizer.json")
    return StaticTable(
        tokenizer,
        _checked(folder, _vectors(inner / "model.safetensors"), tokenizer),
        weights=weights_hash(folder),
        config=config_hash(folder),
        normalized="Normalize" in kinds,
        metric=METRICS.get(str(settings.get("similarity_fn_name")), Metric.COSINE),
        prompts=prompts,
        default_prompt=prompts.get(settings.get("default_prompt_name") or "", ""),
    )


def _is_model2vec(folder: Path) -> bool:
    try:
        config = read_config(folder)
    except ModelError:
        return False
    return config.get("model_type") == "model2vec" or config.get("architectures") == ["StaticModel"]


def _modules(folder: Path) -> list[str]:
    """Return the names of the modules of a sentence-transformers model; none where there is none to read."""
    try:
        return [module["type"].rpartition(".")[2] for module in json.loads((folder / "modules.json").read_bytes())]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return []


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ModelError(f"{path.parent}: no {path.name}")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _vectors(path: Path) -> NDArray[np.float32]:
    """Return a vector for each token id: the row its mapping names, times its weight, where there are such."""
    from safetensors import safe_open

    if not path.is_file():
        raise ModelError(f"{path.parent}: no {path.name}")
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        tensors: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in names}
    rows = next((tensors[name] for name in ("embeddings", "embedding.weight") if name in tensors), None)
    if rows is None or rows.ndim != 2:
        raise ModelError(f"{path}: no table of vectors among {', '.join(names) or 'nothing'}")
    if "mapping" in tensors:
        rows = rows[tensors["mapping"]]
    vectors = np.ascontiguousarray(rows, dtype=np.float32)
    return np.asarray(vectors * tensors["weights"].astype(np.float32)[:, None]) if "weights" in tensors else vectors


def _checked(where: Path, vectors: NDArray[np.float32], tokenizer: Any) -> NDArray[np.float32]:
    most = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if most >= len(vectors):
        raise ModelError(f"{where}: the tokenizer gives token {most}, but there are {len(vectors):,} vectors")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ModelError(f"{where}: the vector of {tokenizer.id_to_token(row)!r} holds a number that is not finite")
    return vectors
