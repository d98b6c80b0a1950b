"""Retrieval data in the layout of BEIR: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv`` in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semvec.errors import InputError
from semvec.text.columns import Record, read_columns, require_some, split_file

IDS = ("_id", "id")
QRELS = {
    "query-id": ("query-id", "query_id", "qid"),
    "corpus-id": ("corpus-id", "corpus_id", "doc_id", "docid", "pid"),
    "score": ("score", "relevance", "label"),
}

Qrels = dict[str, dict[str, int]]
"""The documents that people judged for a query, and how relevant they found each: 0 is not at all."""


@dataclass(frozen=True)
class RetrievalData:
    """Documents and queries by their ids, and the judgements; every query of ``queries`` has a relevant document."""

    documents: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels


def read_retrieval(folder: str | os.PathLike[str], *splits: str) -> RetrievalData:
    """Return what a BEIR folder holds, judged for the first of ``splits`` there is ("test"); titles stand before the texts.

    Queries without a relevant document are left out, as every tool of the field does. Raises `InputError` where a
    judgement names a document or a query that is not there, where an id comes twice, and where nothing is relevant.
    """
    corpus, asking, judged = retrieval_files(folder, *(splits or ("test",)))
    documents, queries = dict(_texts(corpus)), dict(_texts(asking))
    qrels = _qrels(judged, documents, queries)
    asked = {name: text for name, text in queries.items() if any(grade > 0 for grade in qrels.get(name, {}).values())}
    if not asked:
        raise InputError(f"{os.fspath(folder)}: no query has a relevant document in {judged.name}")
    return RetrievalData(documents, asked, {name: qrels[name] for name in asked})


def retrieval_files(folder: str | os.PathLike[str], *splits: str) -> tuple[Path, Path, Path]:
    """Return the files of the corpus, of the queries, and of the judgements of the first of ``splits`` there is."""
    place = Path(folder)
    if not place.is_dir():
        raise InputError(
            f"{place}: is no folder; retrieval data are corpus.jsonl, queries.jsonl and qrels/{splits[0]}.tsv in one"
        )
    corpus, queries = (split_file(place, name, suffixes=(".jsonl", ".parquet")) for name in ("corpus", "queries"))
    return corpus, queries, split_file(place / "qrels" if (place / "qrels").is_dir() else place, *splits)


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for row in read_columns(path, {"_id": IDS, "text": ("text",), "title": ("title",)}, optional=("title",)):
        name = row.label(0)
        if name in seen:
            raise InputError(f"{row.where}: the id {name!r:.60} comes twice")
        seen.add(name)
        yield name, f"{row.text(2)} {row.text(1)}".strip() if row.cells[2] else row.text(1)
    require_some(path, seen, "texts")


def _qrels(path: Path, documents: dict[str, str], queries: dict[str, str]) -> Qrels:
    found: Qrels = {}
    for row in read_columns(path, QRELS):
        query, document = row.label(0), row.label(1)
        for name, there, what in ((query, queries, "query"), (document, documents, "document")):
            if name not in there:
                raise InputError(f"{row.where}: judges the {what} {name!r:.60}, which is not there")
        grade = _grade(row)
        if found.setdefault(query, {}).setdefault(document, grade) != grade:
            raise InputError(f"{row.where}: {query!r:.60} and {document!r:.60} were judged otherwise before")
    return found


def _grade(row: Record) -> int:
    grade = row.number(2, "grade")
    if not grade.is_integer():
        raise InputError(f"{row.where}: the grade {row.cells[2]!r:.20} is no whole number")
    return int(grade)
