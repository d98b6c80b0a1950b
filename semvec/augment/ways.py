"""How neighbours and a model come to one answer: weighed beside it, read with the text, or attended to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.augment.crossed import Bank, CrossAttentionHead
from semvec.augment.examples import FoundTexts
from semvec.augment.memory import Memory, label_of
from semvec.augment.weigh import Weighing
from semvec.finetune.model import FineTuned
from semvec.results import Hits
from semvec.text.examples import ClassedPairs, LabelledTexts
from semvec.types import Choice, Level

Shares = NDArray[np.float64]
CHARACTERS = 640
"""Characters of all neighbours together that are read beside a text, so that both fit into what an encoder reads at once."""


class Way(Choice):
    """How a model uses its neighbours.

    ``knn``: their labels are weighed beside what the model says. ``gate``: the same, each text with a weight of its own.
    ``concat``: they are read together with the text, their labels before them. ``cross-attention``: layers on top of the encoder
    attend to their tokens.
    """

    KNN = "knn"
    GATE = "gate"
    CONCAT = "concat"
    CROSS = "cross-attention"


class Answering(ABC):
    """A ``model`` and what it makes of neighbours."""

    def __init__(self, model: FineTuned) -> None:
        self.model = model

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The labels that the model has learnt."""
        return self.model.config.labels

    def wanted(self, k: int) -> int:
        """Return how many neighbours are looked for, where the model was to have ``k``."""
        return k

    def begun(self, texts: Sequence[str]) -> Any:
        """Return what there is to know of ``texts`` before their neighbours are."""
        return None

    @abstractmethod
    def shares(self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any) -> Shares:
        """Return how likely each of ``labels`` is of each of ``texts`` (texts, labels), whose neighbours are ``hits``."""


class Weighed(Answering):
    """What the model says, and what the labels of the neighbours say, by a `Weighing`."""

    def __init__(self, model: FineTuned, weighing: Weighing) -> None:
        super().__init__(model)
        self.weighing = weighing

    def wanted(self, k: int) -> int:
        return 0 if self.weighing.silent else self.weighing.k

    def begun(self, texts: Sequence[str]) -> Any:
        return shares_in(self.model.predict(LabelledTexts(list(texts), [""] * len(texts))), self.own_labels)

    def shares(self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any) -> Shares:
        return self.weighing.mixed(_among(begun, self.own_labels, labels), hits, labels)


class Concatenated(Answering):
    """A model of pairs, the second text being the neighbours' labels and beginnings."""

    def shares(self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any) -> Shares:
        pairs = ClassedPairs(list(texts), [beside(its) for its in hits], [""] * len(texts))
        return _among(shares_in(self.model.predict(pairs), self.own_labels), self.own_labels, labels)


class Attending(Answering):
    """A model with cross-attention to the tokens of the neighbours, which the encoder of ``memory`` reads."""

    def __init__(self, model: FineTuned, memory: Memory) -> None:
        super().__init__(model)
        self.memory = memory

    def begun(self, texts: Sequence[str]) -> Any:
        head: Any = self.model.network.head
        assert isinstance(head, CrossAttentionHead)
        head.bank = bank_of(self.memory)  # what was read for other texts is forgotten

    def shares(self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any) -> Shares:
        found = self.model.predict(FoundTexts(list(texts), [""] * len(texts), hits))
        return _among(shares_in(found, self.own_labels), self.own_labels, labels)


def answering(way: Way, model: FineTuned, weighing: Weighing, memory: Memory) -> Answering:
    """Return what makes answers of ``model`` and what is found in ``memory``."""
    if way == Way.CROSS:
        return Attending(model, memory)
    return Concatenated(model) if way == Way.CONCAT else Weighed(model, weighing)


def bank_of(memory: Memory) -> Bank:
    """Return an empty bank of the states of tokens, by the encoder that finds the neighbours."""
    return Bank(memory.searcher.encoder.with_options(level=Level.TOKEN, normalize=False))


def beside(hits: Hits) -> str:
    """Return what is read beside a text: the label of each neighbour, if it has one, and its beginning, of all as much."""
    parts, each = [], CHARACTERS // max(1, len(hits))
    for hit in hits:
        text, label = " ".join((hit.text or "").split())[:each], label_of(hit)
        parts.append(text if label is None else f"{label}: {text}")
    return " ; ".join(parts)


def shares_in(answers: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Shares:
    """Return how likely each of ``labels`` is in each of ``answers`` (answers, labels)."""
    return np.array([[answer["scores"][label] for label in labels] for answer in answers], dtype=np.float64).reshape(
        -1, len(labels)
    )


def _among(shares: Shares, own: Sequence[str], labels: Mapping[str, int]) -> Shares:
    """Return ``shares`` of the labels ``own`` among all ``labels``."""
    found = np.zeros((len(shares), len(labels)))
    found[:, [labels[name] for name in own]] = shares
    return found
