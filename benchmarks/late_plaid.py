"""fast-plaid on the vectors in a folder: run by late_interaction.py with the Python that has it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from fast_plaid import search

WAYS = {"defaults": {}, "n_full_scores 512": {"n_full_scores": 512}}


def items(folder: Path, name: str) -> list[torch.Tensor]:
    vectors, counts = np.load(folder / f"{name}.npy"), np.load(folder / f"{name}_counts.npy")
    return [torch.from_numpy(its) for its in np.split(vectors, np.cumsum(counts)[:-1])]


def main() -> None:
    folder = Path(sys.argv[1])
    documents, queries = items(folder, "documents"), items(folder, "queries")
    tokens = sum(map(len, documents))
    rows = []
    for bits in (2, 4):
        place = folder / f"plaid-{bits}"
        begun = time.perf_counter()
        search.FastPlaid(index=str(place), device="cpu").create(documents_embeddings=documents, nbits=bits)
        wall = time.perf_counter() - begun
        index = search.FastPlaid(index=str(place), device="cpu")
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        for name, options in WAYS.items():
            found, seconds = [], []
            for at, query in enumerate([*queries[:5], *queries]):
                begun = time.perf_counter()
                hits = index.search(queries_embeddings=query[None], top_k=10, show_progress=False, **options)[0]
                if at >= 5:  # the first are a warm-up
                    seconds.append(time.perf_counter() - begun)
                    found.append([int(number) for number, _ in hits])
            row = {"name": f"fast-plaid, {bits} bits, {name}", "found": found, "ms": float(np.median(seconds) * 1e3)}
            rows.append({**row, "bytes_a_token": size / tokens, "built_s": wall})
    (folder / "found.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
