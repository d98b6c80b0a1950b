"""What a run over files would meet: how long the texts are, and how much would be cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from semvec.encoders.protocol import Encoder
from semvec.text.document import BadRow, Document
from semvec.text.documents import read_documents
from semvec.text.readers import ReadOptions
from semvec.text.sources import find_sources, identify

BATCH = 1024


@dataclass
class TokenCounts:
    """Tokens a text (``lengths`` maps a length to how many texts have it), and what would be cut."""

    lengths: Counter[int] = field(default_factory=Counter)
    texts_cut: int = 0
    tokens_cut: int = 0
    bad_rows: int = 0
    first_bad: str = ""

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return self.lengths.total()

    @property
    def tokens(self) -> int:
        """How many tokens they have in all."""
        return sum(length * count for length, count in self.lengths.items())

    @property
    def least(self) -> int:
        """The tokens of the shortest text."""
        return min(self.lengths, default=0)

    @property
    def most(self) -> int:
        """The tokens of the longest text."""
        return max(self.lengths, default=0)

    @property
    def median(self) -> int:
        """A length that half of the texts do not exceed."""
        return self.within(0.5)

    @property
    def p95(self) -> int:
        """A length that 95 % of the texts do not exceed."""
        return self.within(0.95)

    def within(self, share: float) -> int:
        """Return the least length that ``share`` of the texts do not exceed."""
        seen = 0
        for length in sorted(self.lengths):
            seen += self.lengths[length]
            if seen >= share * self.texts:
                return length
        return 0


def count_files(
    inputs: str | Path | Sequence[str | Path],
    encoder: Encoder,
    *,
    read: ReadOptions | None = None,
    input_format: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> TokenCounts:
    """Return the token counts of all texts in ``inputs``; nothing is encoded or written.

    Bad rows are counted, and the first is kept in words. Raises `InputError` where a whole source cannot
    be read.
    """
    sources = find_sources(inputs, kind=input_format)
    _, total = identify(sources) if progress else ([], None)
    counts = TokenCounts()
    items = read_documents(sources, read)
    done = 0
    while batch := list(islice(items, BATCH)):
        texts = [item.text for item in batch if isinstance(item, Document)]
        for bad in batch:
            if isinstance(bad, BadRow):
                counts.bad_rows += 1
                counts.first_bad = counts.first_bad or f"{bad.where}: {bad.reason}"
        n_tokens, n_over = encoder.count_tokens(texts)
        counts.lengths.update(n_tokens.tolist())
        counts.texts_cut += int((n_over > 0).sum())
        counts.tokens_cut += int(n_over.sum())
        done += len(batch)
        if progress:
            progress(done, total)
    return counts
