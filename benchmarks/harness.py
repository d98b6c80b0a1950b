"""What the benchmarks share: the machine they ran on, texts to run on, and where results go."""

from __future__ import annotations

import gzip
import json
import os
import platform
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "semvec",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
    "gensim",
    "pyarrow",
    "tokenizers",
    "model2vec",
    "faiss-cpu",
    "peft",
    "accelerate",
)
UNITS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""What a processor multiplies with, as Linux calls it."""


def machine() -> dict[str, Any]:
    """Return the processor, cores, memory and versions in use."""
    cpu, memory, flags = platform.processor(), 0, set[str]()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            flags = set(line.split())
            break
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "units": [name for name in UNITS if name in flags],
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def keep(name: str, results: dict[str, Any], *, quiet: bool = False) -> None:
    """Write ``results`` to ``results/NAME.json`` with the machine and the date, and print them unless ``quiet``."""
    RESULTS.mkdir(exist_ok=True)
    record = {"benchmark": name, "date": datetime.now(timezone.utc).date().isoformat(), "machine": machine(), "results": results}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if not quiet:
        print(json.dumps(results, indent=1, ensure_ascii=False), flush=True)


def run_missing(name: str, script: str, data: Path, calls: list[list[Any]], *, again: bool, more: Sequence[str] = ()) -> None:
    """Run those of ``calls`` that are not in ``results/NAME.json``, or all (``again``), each in a process of its own.

    ``script`` is asked with ``--one CALL``, a JSON list, and ``more`` arguments, and prints the rows that came of it as its last line.
    """
    file = RESULTS / f"{name}.json"
    for call in calls:
        runs = json.loads(file.read_text(encoding="utf-8"))["results"]["runs"] if file.exists() else []
        if any(its["call"] == call for its in runs) and not again:
            continue
        command = [sys.executable, script, "--data", str(data), "--one", json.dumps(call), *more]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows = json.loads(done.stdout.splitlines()[-1])
        keep(name, {"runs": [*(its for its in runs if its["call"] != call), {"call": call, "rows": rows}]}, quiet=True)
        print(call, json.dumps(rows)[:400], flush=True)


def sentences(data: Path) -> list[str]:
    """Return the 67,000 short sentences of SST-2 (about 9 words each)."""
    return [line.split("\t", 1)[1] for line in (data / "sst2" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]]


def mixed(data: Path, count: int, seed: int = 0) -> list[str]:
    """Return ``count`` texts of very different length and script: queries, sentences, reviews, abstracts, Chinese."""
    pools = [
        sentences(data),
        [json.loads(line)["text"] for line in (data / "scifact" / "queries.jsonl").read_text(encoding="utf-8").splitlines()],
        [f"{row['title']}. {row['text']}" for row in corpus(data / "scifact")],
        [line.split("\t", 1)[1] for line in zipped(data / "imdb" / "train.tsv.gz")][1:2000],
        [
            line.split("\t", 1)[1]
            for line in (data / "chnsenticorp_htl_zh" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
        ],
    ]
    rng = random.Random(seed)
    return [rng.choice(rng.choice(pools)) for _ in range(count)]


def corpus(folder: Path) -> Iterator[dict[str, str]]:
    """Give the documents of a BEIR folder."""
    for line in zipped(folder / "corpus.jsonl.gz"):
        yield json.loads(line)


def zipped(path: Path) -> list[str]:
    """Return the lines of a gzipped file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return stream.read().splitlines()
