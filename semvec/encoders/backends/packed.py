"""A BERT without padding: the tokens of all windows one after the other, and attention within each window alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.backends.bert import Affine, BertLayer, BertWeights
from semvec.encoders.backends.linear import LEAST, ByteLinear, FloatLinear
from semvec.errors import ModelError

if TYPE_CHECKING:
    import torch

SMOOTHING = 0.5
"""How much of what is hard to round moves from the inputs to the weights, as an exponent."""

SMOOTHED = ("qkv", "up")
"""The linear layers behind a LayerNorm, whose inputs have a few dimensions that are far larger than the others."""

Linear: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Gives a new product (tokens, out) for rows (tokens, in)."""

Groups = list[tuple[int, int, int]]
"""Where windows of equal length begin, how many there are, and how long each is."""


class _Layer:
    """One layer, with the linear layers of ``make`` (its name, its weights)."""

    def __init__(self, its: BertLayer, weights: BertWeights, make: Callable[[str, Affine], Linear]) -> None:
        self.qkv, self.out, self.up, self.down = (make(name, getattr(its, name)) for name in ("qkv", "out", "up", "down"))
        self.out_norm, self.down_norm = its.out_norm, its.down_norm
        self.heads, self.eps = weights.heads, weights.eps

    def __call__(self, rows: torch.Tensor, groups: Groups) -> torch.Tensor:
        """Return what comes out for ``rows`` (tokens, dim)."""
        found = layer_norm(self.out(self.attention(self.qkv(rows), groups)).add_(rows), self.out_norm, self.eps)
        return layer_norm(self.down(self.up(found)).add_(found), self.down_norm, self.eps)

    def attention(self, qkv: torch.Tensor, groups: Groups) -> torch.Tensor:
        """Return what every token reads of its window (tokens, dim), by ``qkv`` (tokens, 3 dim)."""
        import torch

        size = qkv.shape[1] // 3 // self.heads
        found = qkv.new_empty((len(qkv), self.heads, size))
        for start, count, length in groups:
            part = qkv[start : start + count * length].view(count, length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
            read = torch.nn.functional.scaled_dot_product_attention(*part)
            found[start : start + count * length].view(count, length, self.heads, size).copy_(read.transpose(1, 2))
        return found.view(len(qkv), -1)


class Packed:
    """Runs windows of token ids, the longest first or in any other order in which equal lengths stand together."""

    def __init__(self, weights: BertWeights, make: Callable[[int, str, Affine], Linear]) -> None:
        self._words, self._positions, self._norm = weights.words, weights.positions, weights.norm
        self._pad, self._eps = weights.pad, weights.eps
        self.layers = [
            _Layer(its, weights, lambda name, affine, at=at: make(at, name, affine))  # type: ignore[misc]
            for at, its in enumerate(weights.layers)
        ]

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        """Return the hidden states, each (tokens, dim), of the layers ``wanted`` (0: of the embeddings; None: of the last)."""
        import torch

        numbers = [len(self.layers)] if wanted is None else wanted
        lengths = np.array([len(one) for one in windows], dtype=np.int64)
        ids = np.fromiter((token for one in windows for token in one), dtype=np.int64, count=int(lengths.sum()))
        if ids.max(initial=0) >= len(self._words):
            raise beyond_table(int(ids.max()), len(self._words))
        groups, start = [], 0
        for length, alike in groupby(lengths.tolist()):
            count = len(list(alike))
            groups.append((start, count, length))
            start += count * length
        kept: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            rows = self._words[torch.from_numpy(ids)] + self._positions[torch.from_numpy(self._places(ids, lengths))]
            rows = layer_norm(rows, self._norm, self._eps)
            for at in range(len(self.layers) + 1):
                rows = rows if at == 0 else self.layers[at - 1](rows, groups)
                if at in numbers:
                    kept[at] = rows
        return [kept[number] for number in numbers]

    def _places(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place (tokens,) of every token in its window; of a RoBERTa behind the padding, which is not counted."""
        counted = np.ones(len(ids), dtype=np.int64) if self._pad is None else (ids != self._pad).astype(np.int64)
        running = np.cumsum(counted)
        before = np.repeat(np.append(0, running)[np.cumsum(lengths) - lengths], lengths)
        places: NDArray[np.int64] = running - before - 1 if self._pad is None else (running - before) * counted + self._pad
        return places


def layer_norm(rows: torch.Tensor, its: Affine, eps: float) -> torch.Tensor:
    """Return ``rows`` (tokens, dim), each normalised, scaled and shifted."""
    import torch

    return torch.nn.functional.layer_norm(rows, (rows.shape[1],), its.weight, its.bias, eps)


def beyond_table(token: int, size: int) -> ModelError:
    """Return the error that the tokenizer gives a ``token`` which the model's table of ``size`` has not."""
    return ModelError(f"the tokenizer gives token {token}, but the model's table has {size}: they do not belong together")


def in_floats(weights: BertWeights) -> Packed:
    """Return the model in float32."""
    return Packed(weights, lambda at, name, its: FloatLinear(its, gelu=name == "up"))


def in_bytes(weights: BertWeights, floats: Packed, windows: Sequence[Sequence[int]]) -> Packed:
    """Return the model in bytes; how large its inputs are in each dimension is seen by ``floats``, the same, from ``windows``."""
    import torch

    seen = Packed(weights, lambda at, name, its: Ranged(getattr(floats.layers[at], name)))
    seen(windows)

    def make(at: int, name: str, its: Affine) -> Linear:
        smooth = None
        if name in SMOOTHED:
            columns = its.weight.abs().amax(0).clamp(min=LEAST)
            smooth = getattr(seen.layers[at], name).most.clamp(min=LEAST) ** SMOOTHING / columns ** (1 - SMOOTHING)
        return ByteLinear(its, smooth=smooth, gelu=name == "up", after_gelu=name == "down")

    with torch.no_grad():
        return Packed(weights, make)


class Ranged:
    """A linear layer that keeps how large its inputs were, ``most`` (in,)."""

    def __init__(self, inner: Linear) -> None:
        self.inner = inner
        self.most: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product for ``rows``."""
        self.most = rows.abs().amax(0).clone()
        return self.inner(rows)
