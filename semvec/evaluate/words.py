"""Word similarity and analogies: the classic tests of static word vectors."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_query import Neighbour
from semvec.errors import InputError
from semvec.measures.basic import spearman
from semvec.text.columns import LONGEST
from semvec.text.document import flaw
from semvec.text.readers import lines_of
from semvec.text.sources import Source
from semvec.types import Analogy, Oov

Sections: TypeAlias = dict[str, Sequence[tuple[str, str, str, str]]]
AMONG = 300_000
"""Words looked at, the most frequent ones, as in gensim's evaluation."""

SCORES = ("score", "simlex999", "human (mean)", "similarity")
"""What the column of the scores is called in files with a header."""

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
    cosines, known = pair_cosines(encoder, pairs, oov=oov, among=among)
    gold = np.array([pair[2] for pair in pairs], dtype=np.float64)
    return PairScore(spearman(cosines[known], gold[known]), int(known.sum()), int((~known).sum()))


def pair_cosines(
    encoder: WordEncoder, pairs: Sequence[tuple[str, str, float]], *, oov: str = "case", among: int = AMONG
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the cosine of each of ``pairs``, and which are known (both words found, as `word_pairs` says)."""
    able = encoder.with_options(oov=oov, level="word", normalize=False, dtype="float32")
    commonest = _commonest(able, among)
    names = [[commonest.get(word.upper(), word) for word in its] for its in ([p[0] for p in pairs], [p[1] for p in pairs])]
    sides = [able.encode([its]) for its in names]
    known = (sides[0].oov != Oov.ZERO) & (sides[1].oov != Oov.ZERO)
    rows = [able.rows_of(one) + able.rows_of(two) for one, two in zip(*names, strict=True)]
    known &= np.array([max(its, default=0) < among for its in rows], dtype=bool)
    if known.sum() < 2:
        raise InputError(f"only {int(known.sum())} of {len(pairs):,} pairs are in the vocabulary: nothing to correlate")
    return (normalize(sides[0].vectors) * normalize(sides[1].vectors)).sum(axis=1), known


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
    sections: Sections,
    *,
    method: Analogy | str = Analogy.COS_ADD,
    among: int = AMONG,
) -> AnalogyScore:
    """Return how often the best answer to "a is to b as c is to …" is d, for the (a, b, c, d) of each section.

    Capitals do not count: of words that differ in them alone the most frequent stands for all. Only the ``among``
    most frequent words are looked at; questions with another are left
    out, as in gensim's evaluation. Raises `InputError` where none is left.
    """
    answers = answered(encoder, sections, method=method, among=among)
    found = {name: (sum(its.values()), len(its)) for name, its in answers.items()}
    total = sum(asked for _, asked in found.values())
    left_out = sum(map(len, sections.values())) - total
    return AnalogyScore(sum(right for right, _ in found.values()) / total, total, left_out, found)


def answered(
    encoder: WordEncoder, sections: Sections, *, method: Analogy | str = Analogy.COS_ADD, among: int = AMONG
) -> dict[str, dict[int, bool]]:
    """Return for each section which of its questions could be asked, by their place, and whether the answer was right.

    As `analogies`, which raises the same `InputError` where none could.
    """
    able = encoder.with_options(oov="none")
    commonest = _commonest(able, among)
    found: dict[str, dict[int, bool]] = {}
    done, total = 0, sum(map(len, sections.values()))
    for name, questions in sections.items():
        capitals = [[word.upper() for word in question] for question in questions]
        asked = {at: its for at, its in enumerate(capitals) if all(word in commonest for word in its)}
        triples = [(commonest[a], commonest[b], commonest[c]) for a, b, c, _ in asked.values()]
        answers = able.analogy(triples, ANSWERS, method=method, among=among) if asked else []
        found[name] = {at: _answer(best, its[:3]) == its[3] for best, (at, its) in zip(answers, asked.items(), strict=True)}
        done += len(questions)
        if encoder.options.progress:
            encoder.options.progress(done, total)
    if not any(found.values()):
        raise InputError(f"none of {total:,} analogies has all its words in the vocabulary")
    return found


def _answer(best: Sequence[Neighbour], question: Sequence[str]) -> str | None:
    """Return the first of ``best``, in capitals, that is none of the words of the ``question`` in other ones."""
    return next((word for one in best if (word := one.word.upper()) not in question), None)


def read_pairs(path: str | Path) -> list[tuple[str, str, float]]:
    """Return the pairs in a file of lines ``word TAB word TAB score``; ``#`` begins a comment.

    A header may name the column of the scores: SimLex-999 and WordSim-353 are read as they come, with tabs or commas.
    """
    pairs: list[tuple[str, str, float]] = []
    place: int | None = None
    for line, text in _lines(path):
        cells = text.split("\t") if "\t" in text else next(csv.reader([text]))
        if place is None:
            named = [at for at, cell in enumerate(cells) if cell.strip().lower() in SCORES]
            place = named[0] if named else 2
            if named:
                continue
        try:
            pairs.append((cells[0], cells[1], float(cells[place])))
            if not isfinite(pairs[-1][2]):
                raise ValueError
        except (IndexError, ValueError):
            raise InputError(f"{path}, line {line}: not 'word TAB word TAB score' ({text!r:.60})") from None
    return pairs


def read_analogies(path: str | Path) -> Sections:
    """Return the sections of a file in the format of Google's ``questions-words.txt``: ``: name``, then four words a line."""
    sections: Sections = {}
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
    if not any(sections.values()):
        raise InputError(f"{path}: holds no analogies")
    return sections


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder where a file is wanted")
    source = Source(str(path), "lines", str(path), str(path))
    with source.open() as stream:
        for number, line in lines_of(stream, LONGEST):
            if line is None or (reason := flaw(line)):
                raise InputError(f"{path}, line {number}: {reason if line is not None else 'is too long'}")
            if (text := line.strip()) and not text.startswith("#"):
                yield number, text
