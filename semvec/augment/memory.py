"""What a model looks things up in: texts, with or without labels, in a collection that can be added to and taken from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.quantise import Vectors
from semvec.embeddings.similarity import similarity
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.results import Hit, Hits
from semvec.search.fusion import Fusion
from semvec.search.index_files import open_searcher
from semvec.search.searcher import FLOORS, Searcher, settings_for
from semvec.search.token_searcher import TokenSearcher, texts_at, token_settings
from semvec.store.collection import Collection, check_ids, check_k
from semvec.text.document import Document
from semvec.types import JSON, Dtype, Level, Metric, Oov

LABEL, DOCUMENT = "label", "document"
"""Fields of an item's metadata: what is right of its text, and which document that is a part of."""

SPARE = 8
"""More items than wanted that are looked for where some may not be neighbours."""

MOST = 10_000
WORDS_WEIGHT = 0.3
"""What words count for beside vectors, in a hybrid search."""

TOO_NEAR = 0.995
"""A cosine from which on two texts are taken for one."""

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Retrieval:
    """How ``k`` neighbours are found: by one vector a text, with its words too (``hybrid``), or by all tokens (``level``).

    ``dtype`` is how a new memory keeps its vectors: float32, float16, or int8, in a quarter of the bytes.
    """

    k: int = 8
    hybrid: bool = False
    level: Level = Level.TEXT
    dtype: Dtype = Dtype.FLOAT32

    def __post_init__(self) -> None:
        check_k(self.k)
        object.__setattr__(self, "level", Level(self.level))
        object.__setattr__(self, "dtype", Dtype(self.dtype))
        if self.level not in (Level.TEXT, Level.TOKEN):
            raise OptionError(f"neighbours are found at level text or token, not {self.level}")
        if self.hybrid and self.level == Level.TOKEN:
            raise OptionError("hybrid goes with one vector a text, not with late interaction")
        if self.level == Level.TOKEN and self.dtype != Dtype.FLOAT32:
            raise OptionError("dtype is of one vector a text; late interaction keeps its tokens in 2 bits a number anyway")

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return asdict(self)


class Memory:
    """Items that ``searcher`` finds, as ``how`` says: neighbours of texts, which may be labelled.

    Whatever is added or removed counts from the next question on. ``bend`` is what a model has learnt to make of the vectors of
    texts before it looks for them.
    """

    bend: Callable[[Vectors], Vectors] | None = None

    def __init__(self, searcher: Searcher | TokenSearcher, how: Retrieval) -> None:
        self.searcher, self.how = searcher, how
        if (metric := searcher.collection.settings.metric) != Metric.COSINE:
            raise OptionError(f"neighbours are weighed by cosines, and the collection compares by {metric}")

    @property
    def collection(self) -> Collection:
        """Where the items are."""
        return self.searcher.collection

    def neighbours(
        self, texts: Sequence[str], *, apart: bool = False, documents: Sequence[str | None] | None = None, k: int | None = None
    ) -> list[Hits]:
        """Return the ``k`` nearest items of each of ``texts``, fewer where there are no more; scores are 1 at most.

        They are cosines, or joined with those of words, or MaxSim by token. A text with nothing in it that the encoder knows has
        none. With ``apart`` no item is among them that says the same as the text: the text itself, the same words, a score or
        vector nearer than `TOO_NEAR`, or a part of the same document, those of the texts being ``documents``. So training
        examples that are in the memory do not find themselves. Raises `InputError` for an empty memory.
        """
        count = self.collection.count()
        if not count:
            raise InputError("the memory is empty, so there is nothing to look up")
        k = self.how.k if k is None else check_k(k)
        found = [Hits((), text) for text in texts]
        asked, among = self._asked(texts), k + (SPARE if apart else 0)
        rest = asked.known
        while rest:
            again = []
            for at, its in zip(rest, asked.search(rest, min(among, count), apart=apart), strict=True):
                own = documents[at] if documents else None
                left = tuple(hit for hit in its if not (apart and _same(texts[at], own, hit)))
                found[at] = Hits(left[:k], texts[at])
                if len(left) < k and len(its) == min(among, count) < min(count, MOST):
                    again.append(at)
            rest, among = again, among * 4
        return found

    def _asked(self, texts: Sequence[str]) -> _Asked:
        """Return ``texts`` encoded, once for all rounds of searching."""
        by_tokens = isinstance(self.searcher, TokenSearcher)
        queries = self.searcher.encoder.encode_query(list(texts))
        if by_tokens:
            counts = np.bincount(queries.text_index[queries.oov != Oov.ZERO], minlength=len(texts))
        else:
            counts = (queries.oov != Oov.ZERO).astype(np.int64)
        return _Asked(self, list(texts), queries, counts)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors (texts, dim) of ``texts``, as they are before anything is made of them."""
        return self.searcher.encoder.encode_query(list(texts)).floats()

    def add(self, ids: Sequence[str], texts: Sequence[str], labels: Sequence[str] | None = None, **fields: Sequence[JSON]) -> int:
        """Write ``texts`` with their ``labels``, in the place of items with their ids; return how many were written."""
        given = {**fields, **({} if labels is None else {LABEL: labels})}
        for name, values in (("ids", ids), *given.items()):
            if len(values) != len(texts):
                raise InputError(f"{len(values):,} {name} for {len(texts):,} texts")
        rows = [{name: values[at] for name, values in given.items() if values[at] is not None} for at in range(len(texts))]
        documents = [Document(one, text, metadata=row) for one, text, row in zip(ids, texts, rows, strict=True)]
        return sum(written.new + written.replaced for written in self.searcher.add(documents))

    def remove(self, ids: Sequence[str]) -> int:
        """Delete the items of ``ids``; return how many there were."""
        return self.collection.delete(check_ids(ids))


@dataclass(frozen=True)
class _Asked:
    """Texts as a memory is asked for them: encoded, and how many tokens (or vectors) that is of each."""

    memory: Memory
    texts: list[str]
    queries: Embeddings
    counts: NDArray[np.int64]

    @property
    def known(self) -> list[int]:
        """The places of texts in which there is something that the encoder knows."""
        return [at for at, text in enumerate(self.texts) if self.counts[at] and text.strip()]

    def search(self, rows: list[int], k: int, *, apart: bool) -> list[Hits]:
        """Return the ``k`` best items of the texts at ``rows``; how near they are to be ``apart`` goes by unbent vectors."""
        collection, bend = self.memory.collection, self.memory.bend
        if isinstance(self.memory.searcher, TokenSearcher):
            found = collection.search_tokens(texts_at(self.queries, rows), k)
            return [_divided(its, int(self.counts[at])) for at, its in zip(rows, found, strict=True)]
        vectors = self.queries.floats()[rows]
        if bend is not None:
            hits = collection.search(bend(vectors), k)
            return self._as_near(hits, vectors) if apart else hits
        hits = collection.search(vectors, k)
        if not self.memory.how.hybrid:
            return hits
        words = collection.search_words([self.texts[at] for at in rows], k)
        fusion = Fusion(WORDS_WEIGHT)
        return [fusion.joined(one, other, FLOORS[Metric.COSINE])[:k] for one, other in zip(hits, words, strict=True)]

    def _as_near(self, found: list[Hits], vectors: Vectors) -> list[Hits]:
        """Return ``found`` with the cosines of the hits' own vectors and ``vectors``, whatever they were found by."""
        ids = list(dict.fromkeys(hit.id for hits in found for hit in hits))
        kept = {its.id: its.vector for its in self.memory.collection.get(ids) if its is not None}
        told = []
        for hits, vector in zip(found, vectors, strict=True):
            rows = np.stack([kept.get(hit.id, np.zeros_like(vector)) for hit in hits]) if len(hits) else vector[None][:0]
            near = similarity(vector[None], rows)[0].tolist()
            told.append(
                replace(hits, hits=tuple(replace(hit, parts={"dense": one}) for hit, one in zip(hits, near, strict=True)))
            )
        return told


