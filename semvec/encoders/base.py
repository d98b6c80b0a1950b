"""What the encoders share: checking texts, encoding equal ones once, and turning rows into a result."""

from __future__ import annotations

import copy
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, Unpack

from semvec.embeddings.embeddings import Embeddings, strings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.quantise import Calibration, quantise
from semvec.embeddings.transforms import normalize
from semvec.encoders.options import EncodeOptions, OptionChanges
from semvec.encoders.protocol import Text
from semvec.encoders.rows import RowBatch
from semvec.errors import InputError, LevelError, ModelError, OptionError, TextsCut
from semvec.text.brackets import read_brackets
from semvec.text.document import flaw
from semvec.text.words import Span, check_span, join_words
from semvec.types import Dtype, Level, Metric

PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The kinds of text that models have prompts for, and what they call these prompts; the first there is, is taken."""


POOLED = (Level.TEXT, Level.CHUNK, Level.SPAN)
"""The levels at which a row is made of several tokens or words."""


@dataclass(frozen=True)
class TextInput:
    """One text as the model reads it.

    ``words`` are its words where it came split, ``spans`` the ranges asked for in ``text``, and ``shown``
    the same ranges in the text as the user gave it, which differ where brackets were taken out.
    """

    text: str
    words: tuple[Span, ...] | None = None
    spans: tuple[Span, ...] = ()
    shown: tuple[Span, ...] = ()


@dataclass
class _Seen:
    """Distinct inputs in the order of their first appearance, and which of them each input is."""

    distinct: list[TextInput] = field(default_factory=list)
    which: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, inputs: Iterable[TextInput]) -> _Seen:
        places: dict[TextInput, int] = {}
        which = [places.setdefault(one, len(places)) for one in inputs]
        return cls(list(places), which)


class BaseEncoder(ABC):
    """The part of `Encoder` that is the same in every family."""

    prompts: Mapping[str, str] = MappingProxyType({})

    def __init__(self, options: EncodeOptions | None = None) -> None:
        self.options = options or EncodeOptions()

    @property
    @abstractmethod
    def levels(self) -> tuple[Level, ...]: ...

    @property
    @abstractmethod
    def metric(self) -> Metric: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fingerprint})"

    @property
    def device(self) -> str:
        """Where the encoder computes."""
        return "cpu"

    @abstractmethod
    def _fingerprint(self) -> Fingerprint:
        """Return the fingerprint under the present options."""

    @abstractmethod
    def _encode_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        """Return the rows of ``inputs``, which are distinct."""

    @abstractmethod
    def _count_tokens(self, inputs: Sequence[TextInput]) -> list[tuple[int, int]]:
        """Return how many tokens each of ``inputs`` has and how many of them would not be read."""

    @abstractmethod
    def _check_options(self) -> None:
        """Raise `OptionError` where the options do not fit this encoder."""

    def _refuse_unused(self, names: Sequence[str], why: str) -> None:
        """Raise `OptionError` for those of ``names`` that were set, though this encoder has no use for them."""
        default = EncodeOptions()
        if extra := [name for name in names if getattr(self.options, name) != getattr(default, name)]:
            raise OptionError(f"{', '.join(extra)}: {why}")

    def _check_truncation(self, dim: int) -> None:
        """Raise `OptionError` where more dimensions are asked for than the ``dim`` there are."""
        if (self.options.truncate_dim or 0) > dim:
            raise OptionError(f"truncate_dim {self.options.truncate_dim} is more than the {dim} dimensions there are")

    @property
    def _pooled(self) -> bool:
        """Whether a row is made of several tokens or words."""
        return self.options.level in POOLED

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What decides the vectors made under the present options."""
        return self._fingerprint()

    @property
    def dim(self) -> int:
        """How many dimensions the vectors made under the present options have."""
        return self.fingerprint.dim

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return the same model, not copied, with other options.

        Raises `LevelError` for a level that this encoder cannot give, `OptionError` for other misfits.
        """
        options = self.options.changed(changes)
        if options == self.options:
            return self
        other = copy.copy(self)
        other.__dict__.pop("fingerprint", None)
        other.options = options
        if options.level not in self.levels:
            able = ", ".join(self.levels)
            raise LevelError(f"{type(self).__name__} has no level {str(options.level)!r}: it gives {able}")
        other._check_options()
        return other

    def encode(
        self, texts: Sequence[Text], *, spans: Sequence[Sequence[Span]] | None = None, **changes: Unpack[OptionChanges]
    ) -> Embeddings:
        """Return the vectors of ``texts``, rows in their order; see `Encoder`."""
        return self.with_options(**changes)._encode(texts, spans)

    def encode_query(self, texts: Sequence[Text], **changes: Unpack[OptionChanges]) -> Embeddings:
        """Return the vectors of ``texts`` as search queries, with the model's prompt for those."""
        return self.prompted("query").encode(texts, **changes)

    def encode_document(self, texts: Sequence[Text], **changes: Unpack[OptionChanges]) -> Embeddings:
        """Return the vectors of ``texts`` as what is searched, with the model's prompt for those."""
        return self.prompted("document").encode(texts, **changes)

    def stream(self, batches: Iterable[Sequence[Text]], **changes: Unpack[OptionChanges]) -> Iterator[Embeddings]:
        """Give one `Embeddings` a batch, holding one batch at a time.

        With ``dtype="int8"`` and no calibration the first batch is what the codes are fitted on.
        """
        encoder = self.with_options(**changes)
        for batch in batches:
            result = encoder.encode(batch)
            encoder = encoder.with_options(calibration=result.calibration)
            yield result

    def count_tokens(self, texts: Sequence[Text]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return how many tokens each text has and how many are over the limit (texts,), without encoding."""
        inputs, _ = self._inputs(list(texts), None)
        counts = np.array(self._count_tokens(inputs), dtype=np.int32).reshape(-1, 2)
        return counts[:, 0], counts[:, 1]

    def prompted(self, kind: str) -> Self:
        """Return this encoder with the model's prompt for ``kind`` ("query" or "document"), if it has one."""
        if kind not in PROMPT_NAMES:
            raise OptionError(f"kind {kind!r} is unknown: choose from {', '.join(PROMPT_NAMES)}")
        if self.options.prompt is not None:
            return self
        found = next((self.prompts[name] for name in PROMPT_NAMES[kind] if name in self.prompts), None)
        return self if found is None else self.with_options(prompt=found)

    def _encode(self, texts: Sequence[Text], spans: Sequence[Sequence[Span]] | None) -> Embeddings:
        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one string: encode([text])")
        if not isinstance(texts, Iterable):
            raise InputError(f"texts must be a list of texts, not {type(texts).__name__}")
        inputs, surfaces = self._inputs(list(texts), spans)
        seen = _Seen.of(inputs)
        found = self._encode_rows(seen.distinct).take(seen.which)
        if self.options.progress and inputs:
            self.options.progress(len(inputs), len(inputs))
        self._warn_of_cuts(found)
        return self._result(found, inputs, surfaces)

    def _warn_of_cuts(self, found: RowBatch) -> None:
        if cut := int((found.n_truncated > 0).sum()):
            share = int(found.n_truncated.sum()) / int(found.n_tokens.sum())
            warnings.warn(TextsCut.counted(cut, len(found.counts), share), stacklevel=users_level())

    def _inputs(self, texts: list[Text], spans: Sequence[Sequence[Span]] | None) -> tuple[list[TextInput], list[str]]:
        """Return what the model reads, and the text that offsets refer to, for each of ``texts``."""
        at_spans = self.options.level == Level.SPAN
        if spans is not None and not (at_spans and isinstance(spans, Sequence | np.ndarray) and len(spans) == len(texts)):
            raise InputError('spans go with level="span", one list for each text')
        inputs: list[TextInput] = []
        shown: list[str] = []
        for i, text in enumerate(texts):
            try:
                one = _input(text, spans[i] if spans is not None else None, brackets=at_spans)
            except InputError as error:
                raise InputError(f"text {i}: {error}") from None
            inputs.append(one)
            shown.append(text if isinstance(text, str) else one.text)
        return inputs, shown

    def _result(self, found: RowBatch, inputs: list[TextInput], surfaces: list[str]) -> Embeddings:
        if not np.isfinite(found.vectors).all():
            raise ModelError(f"{self.fingerprint.model}: gives numbers that are not finite: are its weights damaged?")
        vectors, calibration = self._finish(found.vectors)
        owner = np.repeat(np.arange(len(inputs), dtype=np.int64), found.counts)
        if any(one.shown for one in inputs):
            shown = np.array([span for one in inputs for span in one.shown], dtype=np.int32)
            found = replace(found, start=shown[:, 0].copy(), end=shown[:, 1].copy())
        edges = zip(owner.tolist(), found.start.tolist(), found.end.tolist(), strict=True)
        return Embeddings(
            vectors=vectors,
            level=self.options.level,
            text_index=owner,
            start=found.start,
            end=found.end,
            surface=strings([surfaces[i][a:b] for i, a, b in edges]),
            special=found.special,
            oov=found.oov,
            n_tokens=found.n_tokens,
            n_truncated=found.n_truncated,
            fingerprint=self.fingerprint,
            calibration=calibration,
            rungs=found.rungs,
        )

    def _finish(self, vectors: Any) -> tuple[Any, Calibration | None]:
        """Return ``vectors`` truncated, scaled and stored as the options say, and the calibration used."""
        options = self.options
        if options.truncate_dim is not None:
            vectors = vectors[:, : options.truncate_dim]
        if options.normalize or (options.truncate_dim is not None and self.fingerprint.normalized):
            vectors = normalize(vectors)
        calibration = None
        if options.dtype == Dtype.INT8:
            calibration = options.calibration or Calibration.fit(vectors)
        fitted = calibration is not None and calibration.rows > 0
        return quantise(vectors, options.dtype, calibration), calibration if fitted else options.calibration


def users_level() -> int:
    """Return the ``stacklevel`` of the first caller outside semvec, counted from the caller of this function."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("semvec."):
        frame, level = frame.f_back, level + 1
    return level


def _input(text: Text, spans: Sequence[Span] | None, *, brackets: bool) -> TextInput:
    if not isinstance(text, str):
        if not isinstance(text, Sequence) or isinstance(text, bytes):
            raise InputError(flaw(text) or "")
        joined, words = join_words(text)
        if brackets and spans is None:
            raise InputError("brackets are not read in words given split: pass spans=[[(start, end), …], …]")
        reason = flaw(joined)
        one = TextInput(joined, words=tuple(words))
    else:
        reason = flaw(text)
        one = TextInput(text)
    if reason:
        raise InputError(reason)
    if spans is not None:
        if not isinstance(spans, Iterable):
            raise InputError(f"its spans must be a list of (start, end), not {spans!r}")
        ranges = tuple(check_span(one.text, span) for span in spans)
        return replace(one, spans=ranges, shown=ranges)
    if brackets:
        bare, inner, outer = read_brackets(one.text)
        return TextInput(bare, spans=tuple(inner), shown=tuple(outer))
    return one
