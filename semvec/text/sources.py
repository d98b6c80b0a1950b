"""The inputs a user names → the files to read, in a fixed order, and what identifies them."""

from __future__ import annotations

import errno
import glob
import gzip
import hashlib
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from semvec.errors import InputError, OptionError
from semvec.text.remote import find, is_file, is_url, mark, opened, path_in, shown, told
from semvec.types import JSON, did_you_mean

TABLES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
KINDS = ("lines", "csv", "tsv", "jsonl", "parquet", "file")
COMPRESSED = (".gz", ".zst")
STDIN = "-"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """One file to read.

    ``kind`` is one of `KINDS` (``file``: all of it is one text), ``name`` is what messages call it,
    ``argument`` the input, as the user gave it, that it came from.
    """

    path: str
    kind: str
    name: str
    argument: str

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Give the bytes, decompressed; raise `InputError` for a file that cannot be read or is cut."""
        with told(self.path, InputError) if is_url(self.path) else _plain_errors(self.name):
            if self.path == STDIN:
                if sys.stdin is None:
                    raise InputError("standard input is closed")
                yield sys.stdin.buffer
            else:
                with opened(self.path) if is_url(self.path) else open(self.path, "rb") as stream:
                    yield from _unpacked(path_in(self.path), stream)

    @property
    def content(self) -> Any:
        """What pyarrow reads: the path, or a file where it is a URL."""
        return opened(self.path) if is_url(self.path) else self.path

    @property
    def once(self) -> bool:
        """Whether it can be read only once: standard input, or a pipe."""
        return self.path == STDIN or not (is_url(self.path) or os.path.isfile(self.path))


def _unpacked(name: str, stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give ``stream``, decompressed as ``name`` says."""
    if name.endswith(".gz"):
        with gzip.open(stream, "rb") as unpacked:
            yield unpacked  # type: ignore[misc]
    elif name.endswith(".zst"):
        import pyarrow

        packed = pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, mode="r"), "zstd")
        with io.BufferedReader(packed, BLOCK) as unpacked:
            yield unpacked
    else:
        yield stream


@contextmanager
def _plain_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (InputError, BrokenPipeError):
        raise
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, gzip.BadGzipFile):
            raise InputError(f"{name}: cannot be read: {os.strerror(error.errno)}") from error
        raise InputError(f"{name}: damaged or cut short ({error})") from error


