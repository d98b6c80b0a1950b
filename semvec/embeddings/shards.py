"""The resumable writer: an unfinished output is a folder of shards, each committed whole."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import plain_errors, sync_folder, written_whole
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.formats import safetensors
from semvec.embeddings.formats.layout import Header, MemoryPart, header_of
from semvec.embeddings.formats.safetensors import ShardPart
from semvec.embeddings.quantise import Calibration
from semvec.embeddings.storage import check_output, format_of, read_header
from semvec.errors import FormatError, OutputError, OutputExists, ResumeMismatch
from semvec.types import JSON

MANIFEST = "job.json"
STOPPED = "stopped"
LOCK = "lock"
OURS = re.compile(rf"{LOCK}|{STOPPED}|\.?({re.escape(MANIFEST)}|\d{{8}}\.safetensors)(\.tmp)?")
"""The names of what is in a folder of an unfinished output."""


def unfinished(path: Path) -> Path:
    """Return the folder in which the output ``path`` lies until it is finished."""
    return path.with_name(path.name + ".part")


class ShardWriter:
    """Writes one output shard by shard, so that a run killed at any moment can go on.

    ``job`` (JSON values) is what must be the same for a run to be continued. Each `commit` is one file,
    flushed and renamed, so a shard is there whole or not at all; it carries a ``note`` of the caller's,
    which is how far the input had been read. `finish` joins the shards into the output, byte for byte
    the same however often the run was interrupted, and only then removes them. What is held in memory
    for a shard is a path and a number.
    """

    def __init__(self, path: Path, job: Mapping[str, JSON], folder: Path, lock: FileLock) -> None:
        self.path = path
        self.folder = folder
        self.job = dict(job)
        self.note: JSON = None
        self.calibration: Calibration | None = None
        self._lock = lock
        self._parts: list[ShardPart] = []
        self._rows = 0
        self._fingerprint: Fingerprint | None = None
        for number, shard in enumerate(sorted(folder.glob("[0-9]*.safetensors"))):
            if shard.name != _shard_name(number):
                raise FormatError(f"{folder}: {_shard_name(number)} is missing; --overwrite starts again")
            self._count(shard, safetensors.read_header(shard))

    @classmethod
    def open(cls, path: Path, job: Mapping[str, JSON], *, resume: bool = False, overwrite: bool = False) -> ShardWriter:
        """Begin the output at ``path``, or go on with it: then ``note`` is that of its last shard.

        Raises `OutputExists` where an output, or an unfinished one, is there and neither ``resume`` nor
        ``overwrite`` was asked for; `ResumeMismatch` where what is there was made by another job;
        `OutputError` where nothing can be written or another process is writing it.
        """
        check_output(path, overwrite=overwrite or resume)
        job = json.loads(json.dumps(job))
        folder = unfinished(path)
        with plain_errors(path):
            check_unfinished(path, resume=resume, overwrite=overwrite)
            folder.mkdir(exist_ok=True)
            lock = _lock(folder)
            try:
                _make_ready(path, folder, job, keep=resume, replace_other=overwrite)
                return cls(path, job, folder, lock)
            except BaseException:
                lock.release()
                raise

    def begin(self) -> None:
        """Put the job on the disk: from here on, this is the run that can be gone on with."""
        with plain_errors(self.path):
            with written_whole(self.folder / MANIFEST) as (stream,):
                stream.write(json.dumps(self.job, ensure_ascii=False, indent=1).encode("utf-8") + b"\n")
            (self.folder / STOPPED).unlink(missing_ok=True)

    def commit(self, embeddings: Embeddings, note: JSON) -> None:
        """Put ``embeddings`` on the disk as the next shard; when this returns, they survive a crash."""
        shard = self.folder / _shard_name(len(self._parts))
        header = header_of(embeddings, note)
        safetensors.write(shard, header, [MemoryPart(embeddings)])
        self._count(shard, header)

    def _count(self, shard: Path, header: Header) -> None:
        if self._fingerprint is not None and header.fingerprint != self._fingerprint:
            raise FormatError(f"{shard}: belongs to another run; --overwrite starts again")
        self._fingerprint = header.fingerprint
        self._parts.append(ShardPart(shard, header.texts))
        self._rows += header.rows
        self.calibration = self.calibration or header.calibration
        self.note = header.job

    def notes(self) -> Iterator[JSON]:
        """Give the note of every shard, read from the disk again."""
        return (safetensors.read_header(part.path).job for part in self._parts)

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
        with plain_errors(self.path):
            first = safetensors.read_header(self._parts[0].path)
            texts = sum(part.texts for part in self._parts)
            header = replace(first, texts=texts, rows=self._rows, calibration=self.calibration, job=self.job)
            format_of(self.path).write(self.path, header, self._parts)
            shutil.rmtree(self.folder)
            sync_folder(self.path.parent)
        return header

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not any(part.texts for part in self._parts):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def _shard_name(number: int) -> str:
    return f"{number:08d}.safetensors"


def check_unfinished(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise where an unfinished output is in the way of a new one at ``path``."""
    folder = unfinished(path)
    if folder.exists() and not folder.is_dir():
        raise OutputExists(f"{folder}: is in the way, it is not a folder of an unfinished run")
    if folder.exists() and (other := next((its.name for its in sorted(folder.iterdir()) if not OURS.fullmatch(its.name)), None)):
        raise OutputExists(f"{folder}: is in the way, it holds what no run wrote ({other}); move it away")
    if folder.exists() and not (resume or overwrite):
        raise OutputExists(
            f"{path}: an unfinished run is there ({folder.name}); --resume goes on with it, --overwrite starts again"
        )


