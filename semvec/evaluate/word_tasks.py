"""Word similarity and analogies as evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rapidfuzz.distance import JaroWinkler

from semvec.encoders.protocol import Encoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError
from semvec.evaluate.intervals import Numbers, Outcome
from semvec.evaluate.matrices import cosines, plain
from semvec.evaluate.measures import mean, spearman
from semvec.evaluate.task import EvaluateOptions, Found, Task
from semvec.evaluate.words import Sections, answered, pair_cosines, read_analogies, read_pairs
from semvec.types import Oov

WordPairs = Sequence[tuple[str, str, float]]


def _read_pairs(data: Path, options: EvaluateOptions) -> WordPairs:
    pairs = read_pairs(data)
    if len({score for *_, score in pairs}) < 2:
        raise InputError(f"{data}: {len(pairs):,} pairs without two different scores, with which nothing can be correlated")
    return pairs


def _similarity(encoder: Encoder, pairs: WordPairs, options: EvaluateOptions) -> Found:
    if isinstance(encoder, WordEncoder):
        scores, known = pair_cosines(encoder, pairs)
    else:  # a word is a text then
        one, two = (plain(encoder).encode(side) for side in ([pair[0] for pair in pairs], [pair[1] for pair in pairs]))
        scores, known = cosines(one.floats(), two.floats()), (one.oov != Oov.ZERO) & (two.oov != Oov.ZERO)
    note = (f"{int((~known).sum()):,} pairs with unknown words left out",) if not known.all() else ()
    return Found((_agreement(scores[known], np.flatnonzero(known), pairs),), note)


def _agreement(scores: Numbers, examples: Numbers, pairs: WordPairs) -> Outcome:
    gold = np.array([score for *_, score in pairs])[examples]
    if len(gold) < 2:
        raise InputError(f"only {len(gold)} of {len(pairs):,} pairs are in the vocabulary: nothing to correlate")
    return Outcome("spearman", spearman, (np.round(scores, 6), gold), examples, range=(-1, 1))


def _spelling(pairs: WordPairs, options: EvaluateOptions) -> Mapping[str, Found]:
    scores = np.array([JaroWinkler.similarity(one.lower(), two.lower()) for one, two, _ in pairs])
    return {"spelling": Found((_agreement(scores, np.arange(len(pairs)), pairs),))}


def _analogies(encoder: Encoder, sections: Sections, options: EvaluateOptions) -> Found:
    if not isinstance(encoder, WordEncoder):
        raise OptionError(f"{encoder.fingerprint.model} has no vocabulary to look for answers in; analogies are for word vectors")
    found, first = answered(encoder, sections), 0
    examples: list[int] = []
    right: list[bool] = []
    asked: list[str] = []
    for name, questions in sections.items():
        examples += [first + at for at in found[name]]
        asked += [f"{questions[at][0]} {questions[at][1]}" for at in found[name]]
        right += found[name].values()
        first += len(questions)
    groups = np.unique(asked, return_inverse=True)[1]  # questions that begin with the same two words are drawn together
    note = (f"{first - len(right):,} questions with unknown words left out",) if len(right) < first else ()
    columns = (np.array(right, dtype=np.float64),)
    return Found((Outcome("accuracy", mean, columns, np.array(examples, dtype=np.int64), groups),), note)


def _nothing(sections: Sections, options: EvaluateOptions) -> Mapping[str, Found]:
    """There is no simple way to guess the fourth word of an analogy."""
    return {}


WORDS = Task(
    name="words",
    about="Word similarity: how well cosines of words agree with people (Spearman; unknown words left out).",
    unit="pairs",
    layout="lines of word TAB word TAB score (WordSim-353, SimLex-999)",
    read=_read_pairs,
    examine=_similarity,
    baselines=_spelling,
    example="words glove-50d minilm --data wordsim353.tsv --data simlex999.tsv",
    suffixes=(),
)
ANALOGY = Task(
    name="analogy",
    about="Analogies: a is to b as c is to what? The share of right answers, as gensim has it; word vectors only.",
    unit="questions",
    layout="Google's questions-words.txt: ': section', then four words a line",
    read=lambda data, options: read_analogies(data),
    examine=_analogies,
    baselines=_nothing,
    example="analogy glove-50d --data questions-words.txt",
    suffixes=(),
    sizes=lambda sections: f"{sum(map(len, sections.values())):,}",
)
