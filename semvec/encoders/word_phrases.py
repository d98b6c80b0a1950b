"""Words that belong together: found in a corpus, and joined in the same way in training and in encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

DELIMITER = "_"
MOST_PAIRS = 5_000_000
"""Pairs of neighbours that are counted at once; beyond, the rarest are let go, so that memory stays bounded."""


def join(words: Sequence[str], delimiter: str, knows: Callable[[str], bool]) -> list[tuple[int, str]]:
    """Return ``words`` from left to right, neighbours that ``knows`` says are one entry made one.

    Each comes with the number of words it is made of: ``(2, "new_york"), (1, "is")``.
    """
    entries: list[tuple[int, str]] = []
    for word in words:
        if entries and knows(both := f"{entries[-1][1]}{delimiter}{word}"):
            entries[-1] = entries[-1][0] + 1, both
        else:
            entries.append((1, word))
    return entries


def find_phrases(texts: Iterable[Sequence[str]], min_count: int, threshold: float) -> set[str]:
    """Return the pairs of neighbours that stand together more often than by chance, joined by `DELIMITER`.

    ``texts`` are gone through twice. The score is that of Mikolov et al., arXiv:1310.4546, equation 6.
    """
    from gensim.models.phrases import Phrases

    model = Phrases(texts, min_count=min_count, threshold=threshold, delimiter=DELIMITER, max_vocab_size=MOST_PAIRS)
    return set(model.find_phrases(texts))
