"""Several processes that train one model, as torchrun starts them: who is who, and who reads which part of a batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from semvec.errors import OptionError, SemvecError
from semvec.finetune.heads import Batch

Result = TypeVar("Result")
PATIENCE = timedelta(days=1)
"""How long processes wait for each other: the first may look at a large set of validation data meanwhile."""

COUNTED = "counted"
"""What a batch of several processes has: whether its rows count (a process that had none reads another's)."""


def many() -> int:
    """Return how many processes train together: 1 where none were started."""
    return _number("WORLD_SIZE", 1)


def number() -> int:
    """Return which of them this is; the first (0) writes, and talks."""
    return _number("RANK", 0) if many() > 1 else 0


def _number(name: str, least: int) -> int:
    """Return the number in the environment variable ``name``; `OptionError` where it is none."""
    text = os.environ.get(name, str(least))
    if not text.isdecimal() or int(text) < least:
        raise OptionError(f"{name}={text}: is no number of {least} or more; torchrun sets it, else unset it")
    return int(text)


def own_device(device: str | None) -> str | None:
    """Return the device of this process: a GPU of its own where there are GPUs; `OptionError` where all are sent to one."""
    if many() == 1 or not torch.cuda.is_available() or device == "cpu":
        return device
    if device not in (None, "cuda"):
        raise OptionError(f"device {device!r} is one for {many()} processes: leave it out, each takes a GPU of its own")
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


@contextmanager
def together(device: str | None) -> Iterator[None]:
    """Have the processes find each other, until the end of the block; nothing where there is one.

    They talk by gloo on CPUs and NCCL on GPUs. Raises `OptionError` where they cannot.
    """
    if many() == 1:
        yield
        return
    from accelerate.state import AcceleratorState, PartialState

    try:
        PartialState(cpu=not (device or "").startswith("cuda"), timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise OptionError(f"the {many()} processes did not find each other: {str(error).splitlines()[0]:.160}") from error
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)


def check_alone(what: str) -> None:
    """Raise `OptionError` where several processes were started for ``what``, which one does."""
    if many() > 1:
        raise OptionError(f"{what} takes one process, and {many()} were started")


def by_first(work: Callable[[], Result]) -> Result:
    """Have the first process do ``work``, and return in all of them what it gave; what it raised, all raise."""
    if many() == 1:
        return work()
    said: list[Any] = [None, None]
    if number() == 0:
        try:
            said[0] = work()
        except Exception as error:
            torch.distributed.broadcast_object_list([None, _sent(error)])
            raise
    torch.distributed.broadcast_object_list(said)
    if said[1] is not None:
        raise said[1]
    return said[0]  # type: ignore[no-any-return]


def by_all(work: Callable[[], Result]) -> Result:
    """Have every process do ``work``, and return what it gave in this one; what one of them raised, all raise."""
    if many() == 1:
        return work()
    done, failed = None, None
    try:
        done = work()
    except Exception as error:
        failed = error
    every: list[Any] = [None] * many()
    torch.distributed.all_gather_object(every, None if failed is None else _sent(failed))
    if failed is not None:
        raise failed
    if other := next((at for at, its in enumerate(every) if its is not None), None):
        raise type(every[other])(f"process {other}: {every[other]}")
    return done  # type: ignore[return-value]


def _sent(error: Exception) -> Exception:
    """Return ``error`` as another process can read it."""
    return type(error)(str(error)) if isinstance(error, SemvecError) else RuntimeError(f"{type(error).__name__}: {error}")


def weighed(loss: Tensor, units: Tensor, counted: Tensor) -> Tensor:
    """Return the ``loss`` of this process, a mean over ``units``, so that the mean over processes is that over all units.

    ``counted`` says of the rows whether they count. As each process's gradients are averaged, those of its loss are taken as
    many times as its share of the units is above the mean.
    """
    units = units.detach().to(loss.device, torch.float32) * counted.all()
    everybody = units.clone()
    torch.distributed.all_reduce(everybody)
    return loss * (units * many() / everybody.clamp(min=1e-12))


def has_idle(network: Any, batch: Batch, device: str) -> bool:
    """Return whether some of what learns in ``network`` has no part in its loss, as BERT's pooler where tokens are read."""
    network(**{name: tensor.to(device) for name, tensor in batch.items()})["loss"].backward()
    idle = any(weight.requires_grad and weight.grad is None for weight in network.parameters())
    network.zero_grad(set_to_none=True)
    return idle


class Shares(torch.utils.data.Sampler[list[int]]):
    """The part of every batch that this process reads: batches are those of one process, cut into as many parts.

    ``order`` gives the numbers of the items. Where a batch is too short for all, one that does not count is given: ``~number``.
    """

    def __init__(self, order: Any, size: int) -> None:
        self.order, self.size = order, size

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        items, me, all_of_us = list(self.order), number(), many()
        for start in range(0, len(items), self.size):
            batch = items[start : start + self.size]
            share = batch[me * len(batch) // all_of_us : (me + 1) * len(batch) // all_of_us]
            yield share or [~batch[0]]


class Shared(torch.utils.data.DataLoader[Batch]):
    """Batches of `Shares` of ``items``, made by ``collate``."""

    def __init__(self, items: Sequence[Any], order: Any, size: int, collate: Callable[[Sequence[Any]], Batch]) -> None:
        def together(rows: Sequence[tuple[Any, bool]]) -> Batch:
            return {**collate([item for item, _ in rows]), COUNTED: torch.tensor([counts for _, counts in rows])}

        self.shares = Shares(order, size)
        super().__init__(_Numbered(items), batch_sampler=self.shares, collate_fn=together)  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; of a loader that skips batches, as a resumed run's does, `Shares` is told itself."""
        self.shares.set_epoch(epoch)


class _Numbered:
    """Items with whether they count, by number."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> tuple[Any, bool]:
        return (self.items[at], True) if at >= 0 else (self.items[~at], False)
