"""How good the bundled models are, on every task there is: python benchmarks/quality.py --data ../shared/data.

Writes results/quality.json and results/quality.md. Nothing is chosen on what is asked about: thresholds and strengths come
from training parts. --models adds others (names, folders), --only leaves out tasks.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import RESULTS, keep
from tables import quality as table

from semvec.encoders.catalog import load_encoder
from semvec.encoders.word import WordEncoder
from semvec.evaluate.run import evaluate
from semvec.evaluate.task import EvaluateOptions

MODELS = ("minilm", "glove-50d")


@dataclass(frozen=True)
class Row:
    """One line of the table: a task on a set, with the options that are not the usual ones."""

    task: str
    data: str
    label: str
    options: dict[str, Any] = field(default_factory=dict)
    published: str = ""


ROWS = (
    Row("sts", "stsb", "STS-B dev"),
    Row("sts", "sick", "SICK dev"),
    Row("words", "wordsim_en/wordsim353.tsv", "WordSim-353"),
    Row("words", "wordsim_en/simlex999.tsv", "SimLex-999"),
    Row("analogy", "analogy_en/google-questions-words.txt.gz", "Google analogies"),
    Row("wic", "wic", "WiC dev"),
    Row("pairs", "trecqa", "TREC-QA dev"),
    Row("classify", "banking77", "BANKING77, 8 texts a class", {"shots": 8, "seed": 42}),
    Row("classify", "trec6", "TREC-6"),
    Row("classify", "subj", "SUBJ"),
    Row("cluster", "banking77", "BANKING77 test"),
    Row("tagging", "wnut17", "WNUT-17"),
    Row("retrieval", "scifact", "SciFact", published="minilm 0.645 (MTEB leaderboard)"),
    Row("retrieval", "cranfield", "Cranfield"),
    Row("retrieval", "med", "MED"),
    Row("retrieval", "cisi", "CISI"),
    Row("retrieval", "cranfield", "Cranfield, hybrid", {"mode": "hybrid"}),
    Row("retrieval", "cranfield", "Cranfield, late interaction", {"mode": "late"}),
    Row("retrieval", "med", "MED, hybrid", {"mode": "hybrid"}),
    Row("retrieval", "med", "MED, late interaction", {"mode": "late"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--only", nargs="*", help="Tasks.")
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    encoders = {name: load_encoder(name) for name in options.models}
    found: list[dict[str, Any]] = []
    for row in ROWS:
        if options.only and row.task not in options.only:
            continue
        given = EvaluateOptions(resamples=options.resamples, **row.options)
        able = {name: one for name, one in encoders.items() if row.task != "analogy" or isinstance(one, WordEncoder)}
        if not able:
            continue
        report = evaluate(row.task, able, options.data / row.data, given)
        found.append({"label": row.label, "published": row.published, **report.to_json(), "data": row.data})
        print(
            row.label, {line.model: str(next(iter(line.measures.values()))) for line in report.lines}, file=sys.stderr, flush=True
        )
    keep("quality", {"rows": found})
    (RESULTS / "quality.md").write_text("\n".join(table({"rows": found})) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
