"""Files of word vectors, told apart by what they hold, and read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.model_folder import first_line
from semvec.encoders.vocabulary import ListedWords
from semvec.encoders.word_binary import read_binary
from semvec.encoders.word_documents import Documents
from semvec.encoders.word_ngrams import Ngrams
from semvec.encoders.word_table import ContentHash, WordTable
from semvec.encoders.word_text import BOM, HEADER, MOST_DIM, Flaws, WordBatch, check_finite, is_vector, read_text
from semvec.errors import ModelError, PickleRefused
from semvec.text.sources import Source
from semvec.types import JSON

FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")
ARCHIVES = {b"PK\x03\x04": "a zip archive", b"ustar": "a tar archive", b"7z\xbc\xaf": "a 7z archive"}
HEAD = 1 << 16
FASTTEXT_HEAD = struct.Struct("<14id3iqq")
"""Magic, version, twelve settings, a threshold; entries, words, labels, tokens and pruned ones of the dictionary."""


@dataclass(frozen=True)
class WordFile:
    """A file of word vectors and the name of its format, one of `FORMATS`."""

    path: Path
    kind: str

    @property
    def streams(self) -> bool:
        """Whether the words come batch by batch (`batches`), so that the whole need not fit into memory."""
        return self.kind in STREAMED

    def batches(self, flaws: Flaws) -> Iterator[WordBatch]:
        """Give the words and vectors some thousands at a time; raise `ModelError` for a damaged file."""
        with _damage_named(self.path, self.kind):
            yield from STREAMED[self.kind](self.path, flaws)

    @property
    def origin(self) -> dict[str, JSON]:
        """What a header says of where the vectors came from."""
        return {"file": self.path.name, "format": self.kind}

    def read(self, *, trust_pickle: bool = False) -> WordTable:
        """Return the whole table.

        Raises `PickleRefused` for a file of gensim's own without ``trust_pickle``, `ModelError` for a damaged one.
        """
        if self.kind == "gensim" and not trust_pickle:
            raise PickleRefused(
                f"{self.path}: a file of gensim's own is a pickle, which can run any code when read; "
                "trust_pickle=True (--trust-pickle) reads it all the same"
            )
        with _damage_named(self.path, self.kind):
            if self.streams:
                flaws = Flaws()
                return WordTable.of(self.batches(flaws), flaws, origin=self.origin)
            return table_of(WHOLE[self.kind](str(self.path)), self.path, self.origin)


def find_word_file(path: Path) -> WordFile:
    """Return ``path`` and its format, told by what it holds; raise `ModelError` where it holds no word vectors."""
    with _damage_named(path, "word"), _open(path) as stream:
        head = stream.read(HEAD)
    archive = next((name for magic, name in ARCHIVES.items() if head.startswith(magic) or head[257:262] == magic), None)
    kind = None if archive else _kind(head)
    if kind is None:
        advice = f" but {archive}: unpack it first" if archive else " (neither word2vec, GloVe, fastText nor gensim)"
        raise ModelError(f"{path}: holds no word vectors{advice}")
    if kind == "fasttext":
        _check_fasttext(path)
    if path.suffix in (".gz", ".zst") and kind not in ("word2vec text", "glove"):
        raise ModelError(f"{path}: {kind} vectors are read uncompressed: unpack it first")
    return WordFile(path, kind)


def _check_fasttext(path: Path) -> None:
    """Raise `ModelError` where a fastText file is too short for what it promises, before gensim makes room for that."""
    with open(path, "rb") as stream:
        head = stream.read(FASTTEXT_HEAD.size)
    size = path.stat().st_size
    if len(head) == FASTTEXT_HEAD.size:
        _, _, dim, *_, buckets, _, _, _, _, entries, words, _, _, _ = FASTTEXT_HEAD.unpack(head)
        if 1 <= dim <= MOST_DIM and 0 <= words <= entries and buckets >= 0 and 4 * dim * (words + buckets) <= size:
            return
    raise ModelError(f"{path}: damaged or cut short: too small a fastText file for what it says it holds")


def _kind(head: bytes) -> str | None:
    if head.startswith(FASTTEXT_MAGIC):
        return "fasttext"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "gensim"
    head = head.removeprefix(BOM)
    if header := HEADER.match(head):
        return "word2vec text" if _is_plain(head[header.end() :]) else "word2vec binary"
    return "glove" if is_vector(head.split(b"\n", 1)[0]) else None


def _is_plain(content: bytes) -> bool:
    """Whether ``content`` begins as text does, not with the bytes of numbers."""
    sample = content[:256]
    return bool(sample) and not any(byte < 32 and byte not in b"\t\r\n" for byte in sample)


def _open(path: Path) -> Any:
    return Source(str(path), "lines", str(path), str(path)).open()


def _text(path: Path, flaws: Flaws) -> Iterator[WordBatch]:
    with _open(path) as stream:
        yield from read_text(stream, str(path), flaws)


def _fasttext(path: str) -> Any:
    from gensim.models.fasttext import load_facebook_vectors

    return load_facebook_vectors(path)


def _gensim(path: str) -> Any:
    from gensim.utils import SaveLoad

    return SaveLoad.load(path)


STREAMED: dict[str, Callable[[Path, Flaws], Iterator[WordBatch]]] = {
    "word2vec text": _text,
    "word2vec binary": read_binary,
    "glove": _text,
}
WHOLE: dict[str, Callable[[str], Any]] = {"fasttext": _fasttext, "gensim": _gensim}
FORMATS = (*STREAMED, *WHOLE)


@contextmanager
def _damage_named(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever gensim, a decompressor or the system says of a damaged file into one `ModelError`."""
    try:
        yield
    except (ModelError, PickleRefused) as error:
        raise error if str(path) in str(error) else type(error)(f"{path}: {error}") from error
    except Exception as error:
        raise ModelError(f"{path}: cannot be read as {kind} vectors ({first_line(error)})") from error


