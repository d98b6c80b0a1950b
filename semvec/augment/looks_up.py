"""What all models that look things up have: a memory that is held while they are used, and can be added to and taken from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from typing_extensions import Self

from semvec.augment.described import MEMORY, MODEL, Described
from semvec.augment.memory import Memory, open_memory
from semvec.encoders.tuned import read_about
from semvec.errors import InputError, ModelError
from semvec.finetune.task import Findings
from semvec.results import Hits
from semvec.store.collection import Collection, check_ids
from semvec.text.document import flaw
from semvec.types import JSON, Way


class LooksUp(ABC):
    """A model and its ``memory``, in which whatever is added or removed counts at once; to be closed after use.

    ``folder`` is where it was opened, None for one that is not stored.
    """

    folder: Path | None = None

    def __init__(self, memory: Memory, described: Described, held: ExitStack | None = None) -> None:
        self.memory, self.described = memory, described
        self._held = held or ExitStack()

    @property
    def wanted(self) -> int:
        """How many neighbours count; where none do, none are looked for."""
        return self.described.retrieval.k

    @abstractmethod
    def look(self, examples: Any) -> list[Hits]:
        """Return the neighbours of ``examples`` that count."""

    @abstractmethod
    def measured(self, examples: Any, hits: Sequence[Hits] | None = None) -> Findings:
        """Return what is worth what is said of labelled ``examples``, with what is found for them, or with ``hits``."""

    def close(self) -> None:
        """Give back what the memory holds."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def remove(self, ids: Sequence[str]) -> int:
        """Delete the items of ``ids`` from the memory; return how many there were."""
        return self.memory.remove(ids)

    def _found(self, texts: Sequence[str], k: int) -> list[Hits]:
        """Return ``k`` neighbours of each of ``texts``, none where there are none."""
        if not k or not self.memory.collection.count():
            return [Hits((), text) for text in texts]
        return self.memory.neighbours(texts, k=k)

    def _write(self, texts: Sequence[str], labels: Sequence[str] | None, ids: Sequence[str] | None) -> list[str]:
        """Write ``texts`` and their ``labels``, and return the ids of those that were written; the same twice is one item.

        All are checked before any is written. Left out are texts in which the encoder knows nothing.
        """
        given = [""] * len(texts) if labels is None else list(labels)
        for at, (text, label) in enumerate(zip(texts, given, strict=True)):
            if reason := flaw(text) or flaw(label):
                raise InputError(f"text {at + 1}: {reason}")
        names = check_ids(ids) if ids is not None else [identity(text, label) for text, label in zip(texts, given, strict=True)]
        if len(names) != len(texts):
            raise InputError(f"{len(names):,} ids for {len(texts):,} texts")
        places: dict[str, int] = {}
        for at, name in enumerate(names):
            first = places.setdefault(name, at)
            if (texts[first], given[first]) != (texts[at], given[at]):
                raise InputError(f"the id {name!r:.60} is given to two texts, or two labels")
        rows = list(places.values())
        self.memory.add(
            [names[at] for at in rows], [texts[at] for at in rows], None if labels is None else [given[at] for at in rows]
        )
        written = {its.id for its in self.memory.collection.get(list(places)) if its is not None}
        return [name for name in names if name in written]


@dataclass(frozen=True)
class Parts:
    """What a model is made of: the folder it is in, what it is, its memory, and what ``about`` says of the model that answers."""

    place: Path
    described: Described
    memory: Memory
    about: Mapping[str, JSON]


def open_parts(
    folder: str | os.PathLike[str], task: str, held: ExitStack, *, encoder: str | None = None, device: str | None = None
) -> Parts:
    """Return the parts of the model for ``task`` in ``folder``, whose memory is ``held`` (`RetrievalAugmentedClassifier`)."""
    place = Path(folder).expanduser()
    its = Described.read(place)
    if its.task != task:
        raise ModelError(f"{place}: is for {its.task}, not for {task}")
    memory = held.enter_context(
        open_memory(its.collection or place / MEMORY, its.retrieval, encoder or its.encoder, device=device)
    )
    about, wanted = read_about(place / MODEL), "pairs" if (task, its.way) == ("classify", Way.CONCAT) else task
    if about.get("task") != wanted:
        raise ModelError(f"{place / MODEL}: is for {about.get('task')!r:.40}, and the way {its.way} wants one for {wanted}")
    return Parts(place, its, memory, about)


def identity(text: str, label: str) -> str:
    """Return an id of a text and its label."""
    return sha256(f"{label}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def forget(folder: str | os.PathLike[str], ids: Sequence[str]) -> tuple[int, int, list[str]]:
    """Delete the items of ``ids`` from the memory of the model in ``folder``, which is not loaded for that.

    Returns how many there were, how many are left, and which of ``ids`` were not there. Raises `ModelNotFound` or `ModelError`
    where there is no such model.
    """
    place, names = Path(folder).expanduser(), check_ids(ids)
    with Collection.open(Described.read(place).collection or place / MEMORY) as collection:
        absent = [name for name, its in zip(names, collection.get(names), strict=True) if its is None]
        return collection.delete(names), collection.count(), absent
