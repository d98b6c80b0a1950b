"""What a model that looks things up is: ``augment.json`` in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from semvec.augment.memory import Retrieval
from semvec.augment.weigh import Weighing
from semvec.embeddings.files import written_whole
from semvec.errors import ModelError, ModelNotFound
from semvec.types import JSON, Dtype, Level, Way

Kind = TypeVar("Kind")
ABOUT, MODEL, MEMORY = "augment.json", "model", "memory"
VERSION = 2
TASKS = {"classify": "the label of a text", "tag": "the tags of the words of a sentence"}
"""What models that look things up are for, and what they say."""

COSTS = {"looking": "looking up", "answering": "answering with it", "alone": "answering alone"}
"""What takes time, in words."""


NUMBER = (int, float)
RECORD: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("data", "model", "strategy", "device", "dtype"), (str,)),
    **dict.fromkeys(("seed", "examples/train", "examples/validation", "cost/items"), (int,)),
    **dict.fromkeys(("seconds", *(f"cost/ms/{name}" for name in COSTS)), NUMBER),
    "as is": (bool,),
    "cost/bytes": (int, type(None)),
}
"""What is shown of a record, and of which kind it is."""


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
    """Raise where what came of a training is not as it was written; `KeyError`, `TypeError` or `AttributeError`."""
    for names, kinds in RECORD.items():
        value = record
        for name in names.split("/"):
            value = value[name]
        if type(value) not in kinds:
            raise TypeError(f"{names} is {value!r:.40}")
    for measure in (*record["validation"].values(), *record["alone"].values()):
        if measure is not None and type(measure["value"]) not in NUMBER:
            raise TypeError(f"a measure is {measure!r:.40}")


def _exactly(kind: type[Kind], value: JSON) -> Kind:
    """Return ``value``, which must be of ``kind``; `TypeError` where it is not."""
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value
