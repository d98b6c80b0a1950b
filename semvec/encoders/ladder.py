"""The out-of-vocabulary ladder: what stands for a word that is not in the table."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from semvec.encoders.vocabulary import Vocabulary
from semvec.errors import OptionError
from semvec.types import Oov, did_you_mean

RUNGS = {"case": Oov.CASE, "fold": Oov.FOLD, "subword": Oov.SUBWORD, "spelling": Oov.SPELLING}
"""The rungs that can be switched off, by the names users give."""

ALL_RUNGS = tuple(RUNGS)
REMEMBERED = 1 << 15
LONGEST = 100
"""Letters of a word that is looked at closely; longer ones are no words (a genome, a file in base 64)."""

PUNCTUATION = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-", "·": "-"})
CONTRACTION = re.compile(r"(.+?)(n't|'(?:s|re|ve|ll|d|m))", re.IGNORECASE)
PIECES = re.compile(r"[^\W\d_]+|\d+")
CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
LETTERS = re.compile(r"[^\W\d_]+")
LEAST_PART = 5
COMMON = 100_000
"""How many of the first words, the most frequent, a spelling or a part of a compound may be."""

TYPOS = ((8, 2), (5, 1))
"""A word of so many letters may have so many typing errors."""


class Found(NamedTuple):
    """The rung a word was found on, and the rows whose mean stands for it (none where n-grams do, or nothing)."""

    rung: Oov
    rows: tuple[int, ...] = ()


def check_rungs(value: object) -> tuple[str, ...]:
    """Return the rungs named by ``value`` ("all", "none", "case,fold", or several), in the order of the ladder."""
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, Iterable):
        raise OptionError(f"oov must name rungs of the ladder, not {value!r}")
    asked = list(names)
    if not asked and isinstance(value, str):
        raise OptionError("oov is empty: 'none' uses no rung")
    if asked in (["all"], ["none"]):
        return ALL_RUNGS if asked == ["all"] else ()
    for name in asked:
        if name not in RUNGS:
            hint = did_you_mean(str(name), list(RUNGS))
            raise OptionError(f"oov {name!r} is unknown: choose from all, none, {', '.join(RUNGS)}{hint}")
    return tuple(name for name in RUNGS if name in asked)


class Ladder:
    """Looks words up, rung by rung, and remembers what it found.

    * exact: the word as it stands, or in small letters where the table knows no others (``lower``);
    * case: in small letters, with a capital, in capitals;
    * fold: Unicode compatibility forms and accents folded, typographic quotes and dashes made plain, the dot of
      an abbreviation put on or off, digits as ``#`` or ``0`` where the table was made that way;
    * subword: fastText's n-grams; in tables without, the mean of the parts of a compound (``president's``,
      ``word-like``, ``GPT4``), each in the table;
    * spelling: the most frequent of the nearest words, one typing error apart (from 5 letters), or two (from 8);
      where there is none, the two common words that one is written together from (``thundercandle``) count as
      sub-words;
    * zero.
    """

    def __init__(
        self, words: Vocabulary, rungs: Sequence[str], *, ngrams: bool = False, lower: bool = False, phrases: str = ""
    ) -> None:
        self._words = words
        self._lower = lower
        self._phrases = phrases
        self._has_ngrams = ngrams
        self._steps = [step for rung, step in self._every_step() if rung in rungs]
        self._known: dict[str, Found] = {}

    def _every_step(self) -> list[tuple[str, Callable[[str], Found | None]]]:
        before = [("case", self._case), ("fold", self._fold)]
        if self._has_ngrams:
            return [*before, ("subword", self._by_ngrams)]
        return [*before, ("subword", self._parts), ("spelling", self._spelling), ("subword", self._compound)]

    def knows(self, word: str) -> bool:
        """Whether ``word`` is in the table, in small letters where the table is of those."""
        return self._words.get(word.lower() if self._lower else word) is not None

    def find(self, word: str) -> Found:
        """Return where ``word`` was found; one with spaces is looked for as a phrase where the table has those."""
        if self._phrases and " " in word:
            word = word.replace(" ", self._phrases)
        if (known := self._known.get(word)) is not None:
            return known
        found = self._climb(word)
        if len(word) <= LONGEST:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[word] = found
        return found

    def _climb(self, word: str) -> Found:
        if (row := self._words.get(word.lower() if self._lower else word)) is not None:
            return Found(Oov.EXACT, (row,))
        if len(word) > LONGEST and not self._has_ngrams:
            return Found(Oov.ZERO)
        return next((found for step in self._steps if (found := step(word)) is not None), Found(Oov.ZERO))

    def _first(self, rung: Oov, candidates: Iterable[str]) -> Found | None:
        rows = (self._words.get(word) for word in candidates)
        return next((Found(rung, (row,)) for row in rows if row is not None), None)

    def _case(self, word: str) -> Found | None:
        return self._first(Oov.CASE, cases(word))

    def _fold(self, word: str) -> Found | None:
        return self._first(Oov.FOLD, folds(word))

    def _by_ngrams(self, word: str) -> Found | None:
        return Found(Oov.SUBWORD)

    def _plain(self, word: str) -> int | None:
        """Return the row of a part of a word: as it is, in other capitals, or folded."""
        found = self._first(Oov.SUBWORD, [word, *cases(word), *folds(word)])
        return None if found is None else found.rows[0]

    def _parts(self, word: str) -> Found | None:
        for parts in splits(word):
            rows = [self._plain(part) for part in parts]
            if all(row is not None for row in rows):
                return Found(Oov.SUBWORD, tuple(row for row in rows if row is not None))
        return None

    def _compound(self, word: str) -> Found | None:
        """Return the two common words that ``word`` is made of, the rarer of them as common as can be.

        Tried after the spelling, which is nearer the truth where it finds anything (docs/benchmarks.md).
        """
        plain = fold(word).lower()
        best: tuple[int, int] | None = None
        for at in range(LEAST_PART, len(plain) - LEAST_PART + 1):
            one, two = self._words.get(plain[:at]), self._words.get(plain[at:])
            if one is None or two is None or max(one, two) >= COMMON:
                continue
            if best is None or max(one, two) < max(best):
                best = (one, two)
        return None if best is None else Found(Oov.SUBWORD, best)

    def _spelling(self, word: str) -> Found | None:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        plain = fold(word).lower()
        typos = next((most for letters, most in TYPOS if len(plain) >= letters), 0)
        if not typos or not LETTERS.fullmatch(plain):
            return None
        best: tuple[int, int] | None = None
        for length in range(len(plain) - typos, len(plain) + typos + 1):
            words, rows = self._by_look.get((plain[0], length), ((), ()))
            found = process.extractOne(plain, words, scorer=OSA.distance, score_cutoff=typos)
            if found is not None and (best is None or (int(found[1]), rows[found[2]]) < best):
                best = int(found[1]), rows[found[2]]
        return None if best is None else Found(Oov.SPELLING, (best[1],))

    @cached_property
    def _by_look(self) -> dict[tuple[str, int], tuple[list[str], list[int]]]:
        """The common words of letters, small ones, by their first letter and length, in the order of their rows."""
        looks: dict[tuple[str, int], tuple[list[str], list[int]]] = defaultdict(lambda: ([], []))
        for row, word in enumerate(islice(self._words, COMMON)):
            if len(word) >= TYPOS[-1][0] - 1 and LETTERS.fullmatch(word):
                plain = word.lower()
                words, rows = looks[plain[0], len(plain)]
                words.append(plain)
                rows.append(row)
        return dict(looks)


def cases(word: str) -> list[str]:
    """Return ``word`` in small letters, with a capital, and in capitals."""
    return [word.lower(), word.capitalize(), word.upper(), word.casefold()]


def fold(word: str) -> str:
    """Return ``word`` in compatibility form without accents, quotes and dashes plain."""
    parted = unicodedata.normalize("NFKD", word.translate(PUNCTUATION))
    return unicodedata.normalize("NFC", "".join(c for c in parted if not unicodedata.combining(c)))


def folds(word: str) -> Iterator[str]:
    """Give the folded forms of ``word``, the nearest first."""
    plain = fold(word)
    forms = [unicodedata.normalize("NFC", word), unicodedata.normalize("NFKC", word), plain]
    if "." in plain:
        forms.append(plain[:-1] if plain.endswith(".") else plain + ".")
        forms.append(plain.replace(".", ""))
    for form in forms:
        yield from (form, *cases(form))
    if any(c.isdigit() for c in plain):
        for digit in "#0":
            yield re.sub(r"\d", digit, plain.lower())


def splits(word: str) -> Iterator[list[str]]:
    """Give the ways in which ``word`` shows that it is made of parts."""
    plain = fold(word)
    if match := CONTRACTION.fullmatch(plain):
        yield [match[1], match[2]]
    pieces = PIECES.findall(plain)
    if len(pieces) > 1:
        yield pieces
    humps = [part for piece in pieces for part in CAMEL.split(piece)]
    if len(humps) > max(1, len(pieces)):
        yield humps
