"""Relation classification: how the first of two marked pieces of a text stands to the second."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from semvec.errors import InputError
from semvec.finetune.classify import balance, check_known, check_labels, commonest, label_answer, label_findings
from semvec.finetune.heads import Head, RelationHead
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import Answer, Findings, HeadConfig, HeadTask, Logits
from semvec.finetune.windows import Reader, Window
from semvec.measures.intervals import Numbers, Outcome
from semvec.text.relations import NO_RELATION, Relations, read_relations
from semvec.text.words import Span
from semvec.types import JSON

MARKS = ("$", "#")
"""What stands around the first and the second piece, as in R-BERT, where the tokenizer knows it."""


class Relation(HeadTask[Relations]):
    """Texts with two marked pieces → their relation, from the pooled text and the vectors of both pieces."""

    name = "relation"

    def measures(self, config: HeadConfig) -> tuple[str, ...]:
        return ("macro F1", "accuracy")

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Relations:
        return read_relations(path, options.columns)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Relations:
        return read_relations(path, options.input_columns, labelled=False)

    def config(self, examples: Relations, options: FinetuneOptions) -> HeadConfig:
        counts = Counter(examples.labels)
        check_labels(counts, len(examples))
        return HeadConfig(labels=tuple(sorted(counts)))

    def check(self, examples: Relations, config: HeadConfig, where: str) -> None:
        check_known(self.labels_of(examples, config), config, where)

    def labels_of(self, examples: Relations, config: HeadConfig) -> set[str]:
        return set(examples.labels)

    def head(self, config: HeadConfig, dim: int, options: FinetuneOptions, examples: Relations | None = None) -> Head:
        weights = balance(examples.labels, config.labels) if options.balanced and examples is not None else None
        return RelationHead(
            dim,
            len(config.labels),
            config.dropout,
            config.pooling,
            smoothing=options.label_smoothing,
            weights=weights,  # type: ignore[arg-type]
        )

    def windows(self, examples: Relations, reader: Reader, config: HeadConfig, *, labelled: bool) -> list[Window]:
        number = {label: at for at, label in enumerate(config.labels)}
        marks = MARKS if _knows(reader, MARKS) else ("", "")
        marked = [mark(*its, marks) for its in zip(examples.texts, examples.first, examples.second, strict=True)]
        front, back = len(reader.tokenizer.prefix), len(reader.tokenizer.suffix)
        room, found = reader.room(front + back), []
        for at, tokens in enumerate(reader.tokens([text for text, _ in marked])):
            spans = np.array([_tokens_of(span, tokens.start, tokens.end) for span in marked[at][1]])
            first, last = int(spans[:, 0].min()), int(spans[:, 1].max())
            if last - first > room:
                apart = f"its entities are {last - first:,} tokens apart where {room:,} are read at once"
                raise InputError(f"example {at + 1}: {apart}")
            start = max(0, min((first + last - room) // 2, len(tokens.ids) - room))
            body = tokens.ids[start : start + room]
            ids = np.concatenate([reader.tokenizer.prefix, body, reader.tokenizer.suffix]).astype(np.int64)
            inputs = {"ids": ids, "spans": spans - start + front}
            if labelled:
                inputs["labels"] = np.array(number[examples.labels[at]])
            found.append(Window(at, inputs))
        return found

    def answers(
        self, logits: Sequence[Logits], windows: Sequence[Window], examples: Relations, config: HeadConfig, head: Head
    ) -> list[Answer]:
        return [label_answer(softmax(row), config.labels) for row in logits]

    def findings(self, examples: Relations, answers: Sequence[Answer], config: HeadConfig) -> Findings:
        found = label_findings(examples.labels, answers, config.labels)
        gold, said = (np.array(its) for its in (examples.labels, [answer["label"] for answer in answers]))
        official = Outcome.over_all("macro F1", directed_macro_f1, gold, said)
        note = f"macro F1 is over all relations but {NO_RELATION!r}; one found in the wrong direction is wrong"
        return Findings((official, found.outcomes[0]), found.rows, found.classes, found.confusion, (note,))

    def simplest(self, examples: Relations, config: HeadConfig) -> tuple[str, list[Answer]]:
        return commonest(examples.labels)

    def shown(self, examples: Relations, at: int) -> dict[str, JSON]:
        return {"text": examples.texts[at], "e1": list(examples.first[at]), "e2": list(examples.second[at])}

    def strata(self, examples: Relations) -> Sequence[str]:
        return examples.labels


def mark(text: str, first: Span, second: Span, marks: tuple[str, str]) -> tuple[str, list[Span]]:
    """Return ``text`` with ``marks`` around both pieces, and where these are in it."""
    signs = sorted([(first, marks[0], 0), (second, marks[1], 1)])
    made, at, places = "", 0, [(0, 0), (0, 0)]
    for (start, end), sign, which in signs:
        begin = max(start, at)
        made += text[at:begin] + (f" {sign} " if sign else "")
        places[which] = (len(made), len(made) + end - begin)
        made += text[begin:end] + (f" {sign} " if sign else "")
        at = max(end, at)
    return made + text[at:], places


def _knows(reader: Reader, signs: Sequence[str]) -> bool:
    """Whether the tokenizer has tokens of their own for all of ``signs``."""
    [blank] = reader.tokenizer(["\ue000"])
    return all(len(tokens.ids) and tokens.ids.tolist() != blank.ids.tolist() for tokens in reader.tokenizer(list(signs)))


def _tokens_of(span: Span, start: NDArray[np.int32], end: NDArray[np.int32]) -> tuple[int, int]:
    """Return which tokens share a character with ``span``; the nearest one where none does."""
    inside = np.flatnonzero((end > span[0]) & (start < span[1]) & (end > start))
    if not len(inside):
        nearest = int(np.abs(start - span[0]).argmin()) if len(start) else 0
        return nearest, nearest + 1
    return int(inside[0]), int(inside[-1]) + 1


def directed_macro_f1(gold: Numbers, said: Numbers) -> float:
    """Return the official measure of SemEval-2010 task 8: the mean F1 of all relations but Other, directions told apart.

    Both directions of a relation count together, and one that is found the wrong way round is not right.
    """
    of_gold, of_said = (np.array([str(label).partition("(")[0] for label in its]) for its in (gold, said))
    scores = []
    for name in sorted((set(of_gold) | set(of_said)) - {NO_RELATION}):
        right = int(((of_gold == name) & (gold == said)).sum())
        there = int((of_gold == name).sum() + (of_said == name).sum())
        scores.append(2 * right / there)
    if not scores:
        raise InputError("no relation is there, so there is no F1")
    return float(np.mean(scores))
