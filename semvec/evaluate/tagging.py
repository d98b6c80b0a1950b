"""Tagging on frozen vectors: a linear probe on the vector of every word, scored by the spans it finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.evaluate.matrices import Matrix, finite, plain, plain_probe
from semvec.evaluate.task import EvaluateOptions, Found, Parts, Task, needed_train_file
from semvec.measures.basic import share
from semvec.measures.intervals import Outcome
from semvec.measures.spans import span_counts, span_f1
from semvec.text.columns import split_file
from semvec.text.tagged import TaggedSentences, entities, marks_spans, read_tagged
from semvec.types import JSON, Level, Overflow

SUFFIXES = (".conll", ".iob2", ".bio", ".txt", ".tsv")
ITERATIONS = 300


def _read(data: Path, options: EvaluateOptions) -> Parts[TaggedSentences]:
    asked = read_tagged(split_file(data, *options.splits, suffixes=SUFFIXES))
    train = read_tagged(needed_train_file(data, options, SUFFIXES))
    if len({tag for tags in train.tags for tag in tags}) < 2:
        raise InputError(f"{data}: every word that could be learnt from has the tag {train.tags[0][0]!r:.40}")
    if marks_spans(asked.tags) and not any(entities(tags) for tags in asked.tags):
        raise InputError(f"{data}: no span is marked in the sentences that are asked about")
    return Parts(asked, train)


def _examine(encoder: Encoder, data: Parts[TaggedSentences], options: EvaluateOptions) -> Found:
    able = plain(encoder, Level.WORD)
    train, asked = (_words(able, part) for part in (data.train, data.asked))
    tags = [tag for its in data.train.tags for tag in its]
    said = plain_probe(train, tags, asked, iterations=ITERATIONS, seed=options.seed)
    return _scored(said.tolist(), data)


def _words(encoder: Encoder, part: TaggedSentences) -> Matrix:
    """Return a vector for every word of every sentence, those of long sentences too."""
    found = finite(encoder.encode(part.words, overflow=Overflow.WINDOWS), encoder)
    if len(found) != (wanted := sum(map(len, part.words))):
        raise InputError(f"{encoder.fingerprint.model} gives {len(found):,} vectors for {wanted:,} words")
    return found


def _scored(said: Sequence[str], data: Parts[TaggedSentences]) -> Found:
    rest = iter(said)
    predicted = [[next(rest) for _ in tags] for tags in data.asked.tags]
    pairs = list(zip(data.asked.tags, predicted, strict=True))
    right = np.array([(sum(a == b for a, b in zip(*pair, strict=True)), len(pair[0])) for pair in pairs])
    words = Outcome.over_all("token accuracy", share, right)
    new = {tag for tags in data.asked.tags for tag in tags} - {tag for tags in data.train.tags for tag in tags}
    notes = [f"no training word has the tag{'s' * (len(new) > 1)} {', '.join(sorted(new)):.80}"] if new else []

    def answers() -> Iterator[Mapping[str, JSON]]:
        for its, tags, guess in zip(data.asked.words, data.asked.tags, predicted, strict=True):
            yield {"words": its, "tags": tags, "said": guess}

    if not marks_spans(data.asked.tags):
        notes.append("the tags mark no spans (B-…, I-…, O), so there is no span F1")
        return Found((words,), tuple(notes), answers)
    spans = Outcome.over_all("span F1", span_f1, span_counts(data.asked.tags, predicted))
    return Found((spans, words), tuple(notes), answers)


def _baselines(data: Parts[TaggedSentences], options: EvaluateOptions) -> Mapping[str, Found]:
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in zip(data.train.words, data.train.tags, strict=True):
        for word, tag in zip(words, tags, strict=True):
            seen[word][tag] += 1
    usual = Counter(tag for tags in data.train.tags for tag in tags).most_common(1)[0][0]
    said = [seen[word].most_common(1)[0][0] if word in seen else usual for words in data.asked.words for word in words]
    return {"the word's commonest tag": _scored(said, data)}


TASK = Task(
    name="tagging",
    measured="span F1 and token accuracy of a linear probe on the vector of every word",
    unit="sentences",
    layout="a folder with train and test (or dev) in CoNLL columns: a word and its tag a line, a blank line between sentences",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("train",),
    suffixes=SUFFIXES,
    example="tagging minilm glove-50d --data wnut17",
)
