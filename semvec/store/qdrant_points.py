"""What Qdrant calls a point: an item with a UUID, a vector and a payload. The same in process and on a server."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np

from semvec.store.adapted import Item
from semvec.store.collection import Vectors
from semvec.store.marks import Bound, Condition, Either, Marked, bounds_of, marks_of
from semvec.types import Metric

MARKS = "marks"
SPACE = uuid.UUID("7c9d2b1e-52f4-4f0e-9a53-6f1f6a2f7f0b")
DISTANCES = {Metric.COSINE: "Cosine", Metric.DOT: "Dot", Metric.EUCLIDEAN: "Euclid"}
SIDES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def point_id(name: str) -> str:
    """Return the UUID that stands for an id: Qdrant takes no other strings."""
    return str(uuid.uuid5(SPACE, name))


def payload(item: Item) -> dict[str, Any]:
    """Return what is kept with the vector; its length too, since Qdrant keeps vectors of length 1 under cosine."""
    metadata = item.metadata
    length = float(np.linalg.norm(np.asarray(item.vector, dtype=np.float64)))
    known = {"id": item.id, "order": item.order, "text": item.text, "fields": item.fields, "length": length}
    return {**known, MARKS: marks_of(metadata), **bounds_of(metadata)}


def item_of(known: Any, vector: Any, metric: Metric) -> Item:
    """Return the item that `payload` and a vector were made of, with the vector as it was written."""
    return Item(known["id"], known["order"], _written(vector, known["length"], metric), known["text"], known["fields"])


def items_of(records: Iterable[Any], metric: Metric) -> list[Item]:
    """Return the items of the points that Qdrant gave."""
    return [item_of(one.payload, one.vector, metric) for one in records]


def numbers(vector: Vectors | None) -> list[float]:
    """Return a vector as Qdrant takes it."""
    assert vector is not None
    return [float(one) for one in vector]


def _written(vector: Any, length: float, metric: Metric) -> Vectors | None:
    if vector is None:
        return None
    numbers = np.asarray(vector, dtype=np.float64)
    if metric == Metric.COSINE:
        numbers *= length / np.linalg.norm(numbers)
    return numbers.astype(np.float32)


def score_of(score: float, metric: Metric) -> float:
    """Return a score of Qdrant's with more for nearer: its Euclidean distances are not."""
    return -score if metric == Metric.EUCLIDEAN else score


def where(wanted: Condition | None, library: Any, span: Any) -> Any:
    """Return a filter made of the classes of ``library``, with ``span`` for a range of numbers."""
    if wanted is None:
        return None
    if isinstance(wanted, Marked):
        has = [library.FieldCondition(key=MARKS, match=library.MatchValue(value=wanted.mark))]
        return library.Filter(must=has) if wanted.there else library.Filter(must_not=has)
    if isinstance(wanted, Bound):
        asked = span(**{SIDES[wanted.operator]: wanted.value})
        return library.Filter(must=[library.FieldCondition(key=wanted.name, range=asked)])
    parts = [where(part, library, span) for part in wanted.parts]
    return library.Filter(should=parts) if isinstance(wanted, Either) else library.Filter(must=parts)
