"""A tagger that looks things up: it reads, behind each sentence, others like it and what is tagged in them.

After Wang and others, "Improving named entity recognition by external context retrieving" (arXiv:2105.03654).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from semvec.augment.described import MODEL, Described
from semvec.augment.examples import FoundSentences, beside, notes, sentences
from semvec.augment.looks_up import LooksUp, open_parts
from semvec.augment.memory import Memory, as_evidence, without
from semvec.errors import InputError
from semvec.finetune.model import FineTuned
from semvec.finetune.tag import Tag
from semvec.finetune.task import Answer, Findings
from semvec.finetune.tuned import Loading
from semvec.finetune.windows import Window
from semvec.results import Hits
from semvec.text.document import is_text
from semvec.text.tagged import OUTSIDE, TaggedSentences
from semvec.types import JSON


@dataclass
class Helped(FineTuned):
    """A tagger whose sentences come with their neighbours (`FoundSentences`), which it reads behind them where there is room."""

    def windows(self, examples: FoundSentences, *, labelled: bool) -> list[Window]:  # type: ignore[override]
        reader, end = self.reader, self.encoder.transformer.tokenizer.suffix
        behind = [its.ids for its in reader.tokens([beside(hits) for hits in examples.hits])]
        made = []
        for window in super().windows(examples, labelled=labelled):
            ids = window.inputs["ids"]
            room = max(0, self.config.max_tokens - len(ids) - len(end))
            if room and len(behind[window.owner]):
                ids = np.concatenate([ids, behind[window.owner][:room], np.asarray(end, dtype=np.int64)])
            made.append(Window(window.owner, {**window.inputs, "ids": ids}, window.known))
        return made


class RetrievalAugmentedTagger(LooksUp):
    """Tags the words of sentences, with what it finds in its memory. Made by `semvec.augment.train.train` with the task tag."""

    def __init__(self, model: Helped, memory: Memory, described: Described, held: ExitStack | None = None) -> None:
        super().__init__(memory, described, held)
        self.model = model

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, encoder: str | None = None, device: str | None = None) -> Self:
        """Return the tagger in ``folder``; see `RetrievalAugmentedClassifier.open`."""
        with ExitStack() as held:
            its = open_parts(folder, "tag", held, encoder=encoder, device=device)
            model: Any = Helped.load(Tag(), its.place / MODEL, its.about, Loading(device))
            made = cls(model, its.memory, its.described, held.pop_all())
        made.folder = its.place
        return made

    def predict(self, words: Sequence[Sequence[str]], *, return_evidence: bool = False) -> list[Answer]:
        """Return the tags of the ``words`` of each sentence, as `Tag` says them.

        With ``return_evidence`` every answer has its ``neighbours``: id, text, what is noted of its tags, score, and
        ``influence``, by how much the tags that were said, other than O, are less likely without it, on average.
        """
        if isinstance(words, str) or not all(isinstance(its, list | tuple) and all(map(is_text, its)) for its in words):
            raise InputError("sentences are lists of words: predict([['Where', 'is', 'Paris', '?']])")
        if not len(words):
            return []
        hits = self._found(sentences(words), self.described.retrieval.k)
        answers = [dict(its) for its in self.tagged(words, hits)]
        if return_evidence:
            for answer, its in zip(answers, self._influences(words, hits, answers), strict=True):
                answer["neighbours"] = its
        return list(answers)

    def alone(self, words: Sequence[Sequence[str]]) -> list[Answer]:
        """Return the tags of sentences where nothing is found."""
        return self.tagged(words, [Hits(())] * len(words))

    def tagged(self, words: Sequence[Sequence[str]], hits: Sequence[Hits]) -> list[Answer]:
        """Return the tags of sentences whose neighbours are ``hits``."""
        lists = [list(its) for its in words]
        return self.model.predict(FoundSentences(lists, [[OUTSIDE] * len(its) for its in lists], hits))

    def look(self, examples: TaggedSentences) -> list[Hits]:
        return self._found(sentences(examples.words), self.described.retrieval.k)

    def measured(self, examples: TaggedSentences, hits: Sequence[Hits] | None = None) -> Findings:
        said = self.tagged(examples.words, self.look(examples) if hits is None else hits)
        return self.model.task.findings(examples, said, self.model.config)

    def add(self, examples: TaggedSentences, ids: Sequence[str] | None = None) -> list[str]:
        """Write tagged sentences into the memory, without any training, and return their ids; a tag for each word."""
        for words, tags in zip(examples.words, examples.tags, strict=True):
            if len(words) != len(tags):
                raise InputError(f"{len(words)} words and {len(tags)} tags: {' '.join(words)!r:.60}")
        return self._write(sentences(examples.words), notes(examples), ids)

    def _influences(self, words: Sequence[Sequence[str]], hits: Sequence[Hits], answers: Sequence[Answer]) -> list[list[JSON]]:
        found: list[list[JSON]] = [[] for _ in words]
        for at in range(max(map(len, hits), default=0)):
            less = self.tagged(words, [without(its, at) for its in hits])
            for row, its, one, other in zip(found, hits, answers, less, strict=True):
                if at < len(its):
                    row.append(as_evidence(its[at], _lost(one, other)))
        return found


def _lost(one: Answer, other: Answer) -> float:
    """Return by how much the tags of ``one``, other than O, are less likely in ``other``, on average."""
    words = zip(one["tags"], one["scores"], other["tags"], other["scores"], strict=True)
    lost = [score - (again if tag == said else 0.0) for tag, score, said, again in words if tag != OUTSIDE]
    return float(np.mean(lost)) if lost else 0.0
