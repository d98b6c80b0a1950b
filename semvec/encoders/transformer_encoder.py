"""What sentence and contextual encoders share: tokens → windows → batches → rows."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from semvec.embeddings.fingerprint import Fingerprint
from semvec.encoders.backends.choose import Runners
from semvec.encoders.backends.unpadded import Runner
from semvec.encoders.base import BaseEncoder, TextInput
from semvec.encoders.batches import Budget, Ceiling, in_batches, in_shares, on_grid, run_within_memory
from semvec.encoders.ladder import ALL_RUNGS
from semvec.encoders.layout import Frame, Layout, Reading, lay_out
from semvec.encoders.options import EncodeOptions, layer_numbers, shared_settings
from semvec.encoders.pooling import Groups, pool, pool_tensor
from semvec.encoders.rows import RowBatch
from semvec.encoders.transformer import Transformer, mix_layers
from semvec.encoders.windows import Window
from semvec.encoders.workers import Workers, cores, one_by_one
from semvec.errors import InputError, OptionError, OverflowRefused
from semvec.types import JSON, Backend, LayerMix, Level, Metric, Oov, Overflow, Pooling

if TYPE_CHECKING:
    import torch

TOGETHER = 32
"""About so many batches for every core are tokenised and laid out together: while they run, the next ones are."""

CHARACTERS = 4
"""What a token is taken to have before it is counted."""

LEAST_TOKENS = 64
"""Fewer are not worth a batch of their own."""

OTHER_VECTORS = (Backend.BF16, Backend.INT8)
"""What gives vectors that differ by more than rounding; it stands in the fingerprint."""


@dataclass
class _Unit:
    """One window of one reading, to be run through the model."""

    reading: Reading
    window: Window
    ids: list[int]
    out: _Output


@dataclass
class _Together:
    """Some texts that are being encoded: ``batches`` gives each when it is done, ``tokens`` are those of all."""

    layouts: list[Layout]
    outputs: list[list[_Output]]
    batches: Iterator[list[_Unit]]
    tokens: int


@dataclass
class _Output:
    """What is found for one reading: its rows, or the pieces of its matrix, by where they begin, until all are there."""

    vectors: NDArray[np.float32] | None = None
    pieces: dict[int, NDArray[np.float32]] = field(default_factory=dict)


class TransformerEncoder(BaseEncoder):
    """An encoder with a transformer inside; it gives every level.

    ``model`` is what the user called it, ``weights`` a sha256 over them. ``own_pooling`` are the model's
    own ways of pooling (several are put side by side), ``post`` what it does to pooled vectors after that,
    and ``post_dims`` the dimensions it takes and gives, if it does not take any.
    """

    family = "contextual"

    def __init__(
        self,
        transformer: Transformer,
        *,
        model: str,
        weights: str,
        config_hash: str = "",
        options: EncodeOptions | None = None,
        own_pooling: tuple[Pooling, ...] = (Pooling.MEAN,),
        pool_front: bool = True,
        post: Callable[[Any], Any] | None = None,
        post_name: str = "",
        post_dims: tuple[int, int] | None = None,
        normalized: bool = False,
        metric: Metric = Metric.COSINE,
        prompts: dict[str, str] | None = None,
        default_prompt: str | None = None,
    ) -> None:
        super().__init__(options)
        self.transformer = transformer
        self.model = model
        self.weights = weights
        self._config_hash = config_hash
        self._own_pooling = own_pooling
        self._pool_front = pool_front
        self._post = post
        self._post_name = post_name
        self._post_dims = post_dims
        self._own_normalized = normalized
        self._metric = metric
        self.prompts = prompts or {}
        self._default_prompt = default_prompt
        self._ceiling = Ceiling()
        self._runners = Runners(transformer)

    def with_transformer(self, transformer: Transformer, *, model: str, weights: str) -> Self:
        """Return the same encoder around another ``transformer``, that was made of its own, by another name."""
        other = copy.copy(self)
        other.__dict__.pop("fingerprint", None)
        other.transformer, other.model, other.weights = transformer, model, weights
        other._ceiling, other._runners = Ceiling(), Runners(transformer)
        return other

    @property
    def levels(self) -> tuple[Level, ...]:
        return tuple(Level)

    @property
    def metric(self) -> Metric:
        return self._metric

    @property
    def device(self) -> str:
        return self.transformer.device

    @property
    def own_pooling(self) -> tuple[Pooling, ...]:
        """The model's own ways of pooling; several are put side by side."""
        return self._own_pooling

    def after_pooling(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return pooled vectors (rows, dim) as the model's Dense and LayerNorm leave them; as they are without such."""
        import torch

        if self._post is None or self._post_dims is None:
            return pooled
        with torch.inference_mode():
            return _to_numpy(self._post(torch.from_numpy(pooled).to(self.transformer.device)))

    @property
    def max_tokens(self) -> int:
        """How many tokens, special ones included, are read at once."""
        asked = self.options.max_tokens
        return self.transformer.max_tokens if asked is None else min(asked, self.transformer.limit)

    def _budget(self, tokens: int = 0, windows: int = 0) -> Budget:
        """Return how many tokens a batch may have where ``tokens`` of so many ``windows`` are to be run.

        Without padding, as many batches as come out even for all cores, each of half a window more or less.
        """
        if self.options.batch_tokens is not None:
            return Budget(self.options.batch_tokens, self._ceiling)
        most = (self._runner or self.transformer).batch_tokens
        if windows and not self._pads:
            rounds = -(-tokens // (most * cores()))
            most = min(most, max(-(-tokens // (rounds * cores())), LEAST_TOKENS)) + tokens // windows // 2
        return Budget(most, self._ceiling)

    @property
    def _pads(self) -> bool:
        return self._runner is None or self._runner.pads

    @property
    def _runner(self) -> Runner | None:
        """What runs the model; None where transformers does."""
        return None if self.options.deterministic or self.transformer.left else self._runners.get(self.options.backend)

    @property
    def _prompt(self) -> str:
        return self.options.prompt if self.options.prompt is not None else self._default_prompt or ""

    def _check_options(self) -> None:
        if self.options.pooling == Pooling.SIF or self.options.oov != ALL_RUNGS:
            what = "pooling 'sif'" if self.options.pooling == Pooling.SIF else "oov"
            raise OptionError(f"{what} is of use to word vectors only: a transformer has no table of words")
        if self.transformer.left and self.options.backend not in (Backend.AUTO, Backend.TORCH):
            raise OptionError(f"backend {str(self.options.backend)!r} pads nothing on the left: backend='torch'")
        layer_numbers(self.options.layers, self.transformer.n_layers)
        own = self.transformer.limit
        if (self.options.max_tokens or 0) > own:
            raise OptionError(f"max_tokens {self.options.max_tokens} is more than the {own} this model reads")
        self._check_truncation(self._full_dim())

    def _full_dim(self) -> int:
        """Return the dimensions of a row before any are cut off."""
        numbers = layer_numbers(self.options.layers, self.transformer.n_layers)
        dim = self.transformer.hidden * (len(numbers) if self.options.layer_mix == LayerMix.CONCAT else 1)
        if not self._pooled:
            return dim
        dim *= len(self._poolings())
        if self._post_dims is None:
            return dim
        if dim != self._post_dims[0]:
            raise OptionError(
                f"layers and pooling give {dim} dimensions where the model's {self._post_name[1:]} wants {self._post_dims[0]}"
            )
        return self._post_dims[1]

    def _poolings(self) -> tuple[Pooling, ...]:
        if self.options.pooling is not None:
            return (self.options.pooling,)
        part = self.options.level == Level.SPAN or (self.options.level == Level.CHUNK and self.options.late)
        if part and self._own_pooling == (Pooling.CLS,):
            return (Pooling.MEAN,)  # a piece of a text has no CLS of its own
        return self._own_pooling

    def _fingerprint(self) -> Fingerprint:
        options, full = self.options, self._full_dim()
        settings: dict[str, JSON] = {
            "config": self._config_hash,
            "layers": layer_numbers(options.layers, self.transformer.n_layers),
            "max_tokens": self.max_tokens,
            "overflow": "windows" if options.overflow == Overflow.WINDOWS else "truncate",
            "prompt": self._prompt,
            **shared_settings(options),
        }
        if len(settings["layers"]) > 1:
            settings["layer_mix"] = str(options.layer_mix)
        if options.overflow == Overflow.WINDOWS:
            settings["window_overlap"] = "a quarter" if options.window_overlap is None else options.window_overlap
        if options.backend in OTHER_VECTORS:
            settings["backend"] = str(options.backend)
        if options.level == Level.WORD:
            settings["subword"] = str(options.subword)
        if self._pooled:
            settings["pooling"] = "+".join(self._poolings()) + self._post_name
        return Fingerprint(
            family=self.family,
            model=self.model,
            weights=self.weights,
            level=options.level,
            dim=min(options.truncate_dim or full, full),
            dtype=options.dtype,
            metric=self.metric,
            normalized=options.normalize or (self._pooled and self._own_normalized),
            settings=settings,
        )

    def _encode_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        self._check_options()
        order = sorted(range(len(inputs)), key=lambda at: -len(inputs[at].text))
        found: list[RowBatch] = []
        started: deque[_Together] = deque()

        def end() -> None:
            found.append(self._end(started.popleft(), sum(len(its.counts) for its in found), len(inputs)))

        with deterministic_algorithms() if self.options.deterministic else nullcontext(), Workers() as workers:
            for some in self._together([inputs[at] for at in order]):
                started.append(self._begin(some, workers))
                if len(started) > 1:  # one is run while the next is tokenised
                    end()
            while started:
                end()
        return RowBatch.concatenate(found, self._full_dim()).take(np.argsort(order).tolist())

    def _together(self, inputs: list[TextInput]) -> Iterator[list[TextInput]]:
        """Give ``inputs``, the longest first, in parts of about `TOGETHER` batches for every core."""
        most = self._budget().tokens * CHARACTERS * TOGETHER * (1 if self._pads else cores())
        some: list[TextInput] = []
        size = 0
        for one in inputs:
            some.append(one)
            size += len(one.text) + CHARACTERS
            if size >= most:
                yield some
                some, size = [], 0
        if some:
            yield some

    def _begin(self, inputs: Sequence[TextInput], workers: Workers) -> _Together:
        layouts = self._lay_out(inputs)
        outputs = [[_Output() for _ in layout.readings] for layout in layouts]
        units = [
            _Unit(reading, window, [*reading.front, *reading.ids[window.start : window.end].tolist(), *reading.back], output)
            for layout, outs in zip(layouts, outputs, strict=True)
            for reading, output in zip(layout.readings, outs, strict=True)
            for window in reading.windows
        ]
        tokens = sum(map(self._length, units))
        budget = self._budget(tokens, len(units))

        def run(batch: list[_Unit]) -> None:
            run_within_memory(batch, self._run, self._length, budget)

        if self._pads:
            batches = one_by_one(run, in_batches(units, self._length, budget, may_pad=self.transformer.may_pad))
        else:
            several = len(units) > 1 and tokens > budget.tokens
            batches = (workers.run if several else one_by_one)(run, in_shares(units, self._length, budget))
        return _Together(layouts, outputs, batches, tokens)

    def _end(self, its: _Together, before: int, total: int) -> RowBatch:
        done = 0
        for batch in its.batches:
            done += sum(map(self._length, batch))
            if self.options.progress:
                self.options.progress(before + len(its.layouts) * done // its.tokens, total)
        return self._rows(its.layouts, its.outputs)

    def _count_tokens(self, inputs: Sequence[TextInput]) -> list[tuple[int, int]]:
        options = self.options
        alone = options.level == Level.CHUNK and not options.late
        uncut = alone or options.overflow == Overflow.WINDOWS
        tokens = self.transformer.tokenizer([one.text for one in inputs], prompt=self._prompt, offsets=False)
        return [(len(its), 0 if uncut else max(len(its) - self._frame.room(its.n_prompt), 0)) for its in tokens]

    @property
    def _frame(self) -> Frame:
        tokenizer = self.transformer.tokenizer
        return Frame(tokenizer.prefix, tokenizer.suffix, self.max_tokens, self._pool_front or not self._prompt)

    def _lay_out(self, inputs: Sequence[TextInput]) -> list[Layout]:
        """Return what the model would read for each of ``inputs``, without running it."""
        prompt = self._prompt
        tokens = self.transformer.tokenizer([one.text for one in inputs], prompt=prompt, offsets=self.options.level != Level.TEXT)
        frame = self._frame
        layouts: list[Layout] = []
        for one, its in zip(inputs, tokens, strict=True):
            try:
                layouts.append(lay_out(one, its, frame, self.options))
            except (OverflowRefused, InputError) as error:
                raise type(error)(f"{one.text[:40]!r}…: {error}") from None
        return layouts

    def _length(self, unit: _Unit) -> int:
        fixed = self.options.deterministic and self.transformer.may_pad
        return on_grid(len(unit.ids), self.max_tokens) if fixed else len(unit.ids)

    def _run(self, batch: Sequence[_Unit]) -> None:
        """Run the model on ``batch`` and put what each unit is read for into its output."""
        flat, starts = self._read([unit.ids for unit in batch], max(map(self._length, batch)))
        whole = [(unit, at) for unit, at in zip(batch, starts, strict=True) if len(unit.reading.windows) == 1]
        groups = Groups.concatenate([unit.reading.groups.shifted(at) for unit, at in whole])
        vectors = _to_numpy(self._pool(flat, groups))
        row = 0
        for unit, _ in whole:
            n = len(unit.reading.groups.lengths)
            unit.out.vectors = vectors[row : row + n]
            row += n
        for unit, at in zip(batch, starts, strict=True):
            if len(unit.reading.windows) > 1:
                low, high = kept(unit.reading, unit.window)
                unit.out.pieces[unit.window.start] = _to_numpy(flat[at + low : at + high])

    def _read(self, windows: list[list[int]], length: int) -> tuple[torch.Tensor, list[int]]:
        """Return the hidden states (positions, dim) of ``windows``, padded to ``length`` or not at all, and where each begins."""
        numbers, mix = layer_numbers(self.options.layers, self.transformer.n_layers), self.options.layer_mix
        if (runner := self._runner) is not None:
            starts = np.cumsum([0, *map(len, windows)])[:-1]
            return mix_layers(runner(windows, numbers), mix), starts.tolist()
        shape = (max(self._budget().rows(length), len(windows)), length) if self.options.deterministic else None
        ids, mask = self.transformer.batch(windows, shape)
        padded = self.transformer.hidden_states(ids, mask, numbers, mix)
        width, left = ids.shape[1], self.transformer.left
        return padded.reshape(-1, padded.shape[-1]), [
            row * width + (width - len(one) if left else 0) for row, one in enumerate(windows)
        ]

    @property
    def _how(self) -> str:
        """How sub-words become a row where rows are not pooled: a token's is itself."""
        return str(self.options.subword) if self.options.level == Level.WORD else "first"

    def _pool(self, flat: torch.Tensor, groups: Groups) -> torch.Tensor:
        """Return the rows that ``groups`` of the tokens ``flat`` (tokens, dim) make at the present level."""
        import torch

        if not self._pooled:
            return pool_tensor(flat, groups, self._how).float()
        with torch.inference_mode():
            pooled = torch.cat([pool_tensor(flat, groups, str(how)).float() for how in self._poolings()], dim=-1)
            return self._post(pooled) if self._post is not None and len(pooled) else pooled

    def _rows(self, layouts: list[Layout], outputs: list[list[_Output]]) -> RowBatch:
        counts = np.array([len(its.start) for its in layouts], dtype=np.int64)
        vectors = np.zeros((int(counts.sum()), self._full_dim()), dtype=np.float32)
        oov = np.full(len(vectors), Oov.ZERO, dtype=np.uint8)
        for its, outs in zip(layouts, outputs, strict=True):
            for reading, out in zip(its.readings, outs, strict=True):
                out.vectors = self._stitched(reading, out.pieces) if out.pieces else out.vectors
        read = [out.vectors for outs in outputs for out in outs if out.vectors is not None and len(out.vectors)]
        if read:
            solid = np.concatenate([its.solid for its in layouts])
            vectors[solid] = np.concatenate(read)
            oov[solid] = Oov.EXACT
        start, end, special = (np.concatenate([getattr(its, name) for its in layouts]) for name in ("start", "end", "special"))
        numbers = (np.array([getattr(its, name) for its in layouts], dtype=np.int32) for name in ("n_tokens", "n_truncated"))
        return RowBatch(counts, vectors, start, end, special, oov, *numbers)

    def _stitched(self, reading: Reading, pieces: dict[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the rows of a reading whose windows have all been read."""
        import torch

        matrix = np.concatenate([pieces.pop(start) for start in sorted(pieces)])
        if not self._pooled:
            return pool(matrix, reading.groups, self._how)
        pooled = np.concatenate([pool(matrix, reading.groups, str(how)) for how in self._poolings()], axis=1)
        if self._post is None or not len(pooled):
            return pooled
        with torch.inference_mode():
            return _to_numpy(self._post(torch.from_numpy(pooled).to(self.transformer.device)))


def kept(reading: Reading, window: Window) -> tuple[int, int]:
    """Return which positions of what was read in ``window`` belong to it when the windows are stitched."""
    front = len(reading.front)
    low = 0 if window.start == 0 else front + window.own_start - window.start
    last = window.end == reading.windows[-1].end
    return low, front + window.own_end - window.start + (len(reading.back) if last else 0)


def _to_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.float().cpu().numpy())


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Ask torch for algorithms whose result does not vary from run to run, and put its choice back after."""
    import torch

    enabled, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
