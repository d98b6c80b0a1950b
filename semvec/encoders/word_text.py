"""Word vectors as text, GloVe's and word2vec's: read in blocks, by Arrow's parser wherever a block is regular."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, NoReturn

import numpy as np
from numpy.typing import NDArray

from semvec.errors import ModelError

BLOCK = 1 << 24
SAMPLE = 100
HEADER = re.compile(rb"(\d+) (\d+)[ \t]*\r?\n")
BOM = b"\xef\xbb\xbf"
NUMBER = re.compile(rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+|nan|inf)(?:e[-+]?\d+)?", re.IGNORECASE)
DECIMAL = re.compile(rb"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=e))(?:e[-+]?\d+)?", re.IGNORECASE)
"""What is taken for a number too many, not for the end of a word with spaces in it."""


def is_vector(line: bytes) -> bool:
    """Whether ``line`` is one of a text file: a word, which may hold spaces, and at least two numbers."""
    cells = line.split()
    return len(cells) >= 3 and all(NUMBER.fullmatch(cell) for cell in cells[-2:])


@dataclass
class WordBatch:
    """Some consecutive words of a file and their vectors (words, dim) float32."""

    words: list[str]
    vectors: NDArray[np.float32]


@dataclass
class Flaws:
    """What was wrong with the words of a file and could be passed over."""

    not_utf8: int = 0
    duplicates: int = 0
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = []
        if self.duplicates:
            names = ", ".join(repr(word) for word in self.examples)
            parts.append(f"{self.duplicates:,} words come more than once ({names}); the first vector of each is kept")
        if self.not_utf8:
            parts.append(f"{self.not_utf8:,} words are not UTF-8; what cannot be read in them became U+FFFD")
        return "; ".join(parts)


def read_text(stream: IO[bytes], name: str, flaws: Flaws) -> Iterator[WordBatch]:
    """Give the word vectors in a text file, block by block; the first line may tell words and dimensions.

    Words may hold spaces. Raises `ModelError` naming the line for one that has not as many numbers as the
    others, or holds something that is no number, and for a header that tells of other numbers of words or
    dimensions than there are.
    """
    head = stream.read(BLOCK).removeprefix(BOM)
    promised = None
    line = 1
    if header := HEADER.match(head):
        promised = int(header[1]), int(header[2])
        head = head[header.end() :]
        line = 2
    dim = promised[1] if promised else _dim(head)
    found = 0
    rest = b""
    while head or rest:
        block = rest + head
        head = stream.read(BLOCK)
        cut = block.rfind(b"\n") + 1 if head else len(block)
        block, rest = block[:cut], block[cut:]
        if not block:
            continue
        batch = _parse(block, dim, line, name, flaws)
        line += block.count(b"\n")
        found += len(batch.words)
        if len(batch.words):
            yield batch
    if promised and promised[0] != found:
        raise ModelError(f"{name}: its first line promises {promised[0]:,} words, but {found:,} follow: cut short, or damaged")


def _dim(head: bytes) -> int:
    """Return how many numbers a line has: as many as follow the first word in most of the first lines."""
    whole = head[: head.rfind(b"\n")] if b"\n" in head else head
    lines = [line for line in whole.split(b"\n", SAMPLE)[:SAMPLE] if line.strip()]
    return Counter(len(line.split()) - 1 for line in lines).most_common(1)[0][0]


def _parse(block: bytes, dim: int, line: int, name: str, flaws: Flaws) -> WordBatch:
    plain = block
    if b"\r" in plain or b"\t" in plain:
        plain = plain.replace(b"\r\n", b"\n").replace(b"\t", b" ")
    if b" \n" in plain:
        plain = plain.replace(b" \n", b"\n")
    if not plain.endswith(b"\n"):
        plain = plain.rstrip(b" ") + b"\n"
    regular = plain.count(b" ") == dim * plain.count(b"\n") and not plain.startswith(BOM)  # which Arrow would drop
    parsed = _fast(plain, dim) if regular else None
    words, vectors = parsed if parsed is not None else _careful(plain, dim, line, name)
    check_finite(name, words, vectors)
    return WordBatch([decode(word, flaws) for word in words], vectors)


def check_finite(name: str, words: Sequence[bytes | str], vectors: NDArray[np.float32]) -> None:
    """Raise `ModelError` naming the first of ``words`` whose vector holds a number that is not finite."""
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        word = words[row]
        shown = word if isinstance(word, str) else decode(word, Flaws())
        raise ModelError(f"{name}: the vector of {shown!r} holds a number that is not finite")


def _fast(block: bytes, dim: int) -> tuple[list[bytes], NDArray[np.float32]] | None:
    """Return what Arrow reads, or None where it meets something irregular."""
    import pyarrow
    from pyarrow import csv

    columns = ["word", *map(str, range(dim))]
    types = {name: pyarrow.float32() for name in columns[1:]} | {"word": pyarrow.binary()}
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(block),
            read_options=csv.ReadOptions(column_names=columns, block_size=1 << 22),
            parse_options=csv.ParseOptions(delimiter=" ", quote_char=False, escape_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except pyarrow.ArrowInvalid:
        return None
    vectors = np.empty((len(table), dim), dtype=np.float32)
    for at, column in enumerate(table.columns[1:]):
        vectors[:, at] = column.to_numpy()
    return table.column(0).to_pylist(), vectors


def _careful(block: bytes, dim: int, line: int, name: str) -> tuple[list[bytes], NDArray[np.float32]]:
    """Return what stands in the lines one by one, numbers taken from their ends; raise for one that is wrong."""
    words: list[bytes] = []
    rows: list[NDArray[np.float32]] = []
    for at, text in enumerate(block.split(b"\n")[:-1], start=line):
        if not text.strip():
            continue
        word, *numbers = text.rsplit(b" ", dim)
        if len(numbers) != dim or (b" " in word and DECIMAL.fullmatch(word.rsplit(b" ", 1)[1])):
            there = len(text.split()) - 1
            _refuse(f"{name}, line {at}: {there} numbers where the other lines have {dim}")
        try:
            rows.append(np.array(numbers, dtype=np.float32))
        except ValueError:
            _refuse(f"{name}, line {at}: {_bad_number(numbers)!r} is not a number, or the line has not {dim} of them")
        words.append(word.rstrip(b" "))
    return words, np.array(rows, dtype=np.float32).reshape(-1, dim)


def _refuse(message: str) -> NoReturn:
    raise ModelError(message)


def _bad_number(numbers: list[bytes]) -> str:
    for number in numbers:
        try:
            float(number)
        except ValueError:
            return number.decode("utf-8", "replace")
    return ""


def decode(word: bytes, flaws: Flaws) -> str:
    """Return ``word`` as a string, what is not UTF-8 in it replaced and counted."""
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        flaws.not_utf8 += 1
        return word.decode("utf-8", "replace")
