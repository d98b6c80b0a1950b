"""Blocks encoded by Ray: a pool of actors, each with the model, on one machine or many."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import cached_property
from types import TracebackType
from typing import Any

from typing_extensions import Self

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.encoders.blocks import Block
from semvec.encoders.protocol import Encoder
from semvec.errors import EngineError, MissingExtra, OptionError
from semvec.types import Dtype

AHEAD = 4
"""Blocks under way for each actor: one is computed, the others hide that it comes and goes."""

RETRIES = 3
"""How often a block is given to an actor again whose process died."""


class RayActors:
    """An `Engine <semvec.encoders.engine.Engine>`: actors of Ray that hold the model, and come back where they were killed.

    ``load`` makes the encoder in an actor; it goes there by pickle, so it names a model rather than holding one:
    ``partial(load_encoder, "minilm")``. There are as many ``actors`` as the cluster has GPUs, with a GPU each, or else CPUs.
    Ray's own settings say which cluster (``RAY_ADDRESS``); without one, Ray is started on this machine and stopped at the
    end. A block comes back to this process, which alone writes: what a run leaves is what it would leave without Ray.

    Ray Data is not used: it merges and splits what it is given, so that its blocks would not be the shards of a run.

    Raises `MissingExtra` without Ray; `EngineError` where Ray cannot be reached, and where a block has ended the process of
    its actor time and again; `OptionError` for more actors than the cluster has room for, and where an actor's model is not
    the one of this process.
    """

    def __init__(self, load: Callable[[], Encoder], *, actors: int | None = None) -> None:
        if actors is not None and actors < 1:
            raise OptionError(f"actors must be 1 or more, not {actors}")
        self._load, self._asked = load, actors
        self._started_ray = False
        self._actors: list[Any] = []
        self._fingerprint: Fingerprint | None = None
        self.device = ""

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise MissingExtra(f"the engine ray needs the library Ray ({error}): pip install 'semvec[ray]'") from error
        try:
            if not ray.is_initialized():
                ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
                self._started_ray = True
            count, cpus, gpus = _room(ray.cluster_resources(), self._asked)
            kind = ray.remote(max_restarts=-1, max_task_retries=RETRIES)(_Holder)
            self._actors = [kind.options(num_cpus=cpus, num_gpus=gpus).remote(self._load) for _ in range(count)]
            self.device, self._fingerprint = _plainly(ray, self._actors[0].about.remote(None))
        except (ConnectionError, RuntimeError, ValueError) as error:
            self._stop()
            if isinstance(error, EngineError | OptionError):
                raise
            raise EngineError(f"Ray could not be started or reached: {error}") from error
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def __len__(self) -> int:
        """Return how many actors there are."""
        return len(self._actors)

    def encoded(self, encoder: Encoder, blocks: Iterable[Block]) -> Iterator[tuple[Block, Embeddings]]:
        """Give each block with its vectors, in the order of the blocks, `AHEAD` blocks an actor under way."""
        import ray

        blocks = iter(blocks)
        while encoder.options.dtype == Dtype.INT8 and encoder.options.calibration is None:
            if (block := next(blocks, None)) is None:
                return
            found = encoder.encode(block.texts)
            encoder = encoder.with_options(calibration=found.calibration)
            yield block, found
        options = _options(encoder)
        self._check(ray, encoder, options)
        asked = ray.put(options)
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

    def _check(self, ray: Any, encoder: Encoder, options: dict[str, Any]) -> None:
        """Refuse an actor whose model makes other vectors than the encoder of this process."""
        for actor in self._actors:
            _, theirs = _plainly(ray, actor.about.remote(options))
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


def _room(resources: dict[str, float], asked: int | None) -> tuple[int, int, int]:
    """Return how many actors there are to be, and the CPUs and GPUs of each."""
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    count = asked or gpus or max(cpus, 1)
    most = gpus or cpus
    if count > most:
        raise OptionError(f"{count} actors are more than Ray has room for: {cpus} CPUs, {gpus} GPUs")
    return count, max(1, cpus // count), int(gpus > 0)


def _plainly(ray: Any, answer: Any, block: Block | None = None) -> Any:
    """Return what an actor answers; raise what it raised as it was raised."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        what = (
            f"{block.documents[0].where}, and the {len(block.documents) - 1:,} texts after it: "
            if block and block.documents
            else ""
        )
        kept = "; what is done is kept, --resume goes on" if block else ""
        why = " ".join(str(error).split())
        raise EngineError(f"{what}given up, the actor died and so did {RETRIES} after it ({why:.300}){kept}") from error
