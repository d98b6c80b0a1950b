"""An encoder and a head as one module that learns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semvec.encoders.batches import Budget, Ceiling, in_batches, run_within_memory
from semvec.encoders.transformer import mix_layers
from semvec.finetune.distilled import TAUGHT, taught_loss
from semvec.finetune.fewer import Fewer
from semvec.finetune.heads import FEATURES, Batch, Head
from semvec.types import LayerMix

Item = TypeVar("Item")


class Network(nn.Module):
    """The hidden states of ``layers`` of ``body``, put side by side, and ``head`` on them.

    A batch has the tokens' ``ids``, their ``mask`` and, of pairs, their ``types``, and what the head wants; or the head's
    ``features`` in their place, of a body that does not learn. ``new`` is what begins with nothing learnt, and so learns at
    the head's rate.
    """

    new: tuple[str, ...] = ("head.",)

    def __init__(self, body: Any, head: Head, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.head, self.layers = body, head, layers
        self.takes_types = _takes_types(body)

    def hidden(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the hidden states (rows, length, dim) that the head reads, and the mask of what is there.

        Of a pruned encoder these are the tokens that are left.
        """
        types = {"token_type_ids": batch["types"]} if "types" in batch and self.takes_types else {}
        only_last = self.layers == (-1,)
        output = self.body(input_ids=batch["ids"], attention_mask=batch["mask"], **types, output_hidden_states=not only_last)
        mask = output.mask if isinstance(output, Fewer) else batch["mask"]
        if only_last:
            return output.last_hidden_state, mask
        return mix_layers([output.hidden_states[layer] for layer in self.layers], LayerMix.CONCAT), mask

    def read(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return what the head reads of ``batch``, and the batch with the mask of what is left to read."""
        if FEATURES in batch:
            return batch[FEATURES], batch
        hidden, mask = self.hidden(batch)
        its = {**batch, "mask": mask}
        return self.head.features(hidden, its), its

    def features(self, batch: Batch) -> Tensor:
        """Return what the head reads of ``batch``."""
        return self.read(batch)[0]

    def units(self, batch: Batch) -> Tensor:
        """Return what the loss of ``batch`` is a mean over."""
        return self.head.units(batch)

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return the ``logits``, and the ``loss`` where there are labels, of which half is what was ``taught``, if anything."""
        features, its = self.read(batch)
        logits = self.head.logits(features, its)
        if "labels" not in batch:
            return {"logits": logits}
        loss = self.head.loss(logits, its)
        if TAUGHT in batch:
            loss = (loss + taught_loss(logits, batch[TAUGHT], many=getattr(self.head, "many", False))) / 2
        return {"loss": loss, "logits": logits}


def _takes_types(body: Any) -> bool:
    model = getattr(body, "get_base_model", lambda: body)()
    return "token_type_ids" in inspect.signature(model.forward).parameters and getattr(model.config, "type_vocab_size", 0) > 1


def ask_all(
    module: nn.Module,
    items: Sequence[Item],
    length: Callable[[Item], int],
    tokens: int,
    run: Callable[[Sequence[Item]], None],
    tell: Callable[[int], None],
) -> None:
    """Have ``run`` ask ``module``, which does not learn meanwhile, about ``items`` in batches of ``tokens`` at most.

    ``length`` says how many each has, ``tell`` hears how many items are done. A batch that memory does not hold is halved.
    """
    budget, was, done = Budget(tokens, Ceiling()), module.training, 0
    module.eval()
    try:
        with torch.inference_mode():
            for batch in in_batches(items, length, budget):
                run_within_memory(batch, run, length, budget)
                done += len(batch)
                tell(done)
    finally:
        module.train(was)


def on(batch: Batch, device: str | torch.device) -> Batch:
    """Return ``batch`` on ``device``."""
    return {name: tensor.to(device) for name, tensor in batch.items()}
