"""Word similarity and analogies as evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rapidfuzz.distance import JaroWinkler

from semvec.encoders.protocol import Encoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError
from semvec.evaluate.matrices import cosines, plain
from semvec.evaluate.task import EvaluateOptions, Found, Task
from semvec.evaluate.words import Sections, answered, pair_cosines, read_analogies, read_pairs
from semvec.measures.basic import mean, spearman
from semvec.measures.intervals import Numbers, Outcome
from semvec.types import JSON, Oov

SYNTACTIC = "gram"
"""How the names of Google's sections on grammar begin; the others are on meaning."""

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
    answers = partial(
        _answers, pairs, [score if able else None for score, able in zip(scores.tolist(), known.tolist(), strict=True)]
    )
    return Found((_agreement(scores[known], np.flatnonzero(known), pairs),), note, answers)


def _answers(pairs: WordPairs, cosines: Sequence[float | None]) -> Iterator[Mapping[str, JSON]]:
    for (one, two, score), cosine in zip(pairs, cosines, strict=True):
        yield {"word1": one, "word2": two, "score": score, "cosine": cosine}


def _agreement(scores: Numbers, examples: Numbers, pairs: WordPairs) -> Outcome:
    gold = np.array([score for *_, score in pairs])[examples]
    if len(gold) < 2:
        raise InputError(f"only {len(gold)} of {len(pairs):,} pairs have both words in the vocabulary: nothing to correlate")
    return Outcome("spearman", spearman, (np.round(scores, 6), gold), examples, range=(-1, 1))


def _spelling(pairs: WordPairs, options: EvaluateOptions) -> Mapping[str, Found]:
    scores = np.array([JaroWinkler.similarity(one.lower(), two.lower()) for one, two, _ in pairs])
    outcome = _agreement(scores, np.arange(len(pairs)), pairs)
    return {"spelling": Found((outcome,), answers=partial(_answers, pairs, scores.tolist()))}


def _analogies(encoder: Encoder, sections: Sections, options: EvaluateOptions) -> Found:
    if not isinstance(encoder, WordEncoder):
        raise OptionError(f"{encoder.fingerprint.model} has no vocabulary to look for answers in; analogies are for word vectors")
    found = answered(encoder, sections)
    rows = [
        (f"{a} {b}", found[name].get(at), bool(name.startswith(SYNTACTIC)))
        for name, questions in sections.items()
        for at, (a, b, _, _) in enumerate(questions)
    ]
    asked = np.flatnonzero([right is not None for _, right, _ in rows])
    right, syntactic = (np.array([rows[at][column] for at in asked], dtype=np.float64) for column in (1, 2))
    groups = np.unique([rows[at][0] for at in asked], return_inverse=True)[1]  # the same first pair: drawn together
    note = (f"{len(rows) - len(asked):,} questions with unknown words left out",) if len(asked) < len(rows) else ()
    kinds = {"accuracy": np.ones(len(asked), dtype=bool)}
    if 0 < syntactic.sum() < len(asked):
        kinds |= {"semantic": syntactic == 0, "syntactic": syntactic == 1}
    outcomes = [Outcome(kind, mean, (right[its],), asked[its], groups[its]) for kind, its in kinds.items()]

    def answers() -> Iterator[Mapping[str, JSON]]:
        for name, questions in sections.items():
            for at, (a, b, c, d) in enumerate(questions):
                yield {"section": name, "a": a, "b": b, "c": c, "d": d, "right": found[name].get(at)}

    return Found(tuple(outcomes), note, answers)


def _nothing(sections: Sections, options: EvaluateOptions) -> Mapping[str, Found]:
    """There is no simple way to guess the fourth word of an analogy."""
    return {}


WORDS = Task(
    name="words",
    measured="Spearman of cosines; pairs with unknown words are left out",
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
    measured="the share of right answers, as gensim counts, of questions on meaning and on grammar too",
    unit="questions",
    layout="Google's questions-words.txt: ': section', then four words a line",
    read=lambda data, options: read_analogies(data),
    examine=_analogies,
    baselines=_nothing,
    example="analogy glove-50d --data questions-words.txt",
    suffixes=(),
    count=lambda sections: sum(map(len, sections.values())),
)
