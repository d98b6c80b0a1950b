"""Filters in words that other stores know: an item has a mark, or has not; the least or greatest number of a field.

Stores differ in lists, in missing fields, in kinds of values. So what a filter may ask is written beside every item: a
list of marks (``["lang","de"]`` says that a member of ``lang`` equals "de"), and two numbers a field. All a store needs
is a list that holds a string, a number that is less or more, and, or, not. What they cannot say (order and beginnings of
strings, numbers beyond 2**53) is left over, and read and decided by `Filter.matches`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from semvec.store.filters import All, Any, Compare, Filter, In, IsNull, Not, Scalar, StartsWith, kind_of, members
from semvec.types import JSON

LONGEST = 120
"""Characters of a mark that is kept as it is; a longer one is kept as its hash."""
EXACT = 2**53
KINDS = ("text", "number", "bool")
TURNED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True)
class Marked:
    """Items that have ``mark``; or that have it not, where ``there`` is false."""

    mark: str
    there: bool = True


@dataclass(frozen=True)
class Bound:
    """Items whose number called ``name`` (of `bounds_of`) is there and compares with ``value``; operator < <= > >=."""

    name: str
    operator: str
    value: float


@dataclass(frozen=True)
class Both:
    """Items for which all ``parts`` hold; there are at least two."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Either:
    """Items for which one of ``parts`` holds; there are at least two."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Marked | Bound | Both | Either

NEVER = Marked("[]")
ALWAYS = Marked("[]", there=False)


def marks_of(metadata: Mapping[str, JSON]) -> list[str]:
    """Return the marks of an item."""
    return sorted({mark for name, value in metadata.items() for mark in _marks(name, value)})


def _marks(name: str, value: JSON) -> Iterator[str]:
    if value is None:
        return
    yield _something(name)
    for kind in KINDS:
        its = [one for one in members(value) if kind_of(one) == kind]
        if its:
            yield _kind(name, kind)
        if len(set(its)) > 1:
            yield _differing(name, kind)
        for one in its:
            yield _equal(name, one)


def bounds_of(metadata: Mapping[str, JSON]) -> dict[str, float]:
    """Return the least and the greatest number of every field that has any, by the names that `Bound` asks for."""
    found = {}
    for name, value in metadata.items():
        if numbers := [one for one in members(value) if kind_of(one) == "number"]:
            found[bound_name(name, "min")] = float(min(numbers))
            found[bound_name(name, "max")] = float(max(numbers))
    return found


def bound_name(name: str, side: str) -> str:
    """Return what the least (``side`` min) or greatest (max) number of a field is called, in plain letters."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and name.islower() and len(name) <= 40
    return f"{side}_{name}" if plain else f"{side}__{hashlib.sha256(name.encode()).hexdigest()[:20]}"


def split(wanted: Filter | None) -> tuple[Condition | None, Filter | None]:
    """Return ``wanted`` as a condition and the filter left over: an item matches if both hold; None holds always."""
    if wanted is None:
        return None, None
    if (whole := condition(wanted)) is not None:
        return whole, None
    if not isinstance(wanted, All):
        return None, wanted
    parts = [split(part) for part in wanted.parts]
    told = [one for one, _ in parts if one is not None]
    rest = tuple(one for _, one in parts if one is not None)
    return _joined(told, every=True) if told else None, All(rest) if len(rest) > 1 else rest[0]


def condition(wanted: Filter, true: bool = True) -> Condition | None:
    """Return what says that ``wanted`` is ``true`` of an item, None if nothing says it."""
    match wanted:
        case Not(part):
            return condition(part, not true)
        case All(parts):
            return _joined([condition(part, true) for part in parts], every=true)
        case Any(parts):
            return _joined([condition(part, true) for part in parts], every=not true)
        case IsNull(name):
            return Marked(_something(name), not true)
        case In(name, values):
            return _joined([Marked(_equal(name, value), true) for value in values], every=not true)
        case StartsWith(name, ""):
            return Marked(_kind(name, "text"), true)
        case Compare(name, "=", value):
            return Marked(_equal(name, value), true)
        case Compare(name, "!=", value):
            several, some = Marked(_differing(name, kind_of(value)), true), Marked(_kind(name, kind_of(value)), true)
            other = Marked(_equal(name, value), not true)
            return Either((several, Both((some, other)))) if true else Both((several, Either((some, other))))
        case Compare(name, operator, int() | float() as value) if kind_of(value) == "number" and abs(value) < EXACT:
            bound = bound_name(name, "min" if operator[0] == "<" else "max")
            if true:
                return Bound(bound, operator, float(value))
            return Either((Marked(_kind(name, "number"), False), Bound(bound, TURNED[operator], float(value))))
    return None


def _joined(parts: Sequence[Condition | None], *, every: bool) -> Condition | None:
    told = tuple(part for part in parts if part is not None)
    if len(told) < len(parts):
        return None
    if len(told) < 2:
        return told[0] if told else ALWAYS if every else NEVER
    return Both(told) if every else Either(told)


def _something(name: str) -> str:
    return _mark([name])


def _kind(name: str, kind: str) -> str:
    return _mark([name, kind, "is"])


def _differing(name: str, kind: str) -> str:
    return _mark([name, kind, "differ"])


def _equal(name: str, value: Scalar) -> str:
    """One mark for all numbers that are equal: 2000 and 2000.0."""
    return _mark([name, int(value) if isinstance(value, float) and value.is_integer() else value])


def _mark(parts: list[Scalar]) -> str:
    mark = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return mark if len(mark) <= LONGEST else f"sha256:{hashlib.sha256(mark.encode()).hexdigest()}"
