"""Retrieval over a BEIR folder: dense, late interaction or hybrid, with BM25 beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.similarity import nearest
from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import OptionError, TextsCut
from semvec.evaluate.matrices import finite, plain
from semvec.evaluate.ranking import ALL, RankMeasure, Run, ranked
from semvec.evaluate.task import EvaluateOptions, Found, Mode, Task
from semvec.index.bm25 import Part, Postings, bm25
from semvec.measures.basic import mean
from semvec.measures.intervals import Outcome
from semvec.results import Hit, Hits
from semvec.search.fusion import Fusion
from semvec.text.retrieval import RetrievalData, read_retrieval
from semvec.types import JSON, Level, Oov

MEASURES = ("nDCG@10", "RR@10", "AP", "R@100")
DEPTH = 1000
"""Documents that are kept of a ranking, unless a measure asks for more."""

SHOWN = 10
"""Documents that are named of a query's in the answers; a run has them all."""

BLOCK = 32
"""Documents whose tokens are compared with all queries at a time."""


@dataclass(frozen=True)
class Asked:
    """Retrieval data, what is measured on them, and what BM25 finds, which is looked for once."""

    data: RetrievalData
    measures: tuple[RankMeasure, ...]

    @cached_property
    def depth(self) -> int:
        """How many documents of a ranking are kept."""
        return max(DEPTH, *(one.k for one in self.measures if one.k < ALL), 0)

    @cached_property
    def own(self) -> frozenset[str]:
        """The queries that are documents too, by id and text: nobody looks for what they have in hand."""
        documents = self.data.documents
        return frozenset(name for name, text in self.data.queries.items() if text in documents.get(name, "") and text)

    @cached_property
    def words(self) -> Run:
        """What BM25 (k1 1.2, b 0.75, no stemming) finds for every query; nothing that shares no word."""
        part = Part(Postings.of(self.data.documents.values()))
        return {name: self.best(bm25(text, [part])[0], least=0) for name, text in self.data.queries.items()}

    def best(self, scores: NDArray[np.float32], least: float = -np.inf) -> dict[str, float]:
        """Return the best documents of those that score over ``least`` (documents,), best first."""
        order = np.argsort(-scores, kind="stable")[: self.depth]
        return {self.names[place]: float(scores[place]) for place in order.tolist() if scores[place] > least}

    @cached_property
    def names(self) -> list[str]:
        """The ids of the documents."""
        return list(self.data.documents)


def dense_run(encoder: Encoder, asked: Asked) -> Run:
    """Return the nearest documents of every query, found exactly; none for a query the model knows nothing of."""
    able, data = plain(encoder), asked.data
    queries, there = able.encode_query(list(data.queries.values())), able.encode_document(list(data.documents.values()))
    known = queries.oov != Oov.ZERO
    places, scores = nearest(finite(queries, able), finite(there, able), asked.depth, encoder.metric)
    found = zip(data.queries, known.tolist(), places.tolist(), scores.tolist(), strict=True)
    return {
        name: {asked.names[place]: score for place, score in zip(its, their, strict=True)} if able else {}
        for name, able, its, their in found
    }


