"""A BERT without padding in products of bytes, with one pass over the rows between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.backends.bert import Affine, BertLayer, BertWeights
from semvec.encoders.backends.linear import LEAST, ByteLinear
from semvec.encoders.backends.packed import LANES, NAMES, Linear, Packed
from semvec.encoders.backends.unpadded import CACHED_TOKENS, Groups, Unpadded

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

SMOOTHING = 0.5
"""How much of what is hard to round moves from the inputs to the weights, as an exponent."""

SMOOTHED = ("qkv", "up")
"""The linear layers behind a LayerNorm, whose inputs have a few dimensions that are far larger than the others."""

LONG = 64
"""Tokens of a window from which on attention in bfloat16 is faster than in float32."""


@dataclass(frozen=True)
class _Codes:
    """Rows as bytes (tokens, dim), of which torch and numpy see the same, and ``scales`` (tokens,)."""

    tensor: torch.Tensor
    bytes: NDArray[np.uint8]
    scales: Floats

    @classmethod
    def empty(cls, rows: int, dim: int) -> _Codes:
        import torch

        tensor = torch.full((rows, dim), 128, dtype=torch.uint8)
        return cls(tensor, tensor.numpy(), np.zeros(rows, dtype=np.float32))


class _Norm:
    """A LayerNorm with a residual, whose rows the linear layer ``behind`` reads as codes; None behind the last one."""

    def __init__(self, its: Affine, eps: float, behind: ByteLinear | None) -> None:
        self._weight, self._shift, self._eps = its.weight.numpy(), its.bias.numpy(), np.float32(eps)
        self._divide = np.ones_like(self._weight) if behind is None else behind.divide

    def __call__(self, product: Floats, scales: Floats, bias: Floats, beside: Floats, codes: _Codes) -> Floats:
        """Return the rows (tokens, dim) of product + beside, which become ``codes`` as well."""
        from semvec.encoders.backends import kernels

        rows = np.empty_like(beside)
        kernels.norm(
            product, scales, bias, beside, self._weight, self._shift, self._eps, self._divide, rows, codes.bytes, codes.scales
        )
        return rows


class _Layer:
    """One layer; ``behind`` is the linear layer that reads what comes out of it."""

    def __init__(
        self, its: BertLayer, linears: dict[str, ByteLinear], weights: BertWeights, behind: ByteLinear | None, half: bool
    ) -> None:
        self._heads, self._half = weights.heads, half
        self._qkv, self._out, self._up, self._down = (linears[name] for name in NAMES)
        self._out_norm = _Norm(its.out_norm, weights.eps, self._up)
        self._down_norm = _Norm(its.down_norm, weights.eps, behind)

    def __call__(self, rows: Floats, codes: _Codes, inner: _Codes, groups: Groups) -> Floats:
        """Return what comes out for ``rows`` (tokens, dim), given as ``codes`` too, which become those of what comes out."""
        from semvec.encoders.backends import kernels

        self._attention(codes, groups)
        product = self._out(codes.tensor).numpy()
        middle = self._out_norm(product, codes.scales, self._out.bias, rows, codes)
        kernels.gelu(self._up(codes.tensor).numpy(), codes.scales, self._up.bias, inner.bytes, inner.scales)
        return self._down_norm(self._down(inner.tensor).numpy(), inner.scales, self._down.bias, middle, codes)

    def _attention(self, codes: _Codes, groups: Groups) -> None:
        """Put what every token reads of its window in the place of its ``codes``."""
        import torch

        from semvec.encoders.backends import kernels

        product = self._qkv(codes.tensor).numpy()
        size = product.shape[1] // 3 // self._heads
        for start, count, length in groups:
            here, blocks, most = slice(start, start + count * length), count * self._heads, -(-length // LANES) * LANES
            query = torch.empty((blocks, length, size))
            key, value = torch.empty((2, blocks, most, size))
            heads = [its.numpy().reshape(count, self._heads, -1, size) for its in (query, key, value)]
            kernels.split(product[here], codes.scales[here], self._qkv.bias, *heads)
            parts = np.ones((blocks, length), dtype=np.float32)
            if self._half and length >= LONG:
                read = _in_half(query, key, value)
            else:
                scores = torch.bmm(query, key.transpose(1, 2))
                kernels.softmax(scores.numpy(), length, parts)
                read = torch.bmm(scores, value, out=query)
            shape = (count, self._heads, length)
            kernels.merge(read.numpy().reshape(*shape, size), parts.reshape(shape), codes.bytes[here], codes.scales[here])


def _in_half(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return what is read (blocks, length, size) by queries that are scaled already, in products of bfloat16."""
    import torch

    length, filled = query.shape[1], key.shape[1]
    mask = torch.zeros(filled, dtype=torch.bfloat16)
    mask[length:] = float("-inf")
    whole = torch.nn.functional.pad(query, (0, 0, 0, filled - length))
    one, two, three = (its.bfloat16()[None] for its in (whole, key, value))
    read = torch.nn.functional.scaled_dot_product_attention(one, two, three, attn_mask=mask.expand(filled, -1), scale=1.0)
    return read[0, :, :length].float().contiguous()


