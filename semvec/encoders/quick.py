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
from semvec.encoders.model_folder import weights_hash
from semvec.encoders.tokens import Tokenizer
from semvec.encoders.transformer import UNBOUNDED, Transformer
from semvec.errors import ModelError
from semvec.types import JSON, Metric, Pooling

ARCHITECTURES = ("BertModel", "RobertaModel", "XLMRobertaModel", "CamembertModel")
NEEDED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "layer_norm_eps",
    "pad_token_id",
)
"""Settings that have to stand in config.json, whose absence each kind of model fills in its own way."""

AS_WRITTEN = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes of tokenizers that take tokenizer.json as it is."""

AS_BERT = ("BertTokenizer", "BertTokenizerFast")
"""Classes that make their tokenizer anew, as `_as_bert_makes_it` has it."""

UNKNOWN_TO_US = (
    "split_special_tokens",
    "max_len",
    "extra_special_tokens",
    "additional_special_tokens",
    "auto_map",
    "chat_template",
)
"""Settings of a tokenizer that transformers heeds and semvec does not."""

SPECIAL = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
BERT_TOKENS = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
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
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The ways of pooling as older files of sentence-transformers have them, in its order, true or false each."""

POOLING_FIELDS = {"embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt", *FLAGS}
METRICS = {
    "cosine": Metric.COSINE,
    "dot": Metric.DOT,
    "euclidean": Metric.EUCLIDEAN,
    "manhattan": Metric.EUCLIDEAN,  # the nearest of ours
}
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


def quick_transformer(folder: Path, device: str, weights: str, max_tokens: int | None = None) -> Transformer | None:
    """Return the BERT in ``folder``, whose `weights_hash` is ``weights``; None where it is something else, or not on the cpu.

    ``max_tokens`` stands in the place of what the tokenizer says.
    """
    folder = folder.resolve()
    settings = _json(folder / "config.json")
    config = SimpleNamespace(**settings)
    ordinary = (
        device == "cpu"
        and settings.get("model_type") in MODEL_TYPES
        and settings.get("architectures") in [[one] for one in ARCHITECTURES]
        and all(settings.get(name) is not None for name in NEEDED)
        and "auto_map" not in settings
        and not (folder / "adapter_config.json").exists()
    )
    tokenizer = _tokenizer(folder) if ordinary else None
    if tokenizer is None:
        return None
    from safetensors.torch import load_file

    read = bert_weights(config, load_file(folder / "model.safetensors"))
    backend, pad, stated = tokenizer
    if read is None or pad >= len(read.words):
        return None
    return Transformer(
        Tokenizer(backend, pad, partial(_full_tokenizer, folder)),
        config,
        device,
        partial(_full_model, folder, weights),
        max_tokens=stated if max_tokens is None else max_tokens,
        weights=read,
    )


def quick_modules(folder: Path) -> Modules | None:
    """Return what stands around the transformer, which is in ``folder`` itself; None for modules with weights of their own."""
    listed = _json(folder / "modules.json")
    if any(not one["type"].startswith("sentence_transformers.") for one in listed):
        return None
    others = [path for path in folder.glob("sentence_*_config.json") if path.name != "sentence_bert_config.json"]
    kinds = [one["type"].rpartition(".")[2] for one in listed]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or listed[0]["path"] or others:
        return None
    about, pooling = _json(folder / "sentence_bert_config.json"), _json(folder / listed[1]["path"] / "config.json")
    if any(name != "max_seq_length" and value not in PLAIN.get(name, ()) for name, value in about.items()):
        return None
    named = pooling.get("pooling_mode") or [name for flag, name in FLAGS.items() if pooling.get(flag)]
    modes = [POOLING_NAMES[name] for name in ([named] if isinstance(named, str) else named)]
    whole = _json(folder / "config_sentence_transformers.json")
    prompts, chosen = whole.get("prompts") or {}, whole.get("default_prompt_name")
    if not modes or set(pooling) - POOLING_FIELDS or whole.get("truncate_dim") or (chosen and chosen not in prompts):
        return None
    if (similarity := whole.get("similarity_fn_name") or "cosine") not in METRICS:
        return None
    return Modules(
        max_tokens=about.get("max_seq_length"),
        pooling=tuple(modes),
        pool_front=bool(pooling.get("include_prompt", True)),
        normalized="Normalize" in kinds,
        metric=METRICS[similarity],
        prompts={name: text for name, text in prompts.items() if text},
        default_prompt=prompts.get(chosen or ""),
    )


