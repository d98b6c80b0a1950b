"""Where a model is made and where it goes: nothing is replaced there but models, and runs that were stopped."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

from semvec.embeddings.files import check_replaceable, plain_errors, written_whole
from semvec.encoders.tuned import bases, read_about
from semvec.errors import ModelError, OptionError, OutputError, OutputExists, ResumeMismatch
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.search import JOURNAL
from semvec.finetune.trainer import last_checkpoint

BEFORE = "before"
"""The folder, in a model's, of what it is compared with: the encoder as it was, with a linear head where there is a head."""

RUN, CHECKPOINTS, SEARCH = "run.json", "checkpoints", "search"


def part_of(target: Path) -> Path:
    """Return the folder in which ``target`` is made; `OutputError` where that has no name of its own."""
    if not target.name or target.name == "..":
        raise OutputError(f"{os.fspath(target)}: is no name for a new folder; name one")
    return target.with_name(f"{target.name}.part")


def check_output(target: Path, *, overwrite: bool, resume: bool) -> Path:
    """Return the folder to work in, if ``target`` can be written; `OutputError` or `OutputExists` if not."""
    work = part_of(target)
    with plain_errors(target):
        check_model_replaceable(target, overwrite)
        if resume and not (work / RUN).is_file():
            raise ResumeMismatch(f"{work}: no unfinished run is there to go on with; leave out --resume")
        if not resume and os.path.lexists(work):
            if not _is_run(work):
                raise OutputExists(
                    f"{work}: exists and is no unfinished run, and nothing else is overwritten; name another MODEL"
                )
            begun = (work / SEARCH / JOURNAL).exists() or last_checkpoint(work / CHECKPOINTS) is not None
            if begun and not overwrite:
                raise OutputExists(f"{work}: an unfinished run is there: --resume goes on with it, --overwrite begins anew")
            shutil.rmtree(work)
    return work


def _is_run(work: Path) -> bool:
    """Whether ``work`` is what a run left, and holds nothing else."""
    try:
        known = json.loads((work / RUN).read_bytes())
        return isinstance(known["digest"], str) and {path.name for path in work.iterdir()} <= {RUN, CHECKPOINTS, SEARCH, BEFORE}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_model_replaceable(target: Path, overwrite: bool) -> None:
    """Raise `OutputExists` where something is at ``target`` that may not be replaced: only a fine-tuned model ever is."""
    check_replaceable(target, "fine-tuned model", partial(_is_model, target), overwrite=overwrite)


def _is_model(folder: Path) -> bool:
    try:
        return {"format", "task", "encoder", "options"} <= set(read_about(folder))
    except ModelError:
        return False


def check_apart(target: Path, model: str | os.PathLike[str], whole: bool, *data: str | os.PathLike[str] | None) -> None:
    """Raise `OptionError` where writing ``target`` would take away what it is made from: its data, or the encoder it needs."""
    place = target.resolve()
    for its in data:
        if its is not None and place in (Path(its).resolve(), *Path(its).resolve().parents):
            raise OptionError(f"{target}: holds {os.fspath(its)}, which is learnt from; write to another folder")
    if not whole and any(place in (its, *its.parents) for its in bases(model)):
        raise OptionError(f"{target}: is what this model would be made upon, and it would be replaced; write to another folder")


def same_run(work: Path, digest: str, options: FinetuneOptions, resume: bool) -> None:
    """Begin a run in ``work``, or go on with the one there; `ResumeMismatch`, which says what differs, where that was another."""
    file, asked = work / RUN, options.to_json()
    if not resume:
        with plain_errors(work):
            work.mkdir(exist_ok=True)
        with written_whole(file) as (stream,):
            stream.write(json.dumps({"digest": digest, "options": asked}).encode())
        return
    try:
        known = json.loads(file.read_bytes())
        was = dict(known["options"])
    except (ValueError, KeyError, TypeError):
        raise ResumeMismatch(f"{work}: {RUN} is damaged; remove it to begin anew") from None
    if known["digest"] != digest:
        other = [f"{name} was {was.get(name)!r:.40}" for name, value in asked.items() if was.get(name) != value]
        what = ", ".join(other) or "with other data or another model"
        raise ResumeMismatch(f"{work}: the unfinished run was another one: {what}")
