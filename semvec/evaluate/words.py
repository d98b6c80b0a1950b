"""Word similarity and analogies: the classic tests of static word vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from semvec.embeddings.transforms import normalize
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_query import Neighbour
from semvec.errors import InputError
from semvec.evaluate.measures import spearman
from semvec.text.sources import Source
from semvec.types import Analogy, Oov

AMONG = 300_000
"""Words looked at, the most frequent ones, as in gensim's evaluation."""

ANSWERS = 5
"""Answers looked at for the first that is not one of the question's words in other capitals, as in gensim's."""


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
    able = encoder.with_options(oov=oov, level="word", normalize=False, dtype="float32")
    commonest = _commonest(able, among)
    names = [[commonest.get(word.upper(), word) for word in its] for its in ([p[0] for p in pairs], [p[1] for p in pairs])]
    sides = [able.encode([its]) for its in names]
    known = (sides[0].oov != Oov.ZERO) & (sides[1].oov != Oov.ZERO)
    rows = [able.rows_of(one) + able.rows_of(two) for one, two in zip(*names, strict=True)]
    known &= np.array([max(its, default=0) < among for its in rows], dtype=bool)
    if known.sum() < 2:
        raise InputError(f"only {int(known.sum())} of {len(pairs):,} pairs are in the vocabulary: nothing to correlate")
    cosines = (normalize(sides[0].vectors) * normalize(sides[1].vectors)).sum(axis=1)
    gold = np.array([pair[2] for pair in pairs], dtype=np.float64)
    return PairScore(spearman(cosines[known], gold[known]), int(known.sum()), int((~known).sum()))


def _commonest(encoder: WordEncoder, among: int) -> dict[str, str]:
    """Return the most frequent of the words that differ in capitals alone, by how they are in capitals."""
    words = list(islice(encoder.table.words, among))
    return {word.upper(): word for word in reversed(words)}


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

    Capitals do not count: of words that differ in them alone the most frequent stands for all. Only the ``among``
    most frequent words are looked at; questions with another are left
    out, as in gensim's evaluation. Raises `InputError` where none is left.
    """
    able = encoder.with_options(oov="none")
    commonest = _commonest(able, among)
    found: dict[str, tuple[int, int]] = {}
    left_out = 0
    for name, questions in sections.items():
        capitals = [[word.upper() for word in question] for question in questions]
        asked = [question for question in capitals if all(word in commonest for word in question)]
        left_out += len(questions) - len(asked)
        triples = [(commonest[a], commonest[b], commonest[c]) for a, b, c, _ in asked]
        answers = able.analogy(triples, ANSWERS, method=method, among=among) if asked else []
        right = [_answer(best, question[:3]) == question[3] for best, question in zip(answers, asked, strict=True)]
        found[name] = sum(right), len(asked)
    total = sum(asked for _, asked in found.values())
    if not total:
        raise InputError(f"none of {left_out:,} analogies has all its words in the vocabulary")
    return AnalogyScore(sum(right for right, _ in found.values()) / total, total, left_out, found)


def _answer(best: Sequence[Neighbour], question: Sequence[str]) -> str | None:
    """Return the first of ``best``, in capitals, that is none of the words of the ``question`` in other ones."""
    return next((word for one in best if (word := one.word.upper()) not in question), None)


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
