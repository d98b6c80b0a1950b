"""Vectors files by their suffix: read one, write one, ask one what it holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.formats.companions import header_path, rows_path
from semvec.embeddings.formats.layout import Header, MemoryPart, Part, header_of
from semvec.errors import FormatError, OutputError, OutputExists, SemvecError
from semvec.types import did_you_mean

FORMATS = {
    ".npy": "semvec.embeddings.formats.npy",
    ".npz": "semvec.embeddings.formats.npz",
    ".parquet": "semvec.embeddings.formats.parquet",
    ".safetensors": "semvec.embeddings.formats.safetensors",
    ".jsonl": "semvec.embeddings.formats.jsonl",
    ".vec": "semvec.embeddings.formats.word2vec",
    ".bin": "semvec.embeddings.formats.word2vec",
}


OF_TEXTS_TOO = (".parquet", ".jsonl")
"""Suffixes under which texts are found as well."""


class Format(Protocol):
    """What a module of `semvec.embeddings.formats` offers."""

    def write(self, path: Path, header: Header, parts: Sequence[Part]) -> None:
        """Write ``parts`` whole, holding one at a time."""

    def read(self, path: Path) -> Embeddings:
        """Return what `write` wrote."""

    def read_header(self, path: Path) -> Header:
        """Return the header alone."""


def format_of(path: str | os.PathLike[str]) -> Format:
    """Return the format that the suffix of ``path`` names; raise `FormatError` listing them otherwise."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        hint = did_you_mean(suffix, list(FORMATS))
        raise FormatError(f"{path}: vectors are not kept as {suffix or 'a name without suffix'}; choose from {known}{hint}")
    return cast(Format, import_module(FORMATS[suffix]))


def errors_path(path: Path) -> Path:
    """Return where the bad rows that were left out of an output at ``path`` are listed."""
    return path.with_name(path.name + ".errors.jsonl")


def files_of(path: Path) -> list[Path]:
    """Return every file that an output at ``path`` may consist of, the main one first."""
    return [path, header_path(path), rows_path(path)]


def check_output(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return ``path`` if vectors can be written there; raise `OutputError` or `OutputExists` if not."""
    target = Path(path)
    format_of(target)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; name a file")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target}: no permission to write into {target.parent}")
    if there := next((path for path in (*files_of(target), errors_path(target)) if path.exists() and not overwrite), None):
        raise OutputExists(f"{there}: exists already; --overwrite replaces it")
    return target


def write_embeddings(embeddings: Embeddings, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write ``embeddings`` to ``path`` in the format its suffix names, whole or not at all.

    Suffixes: ``.npy .npz .parquet .safetensors .jsonl .vec .bin`` (the last two are word2vec text and
    binary). ``.npy``, ``.jsonl``, ``.vec`` and ``.bin`` keep what they have no place for in files beside
    them (``NAME.json``, ``NAME.rows.parquet``). Raises `FormatError` for another suffix, `OutputExists`
    for a file that is there, `OutputError` where it cannot be written.
    """
    target = check_output(path, overwrite=overwrite)
    format_of(target).write(target, header_of(embeddings), [MemoryPart(embeddings)])


def read_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Return the embeddings in ``path``, equal to those that were written.

    The vectors of ``.npy`` stay on the disk, memory-mapped. Raises `FormatError` for a file that is
    foreign, damaged or lacks its companions. Nothing is ever unpickled.
    """
    source = _existing(path)
    with _damage_named(source):
        return format_of(source).read(source)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return what a vectors file says of itself, without reading the vectors."""
    source = _existing(path)
    with _damage_named(source):
        return format_of(source).read_header(source)


def holds_vectors(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a vectors file rather than one of texts, by its name or, where that leaves it open, by its header."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS or not Path(path).is_file():
        return False
    if suffix not in OF_TEXTS_TOO:
        return True
    try:
        read_header(path)
    except FormatError:
        return False
    return True


@contextmanager
def _damage_named(source: Path) -> Iterator[None]:
    """Turn whatever a library says of a damaged file into one `FormatError`."""
    try:
        yield
    except (SemvecError, MemoryError):
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        raise FormatError(f"{source}: damaged, cannot be read ({type(error).__name__}: {said:.200})") from error


def _existing(path: str | os.PathLike[str]) -> Path:
    source = Path(path)
    if not source.is_file():
        raise FormatError(f"{source}: no such file")
    return source
