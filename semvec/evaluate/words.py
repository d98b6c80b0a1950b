"""Word similarity and analogies: the classic tests of static word vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semvec.embeddings.transforms import normalize
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError
from semvec.text.sources import Source
from semvec.types import Analogy, Oov

AMONG = 300_000
"""Words looked at, the most frequent ones, as in gensim's evaluation."""


@dataclass(frozen=True)
class PairScore:
    """Spearman's rank correlation of cosines with human judgements, over ``pairs``; ``left_out`` had unknown words."""

    spearman: float
    pairs: int
    left_out: int


def word_pairs(
    encoder: WordEncoder, pairs: Sequence[tuple[str, str, float]], *, oov: str = "case", among: int = AMONG
) -> PairScore:
    """Return how well cosines of ``pairs`` (word, word, human score) agree with the scores.

    ``oov`` names the rungs of the ladder that may find a word, ``among`` the most frequent ones it may find ("case",
    other capitals only, and 300,000 are gensim's). Raises `InputError` where fewer than two pairs are known.
    """
    from scipy.stats import spearmanr

    able = encoder.with_options(oov=oov, level="word", normalize=False, dtype="float32")
    sides = [able.encode([[pair[0] for pair in pairs]]), able.encode([[pair[1] for pair in pairs]])]
    known = (sides[0].oov != Oov.ZERO) & (sides[1].oov != Oov.ZERO)
    known &= np.array([max(able.rows_of(one) + able.rows_of(two), default=0) < among for one, two, _ in pairs])
    if known.sum() < 2:
        raise InputError(f"only {int(known.sum())} of {len(pairs):,} pairs are in the vocabulary: nothing to correlate")
    cosines = (normalize(sides[0].vectors) * normalize(sides[1].vectors)).sum(axis=1)
    gold = np.array([pair[2] for pair in pairs], dtype=np.float64)
    return PairScore(float(spearmanr(cosines[known], gold[known]).statistic), int(known.sum()), int((~known).sum()))


@dataclass(frozen=True)
class AnalogyScore:
    """The share of analogies answered right, of ``asked``; ``left_out`` had unknown words; each section's by its name."""

    accuracy: float
    asked: int
    left_out: int
    sections: dict[str, tuple[int, int]]


def analogies(
    encoder: WordEncoder,
    sections: dict[str, Sequence[tuple[str, str, str, str]]],
    *,
    method: Analogy | str = Analogy.COS_ADD,
    among: int = AMONG,
) -> AnalogyScore:
    """Return how often the best answer to "a is to b as c is to …" is d, for the (a, b, c, d) of each section.

    Words are found in whatever capitals, among the ``among`` most frequent; questions with another word are left
    out, as in gensim's evaluation. Raises `InputError` where none is left.
    """
    able = encoder.with_options(oov="case")
    found: dict[str, tuple[int, int]] = {}
    left_out = 0
    for name, questions in sections.items():
        known = [[_row(able, word, among) for word in question] for question in questions]
        asked = [question for question, rows in zip(questions, known, strict=True) if None not in rows]
        wanted = [rows[3] for rows in known if None not in rows]
        left_out += len(questions) - len(asked)
        answers = able.analogy([question[:3] for question in asked], 1, method=method, among=among) if asked else []
        right = [able.table.words.get(best[0].word) == row for best, row in zip(answers, wanted, strict=True) if best]
        found[name] = sum(right), len(asked)
    total = sum(asked for _, asked in found.values())
    if not total:
        raise InputError(f"none of {left_out:,} analogies has all its words in the vocabulary")
    return AnalogyScore(sum(right for right, _ in found.values()) / total, total, left_out, found)


def _row(encoder: WordEncoder, word: str, among: int) -> int | None:
    rows = encoder.rows_of(word)
    return rows[0] if rows and rows[0] < among else None


def read_pairs(path: str | Path) -> list[tuple[str, str, float]]:
    """Return the pairs in a file of lines ``word TAB word TAB score``; ``#`` begins a comment."""
    pairs = []
    for line, text in _lines(path):
        cells = text.split("\t")
        try:
            pairs.append((cells[0], cells[1], float(cells[2])))
        except (IndexError, ValueError):
            raise InputError(f"{path}, line {line}: not 'word TAB word TAB score' ({text!r:.60})") from None
    return pairs


def read_analogies(path: str | Path) -> dict[str, Sequence[tuple[str, str, str, str]]]:
    """Return the sections of a file in the format of Google's ``questions-words.txt``: ``: name``, then four words a line."""
    sections: dict[str, Sequence[tuple[str, str, str, str]]] = {}
    current: list[tuple[str, str, str, str]] = []
    for line, text in _lines(path):
        if text.startswith(":"):
            current = []
            sections[text[1:].strip()] = current
            continue
        words = text.split()
        if len(words) != 4 or not sections:
            raise InputError(f"{path}, line {line}: not four words of a section ({text!r:.60})")
        current.append((words[0], words[1], words[2], words[3]))
    return sections


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    source = Source(str(path), "lines", str(path), str(path))
    with source.open() as stream:
        for number, line in enumerate(stream, start=1):
            if (text := line.decode("utf-8", "replace").strip()) and not text.startswith("#"):
                yield number, text
