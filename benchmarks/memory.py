"""Is peak memory bounded by the batch and not by the input? ``semvec encode`` over a short and a long file.

python benchmarks/memory.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness

ENCODE = "from semvec_cli.main import run; run()"


def write_lines(path: Path, lines: list[str], count: int) -> None:
    """Write ``count`` different short lines."""
    with path.open("w", encoding="utf-8") as stream:
        for i in range(count):
            stream.write(f"{lines[i % len(lines)].strip()} {i}\n")


def peak(source: Path, out: Path, model: str, runs: int) -> dict[str, Any]:
    """Return the least peak resident memory of ``runs`` runs (noise only adds), and the seconds of that run."""
    best: dict[str, Any] = {}
    for _ in range(runs):
        began = time.monotonic()
        command = [
            sys.executable,
            "-c",
            ENCODE,
            "encode",
            str(source),
            "-o",
            str(out),
            "-m",
            model,
            "--overwrite",
            "--quiet",
            "--device",
            "cpu",
        ]
        process = subprocess.Popen(command if model == "minilm" else command[:-2])
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        found = {"peak_mb": round(usage.ru_maxrss / 1024, 1), "seconds": round(time.monotonic() - began, 1)}
        best = found if not best or found["peak_mb"] < best["peak_mb"] else best
    return best


def compare(data: Path, model: str, few: int, many: int, runs: int) -> dict[str, Any]:
    """Return the peaks for ``few`` and ``many`` lines, and their ratio."""
    lines = harness.sentences(data)
    with tempfile.TemporaryDirectory() as folder:
        peaks = {}
        for count in (few, many):
            source = Path(folder) / f"{count}.txt"
            write_lines(source, lines, count)
            peaks[count] = peak(source, Path(folder) / "x.npy", model, runs)
    ratio = peaks[many]["peak_mb"] / peaks[few]["peak_mb"]
    return {
        "model": model,
        "lines": {str(count): found for count, found in peaks.items()},
        "ratio": round(ratio, 3),
        "allowed": 1.15,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    harness.keep(
        "memory", {"glove": compare(data, "glove-50d", 20_000, 1_000_000, 2), "minilm": compare(data, "minilm", 6_000, 40_000, 1)}
    )


if __name__ == "__main__":
    main()
