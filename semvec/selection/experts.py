"""Layers of experts: each expert chooses its tokens (Zhou and others, arXiv:2202.09368), or each token its expert, the baseline.

Experts are computed on the tokens they took alone, gathered, so that what is left out costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semvec.errors import OptionError
from semvec.selection.routing import Chosen, check_mask, count_of, kept, top_k
from semvec.types import Choice


class Grouping(Choice):
    """Among which tokens an expert chooses: those of a sequence, so that no text hangs on the others, or all of a batch."""

    SEQUENCE = "sequence"
    BATCH = "batch"


@dataclass(frozen=True)
class Routed:
    """What became of the tokens in a layer of experts.

    ``taken`` (experts, rows, length): which expert took which token; ``gates`` (rows, length, experts): how much each token is
    each expert's by the router; ``mask`` (rows, length): the real tokens; ``loss``: what the router is to be kept from, to be
    added to the loss of the task.
    """

    taken: Tensor
    gates: Tensor
    mask: Tensor
    loss: Tensor


class Experts(nn.Module):
    """``n`` feed-forward layers of ``hidden_dim`` units, run side by side, each on tokens of its own."""

    def __init__(self, n: int, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(n, dim, hidden_dim))
        self.down_bias = nn.Parameter(torch.zeros(n, 1, hidden_dim))
        self.up = nn.Parameter(torch.empty(n, hidden_dim, dim))
        self.up_bias = nn.Parameter(torch.zeros(n, 1, dim))
        for weight in (self.down, self.up):
            nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[1]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what each expert makes of its ``tokens`` (experts, n, dim)."""
        inner = nn.functional.gelu(torch.baddbmm(self.down_bias, tokens, self.down.to(tokens.dtype)))
        return torch.baddbmm(self.up_bias, inner, self.up.to(tokens.dtype))


class ExpertChoiceLayer(nn.Module):
    """Each of ``n_experts`` takes the tokens it is surest of: ceil(``capacity_factor`` · n / n_experts) of the n real ones.

    The router gives every token a share of each expert (softmax over the experts, in float32); what an expert makes of a
    token is weighted by its share, and added to the token. So every expert is full, no loss has to balance them, and a token
    may be taken by several or by none. ``z_loss`` keeps the router's logits small (arXiv:2202.08906), ``jitter`` multiplies
    what it reads by chance while it learns. Not for decoders: the choice looks at all tokens, later ones included.
    """

    def __init__(
        self,
        dim: int,
        n_experts: int,
        capacity_factor: float = 1.0,
        hidden_dim: int | None = None,
        *,
        grouping: Grouping = Grouping.SEQUENCE,
        z_loss: float = 0.0,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        _check(n_experts, capacity_factor, z_loss, jitter)
        self.n_experts, self.capacity_factor, self.grouping = n_experts, capacity_factor, Grouping(grouping)
        self.z_loss, self.jitter = z_loss, jitter
        self.router = _router(dim, n_experts)
        self.experts = Experts(n_experts, dim, hidden_dim or 4 * dim)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Routed]:
        """Return ``hidden`` (rows, length, dim) with what the experts add, and what became of the tokens.

        ``mask`` (rows, length) is of the real tokens; padding comes out as it went in. Raises `OptionError` for another mask.
        """
        check_mask(mask)
        logits = _logits(self.router, hidden, self.jitter if self.training else 0.0)
        gates = torch.softmax(logits, dim=-1)
        if self.grouping == Grouping.BATCH:
            flat, real = gates.reshape(1, -1, self.n_experts), mask.reshape(1, -1)
        else:
            flat, real = gates, mask
        counts = count_of(real.sum(1), share=min(1.0, self.capacity_factor / self.n_experts))
        chosen = top_k(flat.transpose(1, 2), real, counts)  # (groups, experts, k)
        tokens = hidden.reshape(len(flat), -1, hidden.shape[-1])
        added = self._added(tokens, flat, chosen)
        taken = kept(chosen, tokens.shape[1]).transpose(0, 1).reshape(self.n_experts, *mask.shape)
        return hidden + added.reshape(hidden.shape).to(hidden.dtype), Routed(taken, gates, mask, self._loss(logits, mask))

    def _added(self, tokens: Tensor, gates: Tensor, chosen: Chosen) -> Tensor:
        """Return what the experts add to ``tokens`` (groups, length, dim)."""
        groups, _, dim = tokens.shape
        places = chosen.places  # (groups, experts, k)
        wide = places.flatten(1)[..., None].expand(-1, -1, dim)
        gathered = tokens.gather(1, wide).reshape(groups, self.n_experts, -1, dim)
        made = self.experts(gathered.transpose(0, 1).flatten(1, 2)).reshape(self.n_experts, groups, -1, dim).transpose(0, 1)
        weights = gates.transpose(1, 2).gather(2, places) * chosen.real
        weighted = (made * weights[..., None].to(made.dtype)).flatten(1, 2)
        return torch.zeros_like(tokens, dtype=weighted.dtype).scatter_add(1, wide, weighted)

    def _loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        if not self.z_loss:
            return logits.new_zeros(())
        return self.z_loss * (torch.logsumexp(logits, dim=-1) ** 2 * mask).sum() / mask.sum()


