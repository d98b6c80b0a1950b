"""Does a Ray run give what a run of this process gives, where an actor is killed twice? 200,000 texts, compared byte by byte.

python benchmarks/engine.py --data ../shared/data

The texts are short sentences, each with a number of its own before it. Ray runs on this machine: on the same cores, so that what is
measured is what Ray adds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import harness

from semvec.encoders.catalog import load_encoder
from semvec.encoders.files import encode_files
from semvec.encoders.ray_engine import RayActors

KILLED_AT = (0.3, 0.6)
"""The shares of the texts at which the first actor's process is killed."""


def texts_of(data: Path, count: int) -> list[str]:
    """Return ``count`` different texts."""
    lines = harness.sentences(data)
    return [f"{at}: {lines[at % len(lines)]}" for at in range(count)]


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    its = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            its.update(piece)
    return its.hexdigest()


def on_ray(texts: Path, output: Path, model: str, count: int, actors: int, kills: tuple[float, ...]) -> dict[str, Any]:
    """Encode by Ray's actors, killing the first at ``kills``; return the seconds, and the processes that were killed."""
    import ray

    killed: list[int] = []
    left = [round(share * count) for share in kills]

    with RayActors(partial(load_encoder, model), actors=actors) as engine:

        def progress(done: int, total: int | None) -> None:
            if left and done >= left[0]:
                left.pop(0)
                killed.append(ray.get(engine._actors[0].pid.remote()))
                os.kill(killed[-1], signal.SIGKILL)

        started = time.perf_counter()
        report = encode_files(texts, output, load_encoder(model, device="cpu"), engine=engine, progress=progress)
        return {"seconds": time.perf_counter() - started, "texts": report.texts, "killed": len(set(killed))}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--texts", type=int, default=200_000)
    asked.add_argument("--actors", type=int, default=2)
    asked.add_argument("--model", default="minilm")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = folder / "texts.txt"
        texts.write_text("\n".join(texts_of(options.data, options.texts)) + "\n", encoding="utf-8")
        here, there = folder / "here.parquet", folder / "there.parquet"
        started = time.perf_counter()
        encode_files(texts, here, load_encoder(options.model))
        local = time.perf_counter() - started
        run = on_ray(texts, there, options.model, options.texts, options.actors, KILLED_AT)
        same = digest(here) == digest(there)
    row = {
        "model": options.model,
        "texts": run["texts"],
        "actors": options.actors,
        "killed": run["killed"],
        "same_bytes": same,
        "seconds_here": round(local, 1),
        "seconds_ray": round(run["seconds"], 1),
    }
    print(row)
    file = harness.RESULTS / "engine.json"
    known = json.loads(file.read_text(encoding="utf-8"))["results"]["runs"] if file.exists() else []
    harness.keep("engine", {"runs": [*(one for one in known if one["model"] != options.model), row]}, quiet=True)


if __name__ == "__main__":
    main()
