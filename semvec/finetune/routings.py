"""Which tokens of which text a fine-tuned model's head took: its experts, and the router that pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semvec.finetune.model import FineTuned
from semvec.finetune.network import ask_all, on
from semvec.finetune.routed import RoutedHead
from semvec.finetune.windows import Window, collate
from semvec.selection.page import CONTINUES, routing_page
from semvec.selection.report import RoutingReport, RoutingTally, TextRouting
from semvec.types import JSON, Progress, Step
from semvec.visualise.curves import routing_picture

PAGE, PICTURE = "routing.html", "routing.png"
EXPERTS, ROUTER = "experts", "router"
MOST_TEXTS = 200
"""Windows that are kept, and shown on a page."""

STARTS = ("Ġ", "▁")
"""What a piece begins with that begins a word, in tokenizers that mark these."""


@dataclass(frozen=True)
class Routings:
    """What became of the tokens of all windows, by who chose them: ``experts``, if there are any, and the ``router`` that pools.

    ``shown`` are the first windows, in full, and ``owners`` the examples they are of. Special tokens of the encoder are among
    the tokens; long texts have several windows.
    """

    reports: Mapping[str, RoutingReport]
    shown: Mapping[str, Sequence[TextRouting]]
    owners: Sequence[int]

    def to_json(self) -> JSON:
        """Return the reports as JSON."""
        return {name: its.to_json() for name, its in self.reports.items()}

    def lines(self) -> list[str]:
        """Return what is to be said of the tokens, and of each expert."""
        lines = []
        if its := self.reports.get(EXPERTS):
            said = f"{its.left_behind:.0%} of {its.tokens:,} tokens are left behind, {its.by_several:.0%} taken by several"
            lines.append(f"{len(its.per_expert)} experts: {said}; the router's entropy is {its.entropy:.2f} of 1")
            shares = [taken / max(its.tokens, 1) for taken in its.per_expert]
            lines += [f"expert {at + 1} takes {share:.0%}, typically {_typical(its, at)}" for at, share in enumerate(shares)]
        its = self.reports[ROUTER]
        return [*lines, f"the router pools {1 - its.left_behind:.0%} of {its.tokens:,} tokens, typically {_typical(its, 0)}"]

    def write(self, folder: Path, title: str, said: Sequence[str]) -> None:
        """Write which expert took which word as a page, with what was ``said`` of each example, and a picture of how many."""
        name, chooser = (EXPERTS, "expert") if EXPERTS in self.reports else (ROUTER, "router")
        found, owners = self.reports[name], self.owners
        before = [said[owner] if at == 0 or owner != owners[at - 1] else "" for at, owner in enumerate(owners)]
        pooled = self.shown[ROUTER] if name == EXPERTS else ()
        page = routing_page(title, found, self.shown[name], pooled=pooled, said=before, chooser=chooser)
        (folder / PAGE).write_text(page, encoding="utf-8")
        picture = routing_picture(found.per_expert, found.tokens, found.words, found.shares, chooser)
        (folder / PICTURE).write_bytes(picture)


def routings_of(model: Any, examples: Any, progress: Progress | None = None) -> Routings | None:
    """Return what the head of ``model`` took of the texts of ``examples``; None where it does not choose its tokens."""
    if not isinstance(model, FineTuned) or not isinstance(model.network.head, RoutedHead):
        return None
    windows, network = model.windows(examples, labelled=False), model.network
    head: RoutedHead = model.network.head
    names = (EXPERTS, ROUTER) if head.experts is not None else (ROUTER,)
    tallies, shown = {name: RoutingTally() for name in names}, {name: dict[int, TextRouting]() for name in names}
    pieces = _Pieces(model.encoder.transformer.tokenizer.inner)

    def run(batch: Sequence[tuple[int, Window]]) -> None:
        features, its = network.read(on(collate([window for _, window in batch], model.pad), model.device))
        _, weights, routed = head.weights_of(features, its)
        for row, (at, window) in enumerate(batch):
            n, surfaces = window.length, pieces.of(window.inputs["ids"])
            found = {ROUTER: TextRouting(surfaces, _array(weights[row : row + 1, :n] > 0), np.ones((n, 1), dtype=np.float32))}
            if routed is not None:
                found[EXPERTS] = TextRouting(surfaces, _array(routed.taken[:, row, :n]), _array(routed.gates[row, :n]))
            for name, one in found.items():
                tallies[name].add(one)
                if at < MOST_TEXTS:
                    shown[name][at] = one

    def tell(done: int) -> None:
        if progress:
            progress(Step("asking the experts", done, len(windows), "windows"))

    ask_all(network, list(enumerate(windows)), lambda pair: pair[1].length, model.encoder.transformer.batch_tokens, run, tell)
    reports = {name: tally.report() for name, tally in tallies.items()}
    in_order = {name: [its[at] for at in sorted(its)] for name, its in shown.items()}
    return Routings(reports, in_order, [window.owner for window in windows[:MOST_TEXTS]])


class _Pieces:
    """What the ids of a ``tokenizer`` read like, each looked up once; one that goes on with a word begins with ``##``."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.known = tokenizer, dict[int, str]()
        self.marks = any(piece.startswith(STARTS) for piece in tokenizer.tokenize("a b"))
        self.special = set(tokenizer.all_special_ids)

    def of(self, ids: Any) -> list[str]:
        """Return the pieces of ``ids``."""
        for number in {int(one) for one in ids} - self.known.keys():
            piece = self.tokenizer.convert_ids_to_tokens(number)
            text = self.tokenizer.decode([number]).strip() or piece
            goes_on = self.marks and number not in self.special and not piece.startswith(STARTS)
            self.known[number] = f"{CONTINUES}{text}" if goes_on else text
        return [self.known[int(one)] for one in ids]


def _typical(its: RoutingReport, expert: int) -> str:
    return ", ".join(one.token for one in its.typical[expert]) or "none"


def _array(tensor: Tensor) -> Any:
    its = tensor.cpu()
    return its.numpy() if its.dtype == torch.bool else its.float().numpy()
