"""The resumable writer: an unfinished output is a folder of shards, each committed whole."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import plain_errors, sync_folder, written_whole
from semvec.embeddings.formats import safetensors
from semvec.embeddings.formats.layout import Header, MemoryPart, first_calibration, header_of, total_header
from semvec.embeddings.formats.safetensors import ShardPart
from semvec.embeddings.quantise import Calibration
from semvec.embeddings.storage import check_output, format_of, read_header
from semvec.errors import FormatError, OutputError, OutputExists, ResumeMismatch
from semvec.types import JSON

STOPPED = "stopped"


def unfinished(path: Path) -> Path:
    """Return the folder in which the output ``path`` lies until it is finished."""
    return path.with_name(path.name + ".part")


class ShardWriter:
    """Writes one output shard by shard, so that a run killed at any moment can go on.

    ``job`` (JSON values) is what must be the same for a run to be continued. Each `commit` is one file,
    flushed and renamed, so a shard is there whole or not at all; it carries a ``note`` of the caller's,
    which is how far the input had been read. `finish` joins the shards into the output, byte for byte
    the same however often the run was interrupted, and only then removes them.
    """

    def __init__(self, path: Path, job: Mapping[str, JSON], folder: Path, lock: FileLock) -> None:
        self.path = path
        self.folder = folder
        self.job = dict(job)
        self._lock = lock
        self.shards = sorted(folder.glob("[0-9]*.safetensors"))
        self.headers = [safetensors.read_header(shard) for shard in self.shards]

    @classmethod
    def open(cls, path: Path, job: Mapping[str, JSON], *, resume: bool = False, overwrite: bool = False) -> ShardWriter:
        """Begin the output at ``path``, or go on with it.

        Raises `OutputExists` where an output, or an unfinished one, is there and neither ``resume`` nor
        ``overwrite`` was asked for; `ResumeMismatch` where what is there was made by another job;
        `OutputError` where nothing can be written or another process is writing it.
        """
        check_output(path, overwrite=overwrite or resume)
        folder = unfinished(path)
        with plain_errors(path):
            if folder.exists() and not (resume or overwrite):
                raise OutputExists(
                    f"{path}: an unfinished run is there ({folder.name}); --resume goes on with it, --overwrite starts again"
                )
            folder.mkdir(exist_ok=True)
            lock = _lock(folder)
            if overwrite and not resume:
                _clear(folder)
            manifest = folder / "job.json"
            if manifest.exists():
                there = json.loads(manifest.read_bytes())
                stopped = (folder / STOPPED).exists()
                _same_job(path, there, {**job, "input": there.get("input")} if stopped else job)
            else:
                _clear(folder)
            _write_json(manifest, job)
            (folder / STOPPED).unlink(missing_ok=True)
        return cls(path, job, folder, lock)

    @property
    def notes(self) -> list[JSON]:
        """The note of every committed shard, in order."""
        return [header.job for header in self.headers]

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the committed shards, or None where there are none."""
        return first_calibration(self.headers)

    def commit(self, embeddings: Embeddings, note: JSON) -> None:
        """Put ``embeddings`` on the disk as the next shard; when this returns, they survive a crash."""
        shard = self.folder / f"{len(self.shards):08d}.safetensors"
        safetensors.write(shard, header_of(embeddings, note), [MemoryPart(embeddings, note)])
        self.shards.append(shard)
        self.headers.append(header_of(embeddings, note))

    @contextmanager
    def keeping_what_is_done(self, *kinds: type[BaseException]) -> Iterator[None]:
        """Where the block ends in one of ``kinds`` of error, remember that the input was at fault.

        When such a run goes on, the job's ``input`` may have changed: it had to be mended.
        """
        try:
            yield
        except kinds:
            (self.folder / STOPPED).touch()
            raise

    def finish(self) -> Header:
        """Join the shards into the output, remove them, and return the output's header."""
        parts = [ShardPart(shard) for shard in self.shards]
        header = total_header(parts, self.job)
        with plain_errors(self.path):
            format_of(self.path).write(self.path, header, parts)
            shutil.rmtree(self.folder)
            sync_folder(self.path.parent)
        return header

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()
        if error is not None and not any(header.texts for header in self.headers):
            shutil.rmtree(self.folder, ignore_errors=True)


def discard(path: Path) -> None:
    """Remove what is left of an unfinished output at ``path``, if anything is."""
    shutil.rmtree(unfinished(path), ignore_errors=True)


def finished_job(path: Path) -> JSON:
    """Return the job of the finished output at ``path``, or None where there is none or it tells of none."""
    try:
        return read_header(path).job
    except FormatError:
        return None


def compare_jobs(there: Mapping[str, JSON], asked: Mapping[str, JSON]) -> list[str]:
    """Return, in words, everything in which two jobs differ."""
    lines: list[str] = []
    for name in sorted({*there, *asked}):
        old, new = there.get(name), asked.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += [f"{name} {line}" for line in compare_jobs(old, new)]
        elif old != new:
            lines.append(f"{name}: {_short(old)} then, {_short(new)} now")
    return lines


def _short(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _same_job(path: Path, there: Mapping[str, JSON], asked: Mapping[str, JSON]) -> None:
    asked = json.loads(json.dumps(asked))
    if differences := compare_jobs(there, asked):
        raise ResumeMismatch(f"{path}: the unfinished run was another one ({'; '.join(differences)}); --overwrite starts again")


def _lock(folder: Path) -> FileLock:
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(errno.EAGAIN, f"{folder}: another process is writing there") from None
    return lock


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name != "lock":
            file.unlink()


def _write_json(path: Path, value: JSON) -> None:
    with written_whole(path) as (stream,):
        stream.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8") + b"\n")
