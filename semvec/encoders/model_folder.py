"""A folder with a model in it: what it holds, whether it may be run, and what identifies its weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from semvec.errors import ModelError, PickleRefused, RemoteCodeRefused
from semvec.types import JSON

WEIGHTS = "*.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model")
SHA256 = re.compile(r"[0-9a-f]{64}")


def read_config(folder: Path, name: str = "config.json") -> dict[str, JSON]:
    """Return a JSON file of the folder; raise `ModelError` where it is missing or damaged."""
    try:
        config = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{folder}: no {name}, so this is no model that transformers can load") from None
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder}: {name} is damaged ({error})") from error
    if not isinstance(config, dict):
        raise ModelError(f"{folder}: {name} is damaged (not a JSON object)")
    return config


def check_folder(folder: Path, *, trust_pickle: bool, trust_remote_code: bool) -> None:
    """Raise unless the model in ``folder`` can be loaded without unpickling or running code of its own."""
    for config in sorted(folder.rglob("config.json")):
        if not trust_remote_code and "auto_map" in read_config(config.parent):
            raise RemoteCodeRefused(f"{config.parent}: the model brings Python code of its own; trust_remote_code=True runs it")
    for module in sorted({file.parent for pattern in PICKLES for file in folder.rglob(pattern)}):
        names = [file.name for pattern in PICKLES for file in module.glob(pattern) if file.name != "training_args.bin"]
        if names and not any(module.glob(WEIGHTS)) and not trust_pickle:
            raise PickleRefused(
                f"{module}: its weights ({names[0]}) are a pickle, which can run any code when read; "
                "trust_pickle=True (--trust-pickle) reads it all the same"
            )
    if not any(folder.rglob(WEIGHTS)) and not any(any(folder.rglob(pattern)) for pattern in PICKLES):
        raise ModelError(f"{folder}: no weights there (no .safetensors file)")


def weights_hash(folder: Path) -> str:
    """Return a sha256 over the weights: that of the file itself where there is only one.

    In a Hugging Face cache a file is named by its sha256, so nothing has to be read.
    """
    files = sorted(folder.rglob(WEIGHTS)) or sorted(file for pattern in PICKLES for file in folder.rglob(pattern))
    return combined_hash(files)


def tokenizer_hash(folder: Path) -> str:
    """Return a short hash over the files that make the tokenizer."""
    return combined_hash([file for name in TOKENIZER_FILES for file in sorted(folder.rglob(name))])[:16]


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
