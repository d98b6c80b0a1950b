"""How neighbours and a model come to one answer: weighed beside it, read with the text, or attended to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.augment.crossed import Crossed
from semvec.augment.examples import FoundTexts, beside
from semvec.augment.joint import Joint
from semvec.augment.weigh import Weighing
from semvec.finetune.model import FineTuned
from semvec.results import Hits
from semvec.text.examples import ClassedPairs, LabelledTexts
from semvec.types import Way

Shares = NDArray[np.float64]
READERS: Mapping[Way, type[FineTuned]] = {Way.CROSS: Crossed, Way.JOINT: Joint}
"""What reads neighbours by heads of its own."""


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

    def said(self, examples: Any, labels: Mapping[str, int]) -> Shares:
        """Return how likely the model says each of ``labels`` is of each of ``examples``."""
        return _among(shares_in(self.model.predict(examples), self.own_labels), self.own_labels, labels)

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
    """A model of pairs, the first text being the neighbours' labels and beginnings."""

    def shares(self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any) -> Shares:
        return self.said(ClassedPairs([beside(its) for its in hits], list(texts), [""] * len(texts)), labels)


class Reading(Answering):
    """A model that reads the neighbours itself."""

    def shares(self, texts: Sequence[str], hits: Sequence[Hits], labels: Mapping[str, int], begun: Any) -> Shares:
        return self.said(FoundTexts(list(texts), [""] * len(texts), hits), labels)


class Attending(Reading):
    """A model with cross-attention to the tokens of the neighbours."""

    def begun(self, texts: Sequence[str]) -> Any:
        assert isinstance(self.model, Crossed)
        self.model.attend()


def answering(way: Way, model: FineTuned, weighing: Weighing) -> Answering:
    """Return what makes answers of ``model`` and what is found."""
    if way == Way.CROSS:
        return Attending(model)
    if way == Way.JOINT:
        return Reading(model)
    return Concatenated(model) if way == Way.CONCAT else Weighed(model, weighing)


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
