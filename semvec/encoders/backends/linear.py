"""Linear layers that the processor's own instructions are used for: float32 laid out for oneDNN, and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from semvec.encoders.backends.bert import Affine

ROWS = 512
"""Tokens that a product is laid out for; other numbers work too."""

GELU_LOW = 0.17005
"""What GELU never falls below, turned round."""

LEAST = 1e-9


class FloatLinear:
    """x W' + b in float32, or computed in ``half`` that (bfloat16), with weights in oneDNN's own layout.

    What is computed in bfloat16 is given as float32, unless ``inner`` says that the next product reads it.
    """

    def __init__(self, its: Affine, *, gelu: bool = False, half: bool = False, inner: bool = False) -> None:
        import torch

        self._dtype = torch.bfloat16 if half else torch.float32
        self._given = self._dtype if inner else torch.float32
        self._weight = torch.ops.mkldnn._reorder_linear_weight(its.weight.to(self._dtype).contiguous(), ROWS)
        self._bias, self._after = its.bias.to(self._dtype), ("gelu", "none") if gelu else ("none", "")

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product for ``rows`` (tokens, in): (tokens, out)."""
        import torch

        after, how = self._after
        made = torch.ops.mkldnn._linear_pointwise(rows.to(self._dtype), self._weight, self._bias, after, [], how)
        return made.to(self._given)  # type: ignore[no-any-return]


class ByteLinear:
    """x W' by products of bytes, for x in codes: weights have a scale for every output, codes one for every row.

    ``divide`` (in,) is what inputs are multiplied by before they become codes: it moves what is hard to round from them to the
    weights (SmoothQuant, arXiv:2211.10438, by ``smooth``). Codes ``after_gelu`` count from -GELU_LOW, others from the middle.
    """

    def __init__(self, its: Affine, *, smooth: torch.Tensor | None = None, after_gelu: bool = False) -> None:
        import torch

        smooth = torch.ones(its.weight.shape[1]) if smooth is None else smooth
        weight = its.weight * smooth
        self._scales = weight.abs().amax(1).clamp(min=LEAST) / 127
        rounded = torch.round(weight / self._scales[:, None])
        self._weight = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), [ROWS, weight.shape[1]])
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._zero = 0 if after_gelu else 128
        self.bias = (its.bias - GELU_LOW * rounded.sum(1) * self._scales if after_gelu else its.bias).numpy()
        self.divide = (1 / smooth).numpy()

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the product for ``codes`` (tokens, in): (tokens, out), still without the scales of the rows and the bias."""
        import torch

        return torch.ops.onednn.qlinear_pointwise(  # type: ignore[no-any-return]
            codes, 1.0, self._zero, self._weight, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
