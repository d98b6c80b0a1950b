"""Blocks encoded by Ray: a pool of actors, each with the model, on one machine or many."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from types import TracebackType
from typing import Any

from typing_extensions import Self

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.encoders.blocks import Block
from semvec.encoders.protocol import Encoder
from semvec.errors import EngineError, MissingExtra, OptionError, SemvecError
from semvec.types import Dtype

AHEAD = 4
"""Blocks under way for each actor: one is computed, the others hide that it comes and goes."""

PATIENCE = 120
"""Seconds in which the actors' processes have to begin; they load the model after that, however long it takes."""

RETRIES = 3
"""How often a block is given to an actor again whose process died."""


class RayActors:
    """An `Engine <semvec.encoders.engine.Engine>`: actors of Ray that hold the model, and come back where they were killed.

    ``load`` makes the encoder in an actor; it goes there by pickle, so it names a model rather than holding one:
    ``partial(load_encoder, "minilm")``. There are as many ``actors`` as the cluster has GPUs, with a GPU each, or else CPUs.
    ``RAY_ADDRESS`` says which cluster; without it, Ray is started on this machine and stopped at the end. A block comes back
    to this process, which alone writes: what a run leaves is what it would leave without Ray.

    Ray Data is not used: it merges and splits what it is given, so that its blocks would not be the shards of a run.

    Raises `MissingExtra` without Ray; `EngineError` where Ray cannot be reached, and where a block has ended the process of
    its actor time and again; `OptionError` for more actors than the cluster has room for, and where an actor's model is not
    the one of this process; what loading or encoding raises in an actor.
    """

    def __init__(self, load: Callable[[], Encoder], *, actors: int | None = None) -> None:
        if actors is not None and actors < 1:
            raise OptionError(f"actors must be 1 or more, not {actors}")
        self._load, self._asked = load, actors
        self._started_ray = False
        self._actors: list[Any] = []
        self.device = ""

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise MissingExtra(f"the engine ray needs the library Ray ({error}): pip install 'semvec[ray]'") from error
        if not ray.is_initialized():
            self._join(ray)
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            count, cpus, gpus = room([(int(its.get("CPU", 0)), int(its.get("GPU", 0))) for its in nodes], self._asked)
            kind = ray.remote(max_restarts=-1, max_task_retries=RETRIES)(_Holder)
            self._actors = [kind.options(num_cpus=cpus, num_gpus=gpus).remote(self._load) for _ in range(count)]
            begun = [actor.pid.remote() for actor in self._actors]
            if len(ray.wait(begun, num_returns=count, timeout=PATIENCE)[0]) < count:
                each = f"{cpus} CPUs" + (f" and {gpus} GPU" if gpus else "")
                raise EngineError(f"Ray did not start {count} actors of {each} in {PATIENCE} seconds: is the cluster busy?")
            self.device = _plainly(ray, self._actors[0].about.remote(None))[0]
        except BaseException:
            self._stop()
            raise
        return self

    def _join(self, ray: Any) -> None:
        """Join the cluster that ``RAY_ADDRESS`` names, or start Ray here, whatever else runs on this machine."""
        address = os.environ.get("RAY_ADDRESS") or "local"
        _check_reachable(address)
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"Ray could not be started or reached at {address}: {' '.join(str(error).split()):.300}") from error
        self._started_ray = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def __len__(self) -> int:
        """Return how many actors there are."""
        return len(self._actors)

    def encoded(self, encoder: Encoder, blocks: Iterable[Block]) -> Iterator[tuple[Block, Embeddings]]:
        """Give each block with its vectors, in the order of the blocks, `AHEAD` blocks an actor under way."""
        import ray

        blocks = iter(blocks)
        self._check(ray, encoder)
        while encoder.options.dtype == Dtype.INT8 and encoder.options.calibration is None:
            if (block := next(blocks, None)) is None:
                return
            found = _plainly(ray, self._actors[0].encode.remote(block.texts, _options(encoder)), block)
            encoder = encoder.with_options(calibration=found.calibration)
            yield block, found
        asked = ray.put(_options(encoder))
        under_way: deque[tuple[Block, Any, Any]] = deque()
        stopped: Exception | None = None
        while True:
            while stopped is None and len(under_way) < AHEAD * len(self._actors):
                try:
                    block = next(blocks)
                except StopIteration:
                    stopped = StopIteration()
                except Exception as error:
                    stopped = error
                else:
                    actor = self._idlest(ray, under_way)
                    under_way.append((block, actor, actor.encode.remote(block.texts, asked)))
            if not under_way:
                break
            block, _, answer = under_way[0]
            found = _plainly(ray, answer, block)
            under_way.popleft()
            yield block, found
        if not isinstance(stopped, StopIteration) and stopped is not None:
            raise stopped

    def _idlest(self, ray: Any, under_way: Iterable[tuple[Block, Any, Any]]) -> Any:
        """Return the actor with the fewest blocks that it has not answered yet."""
        asked = [(actor, answer) for _, actor, answer in under_way]
        answers = [answer for _, answer in asked]
        waiting = set(ray.wait(answers, num_returns=len(answers), timeout=0)[1]) if answers else set()
        load = dict.fromkeys(self._actors, 0)
        for actor, answer in asked:
            load[actor] += answer in waiting
        return min(self._actors, key=load.__getitem__)

    def _check(self, ray: Any, encoder: Encoder) -> None:
        """Refuse actors whose model makes other vectors than the encoder of this process."""
        try:
            options = ray.put(_options(encoder))
        except (TypeError, AttributeError, ValueError) as error:
            raise OptionError(
                f"an option cannot be sent to actors: a splitter must be a function of a module ({error})"
            ) from error
        for _, theirs in [_plainly(ray, answer) for answer in [actor.about.remote(options) for actor in self._actors]]:
            if theirs != encoder.fingerprint:
                raise OptionError(f"the model of an actor is {theirs}, that of this process {encoder.fingerprint}")

    def _stop(self) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)
        self._actors = []
        if self._started_ray:
            ray.shutdown()
            self._started_ray = False


