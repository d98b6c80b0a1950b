"""The router of a fine-tuned model as what says of any text's tokens how telling they are (`semvec.selection.keep.Scorer`)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.errors import FingerprintMismatch, OptionError
from semvec.finetune.model import FineTuned
from semvec.finetune.routed import RoutedHead
from semvec.types import Level


class RouterScorer:
    """Scores tokens by the router of ``head``, which reads them as the head does.

    They are to be those that the model's own encoder gives, as ``fingerprint`` says: ``model.encoder.encode(texts, level="token",
    normalize=False)``.
    """

    def __init__(self, head: RoutedHead, fingerprint: Fingerprint) -> None:
        self.head, self.fingerprint = head.cpu().eval(), fingerprint

    def scores(self, tokens: Embeddings) -> NDArray[np.float64]:
        """Return how telling each row of ``tokens`` is; raise `FingerprintMismatch` for those of another encoder."""
        self.fingerprint.require_comparable(tokens.fingerprint)
        if tokens.fingerprint.normalized:
            raise FingerprintMismatch("the router reads vectors as they are, and these have length 1: encode(…, normalize=False)")
        with torch.inference_mode():
            rows = (torch.from_numpy(tokens.floats()) - self.head.shift) * self.head.scale
            return self.head.router.scores(rows[None])[0].double().numpy()


def router_of(model: Any) -> RouterScorer:
    """Return the router of a fine-tuned ``model`` (``--head router``); `OptionError` where it has none that stands alone."""
    if not isinstance(model, FineTuned) or not isinstance(model.network.head, RoutedHead):
        raise OptionError("this model has no router: train it with --head router")
    if model.network.head.experts is not None or model.config.layers != (-1,):
        raise OptionError("the router of this model reads more than its encoder's last layer, and cannot stand alone")
    encoder = model.encoder.with_options(level=Level.TOKEN, normalize=False)
    return RouterScorer(copy.deepcopy(model.network.head), encoder.fingerprint)
