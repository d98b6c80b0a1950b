"""What every encoder is, whatever its family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, Unpack

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.encoders.options import EncodeOptions, OptionChanges
from semvec.text.words import Span
from semvec.types import Level, Metric

Text: TypeAlias = str | Sequence[str]
"""A text, or the words of one that is split already (then its offsets are those in ``" ".join(words)``)."""


@runtime_checkable
class Encoder(Protocol):
    """Makes vectors of texts.

    `encode` reads all ``texts`` and returns one `Embeddings`; any field of `EncodeOptions` can be given
    by name for that call. ``spans`` (character ranges, a list a text) go with ``level="span"``; without
    them the spans are those in brackets: ``"the [bank] of the river"``. `encode_query` and
    `encode_document` put the model's own prompt before the texts. `stream` does the same batch by batch.
    `with_options` returns the same model with other defaults; `dim` and `fingerprint` are those of the
    vectors made under the present ones.

    Errors: `InputError` for what is no text, `OptionError` for an option that does not exist or fit,
    `LevelError` for a level that this encoder cannot give, `OverflowRefused`.
    """

    options: EncodeOptions

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels this encoder can give."""

    @property
    def dim(self) -> int:
        """How many dimensions its vectors have."""

    @property
    def metric(self) -> Metric:
        """How its vectors are meant to be compared."""

    @property
    def device(self) -> str:
        """Where the encoder computes: cpu, cuda, …"""

    @property
    def fingerprint(self) -> Fingerprint:
        """What decides its vectors."""

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return the same model with other options."""

    def prompted(self, kind: str) -> Self:
        """Return the same model with its prompt for ``kind`` ("query" or "document"), if it has one."""

    def encode(
        self, texts: Sequence[Text], *, spans: Sequence[Sequence[Span]] | None = None, **changes: Unpack[OptionChanges]
    ) -> Embeddings:
        """Return the vectors of ``texts``, rows in their order."""

    def encode_query(self, texts: Sequence[Text], **changes: Unpack[OptionChanges]) -> Embeddings:
        """Return the vectors of ``texts`` as search queries."""

    def encode_document(self, texts: Sequence[Text], **changes: Unpack[OptionChanges]) -> Embeddings:
        """Return the vectors of ``texts`` as what is searched."""

    def count_tokens(self, texts: Sequence[Text]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return how many tokens each text has and how many are over the limit (texts,), without encoding."""

    def stream(self, batches: Iterable[Sequence[Text]], **changes: Unpack[OptionChanges]) -> Iterator[Embeddings]:
        """Give one `Embeddings` a batch, holding one batch at a time."""
