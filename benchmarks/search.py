"""How fast, how exact and how large: semvec's collections beside bare FAISS, Chroma, LanceDB and sqlite-vec.

python benchmarks/search.py --data ../shared/data

100,000 × 384 real vectors of MiniLM, and 1,000,000 × 128 made-up ones in clusters. Every engine builds in a process of its
own, opens in another, and is asked the same 500 queries one by one, then all at once, then with filters that leave 50, 10, 1
and 0.1 % of the items. pip install chromadb lancedb sqlite-vec pysqlite3-binary for the peers; who is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import keep
from search_data import CACHE, QUERIES, clustered, minilm
from search_engines import ENGINES, Batched, fresh, parts_of, size_of

K = 10
LIMITS = {"50 %": 500, "10 %": 100, "1 %": 10, "0.1 %": 1}
WARM = 50
RUNS = 3
PEERS = ("Chroma", "LanceDB", "LanceDB, indexed", "sqlite-vec")
SETS = {
    "MiniLM 100,000 × 384": ("semvec", "semvec, flat", "FAISS HNSW alone", *PEERS),
    "clusters 1,000,000 × 128": ("semvec", "FAISS HNSW alone", "LanceDB", "sqlite-vec", "Chroma"),
}
TOO_SLOW = 0.05
"""Seconds a query from which on only 50 queries are asked."""


def prepared(name: str, data: Path) -> Path:
    """Write vectors, queries and the true neighbours of one set to a folder once, and return it."""
    import faiss

    folder = CACHE / name.split()[0]
    if not (folder / "true.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        vectors, queries = minilm(data) if name.startswith("MiniLM") else clustered()
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries)
        parts = np.array(parts_of(len(vectors)))
        true = {}
        for label, limit in (("all", 1000), *LIMITS.items()):
            rows = np.flatnonzero(parts < limit)
            best = faiss.knn(queries, np.ascontiguousarray(vectors[rows]), K, metric=faiss.METRIC_INNER_PRODUCT)[1]
            true[label] = rows[best].tolist()
        (folder / "true.json").write_text(json.dumps(true))
    return folder


def recall(found: list[list[int]], true: list[list[int]]) -> float:
    """Return the share of the true neighbours that were found, over all queries."""
    return round(float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, true, strict=False)])), 4)


def build(engine: str, folder: Path, place: Path) -> dict[str, Any]:
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    one = ENGINES[engine](fresh(place))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    about = one.build(vectors, parts_of(len(vectors)))
    return {
        "about": {key: about[key] for key in ("kind", "effort", "recall") if key in about},
        "version": one.version,
        "build_seconds": round(time.perf_counter() - began, 1),
        "build_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "before_mb": round(before / 1024),
        "disk_mb": round(size_of(place) / 1e6, 1),
    }


def ask(engine: str, folder: Path, place: Path) -> dict[str, Any]:
    queries, true = np.load(folder / "queries.npy"), json.loads((folder / "true.json").read_text())
    one = ENGINES[engine](place)
    if engine.startswith("semvec"):
        import semvec.store.local  # noqa: F401 (loading libraries is not opening a collection)
    one.version  # noqa: B018 (imports nothing, and fails where the engine is not there)
    began = time.perf_counter()
    one.open()
    first = time.perf_counter()
    one.search(queries[0], K, None)
    results: dict[str, Any] = {
        "open_seconds": round(first - began, 3),
        "open_and_first_query_seconds": round(time.perf_counter() - began, 3),
    }
    if tuned := one.tune(queries, true["all"]):
        results["about"] = tuned
    for query in queries[:WARM]:
        one.search(query, K, None)
    results["all"] = timed(one, queries, true["all"], None)
    if isinstance(one, Batched):
        rates, many = [], []
        for _ in range(RUNS):
            began = time.perf_counter()
            many = one.search_many(queries, K)
            rates.append(len(queries) / (time.perf_counter() - began))
        results["at_once"] = {"queries_a_second": round(float(np.median(rates))), "recall": recall(many, true["all"])}
    if one.filters:
        for label, limit in LIMITS.items():
            began = time.perf_counter()
            one.search(queries[0], K, limit)
            cold = time.perf_counter() - began
            results[label] = {**timed(one, queries, true[label], limit), "first_ms": round(cold * 1000, 2)}
    results["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return results


def timed(one: Any, queries: Any, true: list[list[int]], limit: int | None) -> dict[str, Any]:
    """Ask one by one, and return the median and the 99th percentile of all runs, the recall, and the fewest hits."""
    began = time.perf_counter()
    one.search(queries[1], K, limit)
    slow = time.perf_counter() - began > TOO_SLOW
    asked, took = queries[:50] if slow else queries, []
    found: list[list[int]] = []
    for _ in range(1 if slow else RUNS):
        found = []
        for query in asked:
            began = time.perf_counter()
            found.append(one.search(query, K, limit))
            took.append(time.perf_counter() - began)
    return {
        "p50_ms": round(float(np.median(took)) * 1000, 3),
        "p99_ms": round(float(np.quantile(took, 0.99)) * 1000, 3),
        "queries_a_second": round(len(took) / sum(took)),
        "recall": recall(found, true),
        "fewest_hits": min(map(len, found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--engines", nargs="*", choices=list(ENGINES), help="only these; the others keep their former results")
    parser.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stage, engine, folder = options.stage
        place = CACHE / "stores" / f"{Path(folder).name}-{engine.replace(', ', '-').replace(' ', '-')}"
        print(json.dumps({"build": build, "ask": ask}[stage](engine, Path(folder), place)))
        return
    former = Path(__file__).parent / "results" / "search.json"
    results: dict[str, Any] = json.loads(former.read_text())["results"] if options.engines and former.exists() else {}
    for name in options.sets:
        folder = prepared(name, options.data)
        for engine in [one for one in SETS[name] if not options.engines or one in options.engines]:
            found: dict[str, Any] = {}
            for stage in ("build", "ask"):
                command = [sys.executable, __file__, "--data", str(options.data), "--stage", stage, engine, str(folder)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
                if done.returncode:
                    print(f"{engine}: left out", file=sys.stderr)
                    break
                found |= json.loads(done.stdout.splitlines()[-1])
            else:
                results.setdefault(name, {})[engine] = found
                print(name, engine, json.dumps(found), flush=True)
    keep("search", {**results, "queries": QUERIES, "k": K})


if __name__ == "__main__":
    main()
