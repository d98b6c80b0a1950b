"""Maps: how long they take, how true they are, that a seed gives the same one, and what is put on one moves nothing.

python benchmarks/maps.py --data ../shared/data [--points 100000]

Beside umap-learn's own UMAP (a thread, as ours) and openTSNE's own t-SNE (two threads, ours one) of the same vectors, and PCA. Trustworthiness is checked against
scikit-learn's. The 100,000 texts are sentences of reviews, news, abstracts and questions (`search_data.minilm`).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from harness import RESULTS, keep
from search_data import minilm

from semvec.embeddings.transforms import normalize
from semvec.explore.maps import MapPlan, draft
from semvec.explore.points import From, Points, points_of
from semvec.types import Metric
from semvec.visualise.honesty import honesty
from semvec.visualise.near import near
from semvec.visualise.options import MapOptions, Method
from semvec.visualise.page import page
from semvec.visualise.projection import Projection

ROUNDS = 3


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = perf_counter()
    found = call()
    return found, perf_counter() - began


def peer_umap(unit: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    return np.asarray(UMAP(metric="cosine", random_state=seed, n_jobs=1).fit_transform(unit), dtype=np.float32)


def peer_tsne(unit: np.ndarray, seed: int) -> np.ndarray:
    from openTSNE import TSNE

    return np.asarray(TSNE(metric="cosine", random_state=seed, n_jobs=2).fit(unit), dtype=np.float32)


def told(unit: np.ndarray, points: np.ndarray, known: Any) -> dict[str, float]:
    found = honesty(unit, points, known)
    return {name: round(getattr(found, name).mean, 4) for name in ("trustworthiness", "continuity", "overlap")}


def a_set(vectors: np.ndarray, *, rounds: int) -> dict[str, Any]:
    """Return seconds (medians) and measures of every method on unit ``vectors``, and of the peers."""
    unit = normalize(vectors)
    known, seconds = timed(lambda: near(unit, 90))
    rows: dict[str, Any] = {}
    for method in Method:
        options = MapOptions(method)
        took = [timed(lambda options=options: Projection.fit(vectors, options)) for _ in range(rounds)]  # type: ignore[misc]
        first = took[0][0].points
        same = all(bool((made.points == first).all()) for made, _ in took)
        rows[f"semvec, {method}"] = {"seconds": round(median(s for _, s in took), 2), **told(unit, first, known), "same": same}
    for name, peer in {"umap-learn": peer_umap, "openTSNE": peer_tsne}.items():
        peer_runs = [timed(lambda peer=peer: peer(unit, 0)) for _ in range(rounds)]  # type: ignore[misc]
        rows[name] = {
            "seconds": round(median(s for _, s in peer_runs), 2),
            **told(unit, peer_runs[0][0], known),
            "same": all(bool((made == peer_runs[0][0]).all()) for made, _ in peer_runs),
        }
    return {"points": len(unit), "dim": unit.shape[1], "neighbours_s": round(seconds, 2), "rows": rows}


def held(vectors: np.ndarray) -> dict[str, Any]:
    """Return how far 1,000 new points move the old ones, and how true the places are that they get."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(vectors))
    new, old = order[:1000], order[1000:]
    ids = [str(row) for row in range(len(vectors))]
    found = {}
    for method in Method:
        made = Projection.fit(vectors[old], MapOptions(method), ids=[ids[row] for row in old])
        places = made.transform(vectors, ids=ids)
        moved = float(np.abs(places[old] - made.points).max())
        unit = normalize(vectors)
        known = near(unit, 90)
        one, both = honesty(unit, places, known), Projection.fit(vectors, MapOptions(method)).points
        other = honesty(unit, both, known)
        found[str(method)] = {
            "moved": moved,
            "true_of_new": round(float(one.true[new].mean()), 4),
            "true_of_new_if_fitted": round(float(other.true[new].mean()), 4),
        }
    return found


def against_scikit_learn(vectors: np.ndarray) -> float:
    from sklearn.manifold import trustworthiness

    unit = normalize(vectors[:1500])
    points = Projection.fit(unit).points
    mine = honesty(unit, points, near(unit, 50)).trustworthiness.mean
    return abs(mine - float(trustworthiness(unit, points, n_neighbors=10, metric="cosine")))


def many(vectors: np.ndarray) -> dict[str, Any]:
    """Return what a map of many points costs, the most memory read before the peer runs; what is waited for before a first page."""
    Projection.fit(vectors[:500])  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = normalize(vectors)
    known, seconds = timed(lambda: near(unit, 50))
    made, layout = timed(lambda: Projection.fit(vectors, known=known))
    measured, honest = timed(lambda: honesty(unit, made.points, known))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    names = [f"text {row}" for row in range(len(vectors))]
    points = Points(vectors, Metric.COSINE, names, names)
    first, drafted = timed(lambda: page(draft(points, MapPlan(), "Many")))  # type: ignore[arg-type]
    theirs, peer = timed(lambda: peer_umap(unit, 0))
    return {
        "points": len(vectors),
        "neighbours_s": round(seconds, 1),
        "layout_s": round(layout, 1),
        "honesty_s": round(honest, 1),
        "first_page_s": round(drafted, 1),
        "first_page_mb": round(len(first) / 1e6, 1),
        "peak_mb": peak // 1024,
        "before_mb": before // 1024,
        "semvec": {name: round(getattr(measured, name).mean, 4) for name in ("trustworthiness", "continuity", "overlap")},
        "umap-learn": {"seconds": round(peer, 1), **told(unit, theirs, known)},
    }


def measured(data: Path) -> dict[str, Any]:
    results: dict[str, Any] = {"sets": {}}
    banking = points_of([str(data / "banking77" / "train.tsv")], From("minilm", "cpu")).vectors
    glove = points_of(["glove-50d"], From(words=5000)).vectors
    Projection.fit(banking[:500])  # compiles
    results["scikit_learn_difference"] = against_scikit_learn(banking)
    results["held"] = held(banking[:5000])
    results["sets"]["BANKING77, MiniLM"] = a_set(banking, rounds=ROUNDS)
    results["sets"]["5,000 words, GloVe"] = a_set(glove, rounds=ROUNDS)
    keep("maps", results)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--many", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only-many", action="store_true", help="measure the many points anew; what is kept of the rest stays")
    options = parser.parse_args()
    if options.many:
        print(json.dumps(many(minilm(options.data, options.points)[0])))
        return
    warnings.simplefilter("ignore")
    kept = RESULTS / "maps.json"
    results: dict[str, Any] = json.loads(kept.read_text())["results"] if options.only_many else measured(options.data)
    if options.points:
        command = [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            "--data",
            str(options.data),
            "--points",
            str(options.points),
            "--many",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results["many"] = json.loads(done.stdout.splitlines()[-1])
        keep("maps", results)


if __name__ == "__main__":
    main()
