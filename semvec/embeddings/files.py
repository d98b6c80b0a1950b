"""Files that are whole or not there: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from semvec.errors import OutputError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would be too large"}


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing ``path`` into one `OutputError`."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = FULL.get(error.errno or 0) or os.strerror(error.errno or errno.EIO)
        raise OutputError(error.errno or errno.EIO, f"{path}: cannot be written: {reason}") from error


def temporary(path: Path) -> Path:
    """Return the name under which ``path`` is written before it is whole."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def written_whole(*paths: Path) -> Iterator[list[IO[bytes]]]:
    """Open ``paths`` for writing; they appear under their names only when the block ends without an error.

    The last one is the main file, the others its companions.
    """
    with plain_errors(paths[-1]), ExitStack() as cleanup:
        streams: list[IO[bytes]] = []
        for path in paths:
            spare = temporary(path)
            cleanup.callback(spare.unlink, missing_ok=True)
            streams.append(cleanup.enter_context(open(spare, "wb")))
        yield streams
        for stream in streams:
            flush(stream)
        publish(paths)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it appears as ``path``, in the place of one there, only when the block ends.

    An interrupted run leaves ``path`` as it was, or (for the moment between two renames) under the name
    ``.NAME.old`` beside it.
    """
    place = Path(os.path.realpath(path))  # what a link leads to is replaced, not the link
    spare, old = temporary(place), place.with_name(f".{place.name}.old")
    with plain_errors(path), ExitStack() as cleanup:
        shutil.rmtree(spare, ignore_errors=True)
        spare.mkdir()
        cleanup.callback(shutil.rmtree, spare, ignore_errors=True)
        yield spare
        for file in sorted(spare.rglob("*")):
            if file.is_file():
                with open(file, "rb+") as stream:
                    flush(stream)
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
            place.rename(old)
        spare.rename(place)
        sync_folder(place.parent)
        shutil.rmtree(old, ignore_errors=True)


def flush(stream: IO[bytes]) -> None:
    """Put everything written to ``stream`` on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def publish(paths: Sequence[Path]) -> None:
    """Give the files written for ``paths`` their names, the last one, which is the main one, at the end.

    An earlier main file goes first: at no moment does it stand beside companions of another run.
    """
    if len(paths) > 1:
        paths[-1].unlink(missing_ok=True)
    for path in paths:
        temporary(path).replace(path)
    sync_folder(paths[-1].parent)


def sync_folder(folder: Path) -> None:
    """Put the names in ``folder`` on the disk (where folders can be opened, so not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
