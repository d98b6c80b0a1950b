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
from typing import Any, TypeVar

from typing_extensions import Self

from semvec.augment.memory import Memory, Retrieval
from semvec.augment.weigh import Weighing
from semvec.embeddings.files import written_whole
from semvec.errors import InputError, ModelError, ModelNotFound
from semvec.finetune.task import Findings
from semvec.results import Hits
from semvec.store.collection import Collection, check_ids
from semvec.text.document import flaw
from semvec.types import JSON, Dtype, Level, Way

Kind = TypeVar("Kind")
ABOUT, MODEL, MEMORY = "augment.json", "model", "memory"
VERSION = 2
TASKS = {"classify": "the label of a text", "tag": "the tags of the words of a sentence"}
"""What models that look things up are for, and what they say."""

COSTS = {"looking": "looking up", "answering": "answering with it", "alone": "answering alone"}
"""What takes time, in words."""


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
            k, hybrid = _exactly(int, how["k"]), _exactly(bool, how["hybrid"])
            retrieval = Retrieval(k, hybrid, Level(how["level"]), Dtype(how["dtype"]))
            weighing, place = Weighing.from_json(its["weighing"]), its["collection"]
            encoder = its["encoder"]
            where, by, task = (one and _exactly(str, one) for one in (place, encoder, its["task"]))
            if task not in TASKS:
                raise ValueError(f"task {task!r:.40}")
            if (record := its.get("record")) is not None:
                _check_record(record)
            return cls(Way(its["way"]), retrieval, where, by, weighing, record, task)
        except FileNotFoundError:
            raise ModelError(f"{folder}: no {ABOUT}, so this is no model of 'semvec augment train'") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ModelError(f"{folder}: {ABOUT} is damaged ({type(error).__name__}: {error!s:.80})") from error


def cost_in_words(cost: JSON, dtype: str | None = None) -> str:
    """Return what looking up costs: items, bytes, and milliseconds a text."""
    size = "" if cost["bytes"] is None else f", {cost['bytes'] / 1e6:,.1f} MB"
    its = ", ".join(f"{what} {cost['ms'][part]:.2f}" for part, what in COSTS.items())
    return f"{cost['items']:,} items{f' of {dtype}' if dtype else ''}{size}; ms a text: {its}"


def _check_record(record: JSON) -> None:
    """Raise where what came of a training is not as it was written; `KeyError`, `TypeError`, `ValueError` or `AttributeError`."""
    for name in ("validation", "alone"):
        for its in record[name].values():
            its is None or float(its["value"])
    for name in ("train", "validation"):
        int(record["examples"][name])
    for name in COSTS:
        float(record["cost"]["ms"][name])
    int(record["cost"]["items"]), record["cost"]["bytes"] is None or int(record["cost"]["bytes"])
    float(record["seconds"]), int(record["seed"])
    for name in ("data", "model", "strategy", "device", "dtype"):
        if not isinstance(record[name], str):
            raise TypeError(f"{name} is {record[name]!r:.40}")
    _exactly(bool, record["as is"])


def _exactly(kind: type[Kind], value: JSON) -> Kind:
    """Return ``value``, which must be of ``kind``; `TypeError` where it is not."""
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value


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
