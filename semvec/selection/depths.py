"""Mixture of depths: a share of the tokens go through a layer, the others past it (Raposo and others, arXiv:2404.02258)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semvec.errors import OptionError
from semvec.selection.router import TokenRouter
from semvec.selection.routing import check_mask

Layer = Callable[[Tensor, Tensor], Tensor]
"""Hidden states (rows, length, dim) and their mask (rows, length) → hidden states, as a layer of an encoder has it."""


class MixtureOfDepths(nn.Module):
    """``layer``, through which the ``share`` of every text's tokens goes that a router finds the most telling.

    They are gathered before and put back after, so a layer costs what the tokens it reads cost. What it changes of a token is
    weighted by the sigmoid of its score, from which the router learns. For encoders: the choice looks at all tokens.
    """

    def __init__(self, layer: Layer, dim: int, share: float) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise OptionError(f"the share of tokens to go through must be more than 0 and at most 1, not {share!r}")
        self.layer, self.router = layer, TokenRouter(dim, share=share)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return ``hidden`` (rows, length, dim) after the layer, of those that went past it as it was."""
        check_mask(mask)
        scores = self.router.scores(hidden)
        gathered, real, places = gather(hidden, scores, mask, self.router)
        weight = torch.sigmoid(scores.gather(1, places)) * real
        change = (self.layer(gathered, real.to(mask.dtype)) - gathered) * weight[..., None].to(hidden.dtype)
        return hidden.scatter_add(1, places[..., None].expand_as(change), change)


def gather(
    hidden: Tensor, scores: Tensor, mask: Tensor, router: TokenRouter, whole: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tokens that ``router`` keeps (rows, k, dim) in their order, which of them are real, and their places.

    ``whole`` (rows,) is of how many tokens a share is kept, where that is not of those in ``mask``.
    """
    chosen = router.chosen(scores, mask, whole)
    behind = chosen.places.masked_fill(~chosen.real, hidden.shape[1])  # what fills up comes last
    places, order = torch.sort(behind, dim=1)
    real = chosen.real.gather(1, order)
    places = places.masked_fill(~real, 0)
    return hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1])), real, places
