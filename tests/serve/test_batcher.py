"""What waits is computed together, in order, within limits; who goes away frees his place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from semvec.errors import InputError
from semvec.serve.batcher import Batcher, Busy, Closed


class Slow:
    """Doubles numbers, once it may; notes what it was given together."""

    def __init__(self) -> None:
        self.may, self.batches = threading.Event(), list[tuple[Hashable, list[Any]]]()

    def __call__(self, key: Hashable, items: Sequence[Any]) -> list[Any]:
        self.may.wait(10)
        self.batches.append((key, list(items)))
        if "bad" in items:
            raise InputError("bad")
        return [2 * item for item in items]


async def soon(*work: Any) -> list[Any]:
    """Begin ``work``, and wait until all of it waits."""
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.sleep(0.05)
    return tasks


def test_what_waits_is_computed_together_by_key() -> None:
    slow = Slow()
    its = Batcher(slow, batch_tokens=30, queue_tokens=1000)

    async def go() -> list[Any]:
        first = await soon(its.submit("a", [1], 10))
        rest = await soon(
            its.submit("a", [2, 3], 20), its.submit("b", [4], 10), its.submit("a", [5], 10), its.submit("a", [6], 10)
        )
        assert its.waiting == 50
        slow.may.set()
        return list(await asyncio.gather(*first, *rest))

    assert asyncio.run(go()) == [[2], [4, 6], [8], [10], [12]]
    assert slow.batches == [("a", [1]), ("a", [2, 3, 5]), ("b", [4]), ("a", [6])]
    assert its.waiting == 0
    its.close()


def test_beyond_the_queue_one_is_told_to_come_again_and_who_goes_frees_his_place() -> None:
    slow = Slow()
    its = Batcher(slow, batch_tokens=10, queue_tokens=100)

    async def go() -> None:
        await soon(its.submit("a", [1], 10))
        [waits] = await soon(its.submit("a", [2], 90))
        with pytest.raises(Busy) as busy:
            await its.submit("a", [3], 20)
        assert busy.value.seconds >= 1
        waits.cancel()
        await asyncio.sleep(0.05)
        assert its.waiting == 0
        [again] = await soon(its.submit("a", [3], 20))
        slow.may.set()
        assert await again == [6]

    asyncio.run(go())
    assert [2] not in [items for _, items in slow.batches]
    its.close()


def test_one_that_fails_does_not_take_others_with_it() -> None:
    slow = Slow()
    its = Batcher(slow, batch_tokens=100, queue_tokens=100)

    async def go() -> None:
        first = await soon(its.submit("a", [1], 1))
        rest = await soon(its.submit("a", ["bad"], 1), its.submit("a", [2], 1))
        slow.may.set()
        found = await asyncio.gather(*first, *rest, return_exceptions=True)
        assert [found[0], found[2]] == [[2], [4]]
        assert isinstance(found[1], InputError)

    asyncio.run(go())
    its.close()


def test_closing_ends_what_was_begun_and_takes_nothing_more() -> None:
    slow = Slow()
    its = Batcher(slow, batch_tokens=1, queue_tokens=100)

    async def go() -> None:
        tasks = await soon(its.submit("a", [1], 1), its.submit("a", [2], 1))
        slow.may.set()
        await asyncio.to_thread(its.close)
        assert await asyncio.gather(*tasks) == [[2], [4]]
        with pytest.raises(Closed):
            await its.submit("a", [3], 1)

    asyncio.run(go())
