"""What do ten million, a hundred million, a billion texts cost? Computed from what was measured; sharded top-k exactly and timed.

python benchmarks/scale.py

Needs results/encode_speed.json and results/search.json. What is recalled of the k nearest where each of s shards, over which items lie
by chance, gives its k' best: s · E[min(B, k')] / k with B binomial(k, 1/s), times what a shard itself recalls.
"""

from __future__ import annotations

import heapq
import json
import time
from typing import Any

import harness
import numpy as np
from scipy.stats import binom

SIZES = (10**7, 10**8, 10**9)
SHARDS, ASKED = (4, 16, 64, 256), (10, 100)
KINDS = {"sentences": "29 tokens", "passages": "245 tokens"}
ENGINES = ("packed", "bf16")
PRICE = 0.04
"""Dollars a core-hour, as clouds have it: an assumption, all sums are in proportion to it."""

DIM = 384
REPEATS = 200


def recalled(k: int, shards: int, each: int) -> float:
    """Return how much of the ``k`` nearest is among the ``each`` best of every one of ``shards``, on average."""
    counts = np.arange(k + 1)
    return float(shards * (binom.pmf(counts, k, 1 / shards) * np.minimum(counts, each)).sum() / k)


def simulated(k: int, shards: int, each: int, seed: int = 0, draws: int = 20_000) -> float:
    """Return the same by drawing: the oracle of `recalled`."""
    places = np.random.default_rng(seed).integers(0, shards, (draws, k))
    found = sum(np.minimum((places == shard).sum(axis=1), each) for shard in range(shards))
    return float(np.mean(found) / k)


def merging_ms(k: int, shards: int) -> float:
    """Return how long it takes to merge the ``k`` best of every shard, in ms (median)."""
    rng = np.random.default_rng(0)
    lists = [
        [(-score, f"{shard}-{at}") for at, score in enumerate(np.sort(rng.random(k))[::-1].tolist())] for shard in range(shards)
    ]
    took = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        heapq.nsmallest(k, heapq.merge(*lists))
        took.append(time.perf_counter() - started)
    return 1000 * float(np.median(took))


def fewest(k: int, shards: int, wanted: float = 0.999) -> int:
    """Return how many each shard has to give so that ``wanted`` of the ``k`` nearest is recalled."""
    return next(each for each in range(1, k + 1) if recalled(k, shards, each) >= wanted)


def main() -> None:
    speed, found = (
        json.loads((harness.RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in ("encode_speed", "search")
    )
    kinds, cores = speed["results"]["models"]["minilm"]["kinds"], speed["machine"]["cores"]
    encoding: list[dict[str, Any]] = []
    for kind in KINDS:
        for engine in ENGINES:
            rate = kinds[kind]["engines"][f"semvec, {engine}"]["texts_per_second"] / cores
            hours = {size: size / rate / 3600 for size in SIZES}
            encoding.append({"kind": kind, "engine": engine, "texts_per_core_second": rate, "core_hours": hours})
    local = found["results"]["MiniLM 100,000 × 384"]["semvec"]
    kept = [
        {
            "size": size,
            "disk_gb": local["disk_mb"] * 1e6 / 1e5 * size / 1e9,
            "memory_gb": (local["peak_mb"] - local["before_mb"]) * 1e6 / 1e5 * size / 1e9,
            "vectors_gb": {name: DIM * width * size / 1e9 for name, width in (("float32", 4), ("float16", 2), ("int8", 1))},
            "build_core_hours": local["build_seconds"] * cores / 1e5 * size / 3600,
        }
        for size in SIZES
    ]
    sharding = [
        {
            "k": k,
            "shards": shards,
            "fewest": fewest(k, shards),
            "recalled": recalled(k, shards, fewest(k, shards)),
            "simulated": simulated(k, shards, fewest(k, shards)),
            "half": recalled(k, shards, max(1, fewest(k, shards) // 2)),
            "merge_ms": merging_ms(k, shards),
        }
        for k in ASKED
        for shards in SHARDS
    ]
    harness.keep("scale", {"price": PRICE, "cores": cores, "encoding": encoding, "kept": kept, "sharding": sharding})


if __name__ == "__main__":
    main()
