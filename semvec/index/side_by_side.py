"""Work on rows, shared out among the cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from os import cpu_count

import numpy as np
from numpy.typing import NDArray


def side_by_side(work: Callable[[slice], None], weights: NDArray[np.int64], least: int) -> None:
    """Do ``work`` on parts of some rows, of equal weight for each core; on one core if all weigh no more than ``least``."""
    ends = np.cumsum(weights)
    parts = min(cpu_count() or 1, len(ends)) if len(ends) and ends[-1] > least else 1
    if parts == 1:
        work(slice(0, len(ends)))
        return
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, parts) / parts).tolist()
    mine, *others = [slice(low, high) for low, high in pairwise([0, *cuts, len(ends)])]
    started = [_pool().submit(work, part) for part in others]
    work(mine)
    for its in started:
        its.result()


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """Return threads that are kept: to start one takes longer than most searches."""
    return ThreadPoolExecutor(cpu_count(), "semvec-tokens")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a process that was forked
