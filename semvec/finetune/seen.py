"""Which examples a model was made with: to be measured on them again says little."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import ModelError
from semvec.finetune.task import Task

FILE = "seen.npy"


def _hashes(task: Task[Any], examples: Any) -> NDArray[np.uint64]:
    """Return a number for every one of ``examples``, the same for the same input."""
    shown = (task.shown(examples, at) for at in range(len(examples)))
    inputs = [{name: value for name, value in its.items() if name != "id"} for its in shown]
    digests = (blake2b(json.dumps(its, sort_keys=True).encode(), digest_size=8).digest() for its in inputs)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def save_seen(folder: Path, task: Task[Any], train: Any, validation: Any, *, also: Path | None = None) -> None:
    """Write into ``folder`` which examples were learnt from and validated on, as numbers (n, 2): a hash, and 0 or 1.

    What the model in the folder ``also`` was made with is added.
    """
    both = [_hashes(task, its) for its in (train, validation)]
    rows = np.stack([np.concatenate(both), np.repeat(np.array([0, 1], dtype=np.uint64), [len(its) for its in both])], axis=1)
    np.save(folder / FILE, rows if also is None else np.concatenate([_read(also), rows]))


def _read(folder: Path) -> NDArray[np.uint64]:
    """Return what `save_seen` wrote, nothing where it wrote nothing; `ModelError` for what it cannot have written."""
    file = folder / FILE
    if not file.is_file():
        return np.zeros((0, 2), dtype=np.uint64)
    try:
        rows = np.load(file)
        if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype != np.uint64:
            raise ValueError("it is no such table")
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file}: is damaged ({error!s:.80}); without it nobody is told which examples the model knew"
        ) from error
    return np.asarray(rows)


def seen_notes(folder: Path, task: Task[Any], examples: Any) -> Sequence[str]:
    """Return what has to be said of ``examples`` on which the model in ``folder`` is measured: that it knows some of them."""
    notes = []
    for part, what in ((0, "were learnt from"), (1, "decided which step was kept")):
        if count := known_of(folder, task, examples, part):
            notes.append(f"{count:,} of the {len(examples):,} examples {what}: on new ones the model is likely to do worse")
    return notes


def known_of(folder: Path, task: Task[Any], examples: Any, part: int = 0) -> int:
    """Return how many of ``examples`` the model in ``folder`` was learnt from (``part`` 0) or chosen by (1), if that is known."""
    rows = _read(folder)
    return int(np.isin(_hashes(task, examples), rows[rows[:, 1] == part, 0]).sum())
