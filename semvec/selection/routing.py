"""Which token goes where: scores → the k best real tokens, exactly k of them, padding never."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from semvec.errors import OptionError


@dataclass(frozen=True)
class Chosen:
    """The tokens that were chosen: ``places`` (…, k), the best first; what fills up the shorter ones is not ``real`` (…, k)."""

    places: Tensor
    real: Tensor


def count_of(n: Tensor, *, k: int | None = None, share: float | None = None) -> Tensor:
    """Return how many of ``n`` (rows,) tokens are kept: ``k``, or a ``share`` of them rounded up; never more than there are."""
    if k is not None:
        return n.clamp(max=k)
    # a share of so many tokens: 0.1 · 30 is a little more than 3 in binary, and is 3
    return torch.ceil((n.double() * float(share or 0)) - 1e-9).long().clamp(min=1).minimum(n)


def top_k(scores: Tensor, mask: Tensor, counts: Tensor) -> Chosen:
    """Return the ``counts`` (rows,) best real tokens, as ``mask`` (rows, length) says, by ``scores`` (rows, …, length).

    Exactly as many, whatever is equal: of equal ones the earlier are taken.
    """
    between = scores.ndim - 2
    real = mask.bool().reshape(mask.shape[0], *([1] * between), mask.shape[1])
    order = torch.sort(scores.float().masked_fill(~real, -math.inf), dim=-1, descending=True, stable=True).indices
    most = int(counts.max()) if len(counts) else 0
    places = order[..., :most]
    within = torch.arange(most, device=scores.device) < counts.reshape(-1, *([1] * (between + 1)))
    return Chosen(places, within.expand(places.shape))


def kept(chosen: Chosen, length: int) -> Tensor:
    """Return which tokens (…, length) are among ``chosen``."""
    found = torch.zeros(*chosen.places.shape[:-1], length, dtype=torch.bool, device=chosen.places.device)
    return found.scatter(-1, chosen.places, chosen.real) if chosen.places.shape[-1] else found


def check_mask(mask: Tensor) -> None:
    """Raise `OptionError` for a mask that is not (rows, length): one that hides later tokens from earlier ones above all."""
    if mask.ndim != 2:
        raise OptionError(
            f"the mask has the shape {tuple(mask.shape)} where (rows, length) is wanted: under a causal mask no choice among "
            "all tokens can be made, since it looks at tokens that come later"
        )
