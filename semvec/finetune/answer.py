"""Extractive question answering: which piece of a text answers a question about it."""

from __future__ import annotations

import os
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from semvec.errors import InputError, OptionError
from semvec.finetune.heads import AnswerHead, Head
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import Answer, Findings, HeadConfig, HeadTask, Logits
from semvec.finetune.windows import Reader, Window
from semvec.measures.basic import mean
from semvec.measures.intervals import Outcome
from semvec.text.columns import read_columns, require_some
from semvec.text.questions import Questions, read_questions

LONGEST = 30
"""The most tokens of an answer (SQuAD's are shorter)."""

CANDIDATES = 20
ARTICLES = re.compile(r"\b(a|an|the)\b")


class QuestionAnswering(HeadTask[Questions]):
    """Questions and the texts they are about → the piece of the text that answers; none where there is none."""

    name = "qa"
    suffixes = (".json",)
    reads = 384

    def measures(self, config: HeadConfig) -> tuple[str, ...]:
        return ("F1", "exact match")

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Questions:
        return read_questions(path)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Questions:
        if os.fspath(path).removesuffix(".gz").endswith(".json"):
            return read_questions(path)
        names = {"question": ("question", "query"), "context": ("context", "text", "passage")}
        rows = [(row.text(0), row.text(1)) for row in read_columns(path, names, columns=options.input_columns)]
        require_some(path, rows, "questions")
        ids = [str(at + 1) for at in range(len(rows))]
        return Questions(ids, [one for one, _ in rows], [two for _, two in rows], [[] for _ in rows], [""] * len(rows))

    def config(self, examples: Questions, options: FinetuneOptions) -> HeadConfig:
        if options.knn:
            raise OptionError("knn goes with labels, and questions have none")
        if not any(examples.answers):
            raise InputError("no question has an answer to learn from")
        return HeadConfig(unanswerable=not all(examples.answers))

    def check(self, examples: Questions, config: HeadConfig, where: str) -> None:
        if not config.unanswerable and not all(examples.answers):
            raise InputError(f"{where}: has questions without an answer, and none such was learnt from")

    def head(self, config: HeadConfig, dim: int, options: FinetuneOptions, examples: Questions | None = None) -> Head:
        return AnswerHead(dim, config.dropout)

    def windows(self, examples: Questions, reader: Reader, config: HeadConfig, *, labelled: bool) -> list[Window]:
        found = []
        contexts = dict.fromkeys(examples.contexts)
        read = dict(zip(contexts, reader.tokens(list(contexts)), strict=True))
        for at, question in enumerate(reader.tokens(examples.questions)):
            tokens = read[examples.contexts[at]]
            answers = examples.answers[at]
            span = _tokens_of(answers[0], tokens.start, tokens.end) if labelled and answers else None
            for ids, types, window, begin in reader.paired(question, tokens):
                may_be = np.zeros(len(ids), dtype=np.int64)
                may_be[0] = 1
                may_be[begin : begin + window.end - window.start] = 1
                inputs = {"ids": ids, "may_be": may_be, **({"types": types} if reader.types else {})}
                if labelled:
                    inside = span is not None and window.start <= span[0] and span[1] < window.end
                    inputs["labels"] = np.array([edge - window.start + begin for edge in span] if inside and span else [0, 0])
                edges = tokens.start[window.start : window.end], tokens.end[window.start : window.end]
                found.append(Window(at, inputs, {"begin": begin, "start": edges[0], "end": edges[1]}))
        return found

    def answers(
        self, logits: Sequence[Logits], windows: Sequence[Window], examples: Questions, config: HeadConfig, head: Head
    ) -> list[Answer]:
        best: list[Span | None] = [None] * len(examples)
        nothing = [np.inf] * len(examples)
        for window, its in zip(windows, logits, strict=True):
            nothing[window.owner] = min(nothing[window.owner], float(its[0].sum()))
            both = [best[window.owner], *best_spans(window, its, 1)]
            best[window.owner] = max((span for span in both if span), key=lambda span: span.score, default=None)
        found: list[Answer] = []
        for at, span in enumerate(best):
            if span is None or (config.unanswerable and nothing[at] > span.score):
                found.append({"answer": "", "start": None, "end": None, "score": 1 - (span.sure if span else 0.0)})
            else:
                answer = examples.contexts[at][span.start : span.end]
                found.append({"answer": answer, "start": span.start, "end": span.end, "score": span.sure})
        return found

    def findings(self, examples: Questions, answers: Sequence[Answer], config: HeadConfig) -> Findings:
        f1, exact = [], []
        for gold, answer in zip(examples.answers, answers, strict=True):
            right = [text for _, text in gold] or [""]
            f1.append(max(token_f1(text, answer["answer"]) for text in right))
            exact.append(max(float(normalised(text) == normalised(answer["answer"])) for text in right))
        return Findings((Outcome.over_all("F1", mean, np.array(f1)), Outcome.over_all("exact match", mean, np.array(exact))))

    def groups(self, examples: Questions) -> Sequence[str]:
        return [title or context for title, context in zip(examples.titles, examples.contexts, strict=True)]


def _tokens_of(answer: tuple[int, str], start: NDArray[np.int32], end: NDArray[np.int32]) -> tuple[int, int]:
    """Return the first and the last token of an answer."""
    inside = np.flatnonzero((end > answer[0]) & (start < answer[0] + len(answer[1])))
    return (int(inside[0]), int(inside[-1])) if len(inside) else (0, 0)


@dataclass(frozen=True)
class Span:
    """An answer, the characters ``start`` to ``end`` of a text: its ``score`` in logits, and how ``sure`` it is, from 0 to 1."""

    score: float
    sure: float
    start: int
    end: int


def best_spans(window: Window, logits: Logits, most: int) -> list[Span]:
    """Return the ``most`` best answers in a window of which the head says ``logits`` (length, 2), the best first.

    None is longer than `LONGEST` tokens; ``sure`` is the probability of its first token times that of its last, against all
    others of the window and against no answer.
    """
    starts, ends, among = window.known["start"], window.known["end"], answerable(window, logits)
    shares, tokens = softmax(among, axis=0), among[1:]
    firsts, lasts = (np.argsort(-tokens[:, at], kind="stable")[:CANDIDATES] for at in range(2))
    pairs = [(float(tokens[i, 0] + tokens[j, 1]), int(i), int(j)) for i in firsts for j in lasts if 0 <= j - i < LONGEST]
    pairs.sort(key=lambda pair: -pair[0])
    return [Span(score, float(shares[i + 1, 0] * shares[j + 1, 1]), int(starts[i]), int(ends[j])) for score, i, j in pairs[:most]]


def answerable(window: Window, logits: Logits) -> Logits:
    """Return of ``logits`` (length, 2) those of no answer and of the text's tokens (1 + n, 2)."""
    begin = window.known["begin"]
    return logits[[0, *range(begin, begin + len(window.known["start"]))]]


@lru_cache(1 << 16)
def normalised(text: str) -> str:
    """Return ``text`` as SQuAD compares answers: in lower case, without punctuation, articles and more than single blanks."""
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", bare).split())


def token_f1(gold: str, said: str) -> float:
    """Return the F1 of the words of two answers, as SQuAD has it (arXiv:1606.05250); 1 where both say nothing."""
    one, other = normalised(gold).split(), normalised(said).split()
    if not one or not other:
        return float(one == other)
    shared = sum((Counter(one) & Counter(other)).values())
    return 2 * shared / (len(one) + len(other))
