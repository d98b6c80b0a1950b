"""A classifier that learns what to look for, too: p(label) = Σ p(neighbour) · p(label | text, neighbour).

As RAG does (arXiv:2005.11401) each neighbour is read apart, and those that help become likelier. The collection stays as it is:
what learns of the retriever is on the side of the query, a linear layer on its vector, which begins as if it were not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semvec.augment.examples import FoundTexts, beside, of_labels
from semvec.augment.memory import Memory
from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import OptionError
from semvec.finetune.heads import FEATURES, Batch, Head, LabelHead
from semvec.finetune.model import FineTuned
from semvec.finetune.network import Network
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import HeadConfig, HeadTask
from semvec.finetune.tuned import Lesson
from semvec.finetune.windows import Window
from semvec.results import Hits
from semvec.types import JSON, Progress

TEMPERATURE = 0.1
"""Of the neighbours' scores, as it is at first; it learns."""

COUNTS, ASKED, FOUND = "counts", "asked", "found"
"""What a batch has beside tokens: how many there are of each neighbour with its text (rows, k), 0 for none, the vectors of the
texts (rows, dim) and those of their neighbours (rows, k, dim)."""

Vectors = NDArray[np.float32]
Pair = tuple[str, str, int]
"""A text, what is read beside it, and which window of the text that is."""


class JointHead(LabelHead):
    """A label a text, of the pooled tokens of the text with each neighbour, weighed by how likely the neighbours are.

    ``then`` is what the texts' vectors were bent by when the neighbours of this epoch were looked for.
    """

    then: Tensor

    def __init__(self, config: HeadConfig, dim: int, found_dim: int, **more: Any) -> None:
        super().__init__(dim, len(config.labels), config.dropout, config.pooling, **more)
        self.bend = nn.Parameter(torch.zeros(found_dim, found_dim))
        self.heat = nn.Parameter(torch.tensor(math.log(TEMPERATURE)))
        self.register_buffer("then", torch.zeros(found_dim, found_dim))

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the pooled tokens (rows, k, dim) of ``hidden`` (rows · k, length, dim)."""
        return super().features(hidden, batch).view(*batch[COUNTS].shape, -1)

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the logarithm (rows, labels) of how likely each label is, of ``features`` (rows, k, dim)."""
        said = super().logits(features, batch).float().log_softmax(dim=-1)
        with torch.autocast(features.device.type, enabled=False):  # a cosine in bfloat16 is not what the search goes by
            scores = (batch[FOUND] @ bent(batch[ASKED], self.bend)[..., None])[..., 0]
            prior = (scores / self.heat.exp()).masked_fill(batch[COUNTS] == 0, -torch.inf).log_softmax(dim=-1)
        return torch.logsumexp(prior[..., None] + said, dim=1)


def bent(asked: Tensor, by: Tensor) -> Tensor:
    """Return the vectors (n, dim) that are looked for, of length 1, for texts whose vectors are ``asked``."""
    return nn.functional.normalize(asked + asked @ by.T, dim=-1)


