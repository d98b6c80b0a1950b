"""A BERT-like model read from its folder by itself, in a fraction of the time that transformers takes to load.

Whatever is out of the ordinary in a folder makes `quick_transformer` and `quick_modules` return None; then the libraries load it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from semvec.encoders.backends.bert import MODEL_TYPES, bert_weights
from semvec.encoders.tokens import Tokenizer
from semvec.encoders.transformer import UNBOUNDED, Transformer
from semvec.types import JSON, Metric, Pooling

ARCHITECTURES = ("BertModel", "RobertaModel", "XLMRobertaModel", "CamembertModel")
TOKENIZERS = ("PreTrainedTokenizerFast", "BertTokenizer", "BertTokenizerFast", "TokenizersBackend")
"""Classes of tokenizers that change nothing of tokenizer.json but what `_settings_agree` looks at."""

SETTINGS = {"do_lower_case": "lowercase", "strip_accents": "strip_accents", "tokenize_chinese_chars": "handle_chinese_chars"}
"""What tokenizer_config.json says of a BERT's normalizer, and what tokenizer.json calls it."""

DEFAULTS = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0, "is_decoder": False}
POOLING_NAMES = {
    "mean": Pooling.MEAN,
    "cls": Pooling.CLS,
    "max": Pooling.MAX,
    "lasttoken": Pooling.LAST_TOKEN,
    "weightedmean": Pooling.WEIGHTED_MEAN,
    "mean_sqrt_len_tokens": Pooling.MEAN_SQRT,
}
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The ways of pooling as older files of sentence-transformers have them, true or false each."""

POOLING_FIELDS = {"embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt", *FLAGS}
PLAIN = {
    "do_lower_case": (False,),
    "transformer_task": ("feature-extraction",),
    "modality_config": ({"text": {"method": "forward", "method_output_name": "last_hidden_state"}},),
    "module_output_name": ("token_embeddings",),
}
"""What sentence_bert_config.json may say, besides the length, of a transformer that is run as any other."""


@dataclass(frozen=True)
class Modules:
    """What stands around the transformer of a sentence model."""

    max_tokens: int | None
    pooling: tuple[Pooling, ...]
    pool_front: bool
    normalized: bool
    metric: Metric
    prompts: dict[str, str]
    default_prompt: str | None


def quick_transformer(folder: Path, device: str, max_tokens: int | None = None) -> Transformer | None:
    """Return the BERT in ``folder``; None where it is something else, or not on the cpu."""
    config = SimpleNamespace(**(DEFAULTS | _json(folder / "config.json")))
    tokenizer = _tokenizer(folder)
    ordinary = getattr(config, "model_type", None) in MODEL_TYPES and (config.architectures or [""])[0] in ARCHITECTURES
    if device != "cpu" or tokenizer is None or not ordinary:
        return None
    from safetensors.torch import load_file

    weights = bert_weights(config, load_file(folder / "model.safetensors"))
    if weights is None or tokenizer[1] >= len(weights.words):
        return None
    backend, pad, stated = tokenizer
    return Transformer(
        Tokenizer(backend, pad, partial(_full_tokenizer, folder)),
        config,
        device,
        partial(_full_model, folder),
        max_tokens=min(max_tokens or UNBOUNDED, stated),
        weights=weights,
    )


def quick_modules(folder: Path) -> Modules | None:
    """Return what stands around the transformer, which is in ``folder`` itself; None for modules with weights of their own."""
    listed = _json(folder / "modules.json")
    kinds = [one["type"].rpartition(".")[2] for one in listed]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or listed[0]["path"]:
        return None
    about, pooling = _json(folder / "sentence_bert_config.json"), _json(folder / listed[1]["path"] / "config.json")
    if any(name != "max_seq_length" and value not in PLAIN.get(name, ()) for name, value in about.items()):
        return None
    named = pooling.get("pooling_mode") or [name for flag, name in FLAGS.items() if pooling.get(flag)]
    modes = [POOLING_NAMES[name] for name in ([named] if isinstance(named, str) else named)]
    whole = _json(folder / "config_sentence_transformers.json")
    if not modes or set(pooling) - POOLING_FIELDS:
        return None
    if (similarity := whole.get("similarity_fn_name") or "cosine") not in ("cosine", "dot", "euclidean"):
        return None
    prompts = whole.get("prompts") or {}
    return Modules(
        max_tokens=about.get("max_seq_length"),
        pooling=tuple(modes),
        pool_front=bool(pooling.get("include_prompt", True)),
        normalized="Normalize" in kinds,
        metric=Metric(similarity),
        prompts={name: text for name, text in prompts.items() if text},
        default_prompt=prompts.get(whole.get("default_prompt_name") or ""),
    )


def _tokenizer(folder: Path) -> tuple[Any, int, int] | None:
    """Return the tokenizer in ``folder``, the id of its padding, and how many tokens it says the model reads."""
    about, written = _json(folder / "tokenizer_config.json"), _json(folder / "tokenizer.json")
    if about.get("tokenizer_class") not in TOKENIZERS or not _settings_agree(about, written.get("normalizer") or {}):
        return None
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_file(str(folder / "tokenizer.json"))
    name = about.get("pad_token")
    pad = backend.token_to_id(name.get("content", "") if isinstance(name, dict) else name or "")
    return backend, pad or 0, int(min(about.get("model_max_length") or UNBOUNDED, UNBOUNDED))


def _settings_agree(about: Mapping[str, JSON], normalizer: Mapping[str, JSON]) -> bool:
    """Whether transformers would leave the normalizer as it is written: it sets a BERT's by the tokenizer's settings."""
    if about.get("tokenizer_class") not in ("BertTokenizer", "BertTokenizerFast"):
        return True
    return normalizer.get("type") == "BertNormalizer" and all(
        about[name] == normalizer.get(theirs) for name, theirs in SETTINGS.items() if name in about
    )


def _json(path: Path) -> Any:
    """Return what a file says, an empty object where there is none."""
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _full_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _full_model(folder: Path) -> Any:
    import torch
    from transformers import AutoModel

    from semvec.encoders.quiet import quiet_loading

    with quiet_loading():
        return AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
