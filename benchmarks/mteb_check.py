"""Does MTEB find the same through semvec's adapter as through its own wrapper of sentence-transformers?

python benchmarks/mteb_check.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import harness
import mteb
from sentence_transformers import SentenceTransformer

import semvec
from semvec.encoders.catalog import find_model
from semvec.evaluate.mteb import MtebEncoder
from semvec.evaluate.mteb_tasks import local_task

TASKS = (
    ("STS-B dev", "sts", "stsb"),
    ("SICK dev", "sts", "sick"),
    ("SciFact test", "retrieval", "scifact"),
    ("BANKING77 test", "classification", "banking77"),
    ("BANKING77 test", "clustering", "banking77"),
)
GLOVE = ("sts",)
"""The kinds of task on which word vectors are shown for contrast."""


def score(model: Any, kind: str, name: str, path: Path) -> float:
    """Return the main score of ``model`` on a task of its own, so that both models get the same draws."""
    task = local_task(kind, f"{name} {kind}", path)
    [result] = mteb.evaluate(model, task, cache=None, show_progress_bar=False).task_results
    [[scores]] = result.scores.values()
    return float(scores["main_score"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    mine = MtebEncoder(semvec.load_encoder("minilm", device="cpu"))
    theirs = SentenceTransformer(str(find_model("minilm").path), device="cpu")
    glove = MtebEncoder(semvec.load_encoder("glove-50d"))
    rows = []
    for name, kind, folder in TASKS:
        measure = local_task(kind, name, data / folder).metadata.main_score
        both = [score(model, kind, name, data / folder) for model in (mine, theirs)]
        row = {
            "task": name,
            "kind": kind,
            "measure": measure,
            "semvec": both[0],
            "mteb": both[1],
            "difference": both[0] - both[1],
        }
        if kind in GLOVE:
            row["glove"] = score(glove, kind, name, data / folder)
        rows.append(row)
        print(json.dumps(row), flush=True)
    worst = max(abs(row["difference"]) for row in rows)
    harness.keep("mteb_check", {"mteb": mteb.__version__, "largest_difference": worst, "tasks": rows})
    assert worst <= 0.002, f"the two ways differ by {worst:.4f}"


if __name__ == "__main__":
    main()
