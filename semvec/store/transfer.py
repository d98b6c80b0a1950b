"""A collection → another one, in any store: ids, vectors, texts and metadata as they are, nothing encoded again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

import numpy as np

from semvec.errors import OptionError, OutputExists
from semvec.store.address import shown
from semvec.store.collection import Collection, Written

BLOCK = 4096


def copy_collection(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, add: bool = False
) -> Iterator[tuple[Written, int]]:
    """Copy every item of ``source`` to ``target``, some thousands at a time; give what each write did, and how many there are.

    The target is made with the source's settings, and optimised at the end. One that holds something already is refused
    with `OutputExists` unless ``add``: then items of the same id are replaced, and others stay. A copy that was broken off
    goes on with ``add``.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        raise OptionError(f"{shown(target)}: a collection is not copied onto itself")
    with Collection.open(source) as whole:
        if whole.settings.tokens is not None:
            raise OptionError(f"{shown(source)}: keeps token vectors, which other stores do not: copy the folder itself")
    with Collection.open(source) as one, Collection.open(target, one.settings) as other:
        if not add and other.count():
            raise OutputExists(f"{shown(target)}: holds {other.count():,} items already; --add adds to them")
        count = one.count()
        items = one.scan()
        while block := list(islice(items, BLOCK)):
            yield (
                other.upsert(
                    [item.id for item in block],
                    np.stack([item.vector for item in block]),
                    [item.text for item in block],
                    [item.metadata for item in block],
                ),
                count,
            )
        if count:
            other.optimise()
