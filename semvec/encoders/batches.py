"""Windows of unequal length → batches under a budget of tokens, and what to do when one does not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from semvec.errors import BatchTooLarge

logger = logging.getLogger(__name__)

GRID = 16
"""Under fixed shapes, lengths are rounded up to a multiple of this."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Ceiling:
    """The most tokens that memory was found to hold; None as long as it never ran out."""

    tokens: int | None = None


@dataclass
class Budget:
    """The most tokens, padding included, in one batch: what was asked for, or the ceiling if that is lower."""

    asked: int
    ceiling: Ceiling

    @property
    def tokens(self) -> int:
        """The tokens allowed now."""
        return self.asked if self.ceiling.tokens is None else min(self.asked, self.ceiling.tokens)

    def rows(self, length: int) -> int:
        """Return how many rows of ``length`` tokens fit, at least one."""
        return max(self.tokens // max(length, 1), 1)


def on_grid(length: int, limit: int) -> int:
    """Return ``length`` rounded up to the grid of fixed shapes, but not beyond ``limit``."""
    return min(-(-length // GRID) * GRID, limit)


def in_batches(
    items: Sequence[Item], length: Callable[[Item], int], budget: Budget, *, may_pad: bool = True
) -> Iterator[list[Item]]:
    """Give ``items`` longest first, in batches that keep to ``budget`` as it is at that moment.

    Longest first: padding is least, and a batch that is too large shows at once. Without ``may_pad`` only
    items of equal length share a batch.
    """
    waiting = sorted(items, key=length, reverse=True)
    at = 0
    while at < len(waiting):
        size = budget.rows(length(waiting[at]))
        batch = waiting[at : at + size]
        if not may_pad:
            batch = [item for item in batch if length(item) == length(batch[0])]
        yield batch
        at += len(batch)


def in_shares(items: Sequence[Item], length: Callable[[Item], int], budget: Budget) -> Iterator[list[Item]]:
    """Give ``items`` longest first, in batches that keep to ``budget`` where nothing is padded."""
    batch: list[Item] = []
    tokens = 0
    for item in sorted(items, key=length, reverse=True):
        if batch and tokens + length(item) > budget.tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(item)
        tokens += length(item)
    if batch:
        yield batch


def run_within_memory(
    batch: Sequence[Item], run: Callable[[Sequence[Item]], Result], length: Callable[[Item], int], budget: Budget
) -> list[Result]:
    """Return ``run`` on ``batch``; where memory runs out, on halves of it, and lower the ceiling to what fitted.

    Raises `BatchTooLarge` when not even one item fits.
    """
    try:
        return [run(batch)]
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    if len(batch) == 1:
        raise BatchTooLarge(
            f"a single window of {length(batch[0]):,} tokens does not fit into memory: lower max_tokens, or use another device"
        )
    _release()
    half = -(-len(batch) // 2)
    budget.ceiling.tokens = min(budget.tokens, half * max(length(item) for item in batch))
    logger.warning("out of memory with %d texts in a batch: going on with at most %d tokens", len(batch), budget.tokens)
    return [result for part in (batch[:half], batch[half:]) for result in run_within_memory(part, run, length, budget)]


def out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` says that memory ran out, on whatever device."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
        or "not enough memory" in text
    )


def _release() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
