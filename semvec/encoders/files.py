"""Files of texts → a file of vectors: streamed, sharded, resumable."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.files import written_whole
from semvec.embeddings.formats.layout import Header
from semvec.embeddings.shards import ShardWriter, check_unfinished, compare_jobs, discard, finished_job, unfinished
from semvec.embeddings.storage import check_output, errors_path, files_of, read_header
from semvec.encoders.blocks import Block, Refused, blocks_of
from semvec.encoders.engine import Engine, Here
from semvec.encoders.protocol import Encoder
from semvec.errors import FormatError, InputError, OptionError, OutputError, OverflowRefused, ResumeMismatch, TextsCut
from semvec.text.document import BadRow, Document
from semvec.text.documents import read_documents
from semvec.text.readers import PLAIN, ReadOptions
from semvec.text.remote import deliver, is_url, shown, staged
from semvec.text.sources import find_sources, identify
from semvec.types import JSON, Level, OnError, Oov

logger = logging.getLogger(__name__)

NOT_THE_JOB = ("progress", "splitter", "calibration")
"""Options that are no part of what must stay the same (or, the last two, that are told in another way)."""

COUNTED = ("texts", "rows", "tokens", "tokens_cut", "texts_cut", "zero_rows", "skipped", "rungs")


@dataclass
class Report:
    """What a run over files did.

    ``rows`` vectors of ``dim`` numbers for ``texts`` texts (``resumed`` of them were there before) in
    ``seconds``; ``tokens`` tokens, ``tokens_cut`` of them dropped from ``texts_cut`` texts; ``zero_rows``
    rows with nothing to read; ``rungs`` words that stood on each rung of the ladder (word encoders);
    ``skipped`` bad rows, listed in ``errors_file``. ``url`` is where the output was moved, if that is not on this machine.
    """

    output: Path
    header: Header | None = None
    texts: int = 0
    rows: int = 0
    resumed: int = 0
    seconds: float = 0.0
    tokens: int = 0
    tokens_cut: int = 0
    texts_cut: int = 0
    zero_rows: int = 0
    skipped: int = 0
    rungs: list[int] | None = None
    errors_file: Path | str | None = None
    url: str | None = None

    def count(self, block: Block, embeddings: Embeddings) -> None:
        """Add one block."""
        self.texts += len(embeddings)
        self.rows += embeddings.rows
        self.tokens += int(embeddings.n_tokens.sum(dtype=np.int64))
        self.tokens_cut += int(embeddings.n_truncated.sum(dtype=np.int64))
        self.texts_cut += int((embeddings.n_truncated > 0).sum())
        self.zero_rows += int((embeddings.oov == Oov.ZERO).sum())
        self.skipped += len(block.bad)
        if embeddings.rungs is not None:
            fresh = embeddings.rungs.sum(axis=0, dtype=np.int64).tolist()
            self.rungs = [a + b for a, b in zip(self.rungs or [0] * len(fresh), fresh, strict=True)]

    @property
    def counts(self) -> dict[str, JSON]:
        """The counts so far, as a shard's note keeps them."""
        return {name: getattr(self, name) for name in COUNTED}


Progress = Callable[[int, "int | None"], None]
"""Called with the number of rows of the input done so far, and how many there are if that is known."""


