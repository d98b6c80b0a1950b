"""Text classification: a label a text, or any number of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from semvec.errors import InputError, OptionError
from semvec.finetune.heads import Head
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.routed import label_head
from semvec.finetune.task import (
    Answer,
    ClassRow,
    Findings,
    HeadConfig,
    HeadTask,
    Logits,
    class_rows,
    mean_by_owner,
    rows_of,
)
from semvec.finetune.windows import Reader, Window
from semvec.measures.basic import macro_f1, mean
from semvec.measures.intervals import Numbers, Outcome
from semvec.text.columns import one_source, read_columns, require_some
from semvec.text.document import Document
from semvec.text.documents import read_documents
from semvec.text.examples import LABELLED, LabelledTexts, ManyLabelled, read_labelled, read_many_labelled
from semvec.text.readers import ReadOptions
from semvec.text.sources import find_sources

Texts = LabelledTexts | ManyLabelled
HALF = 0.5


class Classify(HeadTask[Texts]):
    """Texts → a label each, or any number of labels each (``many``), which are then said from a half on."""

    name = "classify"

    def measures(self, config: HeadConfig) -> tuple[str, ...]:
        return ("micro F1", "macro F1", "exact match") if config.many else ("accuracy", "macro F1")

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Texts:
        return (read_many_labelled if options.many else read_labelled)(path, options.columns)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Texts:
        texts = read_texts(path, options.columns.get("text"))
        return LabelledTexts(texts, [""] * len(texts))

    def config(self, examples: Texts, options: FinetuneOptions) -> HeadConfig:
        if options.many and (options.balanced or options.label_smoothing):
            raise OptionError("balanced and label_smoothing go with one label a text, not with many")
        counts = Counter(label for labels in _lists(examples) for label in labels)
        check_labels(counts, len(examples))
        return HeadConfig(labels=tuple(sorted(counts)), many=options.many)

    def check(self, examples: Texts, config: HeadConfig, where: str) -> None:
        check_known(self.labels_of(examples, config), config, where)

    def labels_of(self, examples: Texts, config: HeadConfig) -> set[str]:
        return {label for labels in _lists(examples) for label in labels}

    def head(self, config: HeadConfig, dim: int, options: FinetuneOptions, examples: Texts | None = None) -> Head:
        weights = None
        if options.balanced and examples is not None and not config.many:
            weights = balance(examples.labels, config.labels)  # type: ignore[arg-type]
        smoothing = options.label_smoothing
        return label_head(config, dim, len(config.labels), many=config.many, smoothing=smoothing, weights=weights)

    def windows(self, examples: Texts, reader: Reader, config: HeadConfig, *, labelled: bool) -> list[Window]:
        found, number = [], {label: at for at, label in enumerate(config.labels)}
        for at, tokens in enumerate(reader.tokens(examples.texts)):
            labels: dict[str, Any] = {}
            if labelled and config.many:
                labels["labels"] = np.array([float(label in examples.labels[at]) for label in config.labels], np.float32)
            elif labelled:
                labels["labels"] = np.array(number[str(examples.labels[at])])
            found += [Window(at, {"ids": ids, **labels}) for ids, _ in reader.framed(tokens)]
        return found

    def answers(
        self, logits: Sequence[Logits], windows: Sequence[Window], examples: Texts, config: HeadConfig, head: Head
    ) -> list[Answer]:
        whole = mean_by_owner(logits, windows, len(examples))
        if config.many:
            return [many_answer(row, config.labels) for row in expit(whole)]
        return [label_answer(row, config.labels) for row in softmax(whole, axis=-1)]

    def findings(self, examples: Texts, answers: Sequence[Answer], config: HeadConfig) -> Findings:
        if config.many:
            return many_findings([set(labels) for labels in _lists(examples)], answers, config.labels)
        return label_findings([str(label) for label in examples.labels], answers, config.labels)

    def simplest(self, examples: Texts, config: HeadConfig) -> tuple[str, list[Answer]] | None:
        return None if config.many else commonest([str(label) for label in examples.labels])

    def strata(self, examples: Texts) -> Sequence[str]:
        return ["|".join(labels) for labels in _lists(examples)]


def read_texts(path: str | os.PathLike[str], column: str | None = None) -> list[str]:
    """Return the texts of a file: its lines, blank ones included, or the ``column`` of a table that is called text or so."""
    if one_source(path).kind != "lines":
        columns = {} if column is None else {"text": column}
        texts = [row.text(0) for row in read_columns(path, {"text": LABELLED["text"]}, columns=columns)]
        require_some(path, texts, "texts")
        return texts
    texts = []
    for item in read_documents(find_sources([os.fspath(path)]), ReadOptions(ids=False, keep_blank=True)):
        if not isinstance(item, Document):
            raise InputError(f"{item.where}: {item.reason}")
        texts.append(item.text)
    if not texts:
        raise InputError(f"{os.fspath(path)}: holds no texts")
    return texts


def check_labels(counts: Counter[str], examples: int) -> None:
    """Raise `InputError` where there are fewer than two labels to tell apart."""
    if len(counts) < 2:
        what = f"all {examples:,} examples have the label {next(iter(counts))!r:.60}" if counts else "no example has a label"
        raise InputError(f"{what}: two are needed to learn a difference")


def check_known(labels: Iterable[str], config: HeadConfig, where: str) -> None:
    """Raise `InputError` where one of ``labels`` is none of those learnt."""
    if unknown := sorted(set(labels) - set(config.labels)):
        some = ", ".join(map(repr, config.labels[:8])) + (", …" if len(config.labels) > 8 else "")
        raise InputError(f"{where}: the label {unknown[0]!r:.60} is in no training example; there are {some}")


def balance(labels: Sequence[str], known: Sequence[str]) -> list[float]:
    """Return what each of ``known`` labels counts for, so that all together count as much."""
    counts = Counter(labels)
    return [len(labels) / (len(known) * max(counts[label], 1)) for label in known]


def commonest(labels: Sequence[str]) -> tuple[str, list[Answer]]:
    """Return the answers of what always says the commonest of ``labels``, and what that is called."""
    return "always the commonest", [{"label": Counter(labels).most_common(1)[0][0]}] * len(labels)


def label_answer(shares: Logits, labels: Sequence[str]) -> Answer:
    """Return the likeliest label, how likely it is, and how likely all are."""
    best = int(shares.argmax())
    return {"label": labels[best], "score": float(shares[best]), "scores": dict(zip(labels, shares.tolist(), strict=True))}


def many_answer(shares: Logits, labels: Sequence[str]) -> Answer:
    """Return the labels that are at least as likely as not, and how likely all are."""
    scores = dict(zip(labels, shares.tolist(), strict=True))
    return {"labels": [label for label, share in scores.items() if share >= HALF], "scores": scores}


def label_findings(gold: Sequence[str], answers: Sequence[Answer], labels: Sequence[str]) -> Findings:
    """Return accuracy and macro F1, a row a label, and who was taken for whom."""
    number = {label: at for at, label in enumerate(labels)}
    true = np.array([number[label] for label in gold], dtype=np.int64)
    said = np.array([number[answer["label"]] for answer in answers], dtype=np.int64)
    n = len(labels)
    return Findings(
        (Outcome.over_all("accuracy", mean, (true == said).astype(float)), Outcome.over_all("macro F1", macro_f1, true, said)),
        class_rows(true, said, labels),
        tuple(labels),
        np.bincount(true * n + said, minlength=n * n).reshape(n, n),
    )


def many_findings(gold: Sequence[set[str]], answers: Sequence[Answer], labels: Sequence[str]) -> Findings:
    """Return micro and macro F1 over all labels, how many texts have just the right ones, and a row a label."""
    true = np.array([[label in its for label in labels] for its in gold])
    said = np.array([[label in answer["labels"] for label in labels] for answer in answers])
    rows: tuple[ClassRow, ...] = rows_of((true & said).sum(0), said.sum(0), true.sum(0), labels)
    return Findings(
        (
            Outcome.over_all("micro F1", micro_f1, true, said),
            Outcome.over_all("macro F1", macro_f1_of_many, true, said),
            Outcome.over_all("exact match", mean, (true == said).all(axis=1).astype(float)),
        ),
        rows,
    )


def micro_f1(true: Numbers, said: Numbers) -> float:
    """Return the F1 of all labels of all texts together, ``true`` and ``said`` (texts, labels)."""
    return float(2 * (true & said).sum() / max(true.sum() + said.sum(), 1))


def macro_f1_of_many(true: Numbers, said: Numbers) -> float:
    """Return the mean of the F1 of every label that is true or said of a text."""
    both, there = 2 * (true & said).sum(0), true.sum(0) + said.sum(0)
    if not there.any():
        raise InputError("no label is there, so there is no F1")
    return float((both[there > 0] / there[there > 0]).mean())


def _lists(examples: Texts) -> list[tuple[str, ...]]:
    """Return the labels of every example."""
    return [labels if isinstance(labels, tuple) else (labels,) for labels in examples.labels]
