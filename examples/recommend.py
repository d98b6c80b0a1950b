"""A recommender: from what somebody has read to what he may like to read, near to it and unlike each other.

python examples/recommend.py examples/data/human_rights.txt 30 31 --k 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import semvec

UNLIKE = 0.3
"""What it counts for that recommendations are unlike each other (maximal marginal relevance), from 0 to 1."""


def recommended(vectors: np.ndarray, read: list[int], k: int) -> list[int]:
    """Return the rows of ``k`` texts that were not read, near to one of those ``read``, and unlike those recommended before."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    near = (unit @ unit[read].T).max(axis=1)  # of several interests each counts, not their mean
    near[read] = -np.inf
    chosen: list[int] = []
    while len(chosen) < min(k, len(vectors) - len(set(read))):
        like = (unit @ unit[chosen].T).max(axis=1) if chosen else np.zeros(len(unit))
        score = (1 - UNLIKE) * near - UNLIKE * like
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
    return chosen


def main() -> None:
    """Print what was read, and what is recommended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, help="a file of texts, one a line")
    parser.add_argument("read", type=int, nargs="+", help="the lines that were read, from 1 on")
    parser.add_argument("--k", type=int, default=3)
    asked = parser.parse_args()
    texts = asked.texts.read_text(encoding="utf-8").splitlines()
    vectors = semvec.load_encoder("minilm").encode_document(texts, overflow="windows").floats()
    rows = [line - 1 for line in asked.read]
    for row in rows:
        print(f"read: {texts[row]}")
    for row in recommended(vectors, rows, asked.k):
        print(f"  {row + 1}: {texts[row]}")


if __name__ == "__main__":
    main()
