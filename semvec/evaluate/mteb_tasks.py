"""Local files as tasks of MTEB, without a hub."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semvec.errors import OptionError
from semvec.evaluate.mteb import library
from semvec.text.columns import split_file
from semvec.text.examples import read_labelled, read_labelled_pairs, read_scored_pairs
from semvec.text.retrieval import read_retrieval, retrieval_files
from semvec.text.sources import find_sources, identify
from semvec.types import JSON, did_you_mean

SPLITS = ("test", "dev")
"""The splits that are evaluated on, the first there is."""

Columns = dict[str, list[Any]]


def _scored_pairs(file: Path) -> Columns:
    pairs = read_scored_pairs(file)
    return {"sentence1": pairs.first, "sentence2": pairs.second, "score": pairs.scores}


def _labelled_pairs(file: Path) -> Columns:
    pairs = read_labelled_pairs(file)
    return {"sentence1": pairs.first, "sentence2": pairs.second, "labels": [int(label) for label in pairs.labels]}


def _classes(file: Path) -> Columns:
    found = read_labelled(file)
    return {"text": found.texts, "label": found.labels}


def _clusters(file: Path) -> Columns:
    found = read_labelled(file)
    return {"sentences": found.texts, "labels": found.labels}


@dataclass(frozen=True)
class Kind:
    """A kind of task: mteb's name for it, what goes in and comes out, its main score, and how a file of it is read.

    ``read`` gives the columns that mteb wants; a kind without is retrieval, which is a folder. ``trained`` needs a
    training split too. ``settings`` are where mteb's defaults do not fit.
    """

    name: str
    category: str
    main_score: str
    read: Callable[[Path], Columns] | None = None
    trained: bool = False
    settings: dict[str, JSON] = field(default_factory=dict)


KINDS = {
    "sts": Kind("STS", "t2t", "cosine_spearman", _scored_pairs),
    "retrieval": Kind("Retrieval", "t2t", "ndcg_at_10"),
    "classification": Kind("Classification", "t2c", "accuracy", _classes, trained=True),
    "clustering": Kind("Clustering", "t2c", "v_measure", _clusters, settings={"max_fraction_of_documents_to_embed": None}),
    "pair-classification": Kind("PairClassification", "t2t", "max_ap", _labelled_pairs),
}
"""Main scores are those of mteb's own tasks; of a clustering all texts are read, where mteb's default is 4 %."""


def local_task(
    kind: str, name: str, path: str | os.PathLike[str], *, split: str | None = None, language: str = "eng-Latn"
) -> Any:
    """Return the files at ``path`` as a task of MTEB, of one of the `KINDS`.

    ``path`` is a table, or a folder with one for each split (``test.tsv``, else ``dev.tsv``, or the ``split`` that is
    asked for, and for a classification ``train.tsv``, which lies beside a table that is named itself); of retrieval data
    it is a BEIR folder. Columns are those that `semvec.text.examples` reads. Nothing is ever downloaded. The files are
    read when the task is run, and every run draws the same samples, whatever ran before.

    Raises `MissingExtra` without mteb, `OptionError` for a kind or a language that is none, `InputError` for files
    that are not there; those that are not as they should be are told when they are read.
    """
    if kind not in KINDS:
        raise OptionError(f"kind {kind!r} is unknown: choose from {', '.join(KINDS)}{did_you_mean(kind, list(KINDS))}")
    mteb, about = library(), KINDS[kind]
    evaluated, files = _files(about, path, split)
    metadata = mteb.TaskMetadata(
        name=name,
        description=f"{name}: local files",
        type=about.name,
        category=about.category,
        main_score=about.main_score,
        eval_splits=[evaluated],
        eval_langs=[_language(mteb, language)],
        dataset={"path": os.fspath(path), "revision": _revision(files)},
    )

    def load_data(task: Any, num_proc: int | None = None, **_: Any) -> None:
        if not task.data_loaded:
            task.dataset = _tables(about.read, files) if about.read else _retrieval(path, evaluated)
            task.rng_state = random.Random(task.seed)
            task.data_loaded = True

    base = getattr(mteb.abstasks, f"AbsTask{about.name}")
    return type(f"Local{about.name}", (base,), {"metadata": metadata, "load_data": load_data, **about.settings})()


def _files(about: Kind, path: str | os.PathLike[str], split: str | None) -> tuple[str, list[tuple[str, Path]]]:
    """Return the split to evaluate on, and all files of the task with the splits that they are."""
    splits = (split,) if split else SPLITS
    if about.read is None:
        corpus, queries, judged = retrieval_files(path, *splits)
        evaluated = _split(judged)
        return evaluated, [("corpus", corpus), ("queries", queries), (evaluated, judged)]
    file = split_file(path, *splits)
    evaluated = split or _split(file)
    trained = [("train", split_file(file.parent, "train"))] if about.trained else []
    return evaluated, [*trained, (evaluated, file)]


def _split(file: Path) -> str:
    return file.name.partition(".")[0]


def _language(mteb: Any, language: str) -> str:
    try:
        mteb.languages.check_language_code(language)
    except ValueError:
        raise OptionError(f"language {language!r} is none that MTEB knows: it writes them like eng-Latn or zho-Hans") from None
    return language


def _revision(files: list[tuple[str, Path]]) -> str:
    """Return a sha256 over the content of all ``files``."""
    records = [identify(find_sources([os.fspath(file)]))[0][0]["sha256"] for _, file in files]
    return hashlib.sha256("".join(records).encode()).hexdigest()


def _tables(read: Callable[[Path], Columns], files: list[tuple[str, Path]]) -> Any:
    """Return the ``files`` as a ``DatasetDict``, labels that are words as numbers in their alphabetical order."""
    from datasets import Dataset, DatasetDict

    splits = {split: read(file) for split, file in files}
    for name in ("label", "labels"):
        words = {label for columns in splits.values() for label in columns.get(name, ()) if isinstance(label, str)}
        number = {word: at for at, word in enumerate(sorted(words))}
        for columns in splits.values():
            if name in columns:
                columns[name] = [number.get(label, label) for label in columns[name]]
    return DatasetDict({split: Dataset.from_dict(columns) for split, columns in splits.items()})


def _retrieval(folder: str | os.PathLike[str], split: str) -> dict[str, Any]:
    """Return a BEIR folder as mteb keeps retrieval data; titles stand before the texts already, as mteb joins them."""
    from datasets import Dataset

    data = read_retrieval(folder, split)
    corpus, queries = (
        Dataset.from_dict({"id": list(texts), "text": list(texts.values())}) for texts in (data.documents, data.queries)
    )
    return {"default": {split: {"corpus": corpus, "queries": queries, "relevant_docs": data.qrels, "top_ranked": None}}}