def find_sources(
    inputs: str | Path | Sequence[str | Path], *, kind: str | None = None, output: Path | str | None = None
) -> list[Source]:
    """Return the files behind ``inputs``, each a file, a folder, a glob, a URL of one of these (see
    `semvec.text.remote`) or ``-``.

    A file named by itself is read by rows: a table by its suffix (``.csv .tsv .jsonl .parquet``),
    anything else a text a line. Folders and globs give a text a file, tables in them excepted;
    hidden files are left out, and so is an ``output`` that lies among them, with what belongs to it; the
    order is that of the sorted names. ``kind`` overrides what the names say. Raises `InputError` for an
    input that is not there, names nothing, comes twice or is the output.
    """
    if kind is not None and kind not in KINDS:
        raise OptionError(f"input format {kind!r} is unknown: choose from {', '.join(KINDS)}{did_you_mean(kind, list(KINDS))}")
    if not inputs:
        raise InputError("no input: name files, folders, globs, or - for standard input")
    if not isinstance(inputs, str | Path | Iterable):
        raise InputError(f"inputs are paths, not {inputs!r}")
    names = [os.fspath(name) for name in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    if names.count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once")
    sources = [source for name in names for source in _expand(name, kind, output)]
    seen: dict[str, str] = {}
    for source in sources:
        place = source.path if source.path == STDIN or is_url(source.path) else os.path.realpath(source.path)
        if place in seen:
            raise InputError(f"{source.name}: is the same file as {seen[place]}, which is named already")
        seen[place] = source.name
    return sources


def _belongs(path: str, output: Path | None) -> bool:
    """Return whether ``path`` is ``output`` or one of the files that are written beside it, be it by a link."""
    if output is None:
        return False
    real = Path(os.path.realpath(output))
    if os.path.realpath(path) == str(real):
        return True
    folder, name = Path(path).parent.resolve(), os.path.basename(path)
    return any(
        folder == place.parent.resolve() and (name == place.name or name.startswith((place.name + ".", f".{place.name}.")))
        for place in (output, real)
    )


def _belongs_there(url: str, output: Path | str | None) -> bool:
    """Return whether ``url`` is the ``output``, or one of the files that are written beside it."""
    return isinstance(output, str) and (_plainly(url) == _plainly(output) or _plainly(url).startswith(f"{_plainly(output)}."))


def _plainly(url: str) -> str:
    """Return ``url`` without the slashes that may be there or not."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.lstrip('/')}"


def _expand(name: str, kind: str | None, output: Path | str | None) -> list[Source]:
    if name == STDIN:
        if kind == "parquet":
            raise InputError("standard input cannot be read as parquet: name a file")
        return [Source(STDIN, kind or "lines", "standard input", name)]
    if is_url(name):
        alone, found = is_file(name), find(name)
        if alone and _belongs_there(name, output):
            raise InputError(f"{shown(name)}: is what would be written; name another output")
        kept = [url for url in found if not _belongs_there(url, output)]
        return [Source(url, kind or _kind(path_in(url)) or ("lines" if alone else "file"), shown(url), name) for url in kept]
    output = None if isinstance(output, str) else output
    if os.path.isfile(name) or (os.path.exists(name) and not os.path.isdir(name)):
        if _belongs(name, output):
            raise InputError(f"{name}: is what would be written; name another output")
        return [Source(name, kind or _kind(name) or "lines", printable(name), name)]
    if os.path.isdir(name):
        found = [os.path.join(folder, file) for folder, _, files in _walk(name) for file in files]
    elif glob.has_magic(name):
        found = glob.glob(name, recursive=True)
    else:
        with _plain_errors(printable(name)), suppress(FileNotFoundError):
            Path(name).stat()
        raise InputError(f"{name}: no such file or folder")
    found = [path for path in found if f"{os.sep}{output.name}.part{os.sep}" not in path] if output else found
    paths = sorted(
        path
        for path in found
        if os.path.isfile(path) and not os.path.basename(path).startswith(".") and not _belongs(path, output)
    )
    if astray := next((path for path in found if Path(path).is_symlink() and not os.path.exists(path)), None):
        raise InputError(f"{printable(astray)}: cannot be read: the link leads nowhere")
    if not paths:
        raise InputError(f"{name}: no files there")
    return [Source(path, kind or _kind(path) or "file", printable(path), name) for path in paths]


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{printable(error.filename)}: cannot be read: {os.strerror(error.errno or errno.EIO)}") from error

    for at, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield at, folders, files


def _kind(path: str) -> str | None:
    bare = path
    for suffix in COMPRESSED:
        bare = bare.removesuffix(suffix)
    return TABLES.get(os.path.splitext(bare)[1].lower())


def printable(name: str) -> str:
    """Return a file's name with what is not UTF-8 in it replaced, fit for messages and JSON."""
    return os.fsencode(name).decode("utf-8", "replace")


def identify(sources: Iterable[Source]) -> tuple[list[JSON], int | None]:
    """Return what identifies the content of ``sources``, and how many texts they hold if that is cheap.

    One record an input argument: its name, how many files and bytes, and a sha256 over all of them (of
    what a URL names, over what changes with it: its ETag, or the time of its change). Standard input has none.
    The count is an estimate (a quoted table cell may hold line breaks) and None where something is
    compressed, piped or elsewhere.
    """
    records: dict[str, JSON] = {}
    digests: dict[str, hashlib._Hash] = {}
    total: int | None = 0
    for source in sources:
        name = shown(source.argument) if is_url(source.argument) else printable(source.argument)
        record = records.setdefault(source.argument, {"input": name, "kind": source.kind, "files": 0, "bytes": 0})
        if source.once:
            total = None
            continue
        digest = digests.setdefault(source.argument, hashlib.sha256())
        if record["files"] or source.path != source.argument:
            digest.update(os.fsencode(path_in(source.path).removeprefix(path_in(source.argument))) + b"\0")
        size, lines = _hash_file(source, digest)
        record["files"] += 1
        record["bytes"] += size
        unknown = path_in(source.path).endswith(COMPRESSED) or (is_url(source.path) and source.kind not in ("file", "parquet"))
        total = None if total is None or unknown else total + _rows(source, lines)
    for argument, digest in digests.items():
        records[argument]["sha256"] = digest.hexdigest()
    return list(records.values()), total


def _hash_file(source: Source, digest: hashlib._Hash) -> tuple[int, int]:
    if is_url(source.path):
        changes, size = mark(source.path)
        digest.update(changes.encode())
        return size, 0
    size = lines = 0
    block = b""
    with _plain_errors(source.name), open(source.path, "rb") as stream:
        while piece := stream.read(BLOCK):
            block = piece
            digest.update(block)
            size += len(block)
            lines += block.count(b"\n")
    return size, lines + (not block.endswith(b"\n") and size > 0)


def _rows(source: Source, lines: int) -> int:
    if source.kind == "file":
        return 1
    if source.kind == "parquet":
        import pyarrow.parquet

        try:
            return int(pyarrow.parquet.read_metadata(source.content).num_rows)
        except Exception:  # a damaged file is the reader's to report, not the estimate's
            return 0
    return max(lines - (source.kind in ("csv", "tsv")), 0)
