"""Where the blocks of a run are encoded: here, or wherever an engine has its workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from semvec.embeddings.embeddings import Embeddings
from semvec.encoders.blocks import Block
from semvec.encoders.protocol import Encoder


class Engine(Protocol):
    """Encodes blocks one after the other, or many at a time, and gives them back in their order.

    ``device`` is where it computes. Where the blocks end in an error, all blocks before it are given first.
    """

    device: str

    def encoded(self, encoder: Encoder, blocks: Iterable[Block]) -> Iterator[tuple[Block, Embeddings]]:
        """Give each block with the vectors that ``encoder`` makes of its texts; int8 codes are fitted on the first block."""


class Here:
    """This process, one block after the other."""

    def __init__(self, encoder: Encoder) -> None:
        self.device = encoder.device

    def encoded(self, encoder: Encoder, blocks: Iterable[Block]) -> Iterator[tuple[Block, Embeddings]]:
        """Give each block with its vectors."""
        for block in blocks:
            found = encoder.encode(block.texts)
            encoder = encoder.with_options(calibration=found.calibration)
            yield block, found