class InBytes:
    """Runs windows of token ids (a `Runner`). How large its inputs are in each dimension ``floats`` sees from ``windows``.

    Attention, which bytes are too coarse for, is in float32, or over long windows in ``half`` that (bfloat16).
    """

    pads, batch_tokens = False, CACHED_TOKENS

    def __init__(self, weights: BertWeights, floats: Packed, windows: Sequence[Sequence[int]], *, half: bool = False) -> None:
        import torch

        seen = Packed(weights, lambda at, name, its: Ranged(getattr(floats.layers[at], name)))
        seen(windows)

        def linear(at: int, name: str) -> ByteLinear:
            its = getattr(weights.layers[at], name)
            its = its if name != "qkv" else _with_root(its, weights.heads)
            if name not in SMOOTHED:
                return ByteLinear(its, after_gelu=name == "down")
            columns, most = its.weight.abs().amax(0), getattr(seen.layers[at], name).most
            return ByteLinear(its, smooth=most.clamp(min=LEAST) ** SMOOTHING / columns.clamp(min=LEAST) ** (1 - SMOOTHING))

        with torch.no_grad():
            linears = [{name: linear(at, name) for name in NAMES} for at in range(len(weights.layers))]
        behind = [its["qkv"] for its in linears] + [None]
        self._weights, self._inner = weights, weights.layers[0].up.weight.shape[0]
        self._words, self._positions = weights.words.numpy(), weights.positions.numpy()
        self._norm = _Norm(weights.norm, weights.eps, behind[0])
        self._layers = [
            _Layer(its, own, weights, after, half) for its, own, after in zip(weights.layers, linears, behind[1:], strict=True)
        ]

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        import torch

        numbers = [len(self._layers)] if wanted is None else wanted
        its, kept = Unpadded.of(windows, self._weights), {}
        with torch.inference_mode():
            words, places = self._words[its.ids], self._positions[its.places]
            codes, inner = (_Codes.empty(len(words), dim) for dim in (words.shape[1], self._inner))
            ones, none = np.ones(len(words), dtype=np.float32), np.zeros(words.shape[1], dtype=np.float32)
            rows = self._norm(words, ones, none, places, codes)
            for at in range(len(self._layers) + 1):
                rows = rows if at == 0 else self._layers[at - 1](rows, codes, inner, its.groups)
                if at in numbers:
                    kept[at] = torch.from_numpy(rows[: its.count])
        return [kept[number] for number in numbers]


def _with_root(qkv: Affine, heads: int) -> Affine:
    """Return the projections with the queries divided by the root of a head's size, as attention has it."""
    import torch

    dim = qkv.weight.shape[1]
    by = torch.ones(len(qkv.weight))
    by[:dim] = (dim // heads) ** -0.5
    return Affine(qkv.weight * by[:, None], qkv.bias * by)


class Ranged:
    """A linear layer that keeps how large its inputs were, ``most`` (in,)."""

    def __init__(self, inner: Linear) -> None:
        self.inner = inner
        self.most: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product for ``rows``."""
        self.most = rows.abs().amax(0).clone()
        return self.inner(rows)
