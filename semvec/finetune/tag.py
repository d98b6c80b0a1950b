"""Tagging: names, keyphrases, parts of speech; a tag a word, scored by spans where the tags mark spans."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from semvec.errors import InputError
from semvec.finetune.classify import check_known, check_labels, read_texts
from semvec.finetune.crf import Crf, may_follow
from semvec.finetune.heads import Head, TagHead
from semvec.finetune.options import FinetuneOptions, Scheme
from semvec.finetune.task import Answer, ClassRow, Findings, HeadConfig, HeadTask, Logits, class_rows, rows_of
from semvec.finetune.windows import Reader, Window
from semvec.measures.basic import share
from semvec.measures.intervals import Outcome
from semvec.measures.spans import span_counts, span_f1
from semvec.text.columns import one_source
from semvec.text.tagged import (
    OUTSIDE,
    TaggedSentences,
    entities,
    marks_spans,
    read_tagged,
    read_tagged_rows,
    split_tokens,
    to_scheme,
)

COLUMNS = (".conll", ".iob2", ".bio", ".txt", ".tsv")


class Tag(HeadTask[TaggedSentences]):
    """Words → a tag each, from the vector of the first sub-word; ``crf`` learns which may follow which."""

    name = "tag"
    suffixes = (*COLUMNS, ".jsonl")
    frozen_layers = (-4, -3, -2, -1)

    def measures(self, config: HeadConfig) -> tuple[str, ...]:
        return ("span F1", "token accuracy") if marks_spans([config.labels]) else ("token accuracy",)

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> TaggedSentences:
        return read_tagged_rows(path, options.columns) if _is_rows(path) else read_tagged(path)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> TaggedSentences:
        if Path(path).suffix in COLUMNS[:-2] or _is_rows(path):
            return self.read(path, options)
        words = [its for text in read_texts(path, options.columns.get("text")) if (its := split_tokens(text))]
        return TaggedSentences(words, [[OUTSIDE] * len(its) for its in words])

    def config(self, examples: TaggedSentences, options: FinetuneOptions) -> HeadConfig:
        tags = examples.tags
        if marks_spans(tags):
            tags = [to_scheme(its, options.scheme) for its in tags]
            if not any(entities(its) for its in examples.tags):
                raise InputError("no span is marked in the training sentences: every word has the tag O")
            kinds = {entity.kind for its in examples.tags for entity in entities(its)}
            signs = "BI" if options.scheme == Scheme.BIO else "BIES"
            labels = {OUTSIDE, *(f"{sign}-{kind}" for kind in kinds for sign in signs)}
        elif options.crf or options.scheme != Scheme.BIO:
            raise InputError("the tags mark no spans (B-…, I-…, O), so crf and scheme have no meaning")
        else:
            counts = Counter(tag for its in tags for tag in its)
            check_labels(counts, sum(map(len, tags)))
            labels = set(counts)
        return HeadConfig(labels=tuple(sorted(labels)), scheme=options.scheme, crf=options.crf)

    def check(self, examples: TaggedSentences, config: HeadConfig, where: str) -> None:
        if marks_spans([config.labels]) and not marks_spans(examples.tags):
            raise InputError(f"{where}: its tags mark no spans (B-…, I-…, O), and spans were learnt")
        check_known(self.labels_of(examples, config), config, where)

    def labels_of(self, examples: TaggedSentences, config: HeadConfig) -> set[str]:
        return {tag for tags in _tags(examples, config) for tag in tags}

    def head(self, config: HeadConfig, dim: int, options: FinetuneOptions, examples: TaggedSentences | None = None) -> Head:
        crf = Crf(*may_follow(config.labels)) if config.crf else None
        return TagHead(dim, len(config.labels), config.dropout, crf)

    def windows(self, examples: TaggedSentences, reader: Reader, config: HeadConfig, *, labelled: bool) -> list[Window]:
        found, number = [], {label: at for at, label in enumerate(config.labels)}
        tags = _tags(examples, config) if labelled else examples.tags
        front = len(reader.tokenizer.prefix)
        for at, tokens in enumerate(reader.tokens([" ".join(words) for words in examples.words])):
            firsts = first_tokens(examples.words[at], tokens.start, tokens.end)
            for ids, window in reader.framed(tokens):
                own = np.flatnonzero((firsts >= window.own_start) & (firsts < window.own_end))
                if not len(own):
                    continue
                inputs = {"ids": ids, "places": firsts[own] - window.start + front}
                if labelled:
                    inputs["labels"] = np.array([number[tags[at][word]] for word in own])
                found.append(Window(at, inputs, {"words": own}))
        return found

    def answers(
        self, logits: Sequence[Logits], windows: Sequence[Window], examples: TaggedSentences, config: HeadConfig, head: Head
    ) -> list[Answer]:
        assert isinstance(head, TagHead)
        tags = [[OUTSIDE] * len(words) for words in examples.words]
        scores = [[1.0] * len(words) for words in examples.words]
        for window, its in zip(windows, logits, strict=True):
            words = window.known["words"]
            rows = its[: len(words)]
            path, shares = head.crf.best(rows) if head.crf is not None else rows.argmax(axis=1), softmax(rows, axis=-1)
            for word, tag, share_of in zip(words.tolist(), path.tolist(), shares, strict=True):
                tags[window.owner][word] = config.labels[tag]
                scores[window.owner][word] = float(share_of[tag])
        spans = marks_spans([config.labels])
        return [_answer(*each, spans) for each in zip(examples.words, tags, scores, strict=True)]

    def findings(self, examples: TaggedSentences, answers: Sequence[Answer], config: HeadConfig) -> Findings:
        said = [answer["tags"] for answer in answers]
        pairs = zip(examples.tags, said, strict=True)
        right = np.array([(sum(a == b for a, b in zip(*pair, strict=True)), len(pair[0])) for pair in pairs])
        words = Outcome.over_all("token accuracy", share, right)
        if not marks_spans([config.labels]):
            number = {label: at for at, label in enumerate(config.labels)}
            gold, guess = (np.array([number[tag] for tags in every for tag in tags]) for every in (examples.tags, said))
            return Findings((words,), class_rows(gold, guess, config.labels))
        spans = Outcome.over_all("span F1", span_f1, span_counts(examples.tags, said))
        outside = sum(tag == OUTSIDE for tags in examples.tags for tag in tags) / max(1, sum(map(len, examples.tags)))
        note = f"a tagger that says O of every word has {outside:.3f} token accuracy here, and 0 span F1"
        return Findings((spans, words), span_rows(examples.tags, said), notes=(note,))

    def strata(self, examples: TaggedSentences) -> Sequence[str]:
        return ["|".join(sorted({tag[2:] for tag in tags if tag != OUTSIDE})) for tags in examples.tags]


def _is_rows(path: str | os.PathLike[str]) -> bool:
    return one_source(path).kind == "jsonl"


def _tags(examples: TaggedSentences, config: HeadConfig) -> list[list[str]]:
    """Return the tags as the head learns them."""
    return [to_scheme(tags, config.scheme) for tags in examples.tags] if marks_spans([config.labels]) else examples.tags


def first_tokens(words: Sequence[str], start: NDArray[np.int32], end: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the number of the first token (words,) of each of ``words``, which blanks separate; -1 for one without any."""
    lengths = np.array([len(word) for word in words])
    ends = np.cumsum(lengths + 1) - 1
    starts = ends - lengths
    solid = np.flatnonzero(end > start)
    at = np.searchsorted(end[solid], starts, side="right")
    there = at < len(solid)
    firsts = np.full(len(words), -1, dtype=np.int64)
    firsts[there] = solid[at[there]]
    firsts[there] = np.where(start[firsts[there]] < ends[there], firsts[there], -1)
    return firsts


def _answer(words: list[str], tags: list[str], scores: list[float], spans: bool) -> Answer:
    answer: dict[str, object] = {"words": words, "tags": tags, "scores": scores}
    if spans:
        answer["tags"] = to_scheme(tags, Scheme.BIO)
        answer["entities"] = [
            {"kind": its.kind, "start": its.start, "end": its.end, "text": " ".join(words[its.start : its.end])}
            for its in entities(tags)
        ]
    return answer


def span_rows(gold: Sequence[list[str]], said: Sequence[list[str]]) -> tuple[ClassRow, ...]:
    """Return a row for every kind of span that is in ``gold`` or ``said``."""
    counts: dict[str, list[int]] = {}
    for tags, guess in zip(gold, said, strict=True):
        true, found = set(entities(tags)), set(entities(guess))
        for at, its in enumerate((true & found, found, true)):
            for entity in its:
                counts.setdefault(entity.kind, [0, 0, 0])[at] += 1
    kinds = sorted(counts)
    right, there, true_ = ([counts[kind][at] for kind in kinds] for at in range(3))
    return rows_of(right, there, true_, kinds)
