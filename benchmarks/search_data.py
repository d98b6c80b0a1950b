"""Vectors to search: 100,000 real ones of MiniLM, and a million made-up ones that lie in clusters."""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

import numpy as np
from harness import corpus, zipped
from numpy.typing import NDArray

import semvec
from semvec.text.sentences import split_sentences

CACHE = Path("build/bench")
QUERIES = 500
TABLES = {
    "agnews": "text",
    "banking77": "text",
    "mr": "text",
    "subj": "text",
    "trec6": "text",
    "stsb": "sentence1",
    "sick": "sentence1",
}


def minilm(data: Path, count: int = 100_000) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``count`` vectors (count, 384) of distinct English sentences, and those of `QUERIES` others; kept in `CACHE`."""
    path = CACHE / f"minilm-{count}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        texts = english(data, count + QUERIES)
        encoder = semvec.load_encoder("minilm")
        parts = []
        for at in range(0, len(texts), 2048):
            parts.append(encoder.encode(texts[at : at + 2048]).vectors)
            print(f"\rencoded {at:,} of {len(texts):,}", end="", file=sys.stderr)
        np.save(path, np.concatenate(parts))
        (CACHE / f"texts-{count}.json").write_text(json.dumps(texts))
    every = np.load(path)
    return every[:count], every[count:]


def english(data: Path, count: int) -> list[str]:
    """Return ``count`` distinct sentences of reviews, news, abstracts, captions and questions, in a seeded order."""
    found: dict[str, None] = {}
    for name, column in TABLES.items():
        with open(data / name / "train.tsv", encoding="utf-8") as stream:
            found.update(dict.fromkeys(row[column] for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)))
    long = [line.split("\t", 1)[1] for line in zipped(data / "imdb" / "train.tsv.gz")][1:]
    long += [f"{row['title']}. {row['text']}" for name in ("scifact", "cranfield", "med") for row in corpus(data / name)]
    for text in long:
        found.update(dict.fromkeys(text[first:last] for first, last in split_sentences(text)))
    texts = sorted(text for text in found if 20 <= len(text) <= 300)
    random.Random(0).shuffle(texts)
    assert len(texts) >= count, f"{len(texts):,} texts"
    return texts[:count]


def clustered(count: int = 1_000_000, dim: int = 128, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``count`` vectors (count, dim) of length 1 in 5,000 clusters within 48 dimensions, with noise, and `QUERIES` more."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((48, dim)).astype(np.float32)
    centres = rng.standard_normal((5000, 48)).astype(np.float32)
    every = np.empty((count + QUERIES, dim), dtype=np.float32)
    for at in range(0, len(every), 100_000):
        size = min(100_000, len(every) - at)
        near = centres[rng.integers(0, len(centres), size)] + 0.5 * rng.standard_normal((size, 48), dtype=np.float32)
        rows = near @ basis + 0.5 * rng.standard_normal((size, dim), dtype=np.float32)
        every[at : at + size] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return every[:count], every[count:]
