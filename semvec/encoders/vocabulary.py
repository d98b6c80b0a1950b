"""The words of a table: from a word to its row, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Vocabulary(Protocol):
    """The words of a table in the order of its rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> str:
        """Return the word of ``row``."""

    def __iter__(self) -> Iterator[str]: ...

    def get(self, word: str) -> int | None:
        """Return the row of ``word``, or None where it is not among them."""


class ListedWords:
    """A vocabulary in memory."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._rows = dict(zip(words, range(len(words)), strict=True))

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, row: int) -> str:
        return self._words[row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def get(self, word: str) -> int | None:
        return self._rows.get(word)


class MappedWords:
    """A vocabulary whose words stay an Arrow array and whose index, `word_index` (2, words), stays on the disk.

    A dict of 400,000 words takes 60 MB of every process that opens it; this takes what its words take.
    """

    def __init__(self, words: Any, index: NDArray[np.uint64]) -> None:
        self._words = words
        self._hashes, self._rows = index

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, row: int) -> str:
        return str(self._words[row].as_py())

    def __iter__(self) -> Iterator[str]:
        for at in range(0, len(self), 1 << 16):
            yield from self._words.slice(at, 1 << 16).to_pylist()

    def get(self, word: str) -> int | None:
        wanted = np.uint64(_hash(word))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self) and self._hashes[at] == wanted:
            row = int(self._rows[at])
            if self[row] == word:
                return row
            at += 1
        return None


def word_index(words: Iterable[str]) -> NDArray[np.uint64]:
    """Return the hashes of ``words``, sorted, and beside each the row it stands for: (2, words)."""
    hashes = np.fromiter(map(_hash, words), dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    return np.stack([hashes[order], order.astype(np.uint64)])


def _hash(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
