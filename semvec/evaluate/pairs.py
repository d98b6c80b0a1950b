"""Sentence pairs with a score, such as STS-B: how well cosines agree with people, and how fast."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from time import perf_counter

import numpy as np

from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.measures import Interval, bootstrap, spearman
from semvec.text.document import flaw
from semvec.text.readers import lines_of
from semvec.text.sources import find_sources

COLUMNS = ("score", "sentence1", "sentence2")
TABLES = {"csv": (",", csv.QUOTE_MINIMAL), "tsv": ("\t", csv.QUOTE_NONE)}
LONGEST = 1 << 24


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of texts, and how alike people found them; the greater the score, the more alike."""

    first: list[str]
    second: list[str]
    scores: list[float]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class PairQuality:
    """Spearman's rank correlation of an encoder's cosines with people's scores, and its texts per second."""

    spearman: Interval
    texts_per_second: float


def read_scored_pairs(path: str | os.PathLike[str]) -> ScoredPairs:
    """Return the pairs in a table with the columns score, sentence1 and sentence2, among others.

    ``.csv`` cells may be quoted, ``.tsv`` cells are not (as `semvec.text.readers` has it). Raises `InputError`,
    naming the line, for a score that is no number and for a text that is none; and where there are fewer
    than two pairs or only one score, with which nothing can be correlated.
    """
    source = find_sources([os.fspath(path)])[0]
    if source.kind not in TABLES:
        raise InputError(f"{source.name}: scored pairs are a .csv or .tsv table with the columns {', '.join(COLUMNS)}")
    delimiter, quoting = TABLES[source.kind]
    with source.open() as stream:
        lines = ((line or "") + "\n" for _, line in lines_of(stream, LONGEST))
        table = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
        rows = list(_rows(source.name, table))
    scores = [score for score, _, _ in rows]
    if len(set(scores)) < 2:
        what = "no pairs" if not rows else f"{len(rows):,} pairs, all of them scored {scores[0]:g}"
        raise InputError(f"{source.name}: {what}; a correlation needs two different scores")
    return ScoredPairs([one for _, one, _ in rows], [two for _, _, two in rows], scores)


def _rows(name: str, table: Iterator[list[str]]) -> Iterator[tuple[float, str, str]]:
    header: list[str] | None = None
    number = 0
    try:
        for cells in table:
            number = table.line_num  # type: ignore[attr-defined]
            if header is None:
                header = cells
                if missing := [column for column in COLUMNS if column not in header]:
                    there = ", ".join(map(repr, header)) or "none"
                    raise InputError(f"{name}: no column {' or '.join(map(repr, missing))}; there are {there}")
                places = [header.index(column) for column in COLUMNS]
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(f"{name}, line {number}: {len(cells)} cells where the header has {len(header)}")
            where = f"{name}, line {number}"
            score, first, second = (cells[place] for place in places)
            yield _score(where, score), _text(where, first), _text(where, second)
    except csv.Error as error:
        raise InputError(f"{name}, line {number + 1}: not a row of a table: {error}") from error


def _score(where: str, cell: str) -> float:
    try:
        score = float(cell)
    except ValueError:
        score = float("nan")
    if not isfinite(score):
        raise InputError(f"{where}: the score {cell!r:.40} is not a number")
    return score


def _text(where: str, cell: str) -> str:
    if reason := flaw(cell):
        raise InputError(f"{where}: {reason}")
    return cell


def pair_quality(encoder: Encoder, pairs: ScoredPairs, *, seed: int = 0) -> PairQuality:
    """Return how well ``encoder`` does on ``pairs``, and its speed over their texts, each of which counts once.

    A first few are encoded before the clock starts. ``seed`` is that of the bootstrap.
    """
    plain = encoder.with_options(level="text", dtype="float32", calibration=None)
    texts = list(dict.fromkeys(pairs.first + pairs.second))
    plain.encode(texts[:16])
    started = perf_counter()
    found = plain.encode(texts)
    seconds = perf_counter() - started
    place, vectors = {text: row for row, text in enumerate(texts)}, normalize(found.vectors)
    sides = ([place[text] for text in side] for side in (pairs.first, pairs.second))
    cosines = np.einsum("ij,ij->i", *(vectors[rows] for rows in sides))
    agreement = bootstrap(spearman, cosines, np.array(pairs.scores), seed=seed)
    return PairQuality(agreement, len(texts) / seconds)
