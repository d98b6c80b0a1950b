"""What a model looks things up in: texts, with or without labels, in a collection that can be added to and taken from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.results import Hit, Hits
from semvec.search.fusion import Fusion
from semvec.search.index_files import open_searcher
from semvec.search.searcher import Searcher, settings_for
from semvec.search.token_searcher import TokenSearcher, token_settings
from semvec.store.collection import Collection, check_k
from semvec.text.document import Document
from semvec.types import JSON, Level

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
    """How ``k`` neighbours are found: by one vector a text, with its words too (``hybrid``), or by all tokens (``level``)."""

    k: int = 8
    hybrid: bool = False
    level: Level = Level.TEXT

    def __post_init__(self) -> None:
        check_k(self.k)
        object.__setattr__(self, "level", Level(self.level))
        if self.level not in (Level.TEXT, Level.TOKEN):
            raise OptionError(f"neighbours are found at level text or token, not {self.level}")
        if self.hybrid and self.level == Level.TOKEN:
            raise OptionError("hybrid goes with one vector a text, not with late interaction")

    def to_json(self) -> JSON:
        """Return this as JSON."""
        return asdict(self)


class Memory:
    """Items that ``searcher`` finds, as ``how`` says: neighbours of texts, which may be labelled.

    Whatever is added or removed counts from the next question on.
    """

    def __init__(self, searcher: Searcher | TokenSearcher, how: Retrieval) -> None:
        self.searcher, self.how = searcher, how

    @property
    def collection(self) -> Collection:
        """Where the items are."""
        return self.searcher.collection

    def neighbours(
        self, texts: Sequence[str], *, apart: bool = False, documents: Sequence[str | None] | None = None, k: int | None = None
    ) -> list[Hits]:
        """Return the ``k`` nearest items of each of ``texts``, fewer where there are no more; a text of blanks has none.

        With ``apart`` no item is among them that says the same as the text: the text itself, the same words, a vector nearer
        than `TOO_NEAR`, or a part of the same document, those of the texts being ``documents``. So training examples that are
        in the memory do not find themselves. Raises `InputError` for an empty memory.
        """
        count = self.collection.count()
        if not count:
            raise InputError("the memory is empty, so there is nothing to look up")
        k = self.how.k if k is None else check_k(k)
        found = [Hits((), text) for text in texts]
        rest = [at for at, text in enumerate(texts) if text.strip()]
        among = k + (SPARE if apart else 0)
        while rest:
            hits = self._search([texts[at] for at in rest], min(among, count))
            again = []
            for at, its in zip(rest, hits, strict=True):
                own = documents[at] if documents else None
                left = tuple(hit for hit in its if not (apart and self._same(texts[at], own, hit)))
                found[at] = Hits(left[:k], texts[at])
                if len(left) < k and len(its) == min(among, count) < min(count, MOST):
                    again.append(at)
            rest, among = again, among * 4
        return found

    def _search(self, texts: Sequence[str], k: int) -> list[Hits]:
        """Return hits whose scores are 1 at most: cosines, or joined with words, or MaxSim beside that of the best."""
        if isinstance(self.searcher, Searcher):
            return self.searcher.search(texts, k, hybrid=Fusion(WORDS_WEIGHT) if self.how.hybrid else False)
        found = self.searcher.search(texts, k)
        return [replace(its, hits=tuple(replace(hit, score=hit.score / max(its[0].score, 1e-9)) for hit in its)) for its in found]

    def _same(self, text: str, document: str | None, hit: Hit) -> bool:
        cosine = hit.score if isinstance(self.searcher, Searcher) and not self.how.hybrid else hit.parts.get("dense", 0.0)
        if cosine > TOO_NEAR and self.collection.settings.metric == "cosine":
            return True
        return bool(document is not None and hit.metadata.get(DOCUMENT) == document) or same_words(text, hit.text or "")

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
        return self.collection.delete(list(ids))

    def labels(self) -> list[str]:
        """Return the labels that items have, in their order."""
        return sorted({str(item.metadata[LABEL]) for item in self.collection.scan() if LABEL in item.metadata})


@contextmanager
def new_memory(place: str | os.PathLike[str], encoder: Encoder, how: Retrieval) -> Iterator[Memory]:
    """Give an empty memory in the folder ``place``, for the vectors of ``encoder``."""
    settings = token_settings(encoder) if how.level == Level.TOKEN else settings_for(encoder)
    with Collection.open(place, settings) as collection:
        made = TokenSearcher(encoder, collection) if how.level == Level.TOKEN else Searcher(encoder, collection)
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


def labels_of(hits: Hits) -> list[str]:
    """Return the label of each of ``hits``, nothing for one that has none."""
    return [str(hit.metadata.get(LABEL, "")) for hit in hits]


def shares_of(hits: Sequence[Hits], labels: Mapping[str, int], k: int, temperature: float) -> NDArray[np.float64]:
    """Return what the ``k`` nearest labelled of ``hits`` say, (texts, labels): each counts exp(score / temperature).

    A text without labelled hits has zeros.
    """
    found = np.zeros((len(hits), len(labels)))
    for row, its in zip(found, hits, strict=True):
        told = [(hit.score, labels[name]) for hit, name in zip(its, labels_of(its), strict=True) if name in labels][:k]
        if told:
            scores = np.array([score for score, _ in told])
            weights = np.exp((scores - scores.max()) / temperature)
            np.add.at(row, [label for _, label in told], weights / weights.sum())
    return found


def without(hits: Hits, at: int) -> Hits:
    """Return ``hits`` without the one at a place."""
    return replace(hits, hits=hits.hits[:at] + hits.hits[at + 1 :])


def known_fields(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what of an item's metadata is shown."""
    return {name: value for name, value in metadata.items() if name != LABEL}