def _tokenizer(folder: Path) -> tuple[Any, int, int] | None:
    """Return the tokenizer in ``folder``, the id of its padding, and how many tokens it says the model reads.

    None where transformers might make another one of the files.
    """
    about, written = _json(folder / "tokenizer_config.json"), _json(folder / "tokenizer.json")
    kind = about.get("tokenizer_class")
    named = {**(BERT_TOKENS if kind in AS_BERT else {}), **{name: _content(about[name]) for name in SPECIAL if about.get(name)}}
    known = {one["content"]: one for one in written.get("added_tokens") or []}
    other = {name: _content(token) for name, token in _json(folder / "special_tokens_map.json").items()}
    told = (about.get("added_tokens_decoder") or {}).items()
    ordinary = (
        (kind in AS_WRITTEN or (kind in AS_BERT and _as_bert_makes_it(about, written, named)))
        and not any(about.get(name) for name in UNKNOWN_TO_US)
        and all(token in known for token in named.values())
        and all(named.get(name) == token for name, token in other.items())
        and all(one["content"] in known and known[one["content"]]["id"] == int(at) for at, one in told)
        and not (folder / "added_tokens.json").exists()
        and about.get("model_max_length")
    )
    if not ordinary:
        return None
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_file(str(folder / "tokenizer.json"))
    pad = known[named["pad_token"]]["id"] if "pad_token" in named else 0
    return backend, pad, int(min(about["model_max_length"], UNBOUNDED))


def _as_bert_makes_it(about: Mapping[str, JSON], written: Mapping[str, JSON], named: Mapping[str, str]) -> bool:
    """Whether tokenizer.json is what transformers makes of a BERT's settings, what is absent at its defaults."""
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": about.get("tokenize_chinese_chars", True),
        "strip_accents": about.get("strip_accents"),
        "lowercase": about.get("do_lower_case", True),
    }
    model, added = written.get("model") or {}, {one["content"]: one["id"] for one in written.get("added_tokens") or []}
    frame = written.get("post_processor") or {}
    wanted = [{"SpecialToken": {"id": named["cls_token"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    wanted.append({"SpecialToken": {"id": named["sep_token"], "type_id": 0}})
    ids = [frame.get("special_tokens", {}).get(named[name], {}).get("ids") for name in ("cls_token", "sep_token")]
    return (
        written.get("normalizer") == normalizer
        and written.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
        and (model.get("type", "WordPiece"), model.get("continuing_subword_prefix")) == ("WordPiece", "##")
        and (model.get("max_input_chars_per_word"), model.get("unk_token")) == (100, named["unk_token"])
        and frame.get("single") == wanted
        and ids == [[added.get(named["cls_token"])], [added.get(named["sep_token"])]]
    )


def _content(token: JSON) -> JSON:
    """Return what a token is written as."""
    return token.get("content") if isinstance(token, dict) else token


def _json(path: Path) -> Any:
    """Return what a file says, an empty object where there is none."""
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _full_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _full_model(folder: Path, weights: str) -> Any:
    """Return the model as transformers loads it; raise `ModelError` where it is not the one any more that was read."""
    if not folder.is_dir() or weights_hash(folder) != weights:
        raise ModelError(f"{folder}: is not there any more, or holds other weights than those that were read: load it again")
    import torch
    from transformers import AutoModel

    from semvec.encoders.quiet import quiet_loading

    with quiet_loading():
        return AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