def discard(path: Path, job: Mapping[str, JSON]) -> None:
    """Remove what is left of an unfinished output at ``path``, if it is one of ``job`` or has no manifest any more."""
    manifest = unfinished(path) / MANIFEST
    if not manifest.exists() or not compare_jobs(_read_manifest(manifest), job):
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
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list) and all(isinstance(one, dict) for one in old + new):
            old, new = ({one.get(name, str(i)): one for i, one in enumerate(several)} for several in (old, new))
        if old is None and isinstance(new, dict):
            lines.append(f"{name}: new")
        elif new is None and isinstance(old, dict):
            lines.append(f"{name}: gone")
        elif isinstance(old, dict) and isinstance(new, dict):
            lines += [f"{name} {line}" for line in compare_jobs(old, new)]
        else:
            lines.append(f"{name}: {_short(old)} then, {_short(new)} now")
    return lines


def _short(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _make_ready(path: Path, folder: Path, job: Mapping[str, JSON], *, keep: bool, replace_other: bool) -> None:
    """Check that what is in ``folder`` belongs to ``job``, or clear it away if it may be replaced."""
    manifest = folder / MANIFEST
    differences: list[str] = []
    if keep and manifest.exists():
        there = _read_manifest(manifest)
        asked = {**job, "input": there.get("input")} if (folder / STOPPED).exists() else job
        differences = compare_jobs(there, asked)
        if not differences:
            return
    if differences and not replace_other:
        raise ResumeMismatch(f"{path}: the unfinished run was another one ({'; '.join(differences)}); --overwrite starts again")
    manifest.unlink(missing_ok=True)  # first, and for good: without it, shards left here belong to nobody
    sync_folder(folder)
    for file in folder.iterdir():
        if file.name != LOCK:
            file.unlink()


def _read_manifest(manifest: Path) -> dict[str, JSON]:
    try:
        job = json.loads(manifest.read_bytes())
    except ValueError as error:
        raise FormatError(f"{manifest}: damaged ({error}); --overwrite starts again") from error
    if not isinstance(job, dict):
        raise FormatError(f"{manifest}: damaged (no job); --overwrite starts again")
    return job


def _lock(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(errno.EAGAIN, f"{folder}: another process is writing there") from None
    return lock
