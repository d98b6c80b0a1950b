"""Pairs of texts, read together: a label (entailment, paraphrase) or a score (similarity) each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax

from semvec.errors import InputError, OptionError
from semvec.finetune.classify import balance, check_known, check_labels, commonest, label_answer, label_findings
from semvec.finetune.heads import Head
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.routed import label_head
from semvec.finetune.task import Answer, Findings, HeadConfig, HeadTask, Logits, mean_by_owner
from semvec.finetune.windows import Reader, Window
from semvec.measures.basic import pearson, spearman
from semvec.measures.intervals import Outcome
from semvec.text.columns import read_columns, require_some
from semvec.text.examples import PAIR, SCORED, ClassedPairs, ScoredPairs, read_classed_pairs, read_scored_pairs

Pairs = ClassedPairs | ScoredPairs


class Pair(HeadTask[Pairs]):
    """Pairs of texts → a label or a score each; both texts are read at once (a cross-encoder)."""

    name = "pairs"

    def measures(self, config: HeadConfig) -> tuple[str, ...]:
        return ("spearman", "pearson") if config.scored else ("accuracy", "macro F1")

    def read(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Pairs:
        return (read_scored_pairs if _has_scores(path, options.columns) else read_classed_pairs)(path, options.columns)

    def read_inputs(self, path: str | os.PathLike[str], options: FinetuneOptions) -> Pairs:
        rows = [(row.text(0), row.text(1)) for row in read_columns(path, PAIR, columns=options.input_columns)]
        require_some(path, rows, "pairs")
        return ClassedPairs([one for one, _ in rows], [two for _, two in rows], [""] * len(rows))

    def config(self, examples: Pairs, options: FinetuneOptions) -> HeadConfig:
        if isinstance(examples, ScoredPairs):
            if options.knn or options.balanced or options.label_smoothing:
                raise OptionError("knn, balanced and label_smoothing go with labels, and the data have scores")
            return HeadConfig(scored=True)
        counts = Counter(examples.labels)
        check_labels(counts, len(examples))
        return HeadConfig(labels=tuple(sorted(counts)))

    def check(self, examples: Pairs, config: HeadConfig, where: str) -> None:
        if isinstance(examples, ScoredPairs) != config.scored:
            learnt, there = ("scores", "labels") if config.scored else ("labels", "scores")
            raise InputError(f"{where}: has {there} where {learnt} were learnt")
        if isinstance(examples, ClassedPairs):
            check_known(self.labels_of(examples, config), config, where)

    def labels_of(self, examples: Pairs, config: HeadConfig) -> set[str]:
        return set(examples.labels) if isinstance(examples, ClassedPairs) else set()

    def head(self, config: HeadConfig, dim: int, options: FinetuneOptions, examples: Pairs | None = None) -> Head:
        weights = None
        if options.balanced and isinstance(examples, ClassedPairs):
            weights = balance(examples.labels, config.labels)
        smoothing = options.label_smoothing
        head = label_head(config, dim, 1 if config.scored else len(config.labels), smoothing=smoothing, weights=weights)
        if config.scored and isinstance(examples, ScoredPairs):
            head.linear.bias.data.fill_(float(np.mean(examples.scores)))  # half of what is to be learnt, else
        return head

    def windows(self, examples: Pairs, reader: Reader, config: HeadConfig, *, labelled: bool) -> list[Window]:
        found, number = [], {label: at for at, label in enumerate(config.labels)}
        both = zip(reader.tokens(examples.first), reader.tokens(examples.second), strict=True)
        for at, (first, second) in enumerate(both):
            labels = {}
            if labelled and isinstance(examples, ScoredPairs):
                labels["labels"] = np.array(examples.scores[at], dtype=np.float32)
            elif labelled:
                labels["labels"] = np.array(number[str(examples.labels[at])])  # type: ignore[union-attr]
            for ids, types, _, _ in reader.paired(first, second):
                found.append(Window(at, {"ids": ids, **({"types": types} if reader.types else {}), **labels}))
        return found

    def answers(
        self, logits: Sequence[Logits], windows: Sequence[Window], examples: Pairs, config: HeadConfig, head: Head
    ) -> list[Answer]:
        whole = mean_by_owner(logits, windows, len(examples))
        if config.scored:
            return [{"score": float(row[0])} for row in whole]
        return [label_answer(row, config.labels) for row in softmax(whole, axis=-1)]

    def findings(self, examples: Pairs, answers: Sequence[Answer], config: HeadConfig) -> Findings:
        if isinstance(examples, ScoredPairs):
            gold, said = np.array(examples.scores), np.array([answer["score"] for answer in answers])
            measures = (("spearman", spearman), ("pearson", pearson))
            return Findings(tuple(Outcome.over_all(name, of, gold, said, range=(-1.0, 1.0)) for name, of in measures))
        return label_findings(examples.labels, answers, config.labels)

    def simplest(self, examples: Pairs, config: HeadConfig) -> tuple[str, list[Answer]] | None:
        return commonest(examples.labels) if isinstance(examples, ClassedPairs) else None

    def strata(self, examples: Pairs) -> Sequence[str] | None:
        return examples.labels if isinstance(examples, ClassedPairs) else None


def _has_scores(path: str | os.PathLike[str], columns: Mapping[str, str]) -> bool:
    """Whether a table has scores rather than labels; the STS benchmark's own file, which has no header, has."""
    if {"score", "label"} & set(columns):
        return "score" in columns
    try:
        row = next(iter(read_columns(path, {"score": SCORED["score"], **PAIR}, ("score",), columns)), None)
    except InputError:
        return True
    return row is not None and row.cells[0] is not None
