"""Filters over metadata: as Python (``field("year") >= 2020``), or as the text of `parse_filter`.

A filter is true or false of an item, never in between: a field that an item does not have, or that is null, makes
every comparison false, and ``not`` turns false into true. A list satisfies a comparison if one of its members does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from semvec.errors import FilterError
from semvec.text.document import flaw
from semvec.types import JSON, did_you_mean

Scalar: TypeAlias = str | int | float | bool
OPERATORS = ("=", "!=", "<", "<=", ">", ">=")


class Filter(ABC):
    """A condition on the metadata of an item; joined by ``&``, ``|`` and ``~``."""

    @abstractmethod
    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        """Return whether it is true of ``metadata``: what every store has to agree with."""

    @abstractmethod
    def fields(self) -> Iterator[str]:
        """Give the names of the fields it asks about."""

    def __and__(self, other: Filter) -> Filter:
        return All((self, other))

    def __or__(self, other: Filter) -> Filter:
        return Any((self, other))

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise FilterError("filters are joined by & | ~, each in brackets, not by and, or, not")


@dataclass(frozen=True)
class Compare(Filter):
    """A field compared with a value of the same kind: = != < <= > >=; strings by code points."""

    field: str
    operator: str
    value: Scalar

    def __post_init__(self) -> None:
        check_value(self.value)

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return any(self._one(value) for value in members(metadata.get(self.field)))

    def _one(self, value: JSON) -> bool:
        if kind_of(value) != kind_of(self.value):
            return False
        if self.operator in ("=", "!="):
            return bool((value == self.value) == (self.operator == "="))
        below, above = value < self.value, value > self.value
        return bool({"<": below, "<=": not above, ">": above, ">=": not below}[self.operator])

    def fields(self) -> Iterator[str]:
        yield self.field


@dataclass(frozen=True)
class In(Filter):
    """A field that is one of several values."""

    field: str
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        for value in self.values:
            check_value(value)

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return any(Compare(self.field, "=", value).matches(metadata) for value in self.values)

    def fields(self) -> Iterator[str]:
        yield self.field


@dataclass(frozen=True)
class StartsWith(Filter):
    """A string that begins with a prefix."""

    field: str
    prefix: str

    def __post_init__(self) -> None:
        check_value(self.prefix)

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return any(isinstance(value, str) and value.startswith(self.prefix) for value in members(metadata.get(self.field)))

    def fields(self) -> Iterator[str]:
        yield self.field


@dataclass(frozen=True)
class IsNull(Filter):
    """A field that an item has not, or that is null there."""

    field: str

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return metadata.get(self.field) is None

    def fields(self) -> Iterator[str]:
        yield self.field


@dataclass(frozen=True)
class All(Filter):
    """All parts are true."""

    parts: tuple[Filter, ...]

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return all(part.matches(metadata) for part in self.parts)

    def fields(self) -> Iterator[str]:
        return (name for part in self.parts for name in part.fields())


@dataclass(frozen=True)
class Any(Filter):
    """At least one part is true."""

    parts: tuple[Filter, ...]

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return any(part.matches(metadata) for part in self.parts)

    def fields(self) -> Iterator[str]:
        return (name for part in self.parts for name in part.fields())


@dataclass(frozen=True)
class Not(Filter):
    """The part is false."""

    part: Filter

    def matches(self, metadata: Mapping[str, JSON]) -> bool:
        return not self.part.matches(metadata)

    def fields(self) -> Iterator[str]:
        return self.part.fields()


@dataclass(frozen=True, eq=False)
class field:  # noqa: N801 (reads as a function: field("year") >= 2020)
    """A field of the metadata, to be compared: ``(field("lang") == "de") & (field("year") >= 2020)``."""

    name: str

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return IsNull(self.name) if value is None else Compare(self.name, "=", value)  # type: ignore[arg-type]

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return Not(IsNull(self.name)) if value is None else Compare(self.name, "!=", value)  # type: ignore[arg-type]

    def __lt__(self, value: Scalar) -> Filter:
        return Compare(self.name, "<", value)

    def __le__(self, value: Scalar) -> Filter:
        return Compare(self.name, "<=", value)

    def __gt__(self, value: Scalar) -> Filter:
        return Compare(self.name, ">", value)

    def __ge__(self, value: Scalar) -> Filter:
        return Compare(self.name, ">=", value)

    def is_in(self, *values: Scalar) -> Filter:
        """One of ``values``."""
        return In(self.name, values)

    def contains(self, value: Scalar) -> Filter:
        """A list with ``value`` in it."""
        return Compare(self.name, "=", value)

    def startswith(self, prefix: str) -> Filter:
        """A string that begins with ``prefix``."""
        return StartsWith(self.name, prefix)

    def is_null(self) -> Filter:
        """Missing, or null."""
        return IsNull(self.name)

    __hash__ = None  # type: ignore[assignment]


def check_fields(wanted: Filter, known: Collection[str]) -> None:
    """Raise `FilterError` where ``wanted`` asks about a field that is not among the ``known`` ones."""
    for name in wanted.fields():
        if name not in known:
            there = ", ".join(sorted(known)) or "none: no item has metadata"
            raise FilterError(f"no item has a field {name!r}{did_you_mean(name, list(known))}: there are {there}")


def members(value: JSON) -> list[JSON]:
    """Return the members of a list, or the one value there is."""
    return value if isinstance(value, list) else [value]


def kind_of(value: JSON) -> str:
    """Return the kind of a value; values of two kinds are neither equal, nor less, nor more."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def check_value(value: object) -> None:
    """Raise `FilterError` for a value that nothing in metadata can be compared with."""
    if isinstance(value, str) and (reason := flaw(value)):
        raise FilterError(f"a filter compares with text, not with {value!r:.60} ({reason})")
    if kind_of(value) not in ("bool", "number", "text") or value != value:
        raise FilterError(f"a filter compares with a string, a number, true or false, not with {value!r:.60}")
