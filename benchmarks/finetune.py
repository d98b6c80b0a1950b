"""How good and how dear is fine-tuning? MiniLM-L6 on real tasks, three seeds, a linear head on the frozen encoder beside it.

python benchmarks/finetune.py --data ../shared/data
python benchmarks/finetune.py --data ../shared/data --part strategies --seeds 0

Every run is a process of its own. Runs that are in results/finetune.json already are not run again (``--again`` does): a
stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness

from semvec.finetune.options import FinetuneOptions
from semvec.finetune.report import TUNED, report
from semvec.finetune.train import finetune
from semvec.types import Strategy

HELD_OUT = 0.2
"""The share that is examined on where a set has no test file; the same for every seed."""


@dataclass(frozen=True)
class Set:
    """A data set and how it is learnt; ``published`` is somebody's number, with where it stands."""

    task: str
    published: str
    options: dict[str, Any] = field(default_factory=dict)
    split: Callable[[Path, Path], None] | None = None
    folder: str = ""


def lines_apart(data: Path, folder: Path) -> None:
    """Split the lines of train.jsonl: a fifth, drawn once, is the test."""
    lines = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    random.Random(0).shuffle(lines)
    cut = round(HELD_OUT * len(lines))
    (folder / "test.jsonl").write_text("\n".join(lines[:cut]) + "\n", encoding="utf-8")
    (folder / "train.jsonl").write_text("\n".join(lines[cut:]) + "\n", encoding="utf-8")


def documents_apart(data: Path, folder: Path) -> None:
    """Split the documents of docs.jsonl.gz: a fifth, drawn once, is the test."""
    (folder / "train.jsonl").write_bytes(gzip.decompress((data / "docs.jsonl.gz").read_bytes()))
    lines_apart(folder, folder)


def articles_apart(data: Path, folder: Path) -> None:
    """Split SQuAD's articles: a fifth of them, drawn once, is the test."""
    articles = json.loads(gzip.decompress((data / "train.json.gz").read_bytes()))["data"]
    random.Random(0).shuffle(articles)
    cut = round(HELD_OUT * len(articles))
    for name, some in (("test", articles[:cut]), ("train", articles[cut:])):
        (folder / f"{name}.json").write_text(json.dumps({"data": some}), encoding="utf-8")


def dev_is_test(data: Path, folder: Path) -> None:
    """Take dev as the test; what is validated on is split off from train."""
    for name, split in (("test", "dev"), ("train", "train")):
        (folder / f"{name}.tsv").write_bytes((data / f"{split}.tsv").read_bytes())


SETS = {
    "trec6": Set("classify", "ULMFiT 96.4 (arXiv:1801.06146)"),
    "wnut17": Set("tag", "Flair 49.6, best of the shared task 41.9"),
    "banking77": Set("classify", "BERT-base 93.7 (arXiv:2003.04807)"),
    "sst2": Set("classify", "BERT-base 93.5 (67,000 phrases; arXiv:1810.04805)"),
    "stsb": Set("similarity", "Sentence-BERT-base 84.7 (test; arXiv:1908.10084)", split=dev_is_test),
    "stsb, read together": Set("pairs", "BERT-base 85.8 (test; arXiv:1810.04805)", split=dev_is_test, folder="stsb"),
    "semeval2010_task8": Set("relation", "R-BERT-large 89.3 (8,000 examples; arXiv:1905.08284)", split=lines_apart),
    "gum_ner": Set("tag", "none found"),
    "kp_semeval2017": Set("tag", "SciBERT-BiLSTM-CRF 52.1 (its own split; arXiv:1910.08840)", split=documents_apart),
    "multi30k": Set(
        "seq2seq",
        "Transformer-Tiny 41.0 (lower case; arXiv:2105.14462)",
        {"columns": {"source": "en", "target": "de"}, "epochs": 4, "batch_size": 64},
    ),
    "squad_dev": Set(
        "qa", "BERT-base 88.5 (88,000 questions; arXiv:1810.04805)", {"epochs": 3, "batch_size": 16}, split=articles_apart
    ),
}
STRATEGY_SETS = ("trec6", "wnut17")
NEIGHBOUR_SETS = ("wnut17", "trec6", "banking77", "sst2")
PARTS = ("quality", "strategies", "neighbours")


