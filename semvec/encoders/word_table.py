"""Files of word vectors → a table: the words, and one vector each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.model_folder import combined_hash, first_line
from semvec.errors import ModelError, PickleRefused
from semvec.types import Oov

FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")
HEADER = re.compile(rb"\d+ \d+\s*\r?\n")
NUMBERS = re.compile(rb"\S+( -?\d+\.?\d*([eE][-+]?\d+)?){2,} ?\r?\n?")


@dataclass(frozen=True)
class WordTable:
    """Words and their vectors (words, dim) float32, which may be memory-mapped.

    ``subword`` makes a vector for a word that is not in the table, or None where it cannot;
    ``documents`` is gensim's ``Doc2Vec`` where the file held one.
    """

    rows: dict[str, int]
    vectors: NDArray[np.float32]
    weights: str
    subword: Callable[[str], NDArray[np.float32]] | None = None
    documents: Any = None

    @property
    def dim(self) -> int:
        """How many dimensions a vector has."""
        return int(self.vectors.shape[1])

    def find(self, word: str) -> tuple[int, Oov]:
        """Return the row of ``word`` and the rung it was found on: as it is, or with other capitals.

        The row is −1 where the word is not in the table.
        """
        row = self.rows.get(word)
        if row is not None:
            return row, Oov.EXACT
        for other in (word.lower(), word.capitalize(), word.upper()):
            row = self.rows.get(other)
            if row is not None:
                return row, Oov.CASE
        return -1, Oov.SUBWORD if self.subword is not None else Oov.ZERO


def read_npy_and_parquet(vectors: Path, words: Path, column: str) -> WordTable:
    """Return a table of a ``.npy`` array, memory-mapped, and a Parquet column with the words."""
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_table(words, columns=[column]).column(column).to_pylist()
        array = np.load(vectors, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever the two libraries say of a damaged file
        raise ModelError(f"{vectors.parent}: cannot be read ({first_line(error)})") from error
    if len(names) != len(array):
        raise ModelError(f"{vectors.parent}: {len(names)} words for {len(array)} vectors")
    return WordTable({word: row for row, word in enumerate(names)}, array, combined_hash([vectors, words]))


def read_word_file(path: Path, *, trust_pickle: bool = False) -> WordTable:
    """Return the word vectors in ``path``, whose format is told by what it holds.

    word2vec text and binary, GloVe text (without a header), fastText ``.bin``, and files of gensim's own,
    which are pickles and need ``trust_pickle``. Raises `PickleRefused`, and `ModelError` for anything else.
    """
    kind = sniff(path)
    if kind == "gensim" and not trust_pickle:
        raise PickleRefused(
            f"{path}: a file of gensim's own is a pickle, which can run any code when read; "
            "trust_pickle=True (--trust-pickle) reads it all the same"
        )
    try:
        model = LOADERS[kind](str(path))
    except Exception as error:  # whatever gensim says of a damaged file
        raise ModelError(f"{path}: cannot be read as {kind} vectors ({first_line(error)})") from error
    return _table(model, path)


def sniff(path: Path) -> str:
    """Return which of `LOADERS` reads ``path``; raise `ModelError` where none does."""
    with open(path, "rb") as stream:
        head = stream.read(1 << 16)
    if head.startswith(FASTTEXT_MAGIC):
        return "fasttext"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "gensim"
    if header := HEADER.match(head):
        line = head[header.end() :].split(b"\n", 1)[0]
        return "word2vec text" if NUMBERS.fullmatch(line) else "word2vec binary"
    if NUMBERS.fullmatch(head.split(b"\n", 1)[0]):
        return "glove"
    raise ModelError(f"{path}: holds no word vectors (neither word2vec, GloVe, fastText nor gensim)")


def _word2vec(path: str, **options: Any) -> Any:
    from gensim.models import KeyedVectors

    return KeyedVectors.load_word2vec_format(path, **options)


def _fasttext(path: str) -> Any:
    from gensim.models.fasttext import load_facebook_vectors

    return load_facebook_vectors(path)


def _gensim(path: str) -> Any:
    from gensim.utils import SaveLoad

    return SaveLoad.load(path)


LOADERS: dict[str, Callable[[str], Any]] = {
    "word2vec text": _word2vec,
    "word2vec binary": lambda path: _word2vec(path, binary=True),
    "glove": lambda path: _word2vec(path, no_header=True),
    "fasttext": _fasttext,
    "gensim": _gensim,
}


def _table(model: Any, path: Path) -> WordTable:
    keyed = getattr(model, "wv", model)
    if not hasattr(keyed, "key_to_index"):
        raise ModelError(f"{path}: a {type(model).__name__} of gensim, which holds no word vectors")
    if not np.isfinite(keyed.vectors).all():
        row = int(np.flatnonzero(~np.isfinite(keyed.vectors).all(axis=1))[0])
        raise ModelError(f"{path}: the vector of {keyed.index_to_key[row]!r} holds a number that is not finite")
    beside = sorted(path.parent.glob(path.name + ".*.npy"))
    return WordTable(
        rows=dict(keyed.key_to_index),
        vectors=np.asarray(keyed.vectors, dtype=np.float32),
        weights=combined_hash([path, *beside]),
        subword=keyed.get_vector if hasattr(keyed, "vectors_ngrams") else None,
        documents=model if hasattr(model, "infer_vector") else None,
    )
