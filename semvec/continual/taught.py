"""A network that is taught a task and kept from forgetting those before: what its loss is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from semvec.finetune.network import Network

SAID, REPLAYED = "said", "replayed"
"""What a batch has beside what the network reads: logits that are to stay (NaN where there are none), and what was remembered."""

Anchor = Callable[[Network], Tensor]
"""What moving away from what was learnt before costs."""


@dataclass(frozen=True)
class Terms:
    """What the loss of a task is made of.

    ``groups`` (labels,) are numbers of the labels' tasks, ``here`` (labels,) says which are learnt now. ``apart``: new examples
    are told apart from labels ``here`` alone; ``own``: all examples from those of their own task alone. Logits that were
    ``SAID`` of remembered examples stay by ``alpha`` times the mean squared error, and their labels count ``beta``, that of new
    examples by ``strength`` · T² times the divergence of Kullback and Leibler at ``temperature`` T.
    """

    groups: Tensor
    here: Tensor
    apart: bool = False
    own: bool = False
    alpha: float = 0.0
    beta: float = 1.0
    strength: float = 0.0
    temperature: float = 1.0
    anchors: Sequence[Anchor] = field(default=())


class Taught(nn.Module):
    """``network``, and the loss of a batch by ``terms``."""

    new: tuple[str, ...] = ("network.head.",)

    def __init__(self, network: Network, terms: Terms) -> None:
        super().__init__()
        self.network, self.terms = network, terms

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return the ``loss`` and the ``logits``."""
        features, its = self.network.read(batch)
        logits = self.network.head.logits(features, its).float()
        replayed = batch[REPLAYED] > 0 if REPLAYED in batch else torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        losses = [self._labels(logits, batch["labels"], replayed)]
        if SAID in batch:
            losses.append(self._stays(logits, batch[SAID], replayed))
        losses += [anchor(self.network) for anchor in self.terms.anchors]
        return {"loss": torch.stack(losses).sum(), "logits": logits}

    def _labels(self, logits: Tensor, labels: Tensor, replayed: Tensor) -> Tensor:
        """Return the mean cross-entropy, each example told apart from the labels that it may have."""
        each = nn.functional.cross_entropy(masked(logits, labels, replayed, self.terms), labels, reduction="none")
        weights = torch.where(replayed, self.terms.beta, 1.0)
        return (each * weights).sum() / (~replayed).sum().clamp(min=1)

    def _stays(self, logits: Tensor, said: Tensor, replayed: Tensor) -> Tensor:
        """Return what it costs that the logits are not those that were ``said``."""
        terms, there, cost = self.terms, ~said.isnan(), logits.new_zeros(())
        old = there & replayed[:, None]
        if terms.alpha and old.any():
            cost = cost + terms.alpha * ((logits - said)[old] ** 2).mean()
        fresh = there.any(dim=1) & ~replayed
        if terms.strength and fresh.any():
            cost = cost + terms.strength * distillation(
                logits[fresh], said[fresh], terms.groups, terms.temperature, own=terms.own
            )
        return cost


def masked(logits: Tensor, labels: Tensor, replayed: Tensor, terms: Terms) -> Tensor:
    """Return ``logits`` (rows, labels), with those of labels that an example cannot have so low that they do not count."""
    allowed = torch.ones_like(logits, dtype=torch.bool)
    if terms.own:
        allowed = terms.groups[None] == terms.groups[labels][:, None]
    elif terms.apart:
        allowed = terms.here[None] | replayed[:, None]
    return logits.masked_fill(~allowed, torch.finfo(logits.dtype).min)


def distillation(logits: Tensor, said: Tensor, groups: Tensor, temperature: float, *, own: bool) -> Tensor:
    """Return T² · KL(softmax(said / T) ‖ softmax(logits / T)), the mean over the rows (Hinton and others, arXiv:1503.02531).

    ``said`` (rows, labels) is NaN where nothing was said, in the same columns of all rows. With ``own`` the labels of each
    task are a distribution by themselves, and what these cost is added up.
    """
    known = ~said[0].isnan()
    parts = [known & (groups == group) for group in sorted(set(groups[known].tolist()))] if own else [known]
    cost = logits.new_zeros(())
    for part in parts:
        target = torch.softmax(said[:, part] / temperature, dim=1)
        now = torch.log_softmax(logits[:, part] / temperature, dim=1)
        cost = cost + nn.functional.kl_div(now, target, reduction="batchmean")
    return temperature**2 * cost
