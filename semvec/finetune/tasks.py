"""The tasks by their names. What is said of them stands here too, so that ``--help`` need not load what runs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from semvec.errors import OptionError
from semvec.finetune.options import ROUTED
from semvec.types import did_you_mean

PRUNED = "semvec.finetune.prune:PrunedModel"
CLOZE = "semvec.finetune.cloze_tuned:ClozeTuned"
WITH_HEAD = "semvec.finetune.model:FineTuned"
TASKS = {
    "classify": ("semvec.finetune.classify:Classify", WITH_HEAD),
    "tag": ("semvec.finetune.tag:Tag", WITH_HEAD),
    "relation": ("semvec.finetune.relation:Relation", WITH_HEAD),
    "qa": ("semvec.finetune.answer:QuestionAnswering", WITH_HEAD),
    "pairs": ("semvec.finetune.pairs:Pair", WITH_HEAD),
    "similarity": ("semvec.finetune.similarity:Similarity", "semvec.finetune.similarity:Similar"),
    "seq2seq": ("semvec.finetune.seq2seq:Seq2Seq", "semvec.finetune.seq2seq:Translating"),
}
"""What reads and measures a task, and what does it."""

ABOUT = {
    "classify": "Text classification: one label a text, or any number of them.",
    "tag": "Tagging: names, keyphrases, parts of speech; scored by spans.",
    "relation": "Relations between two marked pieces of a text.",
    "qa": "Questions answered by a piece of a text.",
    "similarity": "Sentence encoders that put like texts near each other, by contrast.",
    "seq2seq": "Texts that become others: translations, summaries, replies.",
    "pairs": "Pairs of texts, read together: a label or a score each (entailment, paraphrase, similarity).",
}
LAYOUT = {
    "classify": "a table with the columns label and text (.tsv, .csv, .jsonl, .parquet); with --many the column labels",
    "tag": "CoNLL columns (a word and its tag a line, a blank line between sentences); .jsonl with words and tags, or keyphrases",
    "relation": "a table with relation, text, e1 and e2 ([start, end) in characters), or <e1>…</e1>, <e2>…</e2> in the text",
    "qa": "SQuAD's .json, 1.1 or 2.0",
    "similarity": "a table with sentence1 and sentence2, and a score, a label 0 or 1, a negative, or none; or texts alone",
    "seq2seq": "a table with the columns source and target",
    "pairs": "a table with the columns label or score, sentence1 and sentence2",
}
INPUT = {"relation": "texts.jsonl", "qa": "questions.csv", "similarity": "pairs.tsv", "pairs": "pairs.tsv"}
"""What a file of inputs might be called, where it is not lines of text."""

HEADS = (*ROUTED, "prune")
USES: dict[str, tuple[str, ...]] = {
    "classify": ("many", "balanced", "label_smoothing", "pooling", "knn", *HEADS),
    "tag": ("crf", "scheme", "knn"),
    "relation": ("balanced", "label_smoothing", "pooling", "knn"),
    "qa": (),
    "similarity": ("loss", "matryoshka", "hard_negatives"),
    "seq2seq": ("beams", "target_tokens", "decoder_layers", "vocabulary", "label_smoothing"),
    "pairs": ("balanced", "label_smoothing", "pooling", "knn", *HEADS),
}
"""The options that only some tasks heed."""


def task_named(name: str) -> Any:
    """Return the task called ``name`` (`semvec.finetune.task.Task`); `OptionError` where there is none, with those there are."""
    if name not in TASKS:
        raise OptionError(f"no task {name!r}{did_you_mean(str(name), list(TASKS))}: there are {', '.join(TASKS)}")
    return _loaded(TASKS[name][0])()


def model_of(name: str, *, pruned: bool = False, cloze: bool = False) -> Any:
    """Return the class of models (`semvec.finetune.tuned.Tuned`) that do the task ``name``; ``pruned`` ones, and those that fill
    gaps (``cloze``), have their own."""
    return _loaded(PRUNED if pruned else CLOZE if cloze else TASKS[name][1])


def _loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