def _divided(hits: Hits, by: int) -> Hits:
    return replace(hits, hits=tuple(replace(hit, score=hit.score / by) for hit in hits))


def _same(text: str, document: str | None, hit: Hit) -> bool:
    if hit.parts.get("dense", hit.score) > TOO_NEAR:
        return True
    return bool(document is not None and as_text(hit.metadata.get(DOCUMENT)) == document) or same_words(text, hit.text or "")


@contextmanager
def new_memory(place: str | os.PathLike[str], encoder: Encoder, how: Retrieval) -> Iterator[Memory]:
    """Give an empty memory in the folder ``place``, for the vectors of ``encoder``."""
    by_tokens = how.level == Level.TOKEN
    settings = token_settings(encoder, dtype=how.dtype) if by_tokens else settings_for(encoder, how.dtype)
    with Collection.open(place, settings) as collection:
        made = TokenSearcher(encoder, collection) if by_tokens else Searcher(encoder, collection)
        yield Memory(made, how)


@contextmanager
def open_memory(
    place: str | os.PathLike[str], how: Retrieval, model: str | None = None, *, device: str | None = None
) -> Iterator[Memory]:
    """Give the memory in the collection at ``place``, whose encoder is ``model`` or the one it names itself.

    Raises `FingerprintMismatch` where that is not the one that made its vectors.
    """
    with open_searcher(place, model, device=device, level=how.level) as searcher:
        yield Memory(searcher, how)


def same_words(one: str, other: str) -> bool:
    """Whether two texts are the same words in the same order, whatever stands between them and in whatever case."""
    return WORD.findall(one.casefold()) == WORD.findall(other.casefold()) and bool(one.strip())


def label_of(hit: Hit) -> str | None:
    """Return the label of a hit, None where it has none."""
    return as_text(hit.metadata.get(LABEL)) or None


def as_text(value: JSON) -> str | None:
    """Return a value of an item's metadata as a table has it: a number without an idle fraction; None of lists and the like."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def shares_of(hits: Sequence[Hits], labels: Mapping[str, int], k: int, temperature: float) -> NDArray[np.float64]:
    """Return what the ``k`` nearest labelled of ``hits`` say, (texts, labels): each counts exp(score / temperature).

    A text without labelled hits has zeros.
    """
    found = np.zeros((len(hits), len(labels)))
    for row, its in zip(found, hits, strict=True):
        named = ((hit.score, label_of(hit)) for hit in its)
        told = [(score, labels[name]) for score, name in named if name is not None and name in labels][:k]
        if told:
            scores = np.array([score for score, _ in told])
            weights = np.exp((scores - scores.max()) / temperature)
            np.add.at(row, [label for _, label in told], weights / weights.sum())
    return found


def without(hits: Hits, at: int) -> Hits:
    """Return ``hits`` without the one at a place."""
    return replace(hits, hits=hits.hits[:at] + hits.hits[at + 1 :])


def as_evidence(hit: Hit, influence: float) -> JSON:
    """Return what is shown of a neighbour: what it is, how near, and how much the answer loses without it."""
    about = {"id": hit.id, "text": hit.text, "label": label_of(hit), "score": hit.score, "influence": influence}
    return {**about, **{name: value for name, value in hit.metadata.items() if name not in about}}
