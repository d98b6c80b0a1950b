"""Batches run one after the other, or several at a time with a core for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Lock, Thread
from types import TracebackType
from typing import TypeVar

from typing_extensions import Self

Item = TypeVar("Item")
Result = TypeVar("Result")

_TURN = Lock()
_POOLS: dict[int, ThreadPoolExecutor] = {}
"""By their number, threads on which torch computes on one core; they are kept, since a thread's first batch takes longer."""


class Workers:
    """What is run on such threads, and dropped at the end if it was not begun."""

    def __init__(self) -> None:
        self._started: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for its in self._started:
            its.cancel()

    def run(self, work: Callable[[Item], None], items: Iterable[Item]) -> Iterator[Item]:
        """Start ``work`` on all ``items``, as many at a time as torch has cores, and give each, in their order, when done."""
        items = list(items)
        try:
            pool = _pool()
            started = [(item, pool.submit(work, item)) for item in items]
        except RuntimeError:  # the interpreter is about to end, and no thread takes anything more
            return one_by_one(work, items)
        self._started += [its for _, its in started]
        return _done(started)


def cores() -> int:
    """Return how many cores torch computes on."""
    import torch

    with _TURN:
        return torch.get_num_threads()


def one_by_one(work: Callable[[Item], None], items: Iterable[Item]) -> Iterator[Item]:
    """Do ``work`` on each of ``items`` when it is asked for, and give it when it is done."""
    for item in items:
        work(item)
        yield item


def _done(started: list[tuple[Item, Future[None]]]) -> Iterator[Item]:
    for item, its in started:
        its.result()
        yield item


def _pool() -> ThreadPoolExecutor:
    """Return threads that compute on one core each, as many as torch has.

    torch keeps that number for a thread, and for threads to come: for these it is put back, from a thread of its own, since it
    is set for the one that sets it too.
    """
    import torch

    with _TURN:
        count = torch.get_num_threads()
        if count not in _POOLS:
            pool, ready = ThreadPoolExecutor(count, "semvec"), Barrier(count)

            def alone() -> None:
                torch.get_num_threads()  # without this torch would look the number up later, and take that of all threads
                torch.set_num_threads(1)
                ready.wait()

            new = _in_a_thread(torch.get_num_threads)
            for its in [pool.submit(alone) for _ in range(count)]:
                its.result()
            _in_a_thread(lambda: torch.set_num_threads(new))
            _POOLS[count] = pool
        return _POOLS[count]


def _in_a_thread(ask: Callable[[], Result]) -> Result:
    """Return what ``ask`` gives in a thread that was not there before."""
    found: list[Result] = []
    thread = Thread(target=lambda: found.append(ask()))
    thread.start()
    thread.join()
    return found[0]


def _forget() -> None:
    """Threads do not live on in a process that was forked."""
    global _TURN
    _TURN = Lock()
    _POOLS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
