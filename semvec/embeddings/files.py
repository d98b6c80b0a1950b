"""Files that are whole or not there: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from semvec.errors import OutputError, OutputExists

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

    The last one is the main file, the others its companions. What a link leads to is replaced, not the link. Raises
    `OutputError` for what is no file, such as a device or a folder.
    """
    for path in paths:
        if not path.name or (path.exists() and not path.is_file()):
            raise OutputError(f"{path}: is no file, so nothing is written in its place")
    paths = tuple(Path(os.path.realpath(path)) for path in paths)
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
def held(path: Path) -> Iterator[None]:
    """Have nobody else write the folder ``path`` meanwhile; `OutputError` where another run is writing it."""
    lock = _lock_of(Path(os.path.realpath(path)))
    with ExitStack() as cleanup:
        try:
            cleanup.enter_context(FileLock(lock, timeout=0))
        except Timeout:
            raise OutputError(f"{path}: another run is writing it") from None
        cleanup.callback(_unlink, lock)  # while it is held: whoever opened it meanwhile sees that it is gone
        yield


@contextmanager
def folder_written_whole(path: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Give an empty folder to write into; it appears as ``path``, in the place of one there, only when the block ends.

    ``check`` raises where what is at ``path`` may not be replaced; it is asked before, and again at the end, since
    somebody may have put something there meanwhile. A run that is killed leaves ``path`` as it was, or (for the moment
    between two renames) as ``.NAME.old`` beside it, which the next run puts back. All files follow the umask, whoever
    wrote them. Raises `OutputError` where another
    run is writing the same folder.
    """
    place = Path(os.path.realpath(path))  # what a link leads to is replaced, not the link
    spare, old = temporary(place), place.with_name(f".{place.name}.old")
    with plain_errors(path), ExitStack() as cleanup:
        cleanup.enter_context(held(path))
        if old.exists() and not place.exists():
            old.rename(place)
        check()
        shutil.rmtree(spare, ignore_errors=True)
        spare.mkdir()
        cleanup.callback(shutil.rmtree, spare, ignore_errors=True)
        yield spare
        mode = _mode_of_new_files(spare)
        for file in sorted(spare.rglob("*")):
            if file.is_file():
                file.chmod(mode)  # some libraries write files that nobody else may read
                with open(file, "rb+") as stream:
                    flush(stream)
        check()
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        try:
            spare.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
        sync_folder(place.parent)
        shutil.rmtree(old, ignore_errors=True)


def check_replaceable(path: Path, what: str, is_one: Callable[[], bool], *, overwrite: bool) -> None:
    """Raise where a folder cannot be written to ``path``: only a ``what``, as ``is_one`` says, is ever replaced.

    `OutputError` where there is no folder to write it into, `OutputExists` where something is there already.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise OutputExists(f"{path}: exists already; --overwrite replaces it")
    if not is_one():
        raise OutputExists(f"{path}: exists and is no {what}, and nothing else is overwritten; name another folder")


def _mode_of_new_files(folder: Path) -> int:
    """Return the permissions that a file made in ``folder`` gets; to ask for the umask itself one would have to change it."""
    probe = folder / ".mode"
    probe.touch()
    try:
        return stat.S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink()


def _lock_of(place: Path) -> Path:
    """Return a lock file for ``place`` that does not lie beside it."""
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"semvec-{name}.lock"


def _unlink(lock: Path) -> None:
    with suppress(OSError):  # Windows keeps what is open
        lock.unlink()


def flush(stream: IO[bytes]) -> None:
    """Put everything written to ``stream`` on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` to ``path`` as ``.npy``, on the disk when this returns."""
    with open(path, "wb") as stream:
        np.save(stream, array)
        flush(stream)


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
