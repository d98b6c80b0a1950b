"""Extractive question answering: which piece of a text answers a question about it."""

from __future__ import annotations

import os
import re
import string
from collections import Counter
from collections.abc import Sequence
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
        best: list[tuple[float, float, tuple[int, int] | None]] = [(-np.inf, 0.0, None)] * len(examples)
        nothing = [np.inf] * len(examples)
        for window, its in zip(windows, logits, strict=True):
            known, at = window.known, window.owner
            n, begin = len(known["start"]), known["begin"]
            nothing[at] = min(nothing[at], float(its[0].sum()))
            score, span = best_span(its[begin : begin + n])
            if span is not None and score > best[at][0]:
                among = np.concatenate([its[:1], its[begin : begin + n]])
                sure = float(softmax(among[:, 0])[span[0] + 1] * softmax(among[:, 1])[span[1] + 1])
                best[at] = (score, sure, (int(known["start"][span[0]]), int(known["end"][span[1]])))
        found: list[Answer] = []
        for at, (score, sure, span) in enumerate(best):
            if span is None or (config.unanswerable and nothing[at] > score):
                found.append({"answer": "", "start": None, "end": None, "score": 1 - sure})
            else:
                found.append({"answer": examples.contexts[at][slice(*span)], "start": span[0], "end": span[1], "score": sure})
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


def best_span(logits: Logits) -> tuple[float, tuple[int, int] | None]:
    """Return the best score, and from which token to which, of ``logits`` (n, 2): no longer than `LONGEST` tokens."""
    starts, ends = (np.argsort(-logits[:, at])[:CANDIDATES] for at in range(2))
    spans = [(float(logits[i, 0] + logits[j, 1]), (int(i), int(j))) for i in starts for j in ends if 0 <= j - i < LONGEST]
    return max(spans, default=(-np.inf, None))


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