class TokenChoiceLayer(nn.Module):
    """Each token goes to the expert it is surest of (Switch, arXiv:2101.03961): the baseline of expert choice.

    ``balance`` weighs the loss that keeps the experts equally busy: n_experts · Σ share of the tokens · mean gate.
    """

    def __init__(self, dim: int, n_experts: int, hidden_dim: int | None = None, *, balance: float = 0.01, jitter: float = 0.0):
        super().__init__()
        _check(n_experts, 1.0, balance, jitter)
        self.n_experts, self.balance, self.jitter = n_experts, balance, jitter
        self.router = _router(dim, n_experts)
        self.experts = Experts(n_experts, dim, hidden_dim or 4 * dim)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Routed]:
        """Return ``hidden`` (rows, length, dim) with what the experts add, and what became of the tokens."""
        check_mask(mask)
        logits = _logits(self.router, hidden, self.jitter if self.training else 0.0)
        gates = torch.softmax(logits, dim=-1)
        best = gates.argmax(dim=-1).masked_fill(mask == 0, -1)  # (rows, length)
        taken = torch.stack([best == expert for expert in range(self.n_experts)])
        counts = taken.flatten(1).sum(1)
        flat, most = hidden.flatten(0, 1), int(counts.max())
        order = torch.sort(taken.flatten(1).int(), dim=1, descending=True, stable=True).indices[:, :most]  # (experts, most)
        real = torch.arange(most, device=hidden.device) < counts[:, None]
        weights = gates.flatten(0, 1).T.gather(1, order) * real
        made = self.experts(flat[order]) * weights[..., None].to(hidden.dtype)
        added = torch.zeros_like(flat, dtype=made.dtype).index_add(0, order.flatten(), made.flatten(0, 1))
        busy = taken.flatten(1).sum(1) / mask.sum()
        mean = (gates * mask[..., None]).sum((0, 1)) / mask.sum()
        loss = self.balance * self.n_experts * (busy * mean).sum()
        return hidden + added.reshape(hidden.shape).to(hidden.dtype), Routed(taken, gates, mask, loss)


def _router(dim: int, n_experts: int) -> nn.Linear:
    router = nn.Linear(dim, n_experts, bias=False)
    nn.init.normal_(router.weight, std=0.02)
    return router


def _logits(router: nn.Linear, hidden: Tensor, jitter: float) -> Tensor:
    """Return the router's logits in float32, also under autocast."""
    with torch.autocast(hidden.device.type, enabled=False):
        read = hidden.float()
        if jitter:
            read = read * torch.empty_like(read).uniform_(1 - jitter, 1 + jitter)
        return nn.functional.linear(read, router.weight.float())


def _check(n_experts: int, capacity_factor: float, loss: float, jitter: float) -> None:
    if n_experts < 1:
        raise OptionError(f"n_experts must be at least 1, not {n_experts!r}")
    if not 0 < capacity_factor <= n_experts:
        raise OptionError(f"capacity_factor must be more than 0 and at most n_experts ({n_experts}), not {capacity_factor!r}")
    if loss < 0 or not 0 <= jitter < 1:
        raise OptionError("the weight of a loss must be 0 or more, jitter from 0 to below 1")