def late_run(encoder: Encoder, asked: Asked) -> Run:
    """Return the best documents of every query by MaxSim over the vectors of all tokens (Khattab and Zaharia, 2020)."""
    level = Level.TOKEN if Level.TOKEN in encoder.levels else Level.WORD
    if level not in encoder.levels:
        raise OptionError(f"late interaction wants token vectors; {encoder.fingerprint.model} gives {', '.join(encoder.levels)}")
    able, data, progress = plain(encoder, level).with_options(progress=None), asked.data, encoder.options.progress
    queries = able.encode_query(list(data.queries.values()))
    owners, tokens = queries.text_index, normalize(finite(queries, able))
    scores = np.zeros((len(data.queries), len(data.documents)), dtype=np.float32)
    texts, at = list(data.documents.values()), 0
    blocks = (texts[at : at + BLOCK] for at in range(0, len(texts), BLOCK))
    read = np.zeros(3, dtype=np.int64)  # texts cut, tokens cut, tokens
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextsCut)  # said once for all blocks
        for found in able.prompted("document").stream(blocks):
            best = np.zeros((len(tokens), len(found)), dtype=np.float32)
            vectors, known = normalize(finite(found, able)), found.vectors.any(axis=1)  # an unknown word is like no other
            if known.any():
                its, starts = np.unique(found.text_index[known], return_index=True)
                best[:, its] = np.maximum.reduceat(tokens @ vectors[known].T, starts, axis=1)
            np.add.at(scores[:, at : at + len(found)], owners, best)
            at += len(found)
            if progress:
                progress(at, len(texts))
            read += [int((found.n_truncated > 0).sum()), int(found.n_truncated.sum()), int(found.n_tokens.sum())]
    if read[0]:
        warnings.warn(TextsCut.counted(int(read[0]), len(texts), read[1] / read[2]), stacklevel=2)
    known = np.bincount(owners, weights=tokens.any(axis=1), minlength=len(scores)) > 0
    return {name: asked.best(its) if able else {} for name, its, able in zip(data.queries, scores, known.tolist(), strict=True)}


def hybrid_run(encoder: Encoder, asked: Asked) -> Run:
    """Return dense and word rankings joined by reciprocal rank fusion (`Fusion`)."""
    dense, fusion = dense_run(encoder, asked), Fusion()
    joined = {name: fusion.joined(_hits(dense[name]), _hits(its))[: asked.depth] for name, its in asked.words.items()}
    return {name: {hit.id: hit.score for hit in hits} for name, hits in joined.items()}


def _hits(found: Mapping[str, float]) -> Hits:
    return Hits(tuple(Hit(name, score) for name, score in found.items()))


RUNS: dict[Mode, Callable[[Encoder, Asked], Run]] = {Mode.DENSE: dense_run, Mode.LATE: late_run, Mode.HYBRID: hybrid_run}


def scored(run: Run, asked: Asked) -> Found:
    """Return what the measures say of ``run``, over all queries."""
    others = {
        name: {one: score for one, score in its.items() if one != name or name not in asked.own} for name, its in run.items()
    }
    values = {its.name: its.values(asked.data.qrels, others) for its in asked.measures}
    note = (f"{len(asked.own):,} queries are documents too, and were left out of their own hits",) if asked.own else ()
    nothing = sum(not others.get(name) for name in asked.data.queries)
    notes = (*note, f"{nothing:,} queries hold nothing that is known, and find nothing") if nothing else note

    def answers() -> Iterator[Mapping[str, JSON]]:
        for at, (name, text) in enumerate(asked.data.queries.items()):
            its = {measure: float(row[at]) for measure, row in values.items()}
            yield {"query": name, "text": text, **its, "first": ranked(others.get(name, {}))[:SHOWN]}

    return Found(tuple(Outcome.over_all(name, mean, row) for name, row in values.items()), notes, answers, others)


def _read(data: Path, options: EvaluateOptions) -> Asked:
    measures = tuple(RankMeasure.named(name) for name in dict.fromkeys(options.measures or MEASURES))
    return Asked(read_retrieval(data, *options.splits), measures)


def _examine(encoder: Encoder, asked: Asked, options: EvaluateOptions) -> Found:
    return scored(RUNS[options.mode](encoder, asked), asked)


def _baselines(asked: Asked, options: EvaluateOptions) -> Mapping[str, Found]:
    return {"BM25": scored(asked.words, asked)}


TASK = Task(
    name="retrieval",
    measured="nDCG@10, RR@10, AP and R@100, or other measures by --measure, of rankings of at least 1,000 documents",
    unit="queries",
    layout="a folder as BEIR has it: corpus.jsonl, queries.jsonl, qrels/test.tsv",
    read=_read,
    examine=_examine,
    baselines=_baselines,
    options=("mode", "measures"),
    suffixes=(),
    example="retrieval minilm --data scifact --mode hybrid",
    count=lambda asked: len(asked.data.queries),
    size=lambda asked: f", {len(asked.data.documents):,} documents",
)