def run_one(data: Path, name: str, strategy: str, seed: int, options: dict[str, Any], before: bool) -> dict[str, Any]:
    """Train and examine once, in a process of its own, and return what came of it."""
    its = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        place = data / (its.folder or name)
        if its.split is not None:
            (Path(folder) / "data").mkdir()
            its.split(place, Path(folder) / "data")
            place = Path(folder) / "data"
        wanted = {"strategy": strategy, "seed": seed, **its.options, **options}
        call = {"task": its.task, "data": str(place), "output": str(Path(folder) / "model"), "options": wanted, "before": before}
        command = [sys.executable, __file__, "--data", str(data), "--one", json.dumps(call)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {"set": name, "strategy": strategy, "seed": seed, "options": options, **json.loads(done.stdout.splitlines()[-1])}


def one(call: dict[str, Any]) -> dict[str, Any]:
    """Train, examine on the test file, and return the measures, the seconds of the steps, the memory and what learnt."""
    made = finetune(
        call["task"], "minilm", call["data"], call["output"], options=FinetuneOptions(**call["options"]), before=call["before"]
    )
    trained = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = report(call["output"], call["data"], split="test")
    record, stored = made.record, Path(call["output"])
    weights = list(stored.glob("*.safetensors"))
    return {
        "examples": {**record["examples"], "test": found.size},
        "lines": found.lines,
        "differences": found.differences,
        "validation": record["validation"],
        "learning": record["parameters"]["learning"],
        "steps": record["history"]["steps"],
        "best_step": record["history"]["best_step"],
        "seconds": record["seconds"],
        "peak_mb": round(trained / 1024),
        "neighbours": record["history"].get("neighbours"),
        "stored_mb": round(sum(path.stat().st_size for path in weights) / 2**20, 2),
        "device": record["device"],
    }


def wanted_runs(part: str, sets: list[str], seeds: list[int]) -> list[tuple[str, str, int, bool]]:
    """Return set, strategy, seed and whether the encoder before is trained too, of every run of ``part``."""
    if part == "neighbours":
        chosen = [name for name in sets if name in NEIGHBOUR_SETS]
        return [(name, strategy, seed, False) for seed in seeds for name in chosen for strategy in ("head", "full")]
    if part == "quality":
        return [(name, "full", seed, True) for seed in seeds for name in sets]
    chosen = [name for name in sets if name in STRATEGY_SETS]
    return [(name, str(strategy), seed, False) for seed in seeds for name in chosen for strategy in Strategy]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--only", choices=list(SETS), nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="bf16")
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(json.loads(asked.one))))
        return
    options = {"precision": asked.precision}
    for part in asked.part:
        for name, strategy, seed, before in wanted_runs(part, asked.only, asked.seeds):
            file = harness.RESULTS / "finetune.json"
            found = json.loads(file.read_text(encoding="utf-8"))["results"] if file.exists() else {}
            runs = found.get(part, [])
            same = [its for its in runs if (its["set"], its["strategy"], its["seed"]) == (name, strategy, seed)]
            if same and not asked.again:
                continue
            its_own = {"knn": True} if part == "neighbours" else {}
            made = run_one(asked.data, name, strategy, seed, {**options, **its_own}, before)
            runs = [its for its in runs if its not in same] + [made]
            sets = {name: {"task": its.task, "published": its.published} for name, its in SETS.items()}
            harness.keep("finetune", {**found, "sets": sets, part: runs}, quiet=True)
            chosen = next(iter(made["lines"][TUNED].items()))
            print(f"{name} {strategy} {seed}: {chosen[0]} {chosen[1]['value']:.4f}, {made['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
