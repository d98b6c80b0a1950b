"""Files that lie elsewhere, named by a URL: s3://, gs://, abfs://, hdfs://, sftp://, https://, and what else fsspec knows."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from semvec.errors import InputError, MissingExtra, OutputError, OutputExists, SemvecError

BLOCK = 1 << 22
READ_ONLY = ("http", "https")
WITH_FOLDERS = ("file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs", "ftp")
"""Kinds of places in which a file needs a folder that is there."""

MARKS = ("ETag", "etag", "Last-Modified", "last_modified", "LastModified", "md5", "generation", "mtime", "modified", "created")
"""What of a file's description changes when the file does."""


def is_url(name: str | os.PathLike[str]) -> bool:
    """Return whether ``name`` is a URL, and not a path of this machine."""
    return "://" in os.fspath(name)


def shown(url: str) -> str:
    """Return ``url`` as it may be printed and kept: without a password, or a signature behind a question mark."""
    parts = _parts(url)
    if parts is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    query = "" if parts.scheme in READ_ONLY else parts.query and f"?{parts.query}"
    return f"{parts.scheme}://{host}{parts.path}{query}"


def path_in(url: str) -> str:
    """Return the part of ``url`` that ends in the file's name: a signature or a number of a version is none of it."""
    parts = _parts(url)
    return parts.path if parts is not None and parts.scheme in READ_ONLY else url


def find(url: str) -> list[str]:
    """Return the URLs of the files behind ``url``, a file, a folder or a glob; sorted, hidden ones left out.

    Raises `InputError` where there is none or the place cannot be asked, `MissingExtra` for a kind of URL that needs a library.
    """
    system, path = _system(url, InputError)
    with told(url, InputError):
        if is_file(url):
            return [url]
        found = [one for one in system.glob(path) if system.isfile(one)] if glob.has_magic(path_in(url)) else system.find(path)
    found = sorted(one for one in found if not os.path.basename(one).startswith("."))
    if not found:
        raise InputError(f"{shown(url)}: no such file or folder")
    return [str(system.unstrip_protocol(one)) for one in found]


def is_file(url: str) -> bool:
    """Return whether ``url`` is one file."""
    system, path = _system(url, InputError)
    magic = glob.has_magic(path_in(url))
    with told(url, InputError):
        return not magic and bool(system.isfile(path))


def opened(url: str) -> io.BufferedReader:
    """Return the bytes at ``url`` as a file that can be read and sought; `InputError` where it cannot be opened."""
    system, path = _system(url, InputError)
    with told(url, InputError):
        return io.BufferedReader(system.open(path, "rb"), BLOCK)


def mark(url: str) -> tuple[str, int]:
    """Return what changes when the file at ``url`` does, hashed, and its size in bytes.

    That is its ETag, or the time it was changed, and where a place tells neither, the file itself.
    """
    system, path = _system(url, InputError)
    with told(url, InputError):
        about = system.info(path)
        marks = [f"{name}={about[name]}" for name in MARKS if about.get(name)]
        size = about.get("size")
        if marks:
            return hashlib.sha256(f"{size} {marks}".encode()).hexdigest(), int(size or 0)
        digest, read = hashlib.sha256(), 0
        with system.open(path, "rb") as stream:
            while piece := stream.read(BLOCK):
                digest.update(piece)
                read += len(piece)
        return digest.hexdigest(), read


def staged(url: str, *, overwrite: bool) -> Path:
    """Return where a file for ``url`` is made until it is whole: here, under a name that no other has.

    Raises `OutputExists` where there is something at ``url`` that is not to be replaced, `OutputError` where nothing can be
    written there, or it cannot be asked.
    """
    system, path = _system(url, OutputError)
    kind = _parts(url)
    if kind is None or kind.scheme in READ_ONLY:
        raise OutputError(f"{shown(url)}: is read, and cannot be written")
    folder, _, name = path.rstrip("/").rpartition("/")
    with told(url, OutputError):
        if kind.scheme in WITH_FOLDERS and not system.isdir(folder or "/"):
            raise OutputError(f"{shown(url)}: there is no folder {folder or '/'}")
        if system.exists(path) and not overwrite:
            raise OutputExists(f"{shown(url)}: exists already; --overwrite replaces it")
    stem, suffix = os.path.splitext(name)
    return Path(f"{stem}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.remote{suffix}")


def deliver(files: Sequence[Path], url: str) -> None:
    """Move ``files``, the first of which is that for ``url`` and the others what may belong to it, there and beside it.

    They become whole at once, where the place has such a thing; elsewhere the first comes last. Of an output that is replaced,
    those that are not here by now are removed there. Raises `OutputError`, and then all are still here.
    """
    system, path = _system(url, OutputError)
    names = {file: path + file.name.removeprefix(files[0].name) for file in files}
    with told(url, OutputError):
        with system.transaction:
            for file in reversed(files):
                if file.exists():
                    with file.open("rb") as here, system.open(names[file], "wb") as there:
                        shutil.copyfileobj(here, there, BLOCK)
        for file in files[1:]:
            if not file.exists() and system.exists(names[file]):
                system.rm_file(names[file])
    for file in files:
        file.unlink(missing_ok=True)


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _system(url: str, kind: type[InputError] | type[OutputError]) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingExtra(f"{shown(url)}: {error}") from error
    except Exception as error:  # each kind of place has errors of its own
        raise kind(f"{shown(url)}: cannot be opened: {_line(url, error)}") from error


@contextmanager
def told(url: str, kind: type[InputError] | type[OutputError]) -> Iterator[None]:
    """Raise what goes wrong at ``url`` as ``kind``."""
    try:
        yield
    except (SemvecError, GeneratorExit):
        raise
    except FileNotFoundError as error:
        raise kind(f"{shown(url)}: no such file or folder, or it cannot be reached") from error
    except Exception as error:  # each kind of place has errors of its own
        raise kind(f"{shown(url)}: cannot be read or written: {_line(url, error)}") from error


def _line(url: str, error: Exception) -> str:
    """Return what ``error`` says, in one line, without what of ``url`` is not shown."""
    text = " ".join(str(error).split()) or type(error).__name__
    parts = _parts(url)
    for secret in (parts.netloc.rpartition("@")[0], parts.query, parts.password or "") if parts is not None else ():
        text = text.replace(secret, "***") if secret else text
    return text
