"""A folder with a model in it: what it holds, whether it may be run, and what identifies its weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from semvec.errors import ModelError, PickleRefused, RemoteCodeRefused
from semvec.types import JSON

WEIGHTS = "model*.safetensors"
PICKLES = ("pytorch_model*.bin",)
CONFIGS = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "sentence_bert_config.json")
ORIGIN = (
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "architectures",
    "torch_dtype",
    "dtype",
    "auto_map",
    "__version__",
)
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model")
ABOUT = "semvec.json"
"""What says of a model that semvec fine-tuned what it is for, and how its encoder is stored."""

SHA256 = re.compile(r"[0-9a-f]{64}")


LATE_INTERACTION, STANFORD = ("MultiVectorEncoder", "ColBERT"), "HF_ColBERT"
"""What sentence-transformers and PyLate call models for late interaction, and what Stanford's config does."""


def read_config(folder: Path, name: str = "config.json") -> dict[str, JSON]:
    """Return a JSON file of the folder; raise `ModelError` where it is missing or damaged."""
    try:
        config = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{folder}: no {name}, so this is no model that transformers can load") from None
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{folder}: {name} is damaged ({error})") from error
    if not isinstance(config, dict):
        raise ModelError(f"{folder}: {name} is damaged (not a JSON object)")
    return config


def module_folders(folder: Path) -> list[Path]:
    """Return the folders a model is loaded from: its own, and those of its modules (sentence-transformers)."""
    if not (folder / "modules.json").is_file():
        return [folder]
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        return list(dict.fromkeys([folder, *(folder / module["path"] for module in modules)]))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(f"{folder}: modules.json is damaged ({error})") from error


def check_folder(folder: Path, *, trust_pickle: bool, trust_remote_code: bool) -> None:
    """Raise unless the model in ``folder`` can be loaded without unpickling or running code of its own."""
    weights = [weight_files(module) for module in module_folders(folder)]
    for module in module_folders(folder):
        if not trust_remote_code and (module / "config.json").is_file() and "auto_map" in read_config(module):
            raise RemoteCodeRefused(f"{module}: the model brings Python code of its own; trust_remote_code=True runs it")
    for file in (file for files in weights for file in files):
        if file.suffix != ".safetensors" and not trust_pickle:
            raise PickleRefused(
                f"{file.parent}: its weights ({file.name}) are a pickle, which can run any code when read; "
                "trust_pickle=True (--trust-pickle) reads it all the same"
            )
    if not any(weights):
        raise ModelError(f"{folder}: no weights there (no model.safetensors)")


def weight_files(module: Path) -> list[Path]:
    """Return the files that the weights of one module are read from: safetensors if there are any, else pickles."""
    return sorted(module.glob(WEIGHTS)) or sorted(file for pattern in PICKLES for file in module.glob(pattern))


def weights_hash(folder: Path) -> str:
    """Return a sha256 over the weights: that of the file itself where there is only one.

    In a Hugging Face cache a file is named by its sha256, so nothing has to be read.
    """
    return combined_hash([file for module in module_folders(folder) for file in weight_files(module)])


def config_hash(folder: Path) -> str:
    """Return a short hash over what, besides the weights, decides the vectors: configuration and tokenizer.

    What only tells where a model came from (its old name, versions) does not count.
    """
    digest = hashlib.sha256()
    for module in module_folders(folder):
        for name in CONFIGS:
            if (module / name).is_file():
                config = {key: value for key, value in read_config(module, name).items() if key not in ORIGIN}
                digest.update(json.dumps([name, config], sort_keys=True).encode())
        for name in TOKENIZER_FILES:
            if (module / name).is_file():
                digest.update(f"{name} {_file_hash(module / name)}".encode())
    return digest.hexdigest()[:16]


def combined_hash(files: Iterable[Path]) -> str:
    """Return the sha256 of the one file, or one over those of several."""
    digests = [_file_hash(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _file_hash(file: Path) -> str:
    name = file.resolve().name
    if SHA256.fullmatch(name):
        return name
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    """Return what ``error`` is and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]:.200}" if lines else type(error).__name__


def is_multi_vector(folder: Path) -> bool:
    """Whether a model for late interaction was saved there, by sentence-transformers, PyLate or Stanford's ColBERT."""
    name = "config_sentence_transformers.json"
    if (folder / name).is_file():
        return read_config(folder, name).get("model_type") in LATE_INTERACTION
    return (folder / "config.json").is_file() and STANFORD in (read_config(folder).get("architectures") or ())


def is_tuned(folder: Path) -> bool:
    """Whether a fine-tuned model lies there whose encoder is stored as what it learnt alone."""
    return (folder / ABOUT).is_file() and not any((folder / name).is_file() for name in ("config.json", "modules.json"))
