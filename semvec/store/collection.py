"""What every store offers: ids, vectors, texts and metadata that last."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.errors import FilterError, InputError, OptionError, StoreError
from semvec.index.kinds import AUTO, GOOD, check_bits
from semvec.results import Hits
from semvec.store.filter_text import parse_filter
from semvec.store.filters import Filter
from semvec.text.cells import plain_metadata
from semvec.text.document import flaw
from semvec.types import JSON, Dtype, Level, Metric

Vectors: TypeAlias = NDArray[np.float32]

STORES: dict[str, str] = {
    "chroma": "semvec.store.chroma:ChromaCollection",
    "qdrant": "semvec.store.qdrant:QdrantCollection",
    "qdrant-edge": "semvec.store.qdrant_edge:QdrantEdgeCollection",
    "lancedb": "semvec.store.lance:LanceCollection",
    "milvus": "semvec.store.milvus:MilvusCollection",
    "postgresql": "semvec.store.postgres:PostgresCollection",
    "postgres": "semvec.store.postgres:PostgresCollection",
}
"""What a place begins with, before the colon, and the class that opens it; any other is the folder of a local collection."""

LOCAL = "semvec.store.local:LocalCollection"
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+-]+):")
"""What an address begins with; one letter would be a drive of Windows."""

LONGEST = 1e18
CANDIDATES = 128
"""Items that are scored by the tokens they keep, where not all are."""

NO_TOKENS = "{} keeps no token vectors: late interaction works on local collections"

WITHIN = 64
"""Items looked at first where all of some score are wanted."""


SCORER = "scorer"
"""What tokens are chosen by where a scorer was learned for it."""


@dataclass(frozen=True)
class TokenSettings:
    """How a collection keeps a vector for every token: ``dim`` numbers in ``bits`` each, by the encoder of ``fingerprint``.

    1, 2 or 4 bits a number stand for what is left of the nearest of some centroids (`ResidualCodec`); 16 are float16. Whoever
    writes texts keeps a share of each one's tokens, ``keep_tokens``, chosen ``keep_by`` (a `Strategy`, or `SCORER`).
    """

    dim: int
    bits: int = 2
    fingerprint: Fingerprint | None = None
    keep_tokens: float = 1.0
    keep_by: str = ""

    def __post_init__(self) -> None:
        check_bits(self.bits)
        if not 0 < self.keep_tokens <= 1:
            raise OptionError(f"the share of tokens to keep must be more than 0 and at most 1, not {self.keep_tokens!r}")

    def to_json(self) -> dict[str, JSON]:
        return {**asdict(self), "fingerprint": self.fingerprint and self.fingerprint.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> TokenSettings:
        made = record["fingerprint"]
        return cls(**{**record, "fingerprint": made and Fingerprint.from_json(made)})


@dataclass(frozen=True)
class Settings:
    """What a collection is for, fixed when it is made.

    ``dim`` numbers a vector, compared by ``metric``, kept as ``dtype``: float32, float16, or int8 with a scale for every
    vector; ``fingerprint`` is that of the encoder, where it is known: vectors of another are refused. With ``tokens`` every
    item has the vectors of its tokens too.
    """

    dim: int
    metric: Metric = Metric.COSINE
    dtype: Dtype = Dtype.FLOAT32
    fingerprint: Fingerprint | None = None
    tokens: TokenSettings | None = None

    def __post_init__(self) -> None:
        if isinstance(self.dim, bool) or not isinstance(self.dim, int) or self.dim < 1:
            raise OptionError(f"dim must be a whole number of at least 1, not {self.dim!r}")
        if self.dtype == Dtype.BINARY:
            raise OptionError(
                "a collection keeps float32, float16 or int8, not binary; its index may take fewer bytes (kind rabitq)"
            )

    def to_json(self) -> dict[str, JSON]:
        record = {
            "dim": self.dim,
            "metric": str(self.metric),
            "dtype": str(self.dtype),
            "fingerprint": self.fingerprint and self.fingerprint.to_json(),
        }
        return record if self.tokens is None else record | {"tokens": self.tokens.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> Settings:
        made, tokens = record["fingerprint"], record.get("tokens")
        return cls(
            record["dim"],
            Metric(record["metric"]),
            Dtype(record["dtype"]),
            made and Fingerprint.from_json(made),
            tokens and TokenSettings.from_json(tokens),
        )


@dataclass(frozen=True)
class Stored:
    """One item as it is kept; ``vector`` (dim,) float32."""

    id: str
    vector: Vectors
    text: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What a write did: items that were ``new``, those that ``replaced`` one, and texts ``left_out`` for want of a vector."""

    new: int
    replaced: int
    left_out: int = 0


