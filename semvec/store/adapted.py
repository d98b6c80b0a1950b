"""A collection that another store's library keeps: all that is the same for every store but the calls of the library."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, TypeVar

import numpy as np

from semvec.embeddings.similarity import similarity
from semvec.errors import CollectionLocked, OptionError, SemvecError, StoreError
from semvec.index.kinds import AUTO, GOOD
from semvec.results import Hit, Hits
from semvec.store.about import About
from semvec.store.collection import (
    Collection,
    Settings,
    Stored,
    Vectors,
    Written,
    as_filter,
    check_ids,
    check_items,
    check_k,
    check_recall,
    check_vectors,
)
from semvec.store.filters import Filter, check_fields
from semvec.store.marks import Condition, split
from semvec.types import JSON, Dtype

One = TypeVar("One")
NUMBERS = 500_000
"""Numbers in one call of a server, about 10 MB of JSON."""


@dataclass(frozen=True)
class Item:
    """One item as a store keeps it.

    ``order`` is greater than that of every item written before. ``fields`` is the text of the metadata as JSON.
    ``vector`` is None where it was not asked for.
    """

    id: str
    order: int
    vector: Vectors | None
    text: str | None
    fields: str

    @property
    def metadata(self) -> dict[str, JSON]:
        """The metadata, as they were written."""
        return dict(json.loads(self.fields))

    def stored(self) -> Stored:
        """Return it as `Collection.get` does."""
        assert self.vector is not None
        return Stored(self.id, self.vector, self.text, self.metadata)


Found = list[tuple[Item, float]]


class AdaptedCollection(Collection):
    """Items in another store. A class of its own for each store says how its library writes, reads and searches.

    Order is told by the clock of the writer. Filters are answered by the store where it can (`marks.split`), and what
    it cannot say is decided on this side, over all the items that are left.
    """

    store: ClassVar[str]
    """What the store is called, in messages."""
    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of index that may be asked for, besides the one the store chooses."""
    batch: int = 1000
    """Items in one call of the library."""

    def __init__(self, place: str, about: About) -> None:
        self.place = place
        self.settings = about.settings
        self._about = about
        self._last = 0

    @abstractmethod
    def _plain_errors(self) -> AbstractContextManager[None]:
        """Turn the errors of the library into `StoreError`."""

    @abstractmethod
    def _begin(self) -> None:
        """Make sure that this process may write."""

    @abstractmethod
    def _recall(self) -> About:
        """Read what is kept beside the items."""

    @abstractmethod
    def _remember(self, about: About) -> None:
        """Keep ``about`` beside the items."""

    @abstractmethod
    def _put(self, items: Sequence[Item]) -> int:
        """Write items (at most `batch`), each in the place of the one with its id; return how many were there."""

    @abstractmethod
    def _drop(self, ids: Sequence[str]) -> int:
        """Delete items (at most `batch`); return how many were there."""

    @abstractmethod
    def _remove(self) -> None:
        """Remove the collection from the store, with all it holds and all that is kept beside it."""

    @abstractmethod
    def _fetch(self, ids: Sequence[str]) -> list[Item]:
        """Return the items of ``ids`` (at most `batch`) that there are, in any order, with vectors."""

    @abstractmethod
    def _pages(self, wanted: Condition | None, *, vectors: bool) -> Iterator[list[Item]]:
        """Give all items that ``wanted`` holds for, in any order, a few at a time, with or without ``vectors``."""

    @abstractmethod
    def _count(self, wanted: Condition | None) -> int:
        """Return how many items ``wanted`` holds for."""

    @abstractmethod
    def _nearest(self, queries: Vectors, k: int, wanted: Condition | None) -> list[Found] | None:
        """Return the ``k`` best items for each query with their scores; None where all had better be read instead."""

    def _make(self, kind: str) -> None:
        """Make the search fast, by an index of ``kind``; a store that does so by itself does nothing."""

    @abstractmethod
    def _described(self) -> dict[str, JSON]:
        """Return what `info` says besides what every store knows."""

    def drop(self) -> None:
        with self._plain_errors():
            self._begin()
            self._remove()
        self.close()

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        rows, texts, metadata = check_items(ids, vectors, texts, metadata, self.settings)
        if not len(ids):
            return Written(0, 0)
        first = self._last = max(self._last + 1, time.time_ns())
        self._last += len(ids)
        items = (
            Item(name, first + at, row, text, json.dumps(fields, ensure_ascii=False))
            for at, (name, row, text, fields) in enumerate(zip(ids, rows, texts, metadata, strict=True))
        )
        with self._plain_errors():
            self._begin()
            self._learn(frozenset(name for fields in metadata for name in fields))
            replaced = sum(self._put(part) for part in _parts(items, self.batch))
        return Written(len(ids) - replaced, replaced)

    def _delete(self, ids: list[str]) -> int:
        if not ids:
            return 0
        with self._plain_errors():
            self._begin()
            return self._dropped(ids)

    def _delete_where(self, wanted: Filter) -> int:
        """All are found before the first one goes: pages that go by position would leave out some otherwise."""
        with self._plain_errors():
            self._begin()
            return self._dropped([name for _, name in self._found(wanted)])

    def _dropped(self, ids: list[str]) -> int:
        return sum(self._drop(part) for part in _parts(iter(ids), self.batch))

    def get(self, ids: Sequence[str]) -> list[Stored | None]:
        ids = check_ids(ids)
        with self._plain_errors():
            found = {item.id: item for part in _parts(dict.fromkeys(ids), self.batch) for item in self._fetch(part)}
        return [found[name].stored() if name in found else None for name in ids]

    def count(self, where: Filter | str | None = None) -> int:
        with self._plain_errors():
            told, rest = self._split(where)
            if rest is None:
                return self._count(told)
            return sum(rest.matches(item.metadata) for page in self._pages(told, vectors=False) for item in page)

    def search(self, vectors: Vectors, k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        queries, k = check_vectors(vectors, self.settings), check_k(k)
        with self._plain_errors():
            told, rest = self._split(where)
            if not len(queries):
                return []
            found = None if rest is not None else self._nearest(queries, k, told)
            if found is None or (min(map(len, found)) < k and min(map(len, found)) < min(k, self._count(told))):
                found = self._read_all(queries, k, told, rest)
        return [
            Hits(tuple(Hit(item.id, score, item.text, item.metadata) for item, score in sorted(its, key=_best_first)[:k]))
            for its in found
        ]

    def scan(self, where: Filter | str | None = None) -> Iterator[Stored]:
        wanted = as_filter(where)
        with self._plain_errors():
            order = sorted(self._found(wanted))
        for part in _parts((name for _, name in order), self.batch):
            with self._plain_errors():
                found = sorted(self._fetch(part), key=lambda item: item.order)
            for item in found:
                if wanted is None or wanted.matches(item.metadata):  # it may have been written anew meanwhile
                    yield item.stored()

    def optimise(self, kind: str = AUTO, *, recall: float = GOOD, seed: int = 0) -> dict[str, JSON]:
        """Make the search of all there is fast, as the store does it, and return what there is.

        None of these stores can be told a ``recall``; a ``kind`` it cannot be told raises `OptionError`.
        """
        if kind not in (AUTO, *self.kinds):
            raise OptionError(f"{self.store} can be told the kinds {', '.join((AUTO, *self.kinds))}, not {kind!r}")
        check_recall(recall)
        with self._plain_errors():
            self._begin()
            self._make(kind)
            return {"rows": self._count(None), **self._described()}

    def info(self) -> dict[str, JSON]:
        with self._plain_errors():
            self._about, described = self._recall(), self._described()
            return {
                "place": self.place,
                "server": f"{self.store}: {described['kind']}",
                "items": self._count(None),
                **self.settings.to_json(),
                "fields": sorted(self._about.fields),
                **described,
            }

    def _split(self, where: Filter | str | None) -> tuple[Condition | None, Filter | None]:
        """Return what the store and what this side has to decide; raise `FilterError` for a field no item ever had."""
        wanted = as_filter(where)
        if wanted is not None:
            if not self._about.fields.issuperset(wanted.fields()):
                self._about = self._recall()
            check_fields(wanted, self._about.fields)
        return split(wanted)

    def _found(self, wanted: Filter | None) -> Iterator[tuple[int, str]]:
        """Give order and id of every item that ``wanted`` is true of, in any order."""
        told, rest = self._split(wanted)
        for page in self._pages(told, vectors=False):
            for item in page:
                if rest is None or rest.matches(item.metadata):
                    yield item.order, item.id

    def _learn(self, fields: frozenset[str]) -> None:
        """Remember ``fields`` before the items that have them are written, so that no item has a field unknown."""
        if not fields <= self._about.fields:
            about = self._recall()
            self._about = replace(about, fields=about.fields | fields)
            self._remember(self._about)

    def _read_all(self, queries: Vectors, k: int, told: Condition | None, rest: Filter | None) -> list[Found]:
        """Return the exact answer, from reading every item there is to choose from, page by page."""
        best: list[Found] = [[] for _ in queries]
        for kept in self._pages(told, vectors=True) if rest is None else self._chosen(told, rest):
            if not kept:
                continue
            scores = similarity(
                queries, np.stack([item.vector for item in kept if item.vector is not None]), self.settings.metric
            )
            for at, row in enumerate(scores.tolist()):
                best[at] = sorted([*best[at], *zip(kept, row, strict=True)], key=_best_first)[:k]
        return [[(replace(item, vector=None), score) for item, score in its] for its in best]

    def _chosen(self, told: Condition | None, rest: Filter) -> Iterator[list[Item]]:
        """Give the items that ``rest`` is true of as well, page by page; no other vector is read."""
        for page in self._pages(told, vectors=False):
            ids = [item.id for item in page if rest.matches(item.metadata)]
            yield [item for part in _parts(iter(ids), self.batch) for item in self._fetch(part)]


@contextmanager
def plain(place: str, store: str, locked: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn whatever the library of ``store`` raises into one line about ``place``.

    Where it says something that ``locked`` knows, it is `CollectionLocked` with what stands there, else `StoreError`.
    """
    try:
        yield
    except SemvecError:
        raise
    except Exception as error:  # these libraries raise ValueError, KeyError, bare Exception, and those of their HTTP clients
        said = " ".join(str(error).split())[:200] or type(error).__name__
        for sign, meaning in (locked or {}).items():
            if sign in said:
                raise CollectionLocked(f"{place}: {meaning}") from error
        raise StoreError(f"{place}: {store} says: {said}") from error


def check_dtype(settings: Settings, store: str) -> None:
    """Raise `OptionError` where ``settings`` want other numbers than float32, which is what ``store`` keeps."""
    if settings.dtype != Dtype.FLOAT32:
        raise OptionError(f"{store} keeps float32, not {settings.dtype}: a local collection does")


def in_one_call(most: int, dim: int) -> int:
    """Return how many items of ``dim`` numbers go into one call of a server, at most ``most``: servers refuse long ones."""
    return max(1, min(most, NUMBERS // dim))


def _best_first(found: tuple[Item, float]) -> tuple[float, int]:
    item, score = found
    return -score, item.order


def _parts(these: Iterator[One] | Mapping[One, None], size: int) -> Iterator[list[One]]:
    rest = iter(these)
    while part := list(islice(rest, size)):
        yield part
