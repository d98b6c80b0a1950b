"""Does a run that is killed at any moment end, resumed, with the bytes of one that was not?

    python benchmarks/kill.py --data ../shared/data

``semvec encode`` is ended by SIGKILL at random moments, then resumed: every other one from its start to its last
rename, the others once a first shard is on the disk, so that there is something to resume.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
from memory import ENCODE, write_lines

from semvec.embeddings.shards import unfinished
from semvec.embeddings.storage import files_of

FORMATS = (".npy", ".parquet", ".safetensors", ".npz", ".jsonl")


RUNS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "glove-50d": (60_000, 15, FORMATS),
    "minilm": (2_500, 5, (".npy",)),
}
"""Lines, kills and formats for each model."""


def command(source: Path, out: Path, model: str) -> list[str]:
    return [sys.executable, "-c", ENCODE, "encode", str(source), "-o", str(out), "-m", model, "--resume", "--quiet"]


def digest(out: Path) -> list[str]:
    """Return a hash for every file of an output."""
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files_of(out) if file.exists()]


def rounds(
    source: Path, folder: Path, model: str, kills: int, formats: tuple[str, ...], rng: random.Random
) -> list[dict[str, Any]]:
    """Kill and resume until ``kills`` runs were killed; each output must equal the uninterrupted one."""
    done: list[dict[str, Any]] = []
    whole: dict[str, tuple[list[str], float]] = {}
    for suffix in formats:
        began = time.monotonic()
        subprocess.run(command(source, folder / f"whole{suffix}", model), check=True)
        whole[suffix] = digest(folder / f"whole{suffix}"), time.monotonic() - began
    while len(done) < kills:
        suffix = formats[len(done) % len(formats)]
        expected, length = whole[suffix]
        out = folder / f"killed{len(done)}{suffix}"
        run = subprocess.Popen(command(source, out, model))
        began = time.monotonic()
        while len(done) % 2 and run.poll() is None and not list(unfinished(out).glob("*.safetensors")):
            time.sleep(0.01)
        begun = time.monotonic() - began
        try:
            run.wait(moment := rng.uniform(0.0, max(length - begun, 0.01)))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
        else:
            for file in files_of(out):
                file.unlink(missing_ok=True)
            continue  # it had ended before the moment came; another moment is drawn
        shards = len(list(unfinished(out).glob("*.safetensors"))) if unfinished(out).exists() else 0
        subprocess.run(command(source, out, model), check=True)
        done.append(
            {
                "format": suffix,
                "killed_after_s": round(begun + moment, 2),
                "of_s": round(length, 2),
                "shards_done": shards,
                "bytes_equal": digest(out) == expected,
            }
        )
        for file in files_of(out):
            file.unlink(missing_ok=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="*", choices=list(RUNS), default=list(RUNS))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    lines = harness.sentences(options.data)
    kept = harness.RESULTS / "kill.json"
    results: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))["results"] if kept.exists() else {}
    for model in options.models:
        count, kills, formats = RUNS[model]
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "texts.txt"
            write_lines(source, lines, count)
            found = rounds(source, Path(folder), model, kills, formats, rng)
            results[model] = {
                "lines": count,
                "kills": len(found),
                "bytes_equal": sum(one["bytes_equal"] for one in found),
                "runs": found,
            }
    harness.keep("kill", results)


if __name__ == "__main__":
    main()
