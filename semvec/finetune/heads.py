"""Heads: hidden states of an encoder → features → logits → a loss. What a head reads are its features: they can be kept.

A batch is a dict of tensors; ``hidden`` is (rows, length, dim), ``mask`` (rows, length).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from semvec.finetune.crf import Crf
from semvec.types import Pooling

Batch = dict[str, Tensor]
FEATURES = "features"
"""What a batch of a frozen encoder has in the place of tokens: what the head reads."""

NOTHING = -100
"""The label of what fills up a batch, or has no label."""


class Head(nn.Module):
    """What all heads have: features are scaled, dropped out, and become logits by a linear layer."""

    per_token: ClassVar[bool] = False
    """Whether it reads all tokens of a text."""

    shift: Tensor
    scale: Tensor

    def __init__(self, dim: int, outputs: int, dropout: float) -> None:
        super().__init__()
        if outputs < 1:
            raise ValueError("there are no labels")
        self.dim, self.outputs = dim, outputs
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, outputs)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    @abstractmethod
    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return what the head reads of ``hidden``."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return how wrong ``logits`` are, one number."""

    def units(self, batch: Batch) -> Tensor:
        """Return what the loss of ``batch`` is a mean over: how many texts, or labels, one number."""
        return torch.tensor(float(len(batch["labels"])))

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return what the head says of ``features`` (…, dim)."""
        return self.linear(self.dropout((features - self.shift) * self.scale))  # type: ignore[no-any-return]

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Have features of this ``mean`` and ``deviation`` (dim,) come out at 0 and 1: a frozen encoder's stay as they are."""
        self.shift.copy_(mean)
        self.scale.copy_(1 / deviation.clamp(min=1e-6))


class LabelHead(Head):
    """A label a text, or any number of them (``many``), or a score (``outputs`` 1, neither): of the pooled tokens."""

    weights: Tensor | None

    def __init__(
        self,
        dim: int,
        outputs: int,
        dropout: float,
        pooling: Pooling,
        *,
        many: bool = False,
        smoothing: float = 0.0,
        weights: list[float] | None = None,
    ) -> None:
        super().__init__(dim, outputs, dropout)
        self.pooling, self.many, self.smoothing = pooling, many, smoothing
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the pooled tokens (rows, dim)."""
        return pooled(hidden, batch["mask"], self.pooling)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy of ``labels``: (rows,), or (rows, labels) of many; of scores the squared error."""
        labels = batch["labels"]
        if self.many:
            return nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float())
        if labels.is_floating_point():
            return nn.functional.mse_loss(logits[:, 0].float(), labels)
        return nn.functional.cross_entropy(logits.float(), labels, weight=self.weights, label_smoothing=self.smoothing)

    def units(self, batch: Batch) -> Tensor:
        """Return how many texts there are, or what their labels weigh."""
        return super().units(batch) if self.weights is None else self.weights[batch["labels"]].sum()


class RelationHead(LabelHead):
    """How two pieces of a text are related: the pooled text and both pieces' means, a layer each (R-BERT, arXiv:1905.08284)."""

    def __init__(self, dim: int, outputs: int, dropout: float, pooling: Pooling, **more: float) -> None:
        super().__init__(3 * dim, outputs, dropout, pooling, **more)  # type: ignore[arg-type]
        self.parts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(3))

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the pooled tokens and the means of the tokens ``spans`` (rows, 2, 2), side by side (rows, 3 · dim)."""
        places, spans = torch.arange(hidden.shape[1], device=hidden.device), batch["spans"]
        inside = (places >= spans[:, :, :1]) & (places < spans[:, :, 1:])
        weights = inside.to(hidden.dtype) / inside.sum(-1, keepdim=True).clamp(min=1)
        return torch.cat([pooled(hidden, batch["mask"], self.pooling)[:, None], weights @ hidden], dim=1).flatten(1)

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the logits of ``features`` (rows, 3 · dim)."""
        parts = ((features - self.shift) * self.scale).chunk(3, dim=-1)
        mixed = [torch.tanh(layer(self.dropout(part))) for layer, part in zip(self.parts, parts, strict=True)]
        return self.linear(self.dropout(torch.cat(mixed, dim=-1)))  # type: ignore[no-any-return]


class TagHead(Head):
    """A tag a word, of its first sub-word; with a CRF, of whole sentences."""

    def __init__(self, dim: int, outputs: int, dropout: float, crf: Crf | None = None) -> None:
        super().__init__(dim, outputs, dropout)
        self.crf = crf

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the tokens ``places`` (rows, words) of ``hidden``, (rows, words, dim)."""
        places = batch["places"]
        return hidden.gather(1, places[..., None].expand(*places.shape, hidden.shape[-1]))

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy a word of ``labels`` (rows, words), or the CRF's loss; words without a label do not count."""
        labels = batch["labels"]
        if self.crf is not None:
            return self.crf.loss(logits, labels, labels != NOTHING)
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=NOTHING)

    def units(self, batch: Batch) -> Tensor:
        """Return how many words have a label."""
        return (batch["labels"] != NOTHING).sum()


class AnswerHead(Head):
    """Where in a text the answer begins and ends; at the first token where it does not stand there (arXiv:1810.04805)."""

    per_token = True

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__(dim, 2, dropout)

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return all tokens (rows, length, dim)."""
        return hidden

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the logits (rows, length, 2) of the first and the last token, of those that may be one (``may_be``) alone."""
        logits = super().logits(features, batch).float()
        return logits.masked_fill(batch["may_be"][..., None] == 0, torch.finfo(logits.dtype).min)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of both ends, ``labels`` (rows, 2)."""
        return nn.functional.cross_entropy(logits, batch["labels"])


def pooled(hidden: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """Return one vector a row (rows, dim) of the tokens that ``mask`` (rows, length) names."""
    if how == Pooling.CLS:
        return hidden[:, 0]
    if how == Pooling.LAST_TOKEN:
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
    if how == Pooling.MAX:
        return hidden.masked_fill(mask[..., None] == 0, torch.finfo(hidden.dtype).min).amax(1)
    weights = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)
    return (weights[:, None] @ hidden)[:, 0]
