"""A BERT without padding: the tokens of all windows one after the other, and attention within each window alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from semvec.encoders.backends.bert import Affine, BertLayer, BertWeights
from semvec.encoders.backends.linear import FloatLinear
from semvec.encoders.backends.unpadded import CACHED_TOKENS, Groups, Unpadded

if TYPE_CHECKING:
    import torch

Linear: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Gives a new product (tokens, out) for rows (tokens, in)."""

NAMES = ("qkv", "out", "up", "down")
INNER = ("qkv", "up")
"""Those whose product nothing but another product reads."""

LANES = 16
"""Attention over windows that are filled up to a multiple of this takes half the time."""


class _Layer:
    """One layer, with the linear layers of ``make`` (its name, its weights)."""

    def __init__(self, its: BertLayer, weights: BertWeights, make: Callable[[str, Affine], Linear]) -> None:
        self.qkv, self.out, self.up, self.down = (make(name, getattr(its, name)) for name in NAMES)
        self.out_norm, self.down_norm = its.out_norm, its.down_norm
        self.heads, self.eps = weights.heads, weights.eps

    def __call__(self, rows: torch.Tensor, groups: Groups) -> torch.Tensor:
        """Return what comes out for ``rows`` (tokens, dim)."""
        found = layer_norm(self.out(self.attention(self.qkv(rows), groups)).add_(rows), self.out_norm, self.eps)
        return layer_norm(self.down(self.up(found)).add_(found), self.down_norm, self.eps)

    def attention(self, qkv: torch.Tensor, groups: Groups) -> torch.Tensor:
        """Return what every token reads of its window (tokens, dim), by ``qkv`` (tokens, 3 dim); 0 for those in none."""
        import torch

        size = qkv.shape[1] // 3 // self.heads
        found = qkv.new_zeros((len(qkv), self.heads, size))
        for start, count, length in groups:
            part, mask = qkv[start : start + count * length].view(count, length, 3, self.heads, size), None
            if whole := -length % LANES:
                part = torch.nn.functional.pad(part, (0, 0, 0, 0, 0, 0, 0, whole))
                mask = part.new_zeros(length + whole)
                mask[length:] = float("-inf")
                mask = mask.expand(length + whole, -1)
            query, key, value = part.permute(2, 0, 3, 1, 4)
            read = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            found[start : start + count * length].view(count, length, self.heads, size).copy_(read.transpose(1, 2)[:, :length])
        return found.view(len(qkv), -1)


class Packed:
    """Runs windows of token ids (a `Runner`), with the linear layers of ``make`` (number of the layer, name, weights)."""

    pads, batch_tokens = False, CACHED_TOKENS

    def __init__(self, weights: BertWeights, make: Callable[[int, str, Affine], Linear]) -> None:
        self._weights = weights
        self.layers = [
            _Layer(its, weights, lambda name, affine, at=at: make(at, name, affine))  # type: ignore[misc]
            for at, its in enumerate(weights.layers)
        ]

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        import torch

        numbers = [len(self.layers)] if wanted is None else wanted
        weights, its = self._weights, Unpadded.of(windows, self._weights)
        kept: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            rows = weights.words[torch.from_numpy(its.ids)] + weights.positions[torch.from_numpy(its.places)]
            rows = layer_norm(rows, weights.norm, weights.eps)
            for at in range(len(self.layers) + 1):
                rows = rows if at == 0 else self.layers[at - 1](rows, its.groups)
                if at in numbers:
                    kept[at] = rows[: its.count]
        return [kept[number] for number in numbers]


def layer_norm(rows: torch.Tensor, its: Affine, eps: float) -> torch.Tensor:
    """Return ``rows`` (tokens, dim), each normalised, scaled and shifted."""
    import torch

    return torch.nn.functional.layer_norm(rows, (rows.shape[1],), its.weight, its.bias, eps)


def in_floats(weights: BertWeights, *, half: bool = False) -> Packed:
    """Return the model in float32, or with its products in ``half`` that (bfloat16)."""
    return Packed(weights, lambda at, name, its: FloatLinear(its, gelu=name == "up", half=half, inner=name in INNER))
