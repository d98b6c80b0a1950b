"""A collection → another one, in any store: ids, vectors, texts and metadata as they are, nothing encoded again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from semvec.errors import OptionError, OutputExists
from semvec.store.address import shown
from semvec.store.collection import Collection, Stored

BLOCK = 4096


@dataclass(frozen=True)
class Copied:
    """What became of some items of ``total``: ``written``, or ``there`` already, just as they are."""

    written: int
    there: int
    total: int


def copy_collection(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, add: bool = False, resume: bool = False
) -> Iterator[Copied]:
    """Copy every item of ``source`` to ``target``, some thousands at a time; give what became of each of these blocks.

    The target is made with the source's settings, and optimised at the end. One that holds something already is refused
    with `OutputExists` unless ``add``, which replaces items of the same id and leaves others, or ``resume``, which goes on with
    a copy that was broken off: it does the same, but writes nothing that is there as it is in the source.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        raise OptionError(f"{shown(target)}: a collection is not copied onto itself")
    with Collection.open(source) as whole:
        if whole.settings.tokens is not None:
            raise OptionError(f"{shown(source)}: keeps token vectors, which other stores do not: copy the folder itself")
    with Collection.open(source) as one, Collection.open(target, one.settings) as other:
        if not (add or resume) and (held := other.count()):
            how = "--resume goes on with a copy that was broken off, --add adds to them"
            raise OutputExists(f"{shown(target)}: holds {held:,} items already; {how}")
        total, items = one.count(), one.scan()
        while block := list(islice(items, BLOCK)):
            known = other.get([item.id for item in block]) if resume else [None] * len(block)
            fresh = [item for item, its in zip(block, known, strict=True) if its is None or not _alike(item, its)]
            if fresh:
                other.upsert(
                    [item.id for item in fresh],
                    np.stack([item.vector for item in fresh]),
                    [item.text for item in fresh],
                    [item.metadata for item in fresh],
                )
            yield Copied(len(fresh), len(block) - len(fresh), total)
        if total:
            other.optimise()


def _alike(one: Stored, other: Stored) -> bool:
    """Whether two items of the same id are the same; a store may round a vector's numbers."""
    return (one.text, one.metadata) == (other.text, other.metadata) and np.allclose(one.vector, other.vector, atol=1e-6)
