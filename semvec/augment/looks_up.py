"""What all models that look things up have: what they are, in ``augment.json``, and a memory that is held while they are used."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from typing_extensions import Self

from semvec.augment.memory import Memory, Retrieval
from semvec.augment.weigh import Weighing
from semvec.embeddings.files import written_whole
from semvec.errors import InputError, ModelError, ModelNotFound
from semvec.finetune.task import Findings
from semvec.results import Hits
from semvec.store.collection import Collection
from semvec.types import JSON, Dtype, Level, Way

ABOUT, MODEL, MEMORY = "augment.json", "model", "memory"
VERSION = 2


@dataclass(frozen=True)
class Described:
    """What ``augment.json`` says: ``task`` and ``way``, how neighbours are found, where (None: beside it), by which encoder."""

    way: Way
    retrieval: Retrieval
    collection: str | None
    encoder: str | None
    weighing: Weighing = field(default_factory=Weighing)
    record: JSON = None
    task: str = "classify"

    def write(self, folder: Path) -> None:
        """Write this into ``folder``."""
        its = {
            "format": VERSION,
            "task": self.task,
            "way": str(self.way),
            "retrieval": self.retrieval.to_json(),
            "collection": self.collection,
            "encoder": self.encoder,
            "weighing": self.weighing.to_json(),
            "record": self.record,
        }
        with written_whole(folder / ABOUT) as (stream,):
            stream.write((json.dumps(its, indent=1, ensure_ascii=False) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Described:
        """Return what stands in ``folder``; `ModelNotFound` or `ModelError` where there is no such model."""
        if not folder.is_dir():
            raise ModelNotFound(f"{folder}: no such folder, where a model of 'semvec augment train' should be")
        try:
            its = json.loads((folder / ABOUT).read_bytes())
            if its["format"] != VERSION:
                raise TypeError(f"format {its['format']!r:.40}, and this version of semvec reads {VERSION}")
            how = its["retrieval"]
            level, dtype = Level(how["level"]), Dtype(how["dtype"])
            retrieval = Retrieval(int(how["k"]), bool(how["hybrid"]), level, bool(how["joint"]), dtype)
            weighing, place = Weighing.from_json(its["weighing"]), its["collection"]
            encoder = its["encoder"]
            where, by, task = place and str(place), encoder and str(encoder), str(its["task"])
            return cls(Way(its["way"]), retrieval, where, by, weighing, its.get("record"), task)
        except FileNotFoundError:
            raise ModelError(f"{folder}: no {ABOUT}, so this is no model of 'semvec augment train'") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{folder}: {ABOUT} is damaged ({type(error).__name__}: {error!s:.80})") from error


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
        """Write ``texts`` and their ``labels``, and return their ids; the same twice is one item."""
        given = [""] * len(texts) if labels is None else list(labels)
        names = list(ids) if ids is not None else [identity(text, label) for text, label in zip(texts, given, strict=True)]
        if len(names) != len(texts):
            raise InputError(f"{len(names):,} ids for {len(texts):,} texts")
        rows = sorted({name: at for at, name in enumerate(names)}.values())
        some = [given[at] for at in rows] if labels is not None else None
        self.memory.add([names[at] for at in rows], [texts[at] for at in rows], some)
        return names


def identity(text: str, label: str) -> str:
    """Return an id of a text and its label."""
    return sha256(f"{label}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def forget(folder: str | os.PathLike[str], ids: Sequence[str]) -> tuple[int, int]:
    """Delete the items of ``ids`` from the memory of the model in ``folder``, which is not loaded for that.

    Returns how many there were, and how many are left. Raises `ModelNotFound` or `ModelError` where there is no such model.
    """
    place = Path(folder).expanduser()
    with Collection.open(Described.read(place).collection or place / MEMORY) as collection:
        return collection.delete(list(ids)), collection.count()
