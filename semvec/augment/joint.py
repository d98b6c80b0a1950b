"""A classifier that learns what to look for, too: p(label) = Σ p(neighbour) · p(label | text, neighbour).

As RAG does (arXiv:2005.11401) each neighbour is read apart, and those that help become likelier. The collection stays as it is:
what learns of the retriever is on the side of the query, a linear layer on its vector, which begins as if it were not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semvec.augment.examples import FoundTexts, beside
from semvec.augment.memory import Memory
from semvec.errors import OptionError
from semvec.finetune.heads import FEATURES, Batch, Head, LabelHead
from semvec.finetune.model import FineTuned
from semvec.finetune.network import Network
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import HeadConfig, HeadTask
from semvec.finetune.windows import Window
from semvec.results import Hits

TEMPERATURE = 0.1
"""Of the neighbours' scores, as it is at first; it learns."""

COUNTS, ASKED, FOUND = "counts", "asked", "found"
"""What a batch has beside tokens: how many there are of each neighbour with its text (rows, k), 0 for none, the vectors of the
texts (rows, dim) and those of their neighbours (rows, k, dim)."""


class JointHead(LabelHead):
    """A label a text, of the pooled tokens of the text with each neighbour, weighed by how likely the neighbours are."""

    def __init__(self, config: HeadConfig, dim: int, found_dim: int, **more: Any) -> None:
        super().__init__(dim, len(config.labels), config.dropout, config.pooling, **more)
        self.bend = nn.Linear(found_dim, found_dim, bias=False)
        nn.init.zeros_(self.bend.weight)
        self.heat = nn.Parameter(torch.tensor(math.log(TEMPERATURE)))

    def bent(self, asked: Tensor) -> Tensor:
        """Return the vectors (n, dim) that are looked for, of length 1, for texts whose vectors are ``asked``."""
        return nn.functional.normalize(asked + self.bend(asked), dim=-1)

    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the pooled tokens (rows, k, dim) of ``hidden`` (rows · k, length, dim)."""
        return super().features(hidden, batch).view(*batch[COUNTS].shape, -1)

    def logits(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the logarithm (rows, labels) of how likely each label is, of ``features`` (rows, k, dim)."""
        said = super().logits(features, batch).float().log_softmax(dim=-1)
        scores = (batch[FOUND] @ self.bent(batch[ASKED])[..., None])[..., 0].float()
        prior = (scores / self.heat.exp()).masked_fill(batch[COUNTS] == 0, -torch.inf).log_softmax(dim=-1)
        return torch.logsumexp(prior[..., None] + said, dim=1)


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
    """A text with each of its neighbours, k at once."""

    @property
    def rows(self) -> int:
        """How many neighbours there are, of which each is a row."""
        return len(self.inputs[COUNTS])


@dataclass
class Joint(FineTuned):
    """A classifier whose head is a `JointHead`; its examples come with their neighbours (`FoundTexts`)."""

    made_of: ClassVar[type[Network]] = Apart
    memory: Memory | None = None

    @classmethod
    def make_head(
        cls, task: HeadTask[Any], config: HeadConfig, hidden: int, options: FinetuneOptions, examples: Any = None
    ) -> Head:
        return JointHead(config, hidden * len(config.layers), hidden, smoothing=options.label_smoothing)

    def attend(self, memory: Memory) -> None:
        """Look things up in ``memory``, as was learnt; `OptionError` where its vectors are of another size than this model's."""
        head: Any = self.network.head
        if head.bend.in_features != memory.searcher.encoder.dim:
            wide = f"{memory.searcher.encoder.dim} numbers a text, and the model of {head.bend.in_features}"
            raise OptionError(f"joint: the encoder that finds has {wide}: the two must be alike")
        self.memory, memory.bend = memory, self.bent

    def bent(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors (n, dim) that are looked for, for texts whose vectors are ``asked``."""
        head: Any = self.network.head
        with torch.inference_mode():
            return np.asarray(head.bent(torch.from_numpy(asked).to(self.device)).float().cpu().numpy())

    def windows(self, examples: FoundTexts, *, labelled: bool) -> list[Window]:  # type: ignore[override]
        most = max((len(its) for its in examples.hits), default=0) or 1
        number = {label: at for at, label in enumerate(self.config.labels)}
        firsts, seconds = self.reader.tokens(examples.texts), self.reader.tokens(_seconds(examples.hits))
        made: list[Window] = []
        for at, (hits, first, vectors) in enumerate(zip(examples.hits, firsts, self._vectors(examples, most), strict=True)):
            pairs = [next(self.reader.paired(first, next(seconds))) for _ in range(max(len(hits), 1))]
            counts = np.zeros(most, np.int64)
            counts[: len(pairs)] = [len(ids) for ids, *_ in pairs]
            ids, types = np.full((counts.max(), most), self.pad), np.zeros((counts.max(), most), np.int64)
            for column, (its, kinds, _, _) in enumerate(pairs):
                ids[: len(its), column], types[: len(its), column] = its, kinds
            inputs = {"ids": ids, **({"types": types} if self.reader.types else {}), COUNTS: counts, **vectors}
            labels = {"labels": np.array(number[examples.labels[at]])} if labelled else {}
            made.append(Read(at, {**inputs, **labels}))
        return made

    def renewed(self, examples: FoundTexts, windows: list[Window], *, labelled: bool) -> list[Window]:
        """Return ``windows`` with the neighbours that are found now; of a frozen encoder, which is not run again, as they are."""
        if self.memory is None or FEATURES in windows[0].inputs:
            return windows
        hits = self.memory.neighbours(examples.texts, apart=True, documents=examples.documents)
        return self.windows(FoundTexts(examples.texts, examples.labels, hits, examples.documents), labelled=labelled)

    def _vectors(self, examples: FoundTexts, most: int) -> list[dict[str, NDArray[np.float32]]]:
        """Return the vectors of the texts, and of their neighbours; of one that was deleted meanwhile zeros, a score of 0."""
        assert self.memory is not None
        asked = self.memory.vectors(examples.texts)
        ids = list(dict.fromkeys(hit.id for its in examples.hits for hit in its))
        kept = {its.id: its.vector for its in self.memory.collection.get(ids) if its is not None}
        found = np.zeros((len(asked), most, asked.shape[1]), dtype=np.float32)
        for row, hits in zip(found, examples.hits, strict=True):
            for at, hit in enumerate(hits):
                if (vector := kept.get(hit.id)) is not None:
                    row[at] = vector / max(float(np.linalg.norm(vector)), 1e-9)
        return [{ASKED: one, FOUND: its} for one, its in zip(asked, found, strict=True)]


def _seconds(hits: Sequence[Hits]) -> list[str]:
    """Return what is read beside each text: each neighbour apart, nothing where there are none."""
    return [beside(some) for its in hits for some in ([[hit] for hit in its] or [[]])]