class _Holder:
    """What an actor is: a process that holds the model."""

    def __init__(self, load: Callable[[], Encoder]) -> None:
        self._load = load

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder; loaded when first asked for, so that what goes wrong is an answer and not the actor's death."""
        return self._load()

    def about(self, options: dict[str, Any] | None) -> tuple[str, Fingerprint]:
        """Return the device, and the fingerprint under ``options``."""
        encoder = self.encoder.with_options(**options) if options else self.encoder
        return encoder.device, encoder.fingerprint

    def pid(self) -> int:
        """Return the number of the process."""
        return os.getpid()

    def encode(self, texts: list[str], options: dict[str, Any]) -> Embeddings:
        """Return the vectors of ``texts``."""
        return self.encoder.encode(texts, **options)


def _options(encoder: Encoder) -> dict[str, Any]:
    """Return the options of ``encoder`` as changes, without what is this process's own."""
    return {f.name: getattr(encoder.options, f.name) for f in fields(encoder.options) if f.name != "progress"}


def room(nodes: Sequence[tuple[int, int]], asked: int | None) -> tuple[int, int, int]:
    """Return how many actors there are to be on ``nodes`` of so many CPUs and GPUs, and the CPUs and GPUs of each.

    Each fits on a node: on those with GPUs an actor has one, and its share of the CPUs there; else ``asked`` actors, or one for
    every CPU, have as many CPUs as leave room for all. Raises `OptionError` where so many do not fit.
    """
    cpus, gpus = sum(cpu for cpu, _ in nodes), sum(gpu for _, gpu in nodes)
    count = asked or gpus or max(cpus, 1)
    if gpus:
        each, fit = min(cpu // gpu for cpu, gpu in nodes if gpu), gpus
    else:
        each = max((size for size in range(1, cpus + 1) if sum(cpu // size for cpu, _ in nodes) >= count), default=1)
        fit = cpus
    if count > fit:
        raise OptionError(f"{count} actors are more than Ray has room for: {cpus} CPUs, {gpus} GPUs")
    return count, each, int(gpus > 0)


def _check_reachable(address: str) -> None:
    """Raise `EngineError` where nobody listens at ``address``, for which Ray would look for minutes."""
    host, sign, port = address.removeprefix("ray://").rpartition(":")
    if sign and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise EngineError(f"RAY_ADDRESS={address}: no Ray can be reached there ({error})") from error


def _plainly(ray: Any, answer: Any, block: Block | None = None) -> Any:
    """Return what an actor answers; raise semvec's errors as they were raised there, others as `EngineError`."""
    place = (
        f"{block.documents[0].where}, and the {len(block.documents) - 1:,} texts after it: " if block and block.documents else ""
    )
    kept = "; what is done is kept, --resume goes on" if block else ""
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SemvecError):
            raise cause from error
        raise EngineError(f"{place}an actor failed: {type(cause).__name__}: {_line(cause)}{kept}") from error
    except ray.exceptions.RayActorError as error:
        raise EngineError(f"{place}given up, the actor died and so did {RETRIES} after it ({_line(error)}){kept}") from error
    except ray.exceptions.RayError as error:
        raise EngineError(f"{place}{type(error).__name__}: {_line(error)}{kept}") from error


def _line(error: BaseException) -> str:
    return f"{' '.join(str(error).split()):.300}"
