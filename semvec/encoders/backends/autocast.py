"""A model as transformers runs it, but with its products in bfloat16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semvec.encoders.transformer import Transformer
from semvec.types import LayerMix

if TYPE_CHECKING:
    import torch


class Autocast:
    """Runs windows of token ids (a `Runner`) as transformers does, with products in bfloat16."""

    pads = True

    def __init__(self, transformer: Transformer) -> None:
        self._transformer, self.batch_tokens = transformer, transformer.batch_tokens

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        import torch

        its = self._transformer
        ids, mask = its.batch(windows)
        with torch.autocast(its.device.split(":")[0], torch.bfloat16):
            states = its.hidden_states(ids, mask, list(wanted or [its.n_layers]), LayerMix.CONCAT)
        rows = states[torch.from_numpy(mask.astype(bool)).to(states.device)].float()
        return list(torch.split(rows, its.hidden, dim=1))
