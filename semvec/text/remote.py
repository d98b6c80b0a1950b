"""Files that lie elsewhere, named by a URL: s3://, gs://, abfs://, hdfs://, sftp://, https://, and what else fsspec knows."""

from __future__ import annotations

import glob
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semvec.errors import InputError, MissingExtra, OutputError, OutputExists

BLOCK = 1 << 22


def is_url(name: str | os.PathLike[str]) -> bool:
    """Return whether ``name`` is a URL, and not a path of this machine."""
    return "://" in os.fspath(name)


def find(url: str) -> list[str]:
    """Return the URLs of the files behind ``url``, a file, a folder or a glob; sorted, hidden ones left out.

    Raises `InputError` where there is none or the place cannot be asked, `MissingExtra` for a kind of URL that needs a library.
    """
    system, path = _system(url)
    with _told(url, InputError):
        if glob.has_magic(path):
            found = [one for one in system.glob(path) if system.isfile(one)]
        elif system.isfile(path):
            return [url]
        else:
            found = system.find(path)
    found = sorted(one for one in found if not os.path.basename(one).startswith("."))
    if not found:
        raise InputError(f"{url}: no such file or folder")
    return [str(system.unstrip_protocol(one)) for one in found]


def is_file(url: str) -> bool:
    """Return whether ``url`` is one file."""
    system, path = _system(url)
    with _told(url, InputError):
        return bool(system.isfile(path))


def opened(url: str) -> io.BufferedReader:
    """Return the bytes at ``url`` as a file that can be read and sought; what goes wrong raises `InputError`."""
    system, path = _system(url)
    with _told(url, InputError):
        return io.BufferedReader(system.open(path, "rb"), BLOCK)


def mark(url: str) -> tuple[str, int]:
    """Return what changes when the file at ``url`` does (its ETag, or size and time), hashed, and its size in bytes."""
    system, path = _system(url)
    with _told(url, InputError):
        return hashlib.sha256(str(system.ukey(path)).encode()).hexdigest(), int(system.size(path) or 0)


def staged(url: str, *, overwrite: bool) -> Path:
    """Return where a file for ``url`` is made until it is whole: under its own name in the present folder.

    Raises `OutputExists` where there is something at ``url`` that is not to be replaced, `OutputError` where it cannot be asked.
    """
    system, path = _system(url)
    with _told(url, OutputError):
        if system.exists(path) and not overwrite:
            raise OutputExists(f"{url}: exists already; --overwrite replaces it")
    return Path(path.rstrip("/").rpartition("/")[2])


def deliver(files: Sequence[Path], url: str) -> None:
    """Move ``files``, the first of which is that for ``url``, there and beside it; whole, where the place has such a thing.

    They are removed here when all are there. Raises `OutputError`, and then all are still here.
    """
    system, path = _system(url)
    folder, first = path.rpartition("/")[0], files[0].name
    with _told(url, OutputError), system.transaction:
        for file in files:
            name = path if file.name == first else f"{folder}/{file.name}"
            with file.open("rb") as here, system.open(name, "wb") as there:
                while piece := here.read(BLOCK):
                    there.write(piece)
    for file in files:
        file.unlink()


def _system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingExtra(f"{url}: {error}") from error
    except ValueError as error:
        raise InputError(f"{url}: {error}") from error
    except Exception as error:  # each kind of place has errors of its own
        raise InputError(f"{url}: cannot be opened: {_line(error)}") from error


@contextmanager
def _told(url: str, kind: type[InputError] | type[OutputError]) -> Iterator[None]:
    try:
        yield
    except (InputError, OutputError):
        raise
    except FileNotFoundError as error:
        raise kind(f"{url}: no such file or folder") from error
    except Exception as error:  # each kind of place has errors of its own
        raise kind(f"{url}: cannot be read or written: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
