"""A head for labels that reads the tokens that matter: chosen by a router, after experts that chose theirs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from semvec.finetune.heads import Batch, LabelHead
from semvec.finetune.options import HeadKind
from semvec.finetune.task import HeadConfig
from semvec.selection.experts import ExpertChoiceLayer, Routed
from semvec.selection.router import TokenRouter
from semvec.types import Pooling

Z_LOSS = 1e-3
"""What the router's z-loss counts for (arXiv:2202.08906)."""


class RoutedHead(LabelHead):
    """A label a text, of the tokens that a router keeps; before it, where there are ``experts``, each adds to its tokens."""

    per_token = True

    def __init__(self, config: HeadConfig, dim: int, outputs: int, **more: Any) -> None:
        super().__init__(dim, outputs, config.dropout, Pooling.MEAN, **more)
        self.router = TokenRouter(dim, share=config.keep)
        self.experts = None
        if config.head == HeadKind.EXPERT_CHOICE:
            capacity = min(config.capacity, config.experts)
            self.experts = ExpertChoiceLayer(dim, config.experts, capacity, config.expert_dim, z_loss=Z_LOSS)
        self.routed: Routed | None = None

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return all tokens (rows, length, dim)."""
        return hidden

    def weights_of(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Routed | None]:
        """Return the tokens as they are pooled, what each counts for (rows, length), and what experts took."""
        tokens, routed = self.dropout((features - self.shift) * self.scale), None
        if self.experts is not None:
            tokens, routed = self.experts(tokens, batch["mask"])
        return tokens, self.router(tokens, batch["mask"]), routed

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the logits (rows, outputs) of ``features`` (rows, length, dim)."""
        tokens, weights, self.routed = self.weights_of(features, batch)
        return self.linear((weights[:, None].to(tokens.dtype) @ tokens)[:, 0])  # type: ignore[no-any-return]

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy, and the router's own loss."""
        its = super().loss(logits, batch)
        return its if self.routed is None else its + self.routed.loss


def label_head(config: HeadConfig, dim: int, outputs: int, **more: Any) -> LabelHead:
    """Return the head for labels that ``config`` asks for, of vectors of ``dim`` numbers; ``more`` as `LabelHead` has it."""
    if config.head == HeadKind.LINEAR:
        return LabelHead(dim, outputs, config.dropout, config.pooling, **more)
    return RoutedHead(config, dim, outputs, **more)
