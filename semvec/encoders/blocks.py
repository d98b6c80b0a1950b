"""Documents → blocks, each of which becomes a shard; a bad row is left out of them, or ends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OverflowRefused
from semvec.text.document import BadRow, Document
from semvec.types import Level, OnError, Overflow

BLOCK_TEXTS = 1024
BLOCK_CHARS = 1 << 19
BLOCK_BYTES = 1 << 27
CHARS_A_ROW = 3
"""A rough lower bound of characters a token or word, to keep the vectors of a block within `BLOCK_BYTES`."""


@dataclass
class Block:
    """Consecutive documents that become one shard, and the bad rows met on the way."""

    documents: list[Document] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The texts of its documents."""
        return [document.text for document in self.documents]


class Refused(Exception):
    """Ends the blocks at a bad row, where bad rows are to end a run; all blocks before it were given."""

    def __init__(self, kind: type[InputError] | type[OverflowRefused], bad: BadRow) -> None:
        super().__init__(kind, bad)
        self.kind, self.bad = kind, bad


def blocks_of(items: Iterable[Document | BadRow], encoder: Encoder, on_error: OnError) -> Iterator[Block]:
    """Give consecutive documents in blocks whose borders depend on the input and the options alone.

    Bad rows stand in their block under ``on_error="skip"``, and so do texts too long under ``overflow="error"``; else the
    first of them raises `Refused`.
    """
    for block in _cut(_sifted(items, on_error), encoder):
        if encoder.options.overflow == Overflow.ERROR:
            _refuse_long(encoder, block, on_error)
        yield block


def _sifted(items: Iterable[Document | BadRow], on_error: OnError) -> Iterator[Document | BadRow]:
    for item in items:
        if isinstance(item, BadRow) and on_error == OnError.STOP:
            raise Refused(InputError, item)
        yield item


def _cut(items: Iterable[Document | BadRow], encoder: Encoder) -> Iterator[Block]:
    most = BLOCK_CHARS
    if encoder.options.level in (Level.TOKEN, Level.WORD):
        most = min(most, CHARS_A_ROW * BLOCK_BYTES // (4 * encoder.dim))
    block, chars = Block(), 0
    for item in items:
        size = len(item.text) if isinstance(item, Document) else 0
        rows = len(block.documents) + len(block.bad)
        if rows >= BLOCK_TEXTS or (block.documents and chars + size > most):
            yield block
            block, chars = Block(), 0
        if isinstance(item, BadRow):
            block.bad.append(item)
        else:
            block.documents.append(item)
            chars += size
    if block.documents or block.bad:
        yield block


def _refuse_long(encoder: Encoder, block: Block, on_error: OnError) -> None:
    """Make bad rows of the documents of ``block`` that are longer than the model reads."""
    n_tokens, n_truncated = encoder.count_tokens(block.texts)
    documents, block.documents = block.documents, []
    for document, n, over in zip(documents, n_tokens.tolist(), n_truncated.tolist(), strict=True):
        if not over:
            block.documents.append(document)
            continue
        reason = f"{n:,} tokens where the model reads {n - over:,} (--overflow windows reads all of them)"
        bad = BadRow(document.where, document.source, document.line, reason)
        if on_error == OnError.STOP:
            raise Refused(OverflowRefused, bad)
        block.bad.append(bad)