class Collection(ABC):
    """Items of an id (the user's string), a vector, a text and metadata; searched by vector.

    What a call has returned from is kept, whatever happens after. An id is written once: writing it again replaces the
    item. Metadata are JSON values by field; numbers, strings, truth values and lists of them can be filtered by.
    """

    settings: Settings

    @staticmethod
    def open(
        place: str | os.PathLike[str], settings: Settings | None = None, *, fingerprint: Fingerprint | None = None
    ) -> Collection:
        """Return the collection at ``place``, a folder or a URL of a store; make it from ``settings`` if there is none.

        Without ``settings`` a collection that is not there raises `CollectionNotFound`; with other ones than it was
        made with, `OptionError`. ``fingerprint`` is that of the encoder about to be used: another than the
        collection's raises `FingerprintMismatch`, which prints both.
        """
        text = os.fspath(place)
        scheme = match[1] if (match := SCHEME.match(text)) and not Path(text).exists() else ""
        if scheme and scheme not in STORES:
            raise OptionError(f"no store is called {scheme!r}: there are {', '.join(STORES)}, and folders")
        if scheme and settings is not None and settings.tokens is not None:
            raise OptionError(f"{scheme}: keeps no token vectors: late interaction works on local collections, in a folder")
        module, name = STORES.get(scheme, LOCAL).split(":")
        store = cast("type[Collection]", getattr(import_module(module), name))
        collection = store._open(text, settings)
        try:
            collection.check_fingerprint(fingerprint)
            if settings is not None:
                collection._check_settings(settings)
        except BaseException:
            collection.close()
            raise
        return collection

    @classmethod
    @abstractmethod
    def _open(cls, place: str, settings: Settings | None) -> Collection: ...

    @abstractmethod
    def close(self) -> None:
        """Give back what the collection holds."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the collection with all it holds, and close it; what else stands in its place stays.

        Raises `CollectionLocked` where another process writes, and then nothing is removed.
        """

    @abstractmethod
    def upsert(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        """Write items, each new or in the place of the one with its id, all of them or none.

        ``vectors`` (ids, dim). Raises `InputError` for a vector of another dim, a number that is not finite, a vector
        of zeros under cosine, an id that is empty or comes twice; `CollectionLocked` where another process writes.
        """

    def delete(self, ids: Sequence[str] | None = None, *, where: Filter | str | None = None) -> int:
        """Delete the items of ``ids``, or those ``where`` is true of; return how many there were.

        Raises `OptionError` unless it is told one of the two, and `FilterError` for a filter that cannot be answered.
        """
        wanted = as_filter(where)
        if ids is not None and wanted is None:
            return self._delete(list(dict.fromkeys(check_ids(ids))))
        if ids is None and wanted is not None:
            return self._delete_where(wanted)
        raise OptionError("delete takes ids or a filter, one of the two: delete(['a']) or delete(where=\"lang = 'de'\")")

    @abstractmethod
    def _delete(self, ids: list[str]) -> int:
        """Delete the items of ``ids``, each said once; return how many there were."""

    @abstractmethod
    def _delete_where(self, wanted: Filter) -> int:
        """Delete the items that ``wanted`` is true of; return how many there were."""

    @abstractmethod
    def get(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return the items of ``ids``, None where there is none."""

    @abstractmethod
    def search(self, vectors: Vectors, k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        """Return the ``k`` nearest items of each of ``vectors`` (queries, dim) among those ``where`` is true of, best first.

        Never fewer than ``k`` where there are ``k``. Equal scores come in the order of writing.
        """

    def search_words(self, queries: Sequence[str], k: int = 10, *, where: Filter | str | None = None) -> list[Hits]:
        """Return the ``k`` items whose texts have the words of each of ``queries``, by BM25, best first.

        A text without any word of the query is no hit. Raises `StoreError` where the store keeps no words.
        """
        raise StoreError(f"{type(self).__name__} keeps no words of its texts: hybrid search works on local collections")

    def upsert_tokens(
        self,
        ids: Sequence[str],
        vectors: Vectors,
        tokens: Embeddings,
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, JSON]] | None = None,
    ) -> Written:
        """Write items as `upsert` does, each with the vectors of its ``tokens`` (level token or word, a text an item).

        Special tokens and those with no vector are left out. Raises `LevelError` for vectors of another level, or where the
        collection was not made for tokens (``Settings.tokens``), and `FingerprintMismatch` where another encoder made them.
        """
        raise StoreError(NO_TOKENS.format(type(self).__name__))

    def learn_tokens(self, sample: Embeddings, tokens: int, *, seed: int = 0) -> None:
        """Learn from the tokens of a ``sample`` of texts how about so many ``tokens`` of their kind are kept.

        To be called before anything is written, else the first write is what is learned from. Raises `StoreError` after.
        """
        raise StoreError(NO_TOKENS.format(type(self).__name__))

    def search_tokens(
        self,
        queries: Embeddings,
        k: int = 10,
        *,
        where: Filter | str | None = None,
        candidates: int | None = CANDIDATES,
        evidence: bool = False,
    ) -> list[Hits]:
        """Return the ``k`` items whose tokens fit the tokens of each of ``queries`` (level token or word) best: by MaxSim.

        MaxSim is the sum over the query's tokens of the greatest cosine to a token of the text (Khattab and Zaharia, "ColBERT",
        2020). ``candidates`` so many, the best by the centroids of their tokens, are scored; None scores all that ``where`` is
        true of. With ``evidence`` every hit says which tokens met. Raises as `upsert_tokens` does.
        """
        raise StoreError(NO_TOKENS.format(type(self).__name__))

    def within(self, vectors: Vectors, score: float, *, where: Filter | str | None = None) -> list[Hits]:
        """Return every item that scores ``score`` or more for each of ``vectors`` (queries, dim), best first.

        As exact as `search`: an index that is not exact may miss some.
        For euclidean a score is the distance with its sign turned: ``-0.5`` finds all within 0.5.
        """
        k = WITHIN
        while True:
            found = self.search(vectors, k, where=where)
            if all(len(hits) < k or hits[-1].score < score for hits in found):
                return [Hits(tuple(hit for hit in hits if hit.score >= score), hits.query) for hits in found]
            k *= 4

    @abstractmethod
    def count(self, where: Filter | str | None = None) -> int:
        """Return how many items there are, or how many ``where`` is true of."""

    @abstractmethod
    def scan(self, where: Filter | str | None = None) -> Iterator[Stored]:
        """Give every item, or those ``where`` is true of, in the order of writing."""

    @abstractmethod
    def optimise(self, kind: str = AUTO, *, recall: float = GOOD, seed: int = 0) -> dict[str, JSON]:
        """Make the search of all there is fast, and return what was made: ``kind``, ``rows``, perhaps its ``recall``.

        ``kind`` is one that the store knows, else `OptionError`; "auto" leaves it to the store. Where the store can
        tell, it makes the least effort that finds ``recall`` of the ten nearest on a sample.
        """

    @abstractmethod
    def info(self) -> dict[str, JSON]:
        """Return what the collection holds and how it is searched."""

    def add(self, embeddings: Embeddings, metadata: Sequence[Mapping[str, JSON]] | None = None) -> Written:
        """Write the rows of ``embeddings`` (one a text, with ids) with their texts; refuse those of another encoder."""
        if embeddings.level != Level.TEXT or embeddings.ids is None:
            raise InputError("a collection takes embeddings at level text, with ids: emb.with_ids([...])")
        if embeddings.fingerprint.dtype == Dtype.BINARY:
            raise InputError("a collection takes numbers, and these embeddings are bits (dtype binary)")
        self.check_fingerprint(embeddings.fingerprint)
        return self.upsert(embeddings.ids.tolist(), embeddings.floats(), embeddings.surface.tolist(), metadata)

    def check_fingerprint(self, fingerprint: Fingerprint | None) -> None:
        """Raise `FingerprintMismatch` where ``fingerprint`` is not comparable with the collection's."""
        if fingerprint is not None and self.settings.fingerprint is not None:
            self.settings.fingerprint.require_comparable(fingerprint)

    def _check_settings(self, settings: Settings) -> None:
        for name in ("dim", "metric", "dtype"):
            mine, theirs = getattr(self.settings, name), getattr(settings, name)
            if mine != theirs:
                raise OptionError(f"the collection was made with {name} {mine}, not {theirs}")
        mine, theirs = self.settings.tokens, settings.tokens
        if (mine and (mine.dim, mine.bits)) != (theirs and (theirs.dim, theirs.bits)):
            said = [
                f"{its.bits} bits for a number of a token's {its.dim}" if its else "no token vectors" for its in (mine, theirs)
            ]
            raise OptionError(f"the collection was made with {said[0]}, not {said[1]}")
        self.check_fingerprint(settings.fingerprint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()


def as_filter(where: Filter | str | None) -> Filter | None:
    """Return ``where`` as a filter, a text read by `parse_filter`."""
    if where is not None and not isinstance(where, str | Filter):
        raise FilterError(f"a filter is text or made by field(…), not {type(where).__name__}: where=\"lang = 'de'\"")
    return parse_filter(where) if isinstance(where, str) else where


def check_ids(ids: Sequence[str]) -> list[str]:
    """Return ``ids`` as a list; raise `InputError` for one that cannot be an id."""
    if isinstance(ids, str):
        raise InputError("ids must be a list of ids, not one string")
    for name in ids:
        if not isinstance(name, str) or not name:
            raise InputError(f"an id must be a string that is not empty, not {name!r:.60}")
        if reason := flaw(name):
            raise InputError(f"the id {name!r:.60}: {reason}")
    return list(ids)


def check_recall(recall: float) -> None:
    """Raise `OptionError` where ``recall`` is none."""
    if not 0 < recall <= 1:
        raise OptionError(f"recall must be more than 0 and at most 1, not {recall!r}")


def check_k(k: object) -> int:
    """Return ``k``; raise `OptionError` where it is no whole number of at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise OptionError(f"k must be a whole number of at least 1, not {k!r}")
    return int(k)


def check_vectors(vectors: object, settings: Settings, names: Sequence[str] | None = None) -> Vectors:
    """Return ``vectors`` as float32 (rows, dim); raise `InputError` naming the first that is wrong."""
    if isinstance(vectors, Embeddings):
        raise InputError("vectors are numbers (rows, dim): search(emb.floats()); add(emb) writes embeddings with their ids")
    try:
        with np.errstate(over="ignore"):  # too large for float32 is refused as not finite
            rows = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"vectors must be numbers (rows, {settings.dim}): {error}") from None
    if rows.ndim != 2 or rows.shape[1] != settings.dim:
        raise InputError(f"vectors of shape {rows.shape} where the collection wants (rows, {settings.dim})")
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    if ((squares < LONGEST**2) & ((squares > 0) | (settings.metric != Metric.COSINE))).all():
        return rows
    long = squares >= LONGEST**2
    for wrong, what in (
        (~np.isfinite(rows).all(axis=1), "holds a number that is not finite"),
        (long, f"is longer than {LONGEST:.0e}, so that scores would not fit into float32"),
        (
            ~rows.any(axis=1) if settings.metric == Metric.COSINE else np.zeros(len(rows), bool),
            "is all zeros, which has no cosine",
        ),
    ):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise InputError(f"the vector {f'of id {names[at]!r}' if names else f'{at}'} {what}")
    return rows


def check_items(
    ids: Sequence[str],
    vectors: object,
    texts: Sequence[str | None] | None,
    metadata: Sequence[Mapping[str, JSON]] | None,
    settings: Settings,
) -> tuple[Vectors, Sequence[str | None], Sequence[Mapping[str, JSON]]]:
    """Return what `Collection.upsert` was given, checked: vectors, texts and metadata, one for each id."""
    ids = check_ids(ids)
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise InputError(f"id {twice!r} comes more than once")
    rows = check_vectors(vectors, settings, ids)
    texts = [None] * len(ids) if texts is None else texts
    metadata = [{}] * len(ids) if metadata is None else metadata
    for name, given in (("vectors", rows), ("texts", texts), ("metadata", metadata)):
        if len(given) != len(ids):
            raise InputError(f"{len(given):,} {name} for {len(ids):,} ids")
    plain = []
    for name, text, fields in zip(ids, texts, metadata, strict=True):
        if text is not None and (reason := flaw(text)):
            raise InputError(f"the text of id {name!r}: {reason}")
        if not isinstance(fields, Mapping) or not all(isinstance(key, str) and key for key in fields):
            raise InputError(f"the metadata of id {name!r} must be a dict with strings as keys, not {fields!r:.60}")
        try:
            plain.append(plain_metadata(fields))
        except ValueError as error:
            raise InputError(f"the metadata of id {name!r} {error}") from None
    return rows, texts, plain


def is_collection(place: str | os.PathLike[str]) -> bool:
    """Whether there is a local collection at ``place``."""
    return (Path(place) / "collection.sqlite").is_file()
