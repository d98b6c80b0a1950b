"""A folder → the fine-tuned model in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from semvec.encoders.model_folder import ABOUT
from semvec.encoders.tuned import read_about
from semvec.errors import ModelError, ModelNotFound
from semvec.finetune.stored import VERSION
from semvec.finetune.tasks import model_of, task_named
from semvec.finetune.tuned import Loading, Tuned


def load_model(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    trust_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Tuned:
    """Return the model that `finetune` wrote to the folder ``path``.

    It has ``predict``, ``measured`` and ``task``; ``load_encoder(path)`` gives its encoder. Raises `ModelNotFound` where
    nothing is there, `ModelError` for a folder that holds none or a damaged one, or whose encoder is not there any more.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        hint = f"; {part} is an unfinished run, which 'semvec finetune … --resume' goes on with" if part.is_dir() else ""
        raise ModelNotFound(f"{folder}: no such folder, where a fine-tuned model should be{hint}")
    if not folder.is_dir():
        raise ModelError(f"{folder}: is a file, and a fine-tuned model is a folder")
    if (folder / "augment.json").is_file():
        raise ModelError(f"{folder}: looks things up: 'semvec augment predict' and 'semvec augment report' ask it")
    if (folder / "continual.json").is_file():
        raise ModelError(f"{folder}: learns one task after the other: 'semvec predict' and ContinualLearner.load ask it")
    if (folder / "stream.json").is_file():
        some = next((path for path in sorted(folder.iterdir()) if (path / "continual.json").is_file()), folder)
        raise ModelError(f"{folder}: holds the learners of a stream: name one of them, {some}")
    about = read_about(folder)
    try:
        made, name = about["format"], str(about["task"])
        task = task_named(name)
    except (KeyError, ValueError) as error:
        raise ModelError(f"{folder}: {ABOUT} does not say what the model is for ({error})") from error
    if made != VERSION:
        raise ModelError(f"{folder}: is of the format {made!r:.40}, and this version of semvec reads {VERSION}")
    head = about.get("head")
    pruned, cloze = (isinstance(head, Mapping) and bool(head.get(key)) for key in ("prune", "cloze"))
    found: Tuned = model_of(name, pruned=pruned, cloze=cloze).load(
        task, folder, about, Loading(device, trust_pickle, trust_remote_code)
    )
    return found
