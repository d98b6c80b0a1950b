"""The weights of a BERT (or RoBERTa, XLM-R, CamemBERT) as plain tensors, for code that runs them by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MODEL_TYPES = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
"""The kinds of models that are laid out so, and whether their positions start behind that of the padding."""


@dataclass(frozen=True)
class Affine:
    """``weight`` (out, in), of a LayerNorm (dim,), and ``bias``."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class BertLayer:
    """One layer: ``qkv`` are the projections to query, key and value in one."""

    qkv: Affine
    out: Affine
    out_norm: Affine
    up: Affine
    down: Affine
    down_norm: Affine


@dataclass(frozen=True)
class BertWeights:
    """A model's tables, and its layers. ``positions`` has the embedding of token type 0 in it."""

    words: torch.Tensor
    positions: torch.Tensor
    norm: Affine
    layers: tuple[BertLayer, ...]
    heads: int
    eps: float


def bert_weights(model: Any) -> BertWeights | None:
    """Return the weights of ``model``; None where it is not laid out as a BERT is, or has something besides."""
    import torch

    config = model.config
    plain = (
        config.model_type in MODEL_TYPES
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not getattr(config, "is_decoder", False)
    )
    if not plain:
        return None
    try:
        with torch.no_grad():
            table = model.embeddings
            offset = table.word_embeddings.padding_idx + 1 if MODEL_TYPES[config.model_type] else 0
            return BertWeights(
                words=table.word_embeddings.weight.detach(),
                positions=(table.position_embeddings.weight[offset:] + table.token_type_embeddings.weight[0]).detach(),
                norm=_affine(table.LayerNorm),
                layers=tuple(map(_layer, model.encoder.layer)),
                heads=config.num_attention_heads,
                eps=config.layer_norm_eps,
            )
    except AttributeError:  # laid out in another way
        return None


def _layer(layer: Any) -> BertLayer:
    import torch

    its = layer.attention.self
    parts = [_affine(one) for one in (its.query, its.key, its.value)]
    return BertLayer(
        qkv=Affine(torch.cat([one.weight for one in parts]), torch.cat([one.bias for one in parts])),
        out=_affine(layer.attention.output.dense),
        out_norm=_affine(layer.attention.output.LayerNorm),
        up=_affine(layer.intermediate.dense),
        down=_affine(layer.output.dense),
        down_norm=_affine(layer.output.LayerNorm),
    )


def _affine(module: Any) -> Affine:
    return Affine(module.weight.detach(), module.bias.detach())
