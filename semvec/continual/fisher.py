"""Which weights matter to what was learnt: the diagonal of the Fisher information, and what it costs to move them.

Kirkpatrick and others, "Overcoming catastrophic forgetting in neural networks" (arXiv:1612.00796); online, with a decay, Schwarz
and others, "Progress & compress" (arXiv:1805.06370).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from semvec.continual.options import Fisher
from semvec.continual.taught import Terms, masked
from semvec.finetune.network import Network, on
from semvec.finetune.windows import Window, collate
from semvec.types import Progress, Step

Tensors = Mapping[str, Tensor]


def learning(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of ``network`` that learn, by name."""
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}


def information(
    network: Network,
    windows: Sequence[Window],
    terms: Terms,
    kind: Fisher,
    *,
    samples: int,
    seed: int,
    pad: int,
    device: str,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Return the mean of the squared gradients of log p(label) over ``samples`` of ``windows``, of every weight that learns.

    Each gradient is of one window by itself: squares of sums are no sums of squares. The label is drawn from what the network
    says (``model``, the true Fisher information), or is the window's own (``empirical``: Kunstner and others,
    arXiv:1905.12558, say what that is not).
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(windows))[:samples]
    weights, was = learning(network), network.training
    found = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    network.eval()
    try:
        for done, at in enumerate(chosen.tolist(), start=1):
            batch = on(collate([windows[at]], pad), device)
            features, its = network.read(batch)
            logits = network.head.logits(features, its).float()
            none = torch.zeros(1, dtype=torch.bool, device=logits.device)
            sure = torch.log_softmax(masked(logits, batch["labels"], none, terms), dim=1)[0]
            label = int(batch["labels"][0]) if kind == Fisher.EMPIRICAL else _drawn(sure, rng)
            slopes = torch.autograd.grad(sure[label], list(weights.values()), allow_unused=True)
            for name, slope in zip(weights, slopes, strict=True):
                if slope is not None:
                    found[name].addcmul_(slope.float(), slope.float())
            if progress:
                progress(Step("asking which weights matter", done, len(chosen), "examples"))
    finally:
        network.train(was)
    return {name: its.div_(max(1, len(chosen))) for name, its in found.items()}


def _drawn(sure: Tensor, rng: np.random.Generator) -> int:
    shares = sure.detach().double().exp().cpu().numpy()
    return int(rng.choice(len(shares), p=shares / shares.sum()))


@dataclass(frozen=True)
class Importance:
    """Weights as they were, and how much each of them matters, by name."""

    weights: Tensors
    matters: Tensors

    def penalty(self, network: Network) -> Tensor:
        """Return Σ F (θ - θ*)² of the weights of ``network``; of a head that has grown the rows that it had."""
        now = learning(network)
        costs = [
            (its * (now[name][tuple(map(slice, its.shape))] - self.weights[name]) ** 2).sum()
            for name, its in self.matters.items()
        ]
        return torch.stack(costs).sum()

    def after(self, weights: Tensors, matters: Tensors, decay: float) -> Importance:
        """Return the importance of ``matters``, this one counting ``decay`` (online EWC), of the ``weights`` as they are now."""
        both = {name: its.clone() for name, its in matters.items()}
        for name, its in self.matters.items():
            both[name][tuple(map(slice, its.shape))] += decay * its
        return Importance(weights, both)

    def with_task(self, weights: Tensors, matters: Tensors) -> Importance:
        """Return what costs, but for a constant, as much as this and ``matters`` at ``weights`` together (EWC of several tasks).

        Σ_k F_k (θ - θ_k)² = (Σ F_k) (θ - Σ F_k θ_k / Σ F_k)² + constant, so that nothing grows with the tasks (Huszár,
        arXiv:1712.03847).
        """
        both = self.after(weights, matters, 1.0).matters
        middles = {name: its.clone() for name, its in weights.items()}
        for name, its in self.weights.items():
            part = tuple(map(slice, its.shape))
            share = self.matters[name] / both[name][part].clamp(min=torch.finfo(torch.float32).tiny)
            middles[name][part] += share * (its - middles[name][part])
        return Importance(middles, both)

    def fits(self, network: Network) -> bool:
        """Whether this is of the weights of ``network``."""
        wanted = {name: its.shape for name, its in learning(network).items()}
        return all({name: its.shape for name, its in some.items()} == wanted for some in (self.weights, self.matters))

    @property
    def bytes(self) -> int:
        """How much room it takes."""
        return sum(its.numel() * its.element_size() for one in (self.weights, self.matters) for its in one.values())
