"""Questions about texts, answered by a piece of the text: the layout of SQuAD, 1.1 and 2.0."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from semvec.errors import InputError
from semvec.text.columns import require_some
from semvec.text.document import flaw
from semvec.text.sources import Source
from semvec.types import JSON


@dataclass(frozen=True)
class Questions:
    """Questions, the text that each is about, and its right answers: where they begin, and what they say.

    A question without answers cannot be answered from its text. ``titles`` are the articles that the texts are from.
    """

    ids: list[str]
    questions: list[str]
    contexts: list[str]
    answers: list[list[tuple[int, str]]]
    titles: list[str]

    def __len__(self) -> int:
        return len(self.ids)


def read_questions(path: str | os.PathLike[str]) -> Questions:
    """Return the questions of a ``.json`` file in SQuAD's layout, packed or not.

    An answer that does not stand in its text where ``answer_start`` says is taken from where it does, the nearest place.
    Raises `InputError`, which says which question, for an answer that is not in its text and for what is no such file.
    """
    name = os.fspath(path)
    with Source(name, "file", name, name).open() as stream:
        raw = stream.read()
    at = "its beginning"
    try:
        articles = json.loads(raw)["data"]
        found = Questions([], [], [], [], [])
        at = "data"
        for a, article in enumerate(articles):
            at = f"data[{a}]"
            for p, paragraph in enumerate(article["paragraphs"]):
                at = f"data[{a}].paragraphs[{p}]"
                for q, question in enumerate(paragraph["qas"]):
                    at = f"data[{a}].paragraphs[{p}].qas[{q}]"
                    _add(found, name, article, paragraph["context"], question)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{name}, {at}: not in SQuAD's layout (data, paragraphs, qas, answers): {what:.120}") from None
    require_some(path, found.ids, "questions")
    return found


def _add(found: Questions, name: str, article: JSON, context: str, question: JSON) -> None:
    at = str(question.get("id", len(found.ids)))
    for text in (context, question["question"]):
        if reason := flaw(text):
            raise InputError(f"{name}, question {at!r}: {reason}")
    answers = []
    for answer in question.get("answers") or []:
        start, text = int(answer.get("answer_start", 0)), answer["text"]
        if context[start : start + len(text)] != text:
            places = [place for place in range(len(context)) if context.startswith(text, place)]
            if not text or not places:
                raise InputError(f"{name}, question {at!r}: the answer {text!r:.60} does not stand in its text")
            start = min(places, key=lambda place: abs(place - start))
        answers.append((start, text))
    found.ids.append(at)
    found.questions.append(question["question"])
    found.contexts.append(context)
    found.answers.append(answers)
    found.titles.append(str(article.get("title", "")))
