"""Scores of tokens without learning: by counts, by their vectors, and the baselines that any of them has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.transforms import normalize
from semvec.errors import OptionError
from semvec.selection.terms import Corpus, terms_of_tokens
from semvec.types import Choice

Scores = NDArray[np.float64]


class Strategy(Choice):
    """What makes a token telling.

    ``lead``: standing early. ``random``: chance. ``frequency``: its word comes often in the text. ``idf``: its word is rare in
    the corpus. ``tf_idf``: both. ``centroid``: its vector is near the mean of the text's. ``chi2``: its word depends on a label.
    ``class``: its vector is near the mean of one class and far from the others'.
    """

    LEAD = "lead"
    RANDOM = "random"
    FREQUENCY = "frequency"
    IDF = "idf"
    TF_IDF = "tf_idf"
    CENTROID = "centroid"
    CHI2 = "chi2"
    CLASS = "class"


@dataclass(frozen=True)
class Known:
    """What scores may go by: the ``corpus``, χ² of words, the mean vectors of ``classes`` (classes, dim), a seed for chance."""

    corpus: Corpus = field(default_factory=Corpus)
    chi2: Mapping[str, float] = field(default_factory=dict)
    classes: NDArray[np.float32] | None = None
    seed: int = 0


def hard_scores(strategy: Strategy, tokens: Embeddings, texts: Sequence[str], known: Known) -> Scores:
    """Return how telling each row of ``tokens`` is, the greater the more; what is of no word is never telling by counts.

    The score of a token depends on its text and on what is ``known``, never on the other texts.
    """
    return SCORES[strategy](tokens, texts, known)


def _lead(tokens: Embeddings, texts: Sequence[str], known: Known) -> Scores:
    return -tokens.start.astype(np.float64)


def _random(tokens: Embeddings, texts: Sequence[str], known: Known) -> Scores:
    each = (np.random.default_rng([known.seed, crc32(text.encode())]) for text in texts)
    return np.concatenate([rng.random(its.rows) for its, rng in zip(tokens, each, strict=True)] or [np.zeros(0)])


def _counted(value: Callable[[str, int, Known], float]) -> Callable[[Embeddings, Sequence[str], Known], Scores]:
    """Return scores by a token's word, how often it comes in the text (tokens of it), and what is known."""

    def scores(tokens: Embeddings, texts: Sequence[str], known: Known) -> Scores:
        terms = terms_of_tokens(tokens, texts)
        counts = Counter(zip(tokens.text_index.tolist(), terms, strict=True))
        return np.array(
            [
                value(term, counts[text, term], known) if term else 0.0
                for text, term in zip(tokens.text_index.tolist(), terms, strict=True)
            ]
        )

    return scores


def _centroid(tokens: Embeddings, texts: Sequence[str], known: Known) -> Scores:
    vectors = normalize(tokens.floats()).astype(np.float64)
    sums = np.zeros((len(tokens), tokens.dim))
    np.add.at(sums, tokens.text_index, vectors)
    means = normalize(sums.astype(np.float32)).astype(np.float64)
    return np.asarray(np.einsum("ij,ij->i", vectors, means[tokens.text_index]))


def _class(tokens: Embeddings, texts: Sequence[str], known: Known) -> Scores:
    if known.classes is None or len(known.classes) < 2:
        raise OptionError("class wants the mean vectors of two classes or more: Known(classes=…)")
    if known.classes.shape[1] != tokens.dim:
        raise OptionError(f"the classes have {known.classes.shape[1]} numbers and the tokens {tokens.dim}: of another encoder")
    cosines = np.sort(normalize(tokens.floats()) @ normalize(known.classes).T, axis=1).astype(np.float64)
    return cosines[:, -1] - cosines[:, -2]


SCORES: dict[Strategy, Callable[[Embeddings, Sequence[str], Known], Scores]] = {
    Strategy.LEAD: _lead,
    Strategy.RANDOM: _random,
    Strategy.FREQUENCY: _counted(lambda term, count, known: count),
    Strategy.IDF: _counted(lambda term, count, known: known.corpus.idf(term)),
    Strategy.TF_IDF: _counted(lambda term, count, known: count * known.corpus.idf(term)),
    Strategy.CENTROID: _centroid,
    Strategy.CHI2: _counted(lambda term, count, known: known.chi2.get(term, 0.0)),
    Strategy.CLASS: _class,
}
