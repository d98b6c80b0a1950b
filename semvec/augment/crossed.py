"""A classifier that attends to the tokens of its neighbours before it decides (after RETRO, arXiv:2112.04426).

Cross-attention layers on top of the encoder read the states of the neighbours' tokens, each with a learned mark of its label. The
states are those of the encoder that finds the neighbours, which does not learn, so they are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semvec.augment.memory import labels_of
from semvec.encoders.protocol import Encoder
from semvec.errors import OptionError
from semvec.finetune.heads import Batch, Head, LabelHead, pooled
from semvec.finetune.model import FineTuned
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import HeadConfig, HeadTask
from semvec.finetune.windows import Window
from semvec.results import Hits
from semvec.types import Oov

TOKENS = 32
"""Tokens of each neighbour that are read: the first ones."""

LAYERS, PARTS = 2, 6
FOUND, MARKS = "found", "marks"
"""What a batch has of the neighbours: their places in the bank, and the marks of their labels (rows, k), 0 for none."""


class Bank:
    """The states of the first tokens of texts, each encoded once: place 0 is of no text, the others in the order of coming."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.places = encoder, dict[str, int]()
        self.states: NDArray[np.float16] = np.zeros((1, TOKENS, encoder.dim), dtype=np.float16)
        self.counts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)

    def add(self, texts: Sequence[str]) -> None:
        """Encode those of ``texts`` that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self.places]
        if not new:
            return
        states = np.zeros((len(new), TOKENS, self.encoder.dim), dtype=np.float16)
        counts = np.zeros(len(new), dtype=np.int64)
        for at, its in enumerate(self.encoder.encode(new)):
            rows = its.floats()[its.oov != Oov.ZERO][:TOKENS]
            states[at, : len(rows)], counts[at] = rows, len(rows)
        self.places |= {text: len(self.counts) + at for at, text in enumerate(new)}
        self.states, self.counts = np.concatenate([self.states, states]), np.concatenate([self.counts, counts])

    def gather(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (rows, k · TOKENS, dim) of the texts at ``places`` (rows, k), and which of them are there."""
        rows = places.cpu().numpy()
        there = np.arange(TOKENS) < self.counts[rows][..., None]
        states = torch.from_numpy(self.states[rows].astype(np.float32)).flatten(1, 2)
        return states.to(places.device), torch.from_numpy(there).flatten(1, 2).to(places.device)


class CrossAttentionHead(LabelHead):
    """A label a text, of its tokens after they have attended to those of the neighbours, whose states are in ``bank``.

    A gate, 0 at first, is before what each layer adds, so that training begins at the text alone (arXiv:2204.14198).
    """

    per_token = True
    bank: Bank

    def __init__(self, config: HeadConfig, dim: int, found_dim: int, **more: Any) -> None:
        labels = len(config.labels)
        super().__init__(dim, labels, config.dropout, config.pooling, **more)
        heads = PARTS if dim % PARTS == 0 else 1
        self.into = nn.Linear(found_dim, dim)
        self.marks = nn.Embedding(labels + 1, dim)
        nn.init.normal_(self.marks.weight, std=0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(LAYERS))
        self.attend = nn.ModuleList(nn.MultiheadAttention(dim, heads, config.dropout, batch_first=True) for _ in range(LAYERS))
        self.gates = nn.Parameter(torch.zeros(LAYERS))

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return all tokens (rows, length, dim)."""
        return hidden

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the logits (rows, labels) of ``features`` (rows, length, dim)."""
        tokens = (features - self.shift) * self.scale
        states, there = self.bank.gather(batch[FOUND])
        read = self.into(states.to(self.into.weight.dtype)) + self.marks(batch[MARKS]).repeat_interleave(TOKENS, dim=1)
        alone = ~there.any(dim=1)  # a softmax over nothing is no number: these rows look at anything, and add nothing
        for norm, attend, gate in zip(self.norms, self.attend, self.gates, strict=True):
            added, _ = attend(norm(tokens), read, read, key_padding_mask=~there & ~alone[:, None], need_weights=False)
            tokens = tokens + torch.tanh(gate) * added.masked_fill(alone[:, None, None], 0.0)
        return self.linear(self.dropout(pooled(tokens, batch["mask"], self.pooling)))  # type: ignore[no-any-return]


@dataclass
class Crossed(FineTuned):
    """A classifier whose head is a `CrossAttentionHead`; ``look`` gives the neighbours of texts.

    Those of labelled examples must not be the examples themselves (``apart``).
    """

    look: Callable[[Sequence[str], bool], list[Hits]] = field(default=lambda texts, apart: [Hits((), text) for text in texts])

    @classmethod
    def make_head(
        cls, task: HeadTask[Any], config: HeadConfig, hidden: int, options: FinetuneOptions, examples: Any = None
    ) -> Head:
        if config.many:
            raise OptionError("cross-attention goes with one label a text, not with many")
        return CrossAttentionHead(config, hidden * len(config.layers), hidden, smoothing=options.label_smoothing)

    def looking(self, look: Callable[[Sequence[str], bool], list[Hits]], bank: Bank) -> Crossed:
        """Return the model with neighbours to come from ``look``, their states from ``bank``."""
        self.look, self.network.head.bank = look, bank  # type: ignore[assignment]
        return self

    def windows(self, examples: Any, *, labelled: bool) -> list[Window]:
        return self.beside(super().windows(examples, labelled=labelled), self.look(examples.texts, labelled))

    def beside(self, windows: Sequence[Window], hits: Sequence[Hits]) -> list[Window]:
        """Return ``windows`` with the neighbours of their texts, ``hits``."""
        bank: Any = self.network.head.bank
        bank.add([hit.text or "" for its in hits for hit in its])
        number = {label: at + 1 for at, label in enumerate(self.config.labels)}
        most = max((len(its) for its in hits), default=0) or 1
        rows = []
        for its in hits:
            found, marks = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
            for at, (hit, label) in enumerate(zip(its, labels_of(its), strict=True)):
                found[at], marks[at] = bank.places[hit.text or ""], number.get(label, 0)
            rows.append({FOUND: found, MARKS: marks})
        return [Window(its.owner, {**its.inputs, **rows[its.owner]}, its.known) for its in windows]