def encode_files(
    inputs: str | Path | Sequence[str | Path],
    output: str | os.PathLike[str],
    encoder: Encoder,
    *,
    read: ReadOptions | None = None,
    input_format: str | None = None,
    on_error: OnError | str = OnError.STOP,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Report:
    """Write the vectors of all texts in ``inputs`` to ``output``, and return what was done.

    ``inputs`` are files (a line, or a row of a table, is a text), folders and globs (a file is a text) and
    ``-``; see `find_sources`. The suffix of ``output`` names the format. Memory is bounded by a block of
    texts, never by the input. Blocks are kept in ``OUTPUT.part`` as they are done, so a run killed at any
    moment goes on with ``resume=True`` and ends with the same bytes as one that was not, on the same
    machine. A bad row ends the run by default, all blocks before it kept; with ``on_error="skip"`` bad
    rows are listed in ``OUTPUT.errors.jsonl``. An ``output`` that is a URL (``s3://…``, see
    `semvec.text.remote`) is made here, as ``OUTPUT.….remote``, and moved there when it is whole. ``engine`` says where blocks
    are encoded, None here; what comes out is the same.

    Raises `InputError` for bad input, `OutputExists` and `OutputError` for what cannot be written,
    `ResumeMismatch` where the unfinished run had other input, model or options, `OverflowRefused` under
    ``overflow="error"``.
    """
    on_error = OnError(on_error)
    options = read or ReadOptions()
    if encoder.options.level == Level.SPAN:
        raise OptionError(
            "level 'span' needs spans for each text, which files do not hold: use the library's encode(texts, spans=…)"
        )
    target, url = _place(output, overwrite)
    check_unfinished(target, resume=resume, overwrite=overwrite)
    overwrite = overwrite or url is not None  # what was made for it here, and not moved yet, is nobody else's
    check_output(target, overwrite=overwrite or resume)
    sources = find_sources(inputs, kind=input_format, output=url or target)
    records, total = identify(sources)
    engine = engine or Here(encoder)
    job = _job(encoder, engine.device, options, records)
    if resume and target.exists() and (done := _already_done(target, job, overwrite=overwrite)):
        return done if url is None else _delivered(done, url)
    started = perf_counter()
    with ShardWriter.open(target, job, resume=resume, overwrite=overwrite) as writer:
        items = read_documents(sources, options)
        report, digest = _skip_done(items, writer)
        writer.begin()
        encoder = encoder.with_options(calibration=writer.calibration) if writer.calibration else encoder
        if progress:
            encoder = encoder.with_options(progress=lambda done, _: progress(report.texts + report.skipped + done, total))
        with writer.keeping_what_is_done(InputError, OverflowRefused), _cuts_told_once():
            try:
                for block, found in engine.encoded(encoder, blocks_of(items, encoder, on_error)):
                    _feed(digest, block.documents)
                    embeddings = found.with_ids([document.id for document in block.documents])
                    report.count(block, embeddings)
                    writer.commit(embeddings, _note(block, report, digest))
                    if progress:
                        progress(report.texts + report.skipped, total)
            except Refused as end:
                raise _stop(end.kind, end.bad, report) from None
            if not report.texts:
                raise InputError(_nothing(records, report))
        report.errors_file = _write_errors(target, writer, report)
        report.header = writer.finish()
    report.seconds = perf_counter() - started
    return report if url is None else _delivered(report, url)


def _place(output: str | os.PathLike[str], overwrite: bool) -> tuple[Path, str | None]:
    """Return where on this machine ``output`` is made, and where it is to be moved: its URL, if it is one."""
    if not is_url(output):
        return Path(output), None
    url = os.fspath(output)
    return staged(url, overwrite=overwrite), url


def _delivered(report: Report, url: str) -> Report:
    """Move the output that ``report`` tells of to ``url``, and return the report."""
    try:
        deliver([*files_of(report.output), errors_path(report.output)], url)
    except OutputError as error:
        raise OutputError(f"{error}; it is whole in {report.output}, --resume tries again") from error
    listed = report.errors_file and shown(url).rpartition("/")[2] + errors_path(report.output).name.removeprefix(
        report.output.name
    )
    return replace(report, url=shown(url), errors_file=listed)


def check_run(
    inputs: str | Path | Sequence[str | Path],
    output: str | os.PathLike[str] | None,
    *,
    read: ReadOptions | None = None,
    input_format: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Raise what `encode_files` would, for an output or inputs that cannot be, before a model is loaded.

    Of every source but standard input the first row is read, so that a missing column shows at once.
    """
    target, url = (None, None) if output is None else _place(output, overwrite)
    if target is not None:
        check_unfinished(target, resume=resume, overwrite=overwrite)
        check_output(target, overwrite=overwrite or resume or url is not None)
    sources = find_sources(inputs, kind=input_format, output=url or target)
    for source in sources:
        if not source.once and source.kind not in PLAIN:
            next(read_documents([source], read), None)


def _job(encoder: Encoder, device: str, options: ReadOptions, records: list[JSON]) -> dict[str, JSON]:
    run: dict[str, JSON] = {
        f.name: getattr(encoder.options, f.name) for f in fields(encoder.options) if f.name not in NOT_THE_JOB
    }
    run["device"] = device
    run["calibration"] = encoder.options.calibration and encoder.options.calibration.to_json()
    model: dict[str, JSON] = encoder.fingerprint.to_json()
    return json.loads(json.dumps({"input": records, "reading": asdict(options), "model": model, "run": run}))  # type: ignore[no-any-return]


REPLACE = "--overwrite replaces it"


def resuming(target: Path) -> str:
    """Return the options that go on with an unfinished run for ``target``."""
    return "--resume --overwrite" if target.exists() else "--resume"


def _already_done(target: Path, job: Mapping[str, JSON], *, overwrite: bool) -> Report | None:
    """Return a report of the finished output at ``target``, or None if it is to be replaced."""
    there = finished_job(target)
    if there is not None and not compare_jobs(there, job):
        discard(target, job)
        header = read_header(target)
        return Report(target, header, texts=header.texts, rows=header.rows, resumed=header.texts)
    if overwrite:
        return None
    way = "--resume --overwrite goes on with the unfinished one and replaces it" if unfinished(target).exists() else REPLACE
    if there is None:
        raise ResumeMismatch(f"{target}: exists, but was not made by a run that could go on; {way}")
    raise ResumeMismatch(f"{target}: was made by another run ({'; '.join(compare_jobs(there, job))}); {way}")


def _skip_done(items: Iterator[Document | BadRow], writer: ShardWriter) -> tuple[Report, hashlib._Hash]:
    """Read past what the committed shards hold; raise `ResumeMismatch` if that is not what they were made of."""
    digest = hashlib.sha256()
    if writer.note is None:
        return Report(writer.path), digest
    try:
        report = Report(writer.path, **writer.note["counts"], resumed=writer.note["counts"]["texts"])
        expected = writer.note["digest"]
    except (TypeError, KeyError) as error:
        raise FormatError(
            f"{writer.folder}: damaged, its last shard does not tell how far it was; --overwrite starts again"
        ) from error
    for item in islice(items, report.texts + report.skipped):
        if isinstance(item, Document):
            _feed(digest, [item])
    if digest.hexdigest() != expected:
        raise ResumeMismatch(
            f"{writer.path}: the {report.texts:,} texts done so far came from another input; --overwrite starts again"
        )
    return report, digest


def _feed(digest: hashlib._Hash, documents: Sequence[Document]) -> None:
    for document in documents:
        for part in (document.id, document.text):
            content = part.encode("utf-8")
            digest.update(len(content).to_bytes(8, "little") + content)


def _stop(kind: type[InputError] | type[OverflowRefused], bad: BadRow, report: Report) -> Exception:
    way = resuming(report.output)
    kept = f"; {report.texts:,} texts are done and kept, {way} goes on from there" if report.texts else ""
    return kind(f"{bad.where}: {bad.reason}; mend it, or --on-error skip leaves such rows out{kept}")


@contextmanager
def _cuts_told_once() -> Iterator[None]:
    """Silence what every block would say: the report says it for all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextsCut)
        yield


def _note(block: Block, report: Report, digest: hashlib._Hash) -> dict[str, JSON]:
    return {"counts": report.counts, "digest": digest.hexdigest(), "errors": [asdict(bad) for bad in block.bad]}


def _write_errors(target: Path, writer: ShardWriter, report: Report) -> Path | None:
    path = errors_path(target)
    if not report.skipped:
        path.unlink(missing_ok=True)
        return None
    with written_whole(path) as (stream,):
        for note in writer.notes():
            for error in note["errors"]:
                stream.write(json.dumps(error, ensure_ascii=False).encode("utf-8") + b"\n")
    return path


def _nothing(records: list[JSON], report: Report) -> str:
    names = ", ".join(record["input"] for record in records)
    return (
        f"{names}: holds no text that can be encoded ({report.skipped:,} bad rows)"
        if report.skipped
        else f"{names}: holds no texts, it is empty"
    )
