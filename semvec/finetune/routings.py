"""Which tokens of which text a fine-tuned model's head took: its experts, and the router that pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semvec.finetune.heads import Batch
from semvec.finetune.model import FineTuned
from semvec.finetune.network import ask_all, on
from semvec.finetune.routed import RoutedHead
from semvec.finetune.windows import Window, collate
from semvec.selection.report import RoutingReport, TextRouting, routing_report
from semvec.types import JSON, Progress, Step


@dataclass(frozen=True)
class Routings:
    """What became of the tokens of every window read: ``pooled`` those that the router kept, ``experts`` where there are any.

    Windows are texts, of long ones several; special tokens of the encoder are among their tokens.
    """

    pooled: tuple[TextRouting, ...]
    experts: tuple[TextRouting, ...] = ()

    @property
    def reports(self) -> dict[str, RoutingReport]:
        """What became of all tokens, by who chose them."""
        found = {"router": routing_report(self.pooled)}
        return {"experts": routing_report(self.experts), **found} if self.experts else found

    def to_json(self) -> JSON:
        """Return the reports as JSON."""
        return {name: its.to_json() for name, its in self.reports.items()}


def routings_of(model: Any, examples: Any, progress: Progress | None = None) -> Routings | None:
    """Return what the head of ``model`` took of the texts of ``examples``; None where it does not choose its tokens."""
    if not isinstance(model, FineTuned) or not isinstance(model.network.head, RoutedHead):
        return None
    windows, network = model.windows(examples, labelled=False), model.network
    head: RoutedHead = model.network.head
    pooled: list[Any] = [None] * len(windows)
    experts: list[Any] = [None] * len(windows)
    names = _Names(model.encoder.transformer.tokenizer.inner)

    def run(batch: Sequence[tuple[int, Window]]) -> None:
        its: Batch = on(collate([window for _, window in batch], model.pad), model.device)
        _, weights, routed = head.weights_of(network.features(its), its)
        for row, (at, window) in enumerate(batch):
            n = window.length
            pieces = names.of(window.inputs["ids"])
            pooled[at] = TextRouting(pieces, _array(weights[row : row + 1, :n] > 0), np.ones((n, 1), dtype=np.float32))
            if routed is not None:
                experts[at] = TextRouting(pieces, _array(routed.taken[:, row, :n]), _array(routed.gates[row, :n]))

    def tell(done: int) -> None:
        if progress:
            progress(Step("asking the experts", done, len(windows), "windows"))

    ask_all(network, list(enumerate(windows)), lambda pair: pair[1].length, model.encoder.transformer.batch_tokens, run, tell)
    return Routings(tuple(pooled), tuple(experts) if head.experts is not None else ())


class _Names:
    """What the ids of a ``tokenizer`` read like, each looked up once."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.known = tokenizer, dict[int, str]()

    def of(self, ids: Any) -> list[str]:
        """Return the pieces of ``ids``; a space before one that begins a word is left out."""
        for number in {int(one) for one in ids} - self.known.keys():
            self.known[number] = self.tokenizer.decode([number]).strip() or self.tokenizer.convert_ids_to_tokens(number)
        return [self.known[int(one)] for one in ids]


def _array(tensor: Tensor) -> Any:
    its = tensor.cpu()
    return its.numpy() if its.dtype == torch.bool else its.float().numpy()
