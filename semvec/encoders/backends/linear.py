"""Linear layers that the processor's own instructions are used for: float32 laid out for oneDNN, and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from semvec.encoders.backends.bert import Affine

ROWS = 1024
"""Tokens that a product is laid out for; other numbers work too."""

GELU_LOW = 0.17005
"""What GELU never falls below, turned round."""

LEAST = 1e-9


class FloatLinear:
    """x W' + b in float32, with weights in oneDNN's own layout."""

    def __init__(self, its: Affine, *, gelu: bool = False) -> None:
        import torch

        self._weight = torch.ops.mkldnn._reorder_linear_weight(its.weight.contiguous(), ROWS)
        self._bias, self._after = its.bias, ("gelu", "none") if gelu else ("none", "")

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product for ``rows`` (tokens, in): (tokens, out)."""
        import torch

        after, how = self._after
        return torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, after, [], how)  # type: ignore[no-any-return]


class ByteLinear:
    """x W' + b by products of bytes: weights with a scale for every output, ``x`` with one for every token.

    ``smooth`` (in,) moves what is hard to round from x to the weights (SmoothQuant, arXiv:2211.10438): inputs are divided by
    it. ``after_gelu`` says that x is what GELU gives, whose least value is known, so that all 256 steps are used for the rest.
    """

    def __init__(self, its: Affine, *, smooth: torch.Tensor | None = None, gelu: bool = False, after_gelu: bool = False) -> None:
        import torch

        if smooth is not None and after_gelu:
            raise ValueError("what GELU gives is not divided: its least value would be another")
        weight = its.weight if smooth is None else its.weight * smooth
        self._scales = weight.abs().amax(1).clamp(min=LEAST) / 127
        rounded = torch.round(weight / self._scales[:, None])
        self._weight = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), [ROWS, weight.shape[1]])
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._bias = its.bias - GELU_LOW * rounded.sum(1) * self._scales if after_gelu else its.bias
        self._divide = None if smooth is None else 1 / smooth
        self._gelu, self._after_gelu = gelu, after_gelu

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product for ``rows`` (tokens, in): (tokens, out)."""
        import torch

        found = self._product(rows).add_(self._bias)
        return torch.nn.functional.gelu(found) if self._gelu else found

    def _product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product of the rounded ``rows`` (tokens, out) without the bias."""
        import torch

        if self._divide is not None:
            rows = rows * self._divide
        if self._after_gelu:
            scales = rows.amax(1, keepdim=True).add_(GELU_LOW).div_(255)
            steps = scales.reciprocal()
            codes, zero = (rows * steps).add_(steps * GELU_LOW - 128), 0
        else:
            scales = rows.abs().amax(1, keepdim=True).clamp_(min=LEAST).div_(127)
            codes, zero = rows * scales.reciprocal(), 128
        signed = codes.round_().to(torch.int8)
        unsigned = signed.view(torch.uint8).bitwise_xor_(128)  # bytes with a sign have no fast product; this adds 128
        product = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, zero, self._weight, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return product.mul_(scales)  # type: ignore[no-any-return]
