"""What does a server cost beside the library called directly? 50 clients at once for 60 seconds, every answer checked.

python benchmarks/serve.py --data ../shared/data

Clients run in a process of their own on the same cores: what they take is missing to the server. The library is called before and
after, with as many texts at once as wait at the server.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np

CLIENTS, TEXTS, SECONDS = 50, 16, 60
PROGRAM = "from semvec_cli.main import run; run()"


def texts_of(data: Path) -> list[str]:
    """Return 4,096 short sentences."""
    return harness.sentences(data)[:4096]


async def ask(where: str, texts: list[str], seconds: float) -> dict[str, Any]:
    """Have so many clients ask for so long; return how long each request took, and what was answered to which texts."""
    import httpx

    took: list[float] = []
    found: dict[int, str] = {}
    lost = 0
    end = time.perf_counter() + seconds

    async def client(number: int, its: Any) -> None:
        nonlocal lost
        at = number * TEXTS
        while time.perf_counter() < end:
            start = at % len(texts)
            body = {"model": "minilm", "input": texts[start : start + TEXTS], "encoding_format": "base64"}
            began = time.perf_counter()
            answer = await its.post(f"{where}/v1/embeddings", json=body)
            took.append(time.perf_counter() - began)
            rows = answer.json().get("data", []) if answer.status_code == 200 else []
            lost += len(rows) != TEXTS
            for row in rows:
                found[start + row["index"]] = row["embedding"]
            at += CLIENTS * TEXTS

    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(limits=limits, timeout=60) as its:
        await asyncio.gather(*(client(number, its) for number in range(CLIENTS)))
    return {"took": took, "found": found, "lost": lost}


def direct(texts: list[str], seconds: float) -> float:
    """Return how many texts a second the library encodes, called with as many at once as wait at the server."""
    import semvec

    encoder = semvec.load_encoder("minilm")
    encoder.encode(texts[:512])
    done, started, at = 0, time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        some = texts[at % len(texts) : at % len(texts) + CLIENTS * TEXTS]
        encoder.encode(some)
        done += len(some)
        at += CLIENTS * TEXTS
    return done / (time.perf_counter() - started)


def memory_of(process: int) -> float:
    """Return how many MB a process has."""
    text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    match = re.search(r"VmRSS:\s+(\d+)", text)
    return int(match[1]) / 1024 if match else 0.0


def served(texts: list[str], seconds: float, data: Path) -> dict[str, Any]:
    """Return what the clients found at a server, and how its memory grew."""
    command = [sys.executable, "-c", PROGRAM, "serve", "--model", "minilm", "--port", "0", "--queue-tokens", "2000000"]
    its = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        assert its.stderr is not None
        where = next(line for line in its.stderr if "listening" in line).split()[2]
        asked = [sys.executable, __file__, "--data", str(data), "--clients", where, "--seconds"]
        subprocess.run([*asked, "5"], check=True, stdout=subprocess.DEVNULL)
        memory = [memory_of(its.pid)]
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(seconds / 10):
                memory.append(memory_of(its.pid))

        watching = threading.Thread(target=watch)
        watching.start()
        done = subprocess.run([*asked, str(seconds)], check=True, stdout=subprocess.PIPE, text=True)
        stop.set()
        watching.join()
        return {**json.loads(done.stdout.splitlines()[-1]), "memory_mb": [round(one) for one in memory]}
    finally:
        its.terminate()
        its.wait(60)


def clients(where: str, texts: list[str], seconds: float) -> dict[str, Any]:
    """Return what clients find at ``where``; every vector is compared with the library's."""
    import semvec

    started = time.perf_counter()
    its = asyncio.run(ask(where, texts, seconds))
    spent = time.perf_counter() - started
    took = np.array(its["took"])
    rows = sorted(its["found"])
    wanted = semvec.load_encoder("minilm").encode([texts[row] for row in rows]).floats()
    found = np.stack([np.frombuffer(base64.b64decode(its["found"][row]), "<f4") for row in rows])
    return {
        "requests": len(took),
        "texts_per_s": len(took) * TEXTS / spent,
        "p50_ms": float(1000 * np.percentile(took, 50)),
        "p99_ms": float(1000 * np.percentile(took, 99)),
        "lost": its["lost"],
        "wrong": int((np.abs(found - wanted).max(axis=1) > 1e-3).sum()),
        "different_texts": len(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--clients", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    texts = texts_of(asked.data)
    if asked.clients:
        print(json.dumps(clients(asked.clients, texts, asked.seconds)))
        return
    before = direct(texts, asked.seconds / 2)
    its = served(texts, asked.seconds, asked.data)
    after = direct(texts, asked.seconds / 2)
    library = (before + after) / 2
    record = {"clients": CLIENTS, "texts": TEXTS, "seconds": asked.seconds, "library_texts_per_s": library, **its}
    harness.keep("serve", {**record, "ratio": its["texts_per_s"] / library})


if __name__ == "__main__":
    main()
