"""The options of an encoder: which vectors it makes, and how it goes about it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypedDict

from semvec.embeddings.quantise import Calibration
from semvec.encoders.ladder import ALL_RUNGS, check_rungs
from semvec.errors import OptionError
from semvec.text.document import flaw
from semvec.text.words import Splitter
from semvec.types import JSON, Backend, ChunkBy, Dtype, LayerMix, Level, Overflow, Pooling, Subword, check_names

CHUNK_TOKENS = 128

CHOICES = {
    "level": Level,
    "layer_mix": LayerMix,
    "subword": Subword,
    "pooling": Pooling,
    "overflow": Overflow,
    "chunk_by": ChunkBy,
    "dtype": Dtype,
    "backend": Backend,
}


class OptionChanges(TypedDict, total=False):
    """Any of the fields of `EncodeOptions`, as keyword arguments; strings do for the choices."""

    level: Level | str
    layers: int | str | Sequence[int]
    layer_mix: LayerMix | str
    subword: Subword | str
    pooling: Pooling | str | None
    overflow: Overflow | str
    max_tokens: int | None
    window_overlap: int | None
    chunk_by: ChunkBy | str
    chunk_tokens: int | None
    chunk_overlap: int
    late: bool
    special: bool
    prompt: str | None
    splitter: Splitter | None
    oov: str | Sequence[str]
    normalize: bool
    truncate_dim: int | None
    dtype: Dtype | str
    calibration: Calibration | None
    batch_tokens: int | None
    deterministic: bool
    backend: Backend | str
    progress: Callable[[int, int], None] | None


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """Which vectors an encoder makes, and how it goes about it.

    =================== ===============================================================================
    ``level``           text, chunk, span, word or token
    ``layers``          of a transformer: ``-1``, ``[-1, -2]``, ``"-4:"`` or ``"all"``; 0 is the embedding
                        layer, and negative numbers count from the last
    ``layer_mix``       mean, sum or concat of several layers
    ``subword``         sub-words → word: first, last, mean or max
    ``pooling``         tokens → text, chunk or span: mean, cls, max, last_token, weighted_mean, mean_sqrt;
                        None is the model's own, or mean; of word vectors also sif, frequency-weighted (see
                        `WordEncoder.fit_sif`)
    ``overflow``        a text longer than the model: truncate, error or windows (overlapping ones are
                        read, and every token taken from where it has context on both sides)
    ``max_tokens``      read at most so many tokens at a time, special ones included; None is what the model is
                        meant for (256 for all-MiniLM), and more may do, as far as it has positions
    ``window_overlap``  tokens that neighbouring windows share; None is a quarter of a window
    ``chunk_by``        where chunks may end: tokens (at word starts) or sentences
    ``chunk_tokens``    size of a chunk; None is 128, or less if the model reads less
    ``chunk_overlap``   tokens a chunk shares with the one before
    ``late``            read the whole text first and pool each chunk after (late chunking,
                        arXiv:2409.04701), instead of reading each chunk by itself
    ``special``         give rows for CLS, SEP, BOS, … too (``level="token"``)
    ``prompt``          put before every text; None is what the model wants for this kind of text
    ``splitter``        how words are found; None is `semvec.text.words.split_words`
    ``oov``             of word vectors: the rungs of the ladder below "exact" that are used: "all", "none", or
                        some of "case,fold,subword,spelling" (see `semvec.encoders.ladder.Ladder`)
    ``normalize``       scale each vector to length 1
    ``truncate_dim``    keep the first dimensions only (Matryoshka, arXiv:2205.13147), then scale again
                        if the vectors were of length 1
    ``dtype``           float32, float16, int8 or binary; int8 by ``calibration``, or one fitted on the call
    ``batch_tokens``    most tokens, padding included, in one forward pass; None chooses by device
    ``deterministic``   fixed batch shapes: a text's vector is the same to the last bit whatever stands
                        beside it, on the same machine and thread count; slower
    ``backend``         what runs a transformer: torch (as transformers does), packed (a BERT without padding, the
                        same vectors to rounding), int8 (packed, in products of bytes), or auto: the fastest with
                        the same vectors
    ``progress``        called with the texts done and the texts there are, as a call to encode goes on
    =================== ===============================================================================
    """

    level: Level = Level.TEXT
    layers: int | str | tuple[int, ...] = -1
    layer_mix: LayerMix = LayerMix.MEAN
    subword: Subword = Subword.MEAN
    pooling: Pooling | None = None
    overflow: Overflow = Overflow.TRUNCATE
    max_tokens: int | None = None
    window_overlap: int | None = None
    chunk_by: ChunkBy = ChunkBy.TOKENS
    chunk_tokens: int | None = None
    chunk_overlap: int = 0
    late: bool = False
    special: bool = False
    prompt: str | None = None
    splitter: Splitter | None = None
    oov: tuple[str, ...] = ALL_RUNGS
    normalize: bool = False
    truncate_dim: int | None = None
    dtype: Dtype = Dtype.FLOAT32
    calibration: Calibration | None = None
    batch_tokens: int | None = None
    deterministic: bool = False
    backend: Backend = Backend.AUTO
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        least = {
            "max_tokens": 1,
            "window_overlap": 0,
            "chunk_tokens": 1,
            "chunk_overlap": 0,
            "truncate_dim": 1,
            "batch_tokens": 1,
        }
        for name, limit in least.items():
            value = getattr(self, name)
            if (value is not None or name == "chunk_overlap") and (
                isinstance(value, bool) or not isinstance(value, int) or value < limit
            ):
                raise OptionError(f"{name} must be a whole number of at least {limit}, not {value!r}")
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise OptionError(f"prompt must be a string, not {self.prompt!r}")
        if self.prompt is not None and flaw(self.prompt):
            raise OptionError(f"the prompt: {flaw(self.prompt)}")
        if self.calibration is not None and not isinstance(self.calibration, Calibration):
            raise OptionError(f"calibration must be a Calibration, not {self.calibration!r:.60}")
        for name in ("late", "special", "normalize", "deterministic"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for name in ("splitter", "progress"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise OptionError(f"{name} must be a function, not {getattr(self, name)!r}")
        if self.deterministic and self.backend not in (Backend.AUTO, Backend.TORCH):
            raise OptionError(
                f"deterministic goes with backend 'torch', not {str(self.backend)!r}, whose batches have no fixed shapes"
            )
        self.chunk_size(CHUNK_TOKENS)

    def chunk_size(self, room: int) -> int:
        """Return the size of a chunk where the model reads ``room`` tokens at once."""
        size = min(CHUNK_TOKENS, room) if self.chunk_tokens is None else self.chunk_tokens
        if self.chunk_overlap >= size:
            raise OptionError(f"chunk_overlap ({self.chunk_overlap}) must be less than chunk_tokens ({size})")
        return size

    def changed(self, changes: OptionChanges) -> EncodeOptions:
        """Return these options with ``changes``; raise `OptionError` for a name or a value that is none."""
        values: dict[str, Any] = dict(changes)
        check_names(values, [field.name for field in dataclasses.fields(self)])
        for name, value in values.items():
            if name in CHOICES and (value is not None or name != "pooling"):
                values[name] = CHOICES[name](value if isinstance(value, str) else repr(value))
            elif name == "oov":
                values[name] = check_rungs(value)
            elif isinstance(value, Integral) and not isinstance(value, bool):
                values[name] = int(value)
            elif name == "layers" and not isinstance(value, int | str):
                values[name] = tuple(value) if isinstance(value, Iterable) else (value,)
        return dataclasses.replace(self, **values)


def layer_numbers(layers: int | str | tuple[int, ...], count: int) -> list[int]:
    """Return the layers meant by ``layers`` as numbers from 0 (the embedding layer) to ``count`` (the last).

    >>> layer_numbers("-4:", 6)
    [3, 4, 5, 6]
    """
    every = list(range(count + 1))
    try:
        if layers == "all":
            return every
        if isinstance(layers, str) and ":" in layers:
            edges = [int(edge) if edge.strip() else None for edge in layers.split(":")]
            if len(edges) > 2 or not every[slice(*edges)]:
                raise IndexError
            return every[slice(*edges)]
        if isinstance(layers, str):
            return [every[int(number)] for number in layers.split(",")]
        if isinstance(layers, bool) or layers == ():
            raise ValueError
        return [every[number] for number in ((layers,) if isinstance(layers, int) else layers)]
    except (ValueError, IndexError, TypeError):
        wanted = f"layers {layers!r} are not among 0 … {count} (or -1 … -{count + 1})"
        raise OptionError(f"{wanted}: give a number, several, a range such as '-4:', or 'all'") from None


def _name(splitter: Splitter) -> str:
    """Return what tells one splitter from another: where it is defined, and what it does if it has no name."""
    home = getattr(splitter, "__module__", None) or "builtins"
    name = f"{home}.{getattr(splitter, '__qualname__', type(splitter).__name__)}"
    code = getattr(splitter, "__code__", None)
    if code is not None and "<" in name:
        name += f"#{hashlib.sha256(code.co_code + repr((code.co_consts, code.co_names)).encode()).hexdigest()[:12]}"
    return name


def shared_settings(options: EncodeOptions) -> dict[str, JSON]:
    """Return what every family writes into its fingerprint besides the fields of their own."""
    settings: dict[str, JSON] = {}
    if options.level == Level.CHUNK:
        names = ("chunk_by", "chunk_overlap", "late")
        settings = {name: getattr(options, name) for name in names}
        settings["chunk_tokens"] = options.chunk_tokens or f"{CHUNK_TOKENS} at most"
    if options.splitter is not None:
        settings["splitter"] = _name(options.splitter)
    if options.truncate_dim is not None:
        settings["truncate_dim"] = options.truncate_dim
    return settings
