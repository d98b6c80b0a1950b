"""Word vectors in word2vec's binary format: a word, a space and its numbers, one after the other."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.word_text import HEADER, MOST_DIM, Flaws, WordBatch, check_finite, decode
from semvec.errors import ModelError

BATCH = 8192
LONGEST = 1 << 14


def read_binary(path: Path, flaws: Flaws) -> Iterator[WordBatch]:
    """Give the word vectors in ``path``, some thousands at a time.

    Raises `ModelError` for a file that ends before the words its first line promises, or goes on after them.
    """
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        header = HEADER.match(content[:LONGEST])
        if header is None:
            raise ModelError(f"{path}: no word2vec file, its first line is not the numbers of words and dimensions")
        count, dim = int(header[1]), int(header[2])
        if not 1 <= dim <= MOST_DIM:
            raise ModelError(f"{path}: vectors of {dim:,} numbers, where 1 to {MOST_DIM:,} can be read")
        at = header.end()
        for first in range(0, count, BATCH):
            words: list[bytes] = []
            places: list[int] = []
            for row in range(first, min(first + BATCH, count)):
                space = content.find(b" ", at, at + LONGEST)
                if space < 0 or space + 1 + 4 * dim > len(content):
                    raise ModelError(f"{path}: cut short or damaged: its first line promises {count:,} words, {row:,} are there")
                words.append(content[at:space].lstrip(b"\n"))
                places.append(space + 1)
                at = space + 1 + 4 * dim
            vectors = _gather(content, places, dim)
            check_finite(str(path), words, vectors)
            yield WordBatch([decode(word, flaws) for word in words], vectors)
        if content[at : at + 2].strip():
            raise ModelError(f"{path}: goes on after the {count:,} words that its first line promises: damaged")


def _gather(content: mmap.mmap, places: list[int], dim: int) -> NDArray[np.float32]:
    return np.frombuffer(b"".join([content[at : at + 4 * dim] for at in places]), dtype="<f4").reshape(-1, dim)
