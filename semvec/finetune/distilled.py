"""What a pruned model learns by: the labels, and what the whole model said of the same texts."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div, log_softmax, mse_loss, softmax

TAUGHT = "taught"
"""What a batch has of the whole model: its logits (rows, outputs)."""

TEMPERATURE = 2.0


def taught_loss(logits: Tensor, taught: Tensor, *, many: bool = False) -> Tensor:
    """Return how far ``logits`` (rows, outputs) are from those ``taught``, one number.

    The divergence of the softened shares of the labels, times the squared temperature (Hinton and others,
    arXiv:1503.02531); the cross-entropy of ``many`` labels a text; of scores (one output) the squared error.
    """
    logits, taught = logits.float(), taught.float()
    if many:
        return binary_cross_entropy_with_logits(logits, taught.sigmoid())
    if logits.shape[-1] == 1:
        return mse_loss(logits, taught)
    said, wanted = log_softmax(logits / TEMPERATURE, -1), softmax(taught / TEMPERATURE, -1)
    return kl_div(said, wanted, reduction="batchmean") * TEMPERATURE**2
