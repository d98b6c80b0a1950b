"""A learned choice of the tokens that matter: a score for each, and weights that a pooling, or a later layer, goes by."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from semvec.errors import OptionError
from semvec.selection.routing import Chosen, check_mask, count_of, kept, top_k
from semvec.types import Choice


class RouterMode(Choice):
    """How scores become weights.

    ``topk``: softmax over the best tokens alone, learnt as if over all (straight-through, arXiv:1308.3432). ``soft``: softmax
    over all. ``sparsemax``: the nearest point of the simplex, at which many weights are 0 (arXiv:1602.02068).
    """

    TOPK = "topk"
    SOFT = "soft"
    SPARSEMAX = "sparsemax"


class TokenRouter(nn.Module):
    """Scores tokens of ``dim`` numbers by a linear layer, and weighs them.

    Of a text ``k`` tokens, or a ``share`` of them (0 to 1, rounded up) are kept under the mode topk. Scores are computed in
    float32, also under autocast.
    """

    def __init__(self, dim: int, *, mode: RouterMode = RouterMode.TOPK, k: int | None = None, share: float | None = None) -> None:
        super().__init__()
        self.mode = RouterMode(mode)
        if self.mode == RouterMode.TOPK and (k is None) == (share is None):
            raise OptionError("a router keeps a share of the tokens or k of them, one of the two")
        if share is not None and not 0 < share <= 1:
            raise OptionError(f"the share of tokens to keep must be more than 0 and at most 1, not {share!r}")
        if k is not None and k < 1:
            raise OptionError(f"k must be at least 1, not {k!r}")
        self.k, self.share = k, share
        self.linear = nn.Linear(dim, 1)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def scores(self, hidden: Tensor) -> Tensor:
        """Return how telling each token of ``hidden`` (rows, length, dim) is, (rows, length)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self.linear(hidden.float())[..., 0]  # type: ignore[no-any-return]

    def chosen(self, scores: Tensor, mask: Tensor, whole: Tensor | None = None) -> Chosen:
        """Return the tokens that are kept, a share of ``whole`` (rows,) tokens where that is not of those in ``mask``."""
        there = mask.sum(1)
        counts = count_of(there if whole is None else whole, k=self.k, share=self.share)
        return top_k(scores, mask, counts.minimum(there))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of every token (rows, length): 0 for padding, and 1 in all of a text."""
        check_mask(mask)
        scores = self.scores(hidden).masked_fill(mask == 0, -math.inf)
        if self.mode == RouterMode.SPARSEMAX:
            return sparsemax(scores)
        soft = torch.softmax(scores, dim=-1)
        if self.mode == RouterMode.SOFT:
            return soft
        stays = kept(self.chosen(scores, mask), scores.shape[1])
        hard = torch.softmax(scores.masked_fill(~stays, -math.inf), dim=-1)
        return hard.detach() + soft - soft.detach()


def sparsemax(scores: Tensor) -> Tensor:
    """Return the point of the simplex nearest to ``scores`` (…, n): numbers from 0 on that sum to 1 (arXiv:1602.02068)."""
    ordered = torch.sort(scores, dim=-1, descending=True).values
    finite = torch.isfinite(ordered)
    sums = torch.cumsum(ordered.masked_fill(~finite, 0.0), dim=-1)
    counts = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
    support = finite & (1 + counts * ordered.masked_fill(~finite, 0.0) > sums)
    size = support.sum(dim=-1, keepdim=True)
    threshold = (sums.gather(-1, size - 1) - 1) / size
    return torch.clamp(scores - threshold, min=0).masked_fill(~torch.isfinite(scores), 0.0)
