"""Requests that wait are computed together: what came while a batch was under way is the next one."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from semvec.errors import SemvecError

log = logging.getLogger(__name__)
RATE = 0.9
"""What the past counts for in how fast tokens are taken to be done."""

FIRST_RATE = 5000.0
"""Tokens a second that are reckoned with before any were done."""

Run = Callable[[Hashable, Sequence[Any]], Sequence[Any]]


class Busy(Exception):
    """More waits than may; after ``seconds`` there is likely to be room."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests wait; try again in {seconds} s")
        self.seconds = seconds


class Closed(Exception):
    """The server is being stopped."""


@dataclass(eq=False)
class _Job:
    key: Hashable
    items: Sequence[Any]
    tokens: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Sequence[Any]]

    def tell(self, found: Sequence[Any] | BaseException) -> None:
        """Give the one who waits what was ``found``, if he still does."""

        def done() -> None:
            if self.future.done():
                return
            if isinstance(found, BaseException):
                self.future.set_exception(found)
            else:
                self.future.set_result(found)

        self.loop.call_soon_threadsafe(done)


class Batcher:
    """One thread that runs jobs, those of the same key together, up to ``batch_tokens``; ``queue_tokens`` may wait.

    ``run(key, items)`` gives a result an item. ``told(items, tokens, seconds)`` hears of every batch. Nothing waits for others to
    come: a batch is what is there when the thread is free. Jobs are run in the order in which they came, but that later ones of
    the same key may go along.
    """

    def __init__(
        self, run: Run, *, batch_tokens: int, queue_tokens: int, told: Callable[[int, int, float], None] | None = None
    ) -> None:
        self._run, self._batch, self._queue, self._told = run, batch_tokens, queue_tokens, told
        self._jobs: deque[_Job] = deque()
        self._some = threading.Condition()
        self._waiting, self._rate, self._closed = 0, FIRST_RATE, False
        self._thread = threading.Thread(target=self._work, name="semvec-batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many tokens wait."""
        return self._waiting

    async def submit(self, key: Hashable, items: Sequence[Any], tokens: int) -> Sequence[Any]:
        """Return what ``run`` gives for ``items``, of ``tokens`` in all.

        A caller who is cancelled frees his place. Raises `Busy` where too much waits, `Closed` where the server stops.
        """
        loop = asyncio.get_running_loop()
        job = _Job(key, items, tokens, loop, loop.create_future())
        with self._some:
            if self._closed:
                raise Closed
            if self._waiting + tokens > self._queue and self._jobs:
                raise Busy(max(1, round(self._waiting / self._rate)))
            self._jobs.append(job)
            self._waiting += tokens
            self._some.notify()
        try:
            return await job.future
        except asyncio.CancelledError:
            self._drop(job)
            raise

    def _drop(self, job: _Job) -> None:
        with self._some:
            if job in self._jobs:
                self._jobs.remove(job)
                self._waiting -= job.tokens

    def close(self) -> None:
        """Finish what waits, and stop; nothing more is taken."""
        with self._some:
            self._closed = True
            self._some.notify()
        self._thread.join()

    def _work(self) -> None:
        while some := self._next():
            self._compute(some)

    def _next(self) -> list[_Job]:
        """Return the jobs of the next batch; none where the server is stopped and all is done."""
        with self._some:
            while not self._jobs and not self._closed:
                self._some.wait()
            if not self._jobs:
                return []
            first = self._jobs.popleft()
            taken, tokens, rest = [first], first.tokens, deque[_Job]()
            while self._jobs:
                job = self._jobs.popleft()
                if job.key == first.key and tokens + job.tokens <= self._batch:
                    taken.append(job)
                    tokens += job.tokens
                else:
                    rest.append(job)
            self._jobs = rest
            self._waiting -= tokens
            return taken

    def _compute(self, some: list[_Job]) -> None:
        """Run ``some`` jobs together; where that fails each by itself, so that none suffers for another."""
        items, started = [item for job in some for item in job.items], perf_counter()
        try:
            found = self._run(some[0].key, items)
        except Exception as error:
            if len(some) > 1:
                for job in some:
                    self._compute([job])
                return
            if not isinstance(error, SemvecError):
                log.exception("a request failed")
            some[0].tell(error)
            return
        seconds, tokens = perf_counter() - started, sum(job.tokens for job in some)
        self._rate = RATE * self._rate + (1 - RATE) * tokens / max(seconds, 1e-6)
        if self._told:
            self._told(len(items), tokens, seconds)
        at = 0
        for job in some:
            job.tell(found[at : at + len(job.items)])
            at += len(job.items)