class Apart(Network):
    """A network that reads a text with each of its neighbours apart: ``ids`` (rows, length, k), and so their ``types``."""

    def hidden(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the hidden states (rows · k, length, dim), and the mask of the tokens that are there."""
        counts = batch[COUNTS].flatten().clamp(min=1)  # what is not there is one token, which has no say
        places = torch.arange(batch["ids"].shape[1], device=counts.device)
        flat: Batch = {"mask": (places < counts[:, None]).long()}
        for name in {"ids", "types"} & batch.keys():
            flat[name] = batch[name].transpose(1, 2).flatten(0, 1)
        return super().hidden(flat)


@dataclass(frozen=True)
class Read(Window):
    """A text, or a piece of a long one, with each of its neighbours, k at once."""

    @property
    def rows(self) -> int:
        return len(self.inputs[COUNTS])

    @property
    def kept(self) -> int:
        return self.rows

    @property
    def cost(self) -> int:
        return self.length * self.rows


@dataclass
class Joint(FineTuned):
    """A classifier whose head is a `JointHead`; its examples come with their neighbours (`FoundTexts`)."""

    made_of: ClassVar[type[Network]] = Apart
    memory: Memory = None  # type: ignore[assignment]
    known: dict[Pair, NDArray[np.float32]] = field(default_factory=dict)
    """What the head reads of pairs, where the encoder does not learn; while it learns alone."""

    @classmethod
    def make_head(
        cls, task: HeadTask[Any], config: HeadConfig, hidden: int, options: FinetuneOptions, examples: Any = None
    ) -> Head:
        return JointHead(config, hidden * len(config.layers), hidden, **of_labels(config, options, examples))

    @property
    def found_dim(self) -> int:
        """How many numbers the vectors have by which it finds."""
        head: Any = self.network.head
        return len(head.bend)

    def attend(self, memory: Memory) -> None:
        """Look things up in ``memory``, as was learnt."""
        self.memory, memory.bend = memory, self.bent

    def bent(self, asked: Vectors) -> Vectors:
        """Return the vectors (n, dim) that are looked for, for texts whose vectors are ``asked``."""
        return self._bent_by(asked, self.network.head.bend)

    def _bent_by(self, asked: Vectors, by: Any) -> Vectors:
        with torch.inference_mode():
            return np.asarray(bent(torch.from_numpy(asked).to(self.device), by).float().cpu().numpy())

    def windows(self, examples: FoundTexts, *, labelled: bool) -> list[Window]:  # type: ignore[override]
        most = max((len(its) for its in examples.hits), default=0) or 1
        number = {label: at for at, label in enumerate(self.config.labels)}
        firsts, seconds = self.reader.tokens(examples.texts), self.reader.tokens(_seconds(examples.hits))
        made: list[Window] = []
        for at, (hits, first, vectors) in enumerate(zip(examples.hits, firsts, self._vectors(examples, most), strict=True)):
            each = [list(self.reader.joined(first, next(seconds))) for _ in range(max(len(hits), 1))]
            labels = {"labels": np.array(number[examples.labels[at]])} if labelled else {}
            says = _seconds([hits])
            for part, pairs in enumerate(zip(*each, strict=True)):
                inputs = {**self._stacked([pair[0] for pair in pairs], [pair[1] for pair in pairs], most), **vectors, **labels}
                made.append(Read(at, inputs, {"pairs": [(examples.texts[at], said, part) for said in says]}))
        return made

    def _stacked(self, ids: Sequence[Any], types: Sequence[Any], most: int) -> dict[str, NDArray[Any]]:
        """Return the tokens of a text with each of its neighbours, (length, most), and how many each has."""
        counts = np.zeros(most, np.int64)
        counts[: len(ids)] = [len(its) for its in ids]
        whole = np.full((2, counts.max(), most), self.pad)
        whole[1] = 0
        for column, (its, kinds) in enumerate(zip(ids, types, strict=True)):
            whole[0, : len(its), column], whole[1, : len(its), column] = its, kinds
        return {"ids": whole[0], **({"types": whole[1]} if self.reader.types else {}), COUNTS: counts}

    def _vectors(self, examples: FoundTexts, most: int) -> list[dict[str, Vectors]]:
        """Return the vectors of the texts, and of their neighbours; of one that was deleted meanwhile zeros, a score of 0."""
        asked = self.memory.vectors(examples.texts)
        ids = list(dict.fromkeys(hit.id for its in examples.hits for hit in its))
        kept = {its.id: its.vector for its in self.memory.collection.get(ids) if its is not None}
        found = np.zeros((len(asked), most, asked.shape[1]), dtype=np.float32)
        for row, hits in zip(found, examples.hits, strict=True):
            for at, hit in enumerate(hits):
                row[at] = kept.get(hit.id, 0.0)
        return [{ASKED: one, FOUND: normalize(its)} for one, its in zip(asked, found, strict=True)]

    def learn(self, lesson: Lesson, progress: Progress | None = None) -> JSON:
        try:
            return super().learn(lesson, progress)
        finally:
            self.known.clear()

    def renewed(self, examples: FoundTexts, windows: list[Window], *, labelled: bool, inside: bool = False) -> list[Window]:
        """Return ``windows`` with the neighbours that are found now, ``inside`` an epoch with those found as it began."""
        head: Any = self.network.head
        if labelled and not inside:
            head.then.copy_(head.bend.detach())
        self.memory.bend = (lambda asked: self._bent_by(asked, head.then)) if labelled else self.bent
        try:
            hits = self.memory.neighbours(examples.texts, apart=True, documents=examples.documents)
        finally:
            self.memory.bend = self.bent
        found = FoundTexts(examples.texts, examples.labels, hits, examples.documents)
        made = self.windows(found, labelled=labelled)
        return self.read_once(made, None) if FEATURES in windows[0].inputs else made

    def read_once(self, windows: Sequence[Window], progress: Progress | None) -> list[Window]:
        """Return ``windows`` with the head's features in the place of the tokens; of no pair the encoder reads twice."""
        if windows and FEATURES in windows[0].inputs:
            return list(windows)
        new = [its for its in windows if not self.known.keys() >= set(its.known["pairs"])]
        for its, rows in zip(new, self.features(new, progress), strict=True):
            self.known.update(zip(its.known["pairs"], np.asarray(rows, np.float32), strict=False))
        kept = []
        for its in windows:
            features = np.zeros((its.rows, self.network.head.dim), dtype=np.float32)
            features[: len(its.known["pairs"])] = [self.known[pair] for pair in its.known["pairs"]]
            kept.append(its.read(features))
        return kept

    def standardise(self, windows: Sequence[Window]) -> None:
        super().standardise([replace(its, inputs={FEATURES: its.inputs[FEATURES][its.inputs[COUNTS] > 0]}) for its in windows])


def check_alike(encoder: Encoder, hidden: int) -> None:
    """Raise `OptionError` where the vectors of ``encoder``, which finds, have another size than the ``hidden`` states."""
    if encoder.dim != hidden:
        wide = f"{encoder.dim} numbers a text, and the model that reads {hidden} a token"
        raise OptionError(f"joint: the encoder that finds has {wide}: the two must be alike")


def _seconds(hits: Sequence[Hits]) -> list[str]:
    """Return what is read beside each text: each neighbour apart, nothing where there are none."""
    return [beside(some) for its in hits for some in ([[hit] for hit in its] or [[]])]
