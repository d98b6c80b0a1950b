"""A classifier that attends to the tokens of its neighbours before it decides (after RETRO, arXiv:2112.04426).

Cross-attention layers on top of the encoder read the states of the neighbours' tokens, each with a learned mark of its label. The
states are those of the very encoder that reads the text: computed once, and anew at every look where it learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semvec.augment.examples import FoundTexts, of_labels
from semvec.augment.memory import label_of
from semvec.encoders.protocol import Encoder
from semvec.finetune.heads import Batch, Head, LabelHead, pooled
from semvec.finetune.model import FineTuned
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import HeadConfig, HeadTask
from semvec.finetune.tuned import Lesson, encoder_now
from semvec.finetune.windows import Window
from semvec.types import JSON, Level, Oov, Progress

TOKENS = 32
"""Tokens of each neighbour that are read: the first ones."""

LAYERS, WIDTH, OPEN = 2, 64, 0.5
"""Layers, numbers of each head of their attention, and how far their gates are open at first."""

FOUND, MARKS = "found", "marks"
"""What a batch has of the neighbours: their places in the bank, and the marks of their labels (rows, k), 0 for none."""


class Bank:
    """The states of the first tokens of texts, each encoded once: place 0 is of no text, the others in the order of coming."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.places = encoder, dict[str, int]()
        self.states: list[NDArray[np.float16]] = [np.zeros((TOKENS, encoder.dim), dtype=np.float16)]
        self.counts = [0]

    def add(self, texts: Sequence[str]) -> None:
        """Encode those of ``texts`` that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self.places]
        for text, its in zip(new, self.encoder.encode(new) if new else [], strict=True):
            rows = its.floats()[its.oov != Oov.ZERO][:TOKENS]
            states = np.zeros((TOKENS, self.encoder.dim), dtype=np.float16)
            states[: len(rows)] = rows
            self.places[text] = len(self.states)
            self.states.append(states)
            self.counts.append(len(rows))

    def by(self, encoder: Encoder) -> Bank:
        """Return a bank of the same texts at the same places, encoded by ``encoder``."""
        made = Bank(encoder)
        made.add(list(self.places))
        return made

    def gather(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (rows, k · TOKENS, dim) of the texts at ``places`` (rows, k), and which of them are there."""
        flat, (rows, k) = places.flatten().tolist(), places.shape
        states = np.stack([self.states[at] for at in flat]).astype(np.float32).reshape(rows, k * TOKENS, -1)
        there = np.arange(TOKENS) < np.array([self.counts[at] for at in flat])[:, None]
        return torch.from_numpy(states).to(places.device), torch.from_numpy(there.reshape(rows, -1)).to(places.device)


class CrossAttentionHead(LabelHead):
    """A label a text, of its tokens after they have attended to those of the neighbours, whose states are in ``bank``.

    A gate, half open at first, is before what each layer adds: closed ones (arXiv:2204.14198) let nothing be learnt in few steps.
    """

    per_token = True
    bank: Bank

    def __init__(self, config: HeadConfig, dim: int, hidden: int, **more: Any) -> None:
        labels = len(config.labels)
        super().__init__(dim, labels, config.dropout, config.pooling, **more)
        heads = dim // WIDTH if dim % WIDTH == 0 else 1
        self.into = nn.Linear(hidden, dim)
        self.marks = nn.Embedding(labels + 1, dim)
        nn.init.normal_(self.marks.weight, std=0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(LAYERS))
        self.attend = nn.ModuleList(nn.MultiheadAttention(dim, heads, config.dropout, batch_first=True) for _ in range(LAYERS))
        self.gates = nn.Parameter(torch.full((LAYERS,), OPEN))

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
    """A classifier whose head is a `CrossAttentionHead`; its examples come with their neighbours (`FoundTexts`)."""

    def __post_init__(self) -> None:
        self.attend()

    @classmethod
    def make_head(
        cls, task: HeadTask[Any], config: HeadConfig, hidden: int, options: FinetuneOptions, examples: Any = None
    ) -> Head:
        return CrossAttentionHead(config, hidden * len(config.layers), hidden, **of_labels(config, options, examples))

    def attend(self) -> None:
        """Forget what was read of other texts' neighbours; the next are read by the encoder as it is."""
        head: Any = self.network.head
        head.bank = Bank(as_tokens(self.encoder))

    def renewed(self, examples: Any, windows: list[Window], *, labelled: bool, inside: bool = False) -> list[Window]:
        """Return ``windows`` as they are, their neighbours being read anew where the encoder has learnt since."""
        head: Any = self.network.head
        if self.frozen:
            return windows
        was = self.network.training
        try:
            self.network.eval()
            encoder = encoder_now(self.encoder, self.body, self.plain_body)
            if encoder.weights != head.bank.encoder.weights:
                head.bank = head.bank.by(as_tokens(encoder))
        finally:
            self.network.train(was)
        return windows

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        history = super().learn(lesson, progress)
        self.attend()
        return history

    def windows(self, examples: FoundTexts, *, labelled: bool) -> list[Window]:  # type: ignore[override]
        bank: Any = self.network.head.bank
        bank.add([hit.text or "" for its in examples.hits for hit in its])
        number = {label: at + 1 for at, label in enumerate(self.config.labels)}
        most = max((len(its) for its in examples.hits), default=0) or 1
        rows = []
        for its in examples.hits:
            found, marks = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
            for at, hit in enumerate(its):
                found[at], marks[at] = bank.places[hit.text or ""], number.get(label_of(hit) or "", 0)
            rows.append({FOUND: found, MARKS: marks})
        windows = super().windows(examples, labelled=labelled)
        return [Window(its.owner, {**its.inputs, **rows[its.owner]}, its.known) for its in windows]


def as_tokens(encoder: Encoder) -> Encoder:
    """Return what gives the states of tokens as ``encoder`` has them."""
    return encoder.with_options(level=Level.TOKEN, normalize=False)
