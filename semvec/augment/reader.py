"""Open-book question answering: passages are retrieved, read, and the answers of all of them weighed together.

p(answer | question) = Σ over the passages found of p(passage | question) · p(answer | question, passage), as RAG marginalises
(Lewis and others, arXiv:2005.11401); the same answer in several passages adds up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from semvec.errors import InputError, OptionError, StoreError
from semvec.finetune.answer import QuestionAnswering, answerable, best_spans, normalised
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.results import Hit, Hits
from semvec.text.questions import Questions
from semvec.types import JSON, Progress

TEMPERATURE = 0.3
"""Of the passages' scores, brought to 0 (the worst found) to 1 (the best): the best on SQuAD's training articles."""

SPANS = 5
"""Answers that are weighed of each passage."""


class Retriever(Protocol):
    """What finds passages: a `Searcher` or a `TokenSearcher`."""

    collection: Any

    def search(self, queries: Sequence[str], k: int = 10, **options: Any) -> list[Hits]:
        """Return the ``k`` best items of each of ``queries``, best first."""


@dataclass(frozen=True)
class Support:
    """A passage that an answer stands in, at the characters ``start`` to ``end`` of its ``text`` above all.

    ``retrieved`` is p(passage | question) among those found, ``read`` p(answer | question, passage), ``share`` how much of the
    answer's score is this passage's, from 0 to 1.
    """

    id: str
    text: str
    start: int
    end: int
    retrieved: float
    read: float
    share: float


@dataclass(frozen=True)
class OpenAnswer:
    """An answer, its ``score`` (a probability) and the passages it comes from, those that count most first."""

    answer: str
    score: float
    support: tuple[Support, ...]


@dataclass(frozen=True)
class Asked:
    """A question, its answers, the likeliest first, and how many passages were ``read``; none where nothing was found."""

    question: str
    answers: tuple[OpenAnswer, ...]
    read: int

    def to_json(self) -> JSON:
        """Return this as JSON."""
        answers = [
            {"answer": its.answer, "score": its.score, "support": [vars(one) for one in its.support]} for its in self.answers
        ]
        return {"question": self.question, "answers": answers, "read": self.read}


class RetrievalReader:
    """Answers questions from the collection that ``retriever`` searches, by ``model``, one that `finetune` made for qa.

    The likeliest piece is always given, also by a model that has learnt that there may be no answer: the ``score`` says how
    likely it is. Of every question ``k`` passages are read, as many as there are where there are fewer; one that was found and
    deleted meanwhile is read as it was found. Items without a text cannot be read and are passed over.
    """

    def __init__(
        self, retriever: Retriever, model: FineTuned | str | os.PathLike[str], *, k: int = 10, temperature: float = TEMPERATURE
    ) -> None:
        its = model if isinstance(model, FineTuned) else load_model(model)
        if not isinstance(its, FineTuned) or not isinstance(its.task, QuestionAnswering):
            raise OptionError(f"a reader wants a model that 'semvec finetune qa' made, and this one is for {its.task.name}")
        if k < 1 or not temperature > 0:
            raise OptionError(f"k must be at least 1 and the temperature more than 0, not {k!r} and {temperature!r}")
        self.retriever, self.model, self.k, self.temperature = retriever, its, k, temperature

    def ask(self, questions: Sequence[str], *, most: int = 1, progress: Progress | None = None, **options: Any) -> list[Asked]:
        """Return the ``most`` likeliest answers of each of ``questions``; ``options`` are those of the retriever's search.

        Raises `InputError` for an empty collection, `StoreError` where none of the passages found has a text, and what the
        search raises.
        """
        if isinstance(questions, str):
            raise InputError("questions must be a list of texts, not one string: ask([question])")
        if most < 1:
            raise OptionError(f"most must be at least 1, not {most!r}")
        if not self.retriever.collection.count():
            raise InputError("the collection is empty, so there is nothing to read")
        return self.read(self.retriever.search(questions, self.k, **options), most=most, progress=progress)

    def read(self, found: Sequence[Hits], *, most: int = 1, progress: Progress | None = None) -> list[Asked]:
        """Return the ``most`` likeliest answers of the queries of ``found``, of the passages found for each."""
        passages = [[hit for hit in hits if hit.text and hit.text.strip()] for hits in found]
        if any(found) and not any(passages):
            raise StoreError(
                "none of the passages found has a text: the collection keeps vectors alone, and a reader wants texts"
            )
        pairs = [(str(hits.query), hit) for hits, its in zip(found, passages, strict=True) for hit in its]
        spans = iter(self._spans(pairs, progress))
        asked = []
        for hits, its in zip(found, passages, strict=True):
            prior = passage_shares([hit.score for hit in its], self.temperature)
            candidates = [(hit, float(share), next(spans)) for hit, share in zip(its, prior, strict=True)]
            asked.append(Asked(str(hits.query), tuple(_weighed(candidates)[:most]), len(its)))
        return asked

    def _spans(self, pairs: Sequence[tuple[str, Hit]], progress: Progress | None) -> list[list[tuple[int, int, float]]]:
        """Return where the best answers begin and end in every passage, and how likely each is there."""
        if not pairs:
            return []
        questions, contexts = [question for question, _ in pairs], [str(hit.text) for _, hit in pairs]
        n = len(pairs)
        examples = Questions([str(at) for at in range(n)], questions, contexts, [[] for _ in range(n)], [""] * n)
        windows = self.model.windows(examples, labelled=False)
        logits = self.model.logits(windows, progress)
        masses = np.full((n, 2), -np.inf)  # of all first and last tokens of a passage, and of no answer, whatever its windows
        for window, its in zip(windows, logits, strict=True):
            masses[window.owner] = np.logaddexp(masses[window.owner], logsumexp(answerable(window, its), axis=0))
        found: list[dict[tuple[int, int], float]] = [{} for _ in range(n)]
        for window, its in zip(windows, logits, strict=True):
            its_own = found[window.owner]
            for span in best_spans(window, its, SPANS):
                place = span.start, span.end
                its_own[place] = max(its_own.get(place, 0.0), float(np.exp(span.score - masses[window.owner].sum())))
        return [sorted(((*place, sure) for place, sure in its.items()), key=lambda one: -one[2])[:SPANS] for its in found]


def passage_shares(scores: Sequence[float], temperature: float) -> NDArray[np.float64]:
    """Return p(passage | question) of those found with these ``scores``, on any scale.

    The softmax of the scores brought to 0 (the worst found) to 1 (the best), over ``temperature``: what counts is how far a
    passage stands out among those that are read with it.
    """
    its = np.asarray(scores, dtype=np.float64)
    if not len(its):
        return its
    spread = its.max() - its.min()
    return np.asarray(softmax((its - its.max()) / (spread * temperature) if spread > 0 else np.zeros(len(its))))


def _weighed(candidates: Sequence[tuple[Hit, float, list[tuple[int, int, float]]]]) -> list[OpenAnswer]:
    """Return the answers of all passages, each once, the likeliest first; of equal ones that of the better passage."""
    groups: dict[str, dict[str, tuple[float, Hit, float, tuple[int, int, float]]]] = {}
    for hit, prior, spans in candidates:
        for start, end, read in spans:  # the likeliest first: where else a passage says the same adds to it
            text = str(hit.text)[start:end]
            group = groups.setdefault(normalised(text) or text, {})
            _, _, _, best = group.get(hit.id, (0.0, hit, prior, (start, end, 0.0)))
            group[hit.id] = (prior * (best[2] + read), hit, prior, (best[0], best[1], best[2] + read))
    answers = []
    for group in groups.values():
        its = sorted(group.values(), key=lambda one: -one[0])
        total = sum(product for product, *_ in its)
        support = tuple(
            Support(hit.id, str(hit.text), start, end, prior, read, product / total if total > 0 else 0.0)
            for product, hit, prior, (start, end, read) in its
        )
        answers.append(OpenAnswer(support[0].text[support[0].start : support[0].end], float(total), support))
    return sorted(answers, key=lambda one: -one.score)
