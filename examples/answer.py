"""A customer-service answerer: find a question that was answered before, rank, answer with its source.

python examples/answer.py examples/faq.tsv "Someone took my card!"
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import semvec
from semvec.search.rerank import MaxSim
from semvec.search.searcher import Searcher, settings_for
from semvec.store.collection import Collection
from semvec.text.document import Document

SURE = 0.35
"""Cosine below which no answer is given: of minilm, chosen by looking at what was asked."""


def answer(searcher: Searcher, question: str) -> str:
    """Return the answer of the question that is most like ``question``, and which that is."""
    [hits] = searcher.search([question], 3, hybrid=True, rerank=MaxSim(searcher.encoder))
    best = hits[0] if len(hits) else None
    if best is None or best.parts.get("dense", 0.0) < SURE:
        return "I do not know. Somebody will write to you."
    return f"{best.metadata['answer']}\n  (as to: {best.text} [{best.id}], cosine {best.parts['dense']:.2f})"


def main() -> None:
    """Answer the questions of the command line from the table that is its first word."""
    table, questions = Path(sys.argv[1]), sys.argv[2:]
    encoder = semvec.load_encoder("minilm")
    with table.open(encoding="utf-8", newline="") as stream, TemporaryDirectory() as folder:
        rows = list(csv.DictReader(stream, delimiter="\t"))
        with Collection.open(Path(folder) / "faq", settings_for(encoder)) as collection:
            searcher = Searcher(encoder, collection)
            for _ in searcher.add(Document(row["id"], row["text"], metadata={"answer": row["answer"]}) for row in rows):
                pass
            for question in questions:
                print(f"{question}\n  {answer(searcher, question)}\n")


if __name__ == "__main__":
    main()