def _true_counts(counts: Any) -> NDArray[np.int64] | None:
    """Return ``counts``, or None for those that gensim makes up (n, n − 1, …) for vectors that came without any."""
    if counts is None or not len(counts):
        return None
    numbers = np.asarray(counts, dtype=np.int64)
    return None if len(numbers) > 1 and (np.diff(numbers) == -1).all() else numbers


def table_of(model: Any, path: Path, origin: dict[str, JSON]) -> WordTable:
    """Return the table of what gensim loaded: ``KeyedVectors``, or a model that has them.

    Words that stand out of the order of their counts, as those that a model of gensim was extended by, are put into it.
    """
    keyed = getattr(model, "wv", model)
    if not hasattr(keyed, "key_to_index"):
        raise ModelError(f"{path}: a {type(model).__name__} of gensim, which holds no word vectors")
    words = list(keyed.index_to_key)
    if strange := next((word for word in words if not isinstance(word, str)), None):
        raise ModelError(f"{path}: a key is not a word but {type(strange).__name__} ({strange!r:.60})")
    vectors = np.asarray(keyed.vectors, dtype=np.float32)
    check_finite(str(path), words, vectors)
    counts = _true_counts(keyed.expandos.get("count") if keyed.expandos else None)
    if counts is not None and (np.diff(counts) > 0).any():
        order = np.argsort(-counts, kind="stable")
        words, vectors, counts = [words[row] for row in order.tolist()], vectors[order], counts[order]
    ngrams = None
    if hasattr(keyed, "vectors_ngrams"):
        ngrams = Ngrams(np.asarray(keyed.vectors_ngrams, dtype=np.float32), keyed.min_n, keyed.max_n)
    documents = Documents(lambda: model) if hasattr(model, "infer_vector") else None
    hidden = [] if documents is None else [getattr(model, name) for name in ("syn1", "syn1neg") if hasattr(model, name)]
    return WordTable(
        ListedWords(words),
        vectors,
        ContentHash.of([WordBatch(words, vectors)]).sum(ngrams, *hidden),
        counts=counts,
        ngrams=ngrams,
        documents=documents,
        origin=origin,
    )
