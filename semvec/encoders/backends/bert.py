"""The weights of a BERT (or RoBERTa, XLM-R, CamemBERT) as plain tensors, for code that runs them by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MODEL_TYPES = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
"""The kinds of models that are laid out so, and whether their positions start behind that of the padding."""

UNUSED = ("pooler.", "embeddings.position_ids", "embeddings.token_type_ids")
"""How the names of what is not used for hidden states begin."""


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
    """A model's tables, and its layers. ``positions`` has the embedding of token type 0 in it.

    ``pad`` is the token that a RoBERTa does not count: its place is that of the token's own number, and places begin behind it.
    """

    words: torch.Tensor
    positions: torch.Tensor
    norm: Affine
    layers: tuple[BertLayer, ...]
    heads: int
    eps: float
    pad: int | None


def bert_weights(config: Any, tensors: Mapping[str, torch.Tensor]) -> BertWeights | None:
    """Return the weights of a model by its ``config`` and its ``tensors`` by their names.

    None where it is not laid out as a BERT is, lacks something or has something besides.
    """
    import torch

    plain = (
        getattr(config, "model_type", None) in MODEL_TYPES
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not getattr(config, "is_decoder", False)
    )
    if not plain:
        return None
    left = dict(tensors)

    def take(name: str) -> torch.Tensor:
        return left.pop(name).float()

    def affine(name: str) -> Affine:
        return Affine(take(f"{name}.weight"), take(f"{name}.bias"))

    def layer(at: int) -> BertLayer:
        name = f"encoder.layer.{at}"
        parts = [affine(f"{name}.attention.self.{one}") for one in ("query", "key", "value")]
        return BertLayer(
            qkv=Affine(torch.cat([one.weight for one in parts]), torch.cat([one.bias for one in parts])),
            out=affine(f"{name}.attention.output.dense"),
            out_norm=affine(f"{name}.attention.output.LayerNorm"),
            up=affine(f"{name}.intermediate.dense"),
            down=affine(f"{name}.output.dense"),
            down_norm=affine(f"{name}.output.LayerNorm"),
        )

    try:
        with torch.no_grad():
            found = BertWeights(
                words=take("embeddings.word_embeddings.weight"),
                positions=take("embeddings.position_embeddings.weight") + take("embeddings.token_type_embeddings.weight")[0],
                norm=affine("embeddings.LayerNorm"),
                layers=tuple(map(layer, range(config.num_hidden_layers))),
                heads=config.num_attention_heads,
                eps=config.layer_norm_eps,
                pad=config.pad_token_id if MODEL_TYPES[config.model_type] else None,
            )
    except (KeyError, AttributeError, RuntimeError):  # a tensor or a setting is missing, or has another shape
        return None
    sizes = (config.vocab_size, config.hidden_size), (config.max_position_embeddings, config.hidden_size)
    fits = (found.words.shape, found.positions.shape) == sizes and all(
        its.up.weight.shape == (config.intermediate_size, config.hidden_size) for its in found.layers
    )
    return found if fits and all(name.startswith(UNUSED) for name in left) else None
