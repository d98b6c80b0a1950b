"""Retrieval over a BEIR folder: dense, late interaction or hybrid, with BM25 beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.similarity import nearest
from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import OptionError, TextsCut
from semvec.evaluate.intervals import Outcome
from semvec.evaluate.matrices import plain
from semvec.evaluate.measures import mean
from semvec.evaluate.ranking import RankMeasure, Run
from semvec.evaluate.task import EvaluateOptions, Found, Mode, Task
from semvec.index.bm25 import Part, Postings, bm25
from semvec.results import Hit, Hits
from semvec.search.fusion import Fusion
from semvec.text.retrieval import RetrievalData, read_retrieval
from semvec.types import Level, Oov

MEASURES = ("nDCG@10", "RR@10", "AP", "R@100")
DEPTH = 1000
"""Documents that are kept of a ranking."""

BLOCK = 32
"""Documents whose tokens are compared with all queries at a time."""


def dense_run(encoder: Encoder, data: RetrievalData) -> Run:
    """Return the `DEPTH` nearest documents of every query, found exactly; none for a query the model knows nothing of."""
    able = plain(encoder)
    asked, there = able.encode_query(list(data.queries.values())), able.encode_document(list(data.documents.values()))
    known = asked.oov != Oov.ZERO
    places, scores = nearest(asked.floats(), there.floats(), DEPTH, encoder.metric)
    names = list(data.documents)
    return {
        query: {names[place]: score for place, score in zip(places[at].tolist(), scores[at].tolist(), strict=True)}
        if known[at]
        else {}
        for at, query in enumerate(data.queries)
    }


def late_run(encoder: Encoder, data: RetrievalData) -> Run:
    """Return the `DEPTH` best documents of every query by MaxSim over the vectors of all tokens (Khattab and Zaharia, 2020)."""
    level = Level.TOKEN if Level.TOKEN in encoder.levels else Level.WORD
    if level not in encoder.levels:
        raise OptionError(f"late interaction wants token vectors; {encoder.fingerprint.model} gives {', '.join(encoder.levels)}")
    able = plain(encoder, level)
    asked = able.encode_query(list(data.queries.values()))
    owners, tokens = asked.text_index, normalize(asked.floats())
    scores = np.zeros((len(data.queries), len(data.documents)), dtype=np.float32)
    texts, at = list(data.documents.values()), 0
    blocks = (texts[at : at + BLOCK] for at in range(0, len(texts), BLOCK))
    read = np.zeros(3, dtype=np.int64)  # texts cut, tokens cut, tokens
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextsCut)  # said once for all blocks
        for found in able.prompted("document").stream(blocks):
            best = np.zeros((len(tokens), len(found)), dtype=np.float32)
            if len(found.vectors):
                its, starts = np.unique(found.text_index, return_index=True)
                best[:, its] = np.maximum.reduceat(tokens @ normalize(found.floats()).T, starts, axis=1)
            np.add.at(scores[:, at : at + len(found)], owners, best)
            at += len(found)
            read += [int((found.n_truncated > 0).sum()), int(found.n_truncated.sum()), int(found.n_tokens.sum())]
    if read[0]:
        warnings.warn(TextsCut.counted(int(read[0]), len(texts), read[1] / read[2]), stacklevel=2)
    return _best(scores, data)


def words_run(data: RetrievalData) -> Run:
    """Return the `DEPTH` best documents of every query by BM25 (k1 1.2, b 0.75, no stemming); none that share no word."""
    part = Part(Postings.of(data.documents.values()))
    return _best(np.stack([bm25(query, [part])[0] for query in data.queries.values()]), data, least=0)


def hybrid_run(encoder: Encoder, data: RetrievalData) -> Run:
    """Return dense and word rankings joined by reciprocal rank fusion (`Fusion`)."""
    dense, words, fusion = dense_run(encoder, data), words_run(data), Fusion()
    joined = {name: fusion.joined(_hits(dense[name]), _hits(words[name])) for name in data.queries}
    return {name: {hit.id: hit.score for hit in hits} for name, hits in joined.items()}


def _hits(found: Mapping[str, float]) -> Hits:
    return Hits(tuple(Hit(name, score) for name, score in found.items()))


def _best(scores: NDArray[np.float32], data: RetrievalData, least: float = -np.inf) -> Run:
    """Return the `DEPTH` best documents of every query of those that score over ``least``, best first."""
    names = list(data.documents)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return {
        query: {names[place]: float(scores[row, place]) for place in order[row].tolist() if scores[row, place] > least}
        for row, query in enumerate(data.queries)
    }


RUNS: dict[Mode, Callable[[Encoder, RetrievalData], Run]] = {Mode.DENSE: dense_run, Mode.LATE: late_run, Mode.HYBRID: hybrid_run}


def scored(run: Run, data: RetrievalData, measures: Sequence[str] = ()) -> Found:
    """Return what ``measures`` (by default `MEASURES`) say of ``run``, over all queries."""
    wanted = [RankMeasure.named(name) for name in measures or MEASURES]
    return Found(tuple(Outcome.over_all(its.name, mean, its.values(data.qrels, run)) for its in wanted))


def _examine(encoder: Encoder, data: RetrievalData, options: EvaluateOptions) -> Found:
    return scored(RUNS[options.mode](encoder, data), data, options.measures)


def _baselines(data: RetrievalData, options: EvaluateOptions) -> Mapping[str, Found]:
    return {"BM25": scored(words_run(data), data, options.measures)}


TASK = Task(
    name="retrieval",
    about="Retrieval: does search find what people judged relevant (nDCG@10, RR@10, AP, R@100), beside BM25.",
    unit="queries",
    layout="a folder as BEIR has it: corpus.jsonl, queries.jsonl, qrels/test.tsv",
    read=lambda data, options: read_retrieval(data, options.split or "test"),
    examine=_examine,
    baselines=_baselines,
    options=("mode", "measures"),
    example="retrieval minilm --data scifact --mode hybrid",
    sizes=lambda data: f"{len(data.queries):,} queries, {len(data.documents):,} documents",
)
