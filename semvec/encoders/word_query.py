"""Questions to a table of word vectors: neighbours, analogies, the odd one out, the distance of two texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.topk import top_k
from semvec.embeddings.transforms import normalize
from semvec.encoders.ladder import ALL_RUNGS
from semvec.encoders.options import EncodeOptions
from semvec.encoders.word_table import WordTable
from semvec.errors import InputError, OptionError
from semvec.types import Analogy, Oov

EPSILON = 1e-6
"""Keeps 3CosMul from dividing by zero, as in the paper and in gensim."""


MOST_PAIRS = 1_000_000
"""Pairs of words between which a distance is looked for: seconds, and some hundred megabytes."""

MOST_NAMED = 20
"""Words that an error names; it counts the others."""


class Neighbour(NamedTuple):
    """A word and its score, the greater the nearer."""

    word: str
    score: float


class Standing(NamedTuple):
    """What stands for a word that was asked for: ``words`` of the table (none where n-grams do), and the rung."""

    words: tuple[str, ...]
    rung: Oov


class WordQueries(ABC):
    """The questions a `WordEncoder` answers. Words go down its ladder first, so ``Thorouhgly`` asks for ``thoroughly``.

    Every question raises `InputError` for words that nothing stands for, naming them.
    """

    table: WordTable
    options: EncodeOptions

    @abstractmethod
    def _vectors(self, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return the vectors (words, dim) and the rungs (words,) of ``words``."""

    @abstractmethod
    def rows_of(self, word: str) -> tuple[int, ...]:
        """Return the rows of the table that stand for ``word``."""

    @abstractmethod
    def _words(self, text: str) -> list[str]:
        """Return the words of ``text`` as they are looked up."""

    def standing(self, word: str) -> Standing:
        """Return what stands for ``word`` in the table."""
        rungs = self._vectors([word])[1]
        return Standing(tuple(self.table.words[row] for row in self.rows_of(word)), Oov(int(rungs[0])))

    def standings(self, text: str) -> dict[str, Standing]:
        """Return what stands for each of the words of ``text``."""
        return {word: self.standing(word) for word in self._words(text)}

    def unknown(self, text: str) -> list[str]:
        """Return the words of ``text`` that nothing stands for."""
        words = self._words(text)
        return [word for word, rung in zip(words, self._vectors(words)[1].tolist(), strict=True) if rung == Oov.ZERO]

    def nearest(self, words: Sequence[str], k: int = 10, *, among: int | None = None) -> list[list[Neighbour]]:
        """Return the ``k`` nearest words of each of ``words`` by cosine, best first, the word itself left out.

        ``among`` looks at the first, most frequent, words of the table only. Many words at once cost far less
        than one by one.
        """
        wanted = self._unit(_listed(words))
        return self._best(wanted, [self.rows_of(word) for word in words], k, among)

    def nearest_to(self, vectors: NDArray[np.float32], k: int = 10, *, among: int | None = None) -> list[list[Neighbour]]:
        """Return the ``k`` nearest words of each of ``vectors`` (rows, dim) by cosine, best first."""
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.table.dim:
            raise OptionError(f"vectors of shape {rows.shape} where (rows, {self.table.dim}) is wanted")
        if not np.isfinite(rows).all():
            raise InputError("a vector holds a number that is not finite")
        return self._best(normalize(rows), [()] * len(rows), k, among)

    def analogy(
        self,
        triples: Sequence[tuple[str, str, str]],
        k: int = 10,
        *,
        method: Analogy | str = Analogy.COS_ADD,
        among: int | None = None,
    ) -> list[list[Neighbour]]:
        """Return, for each (a, b, c), the ``k`` words that are to c what b is to a, the three themselves left out.

        3cosadd looks near b − a + c (Mikolov et al., 2013); 3cosmul multiplies similarities, which keeps one large
        term from deciding alone (Levy and Goldberg, 2014). All vectors are of length 1.
        """
        for triple in triples:
            if isinstance(triple, str) or len(triple) != 3:
                raise InputError(f"an analogy is three words (a, b, c), not {triple!r}")
        method = Analogy(method)
        a, b, c = self._unit([triple[at] for at in range(3) for triple in triples]).reshape(3, len(triples), self.table.dim)
        left_out = [tuple(row for word in triple for row in self.rows_of(word)) for triple in triples]
        if method == Analogy.COS_ADD:
            return self._best(normalize(b - a + c), left_out, k, among)
        return self._best(np.stack([a, b, c]), left_out, k, among)

    def odd_one_out(self, words: Sequence[str]) -> list[Neighbour]:
        """Return ``words`` with their cosines to the mean of all, the odd one first."""
        if len(_listed(words)) < 3:
            raise InputError("the odd one out is one of three words or more")
        unit = self._unit(words)
        scores = unit @ normalize(unit.mean(axis=0, keepdims=True))[0]
        return [Neighbour(words[at], float(scores[at])) for at in np.argsort(scores, kind="stable")]

    def distance(self, one: str, other: str) -> float:
        """Return the word mover's distance of two texts, 0 for the same words in whatever order.

        The least distance that the words of one must move to become those of the other, a word weighing as often
        as it stands there, words apart by the Euclidean distance of their unit vectors (Kusner et al., 2015). Words
        that nothing stands for do not count.
        """
        from semvec.encoders.transport import least_cost

        vectors, supply, demand = self._bags(one, other)
        here, there = supply > 0, demand > 0
        if int(here.sum()) * int(there.sum()) > MOST_PAIRS:
            raise InputError(f"texts of {here.sum():,} and {there.sum():,} different words are too long for this distance")
        first, second = vectors[here], vectors[there]
        squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
        return least_cost(supply[here], demand[there], np.sqrt(np.maximum(squares, 0)))

    def _bags(self, one: str, other: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the distinct unit vectors of two texts (words, dim), and how much of each text has to move (words,).

        What both texts have of a word stays where it is, which is never dearer (distances are a metric).
        """
        sides = []
        for text in (one, other):
            vectors, rungs = self._vectors(self._words(text))
            if not (rungs != Oov.ZERO).any():
                raise InputError(f"no word of {text!r:.60} is in the vocabulary")
            sides.append(vectors[rungs != Oov.ZERO])
        distinct, which = np.unique(np.concatenate(sides), axis=0, return_inverse=True)
        first = np.bincount(which.ravel()[: len(sides[0])], minlength=len(distinct)) / len(sides[0])
        second = np.bincount(which.ravel()[len(sides[0]) :], minlength=len(distinct)) / len(sides[1])
        stays = np.minimum(first, second)
        return normalize(distinct).astype(np.float64), first - stays, second - stays

    def _unit(self, words: Sequence[str]) -> NDArray[np.float32]:
        vectors, rungs = self._vectors(words)
        if missing := [word for word, rung in zip(words, rungs.tolist(), strict=True) if rung == Oov.ZERO]:
            raise InputError(self._why_unknown(list(dict.fromkeys(missing))))
        return normalize(vectors)

    def _why_unknown(self, words: list[str]) -> str:
        """Return why none of ``words`` has a vector, and which rungs were not tried."""
        absent = [word for word in words if not self.rows_of(word)]
        if not absent:
            if len(words) == 1:
                return f"the vector of {words[0]!r} is all zeros: it is near nothing"
            return f"the vectors of {_named(words)} are all zeros: they are near nothing"
        be, them = ("is", "it") if len(absent) == 1 else ("are", "them")
        off = [rung for rung in ALL_RUNGS if rung not in self.options.oov]
        near = f", nor anything near {them}" if self.options.oov else ""
        switched = f" (rungs that are off: {', '.join(off)})" if off else ""
        return f"{_named(absent)} {be} not in the vocabulary of {len(self.table.words):,} words{near}{switched}"

    def _best(
        self, wanted: NDArray[np.float32], left_out: Sequence[tuple[int, ...]], k: int, among: int | None
    ) -> list[list[Neighbour]]:
        """Return the best words for ``wanted`` (queries, dim), or (3, queries, dim) for 3CosMul."""
        for name, number in (("k", k), ("among", 1 if among is None else among)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise OptionError(f"{name} must be a whole number of at least 1, not {number!r}")
        count = min(len(self.table.words), among or len(self.table.words))
        inverse = self.table.inverse_norms
        vectors = self.table.vectors

        def cosines(queries: NDArray[np.float32], across: slice) -> NDArray[np.float32]:
            part = np.asarray(vectors[across])
            if len(queries) > part.shape[1]:  # then it is less work to scale the vectors than the scores
                return np.asarray(queries @ (part * inverse[across, None]).T)
            scores = queries @ part.T
            scores *= inverse[across]
            return np.asarray(scores)

        def tile(down: slice, across: slice) -> NDArray[np.float32]:
            if wanted.ndim == 2:
                return cosines(wanted[down], across)
            a, b, c = (cosines(wanted[at, down], across) for at in range(3))
            for scores in (a, b, c):
                scores += 1
                scores /= 2
            b *= c
            a += EPSILON
            b /= a
            return b

        most = max(map(len, left_out), default=0)
        rows, scores = top_k(tile, wanted.shape[-2], count, k + most)
        return [
            [
                Neighbour(self.table.words[row], score)
                for row, score in zip(its_rows, its_scores, strict=True)
                if row not in without
            ][:k]
            for its_rows, its_scores, without in zip(rows.tolist(), scores.tolist(), left_out, strict=True)
        ]


def _listed(words: Sequence[str]) -> Sequence[str]:
    if isinstance(words, str):
        raise InputError("words must be a list of words, not one string: nearest([word])")
    return words


def _named(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_NAMED:,} more" if len(words) > MOST_NAMED else ""
    return ", ".join(map(repr, words[:MOST_NAMED])) + more
