"""An encoder whose later layers read fewer tokens: those that routers found the most telling.

As PoWER-BERT (Goyal and others, arXiv:2001.08950), with learned scores in the place of the attention received.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semvec.errors import OptionError
from semvec.finetune.options import schedule_of
from semvec.selection.depths import gather
from semvec.selection.router import TokenRouter

UNLIKE = "prune: a model of the kind {} is not built like BERT, so it cannot be pruned"
CLOSE = 1e-3
"""By how much the hidden states may differ, of their size, before the layers are taken to be run otherwise."""


@dataclass(frozen=True)
class Fewer:
    """What a pruned encoder gives: the hidden states (rows, k, dim) of the tokens left, and which of them are real (rows, k)."""

    last_hidden_state: Tensor
    mask: Tensor


class Pruned(nn.Module):
    """``inner``, a BERT-like model of transformers, that keeps a share of each text's tokens from some layers on.

    ``schedule`` says from which layer (0 is the first) which share of all the text's tokens is read; the first token always
    is. The routers learn through a factor of the kept tokens that is 1 whatever their scores (straight-through).
    """

    def __init__(self, inner: Any, schedule: Mapping[int, float]) -> None:
        super().__init__()
        layers = getattr(getattr(inner, "encoder", None), "layer", None)
        if layers is None or not hasattr(inner, "embeddings") or getattr(inner.config, "is_decoder", False):
            raise OptionError(UNLIKE.format(type(inner).__name__))
        pairs = schedule_of(schedule.items())
        if pairs and pairs[-1][0] >= len(layers):
            raise OptionError(f"prune: no layer {pairs[-1][0]}: there are 0 to {len(layers) - 1}")
        self.inner: Any = inner
        self.config, self._keeps_all = inner.config, False
        dim = int(inner.config.hidden_size)
        self.routers = nn.ModuleDict({str(layer): TokenRouter(dim, share=share) for layer, share in pairs})

    def check(self) -> None:
        """Raise `OptionError` where, with nothing left out, this is not the model inside: one that has more than its layers."""
        ids = torch.arange(1, 13, device=self.inner.device).reshape(2, 6) + min(self.config.vocab_size // 2, 1000)
        mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2], device=self.inner.device)
        was = self.inner.training
        self.inner.eval()
        try:
            with torch.inference_mode(), self.whole():
                wanted = self.inner(input_ids=ids, attention_mask=mask).last_hidden_state[mask == 1]
                apart = (self(ids, mask).last_hidden_state[mask == 1] - wanted).abs().max()
        except Exception as error:  # whatever a layer says that wants to be called otherwise
            raise OptionError(UNLIKE.format(type(self.inner).__name__)) from error
        finally:
            self.inner.train(was)
        if not apart <= CLOSE * wanted.abs().max():
            raise OptionError(UNLIKE.format(type(self.inner).__name__))

    def get_input_embeddings(self) -> Any:
        """Return the embeddings of the model inside, as transformers has it."""
        return self.inner.get_input_embeddings()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Leave out no token meanwhile."""
        self._keeps_all = True
        try:
            yield
        finally:
            self._keeps_all = False

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None, **_: Any) -> Fewer:
        """Return the hidden states of the tokens that are left after the last layer."""
        from transformers.masking_utils import create_bidirectional_mask

        hidden = self.inner.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        mask, wide = attention_mask, None
        for at, layer in enumerate(self.inner.encoder.layer):
            if str(at) in self.routers and not self._keeps_all:
                hidden, mask = self._fewer(hidden, mask, attention_mask.sum(1), at)
                wide = None
            if wide is None:
                wide = (create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=mask),)
            hidden = layer(hidden, *wide)
        return Fewer(hidden, mask)

    def _fewer(self, hidden: Tensor, mask: Tensor, whole: Tensor, at: int) -> tuple[Tensor, Tensor]:
        router: Any = self.routers[str(at)]
        scores = router.scores(hidden)
        first = torch.zeros_like(scores, dtype=torch.bool)
        first[:, 0] = True
        kept, real, places = gather(hidden, scores.masked_fill(first, torch.inf), mask, router, whole)
        sure = nn.functional.logsigmoid(scores.gather(1, places))[..., None]
        return kept * (1 + sure - sure.detach()).to(kept.dtype), real.to(mask.dtype)
