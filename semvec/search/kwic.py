"""Word in context (a semantic concordance): where a word stands in a corpus, in which sense, and which words are used like it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError
from semvec.search.token_searcher import token_encoder
from semvec.store.token_collection import TokenCollection
from semvec.text.brackets import read_brackets
from semvec.text.document import Document
from semvec.text.words import Span, split_words
from semvec.types import JSON, Overflow

BLOCK = 256
MOST_SENSES = 6
CLEAR = 0.05
"""The silhouette from which on senses are told apart; below, they are one."""


@dataclass(frozen=True)
class Occurrence:
    """A word where it stands: characters ``start`` to ``end`` of ``text``, which has an ``id`` and metadata.

    ``score`` is the cosine to the use that was asked for, if any was; ``sense`` the number of its group, if they were told apart.
    """

    id: str
    text: str
    start: int
    end: int
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    score: float | None = None
    sense: int | None = None

    @property
    def word(self) -> str:
        """The word as it stands there."""
        return self.text[self.start : self.end]

    def line(self, width: int = 40) -> tuple[str, str, str]:
        """Return the text before the word, the word, and the text behind it, in one line, at most ``width`` characters each."""
        before, after = " ".join(self.text[: self.start].split()), " ".join(self.text[self.end :].split())
        left = before + " " * self.text[: self.start].endswith((" ", "\n", "\t"))
        right = " " * self.text[self.end :].startswith((" ", "\n", "\t")) + after
        return left[-width:], " ".join(self.word.split()), right[:width]


@dataclass(frozen=True)
class Use:
    """Another ``word`` used like the one asked for: the cosine of its ``nearest`` occurrence, and how many come near."""

    word: str
    score: float
    count: int
    nearest: Occurrence


@dataclass(frozen=True)
class Concordance:
    """Occurrences of a word, and their vectors (occurrences, dim) of length 1."""

    occurrences: tuple[Occurrence, ...]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.occurrences)

    def like(self, vector: NDArray[np.float32]) -> Concordance:
        """Return the occurrences by their cosine to ``vector`` (dim,) of length 1, the nearest first."""
        scores = self.vectors @ vector
        return self._at(np.argsort(-scores, kind="stable"), scores)

    def senses(self, count: int | None = None) -> Concordance:
        """Return the occurrences in groups of the same sense, the largest group first, each led by its most typical one.

        Groups are joined by the mean cosine of their members (scikit-learn's agglomerative clustering); their ``count``, if it is
        not told, is the one of up to `MOST_SENSES` with the greatest silhouette, or 1 where that is below `CLEAR`.
        """
        groups = _groups(self.vectors, count)
        order, numbers = [], np.zeros(len(self), dtype=np.int64)
        for number, group in enumerate(np.argsort(-np.bincount(groups), kind="stable"), start=1):
            members = np.flatnonzero(groups == group)
            centre = normalize(self.vectors[members].mean(axis=0, keepdims=True))[0]
            order += members[np.argsort(-(self.vectors[members] @ centre), kind="stable")].tolist()
            numbers[members] = number
        named = [replace(its, sense=int(number)) for its, number in zip(self.occurrences, numbers, strict=True)]
        return Concordance(tuple(named[at] for at in order), self.vectors[order])

    def _at(self, order: NDArray[np.int64], scores: NDArray[np.float32]) -> Concordance:
        return Concordance(
            tuple(replace(self.occurrences[at], score=float(scores[at])) for at in order.tolist()), self.vectors[order]
        )


def use_of(encoder: Encoder, text: str) -> NDArray[np.float32]:
    """Return the vector (dim,), of length 1, of the word in brackets in ``text``: ``"the [bank] of the river"``.

    Raises `InputError` where there is not exactly one, or nothing in it that the model knows.
    """
    bare, spans, _ = read_brackets(text)
    if len(spans) != 1:
        raise InputError(f"{text!r:.60}: one word in brackets says which use is meant, not {len(spans)}")
    vector: NDArray[np.float32] = _span_vectors(token_encoder(encoder).encode([bare]), [spans])[0]
    if not vector.any():
        raise InputError(f"{text!r:.60}: the model knows nothing of what is in the brackets")
    return vector


def in_texts(documents: Iterable[Document], word: str, encoder: Encoder) -> Concordance:
    """Return where ``word`` stands in ``documents``; only texts that have it are encoded, whole ones in windows."""
    able, find = token_encoder(encoder).with_options(overflow=Overflow.WINDOWS), _finder(word)
    having = ((document, spans) for document in documents if (spans := find(document.text)))
    found: list[Occurrence] = []
    vectors = [np.zeros((0, able.dim), np.float32)]
    while block := list(islice(having, BLOCK)):
        its = _span_vectors(able.encode([document.text for document, _ in block]), [spans for _, spans in block])
        each = [
            Occurrence(document.id, document.text, start, end, document.metadata)
            for document, spans in block
            for start, end in spans
        ]
        known = np.flatnonzero(its.any(axis=1))
        found += [each[at] for at in known.tolist()]
        vectors.append(its[known])
    return Concordance(tuple(found), np.concatenate(vectors))


def in_collection(collection: TokenCollection, word: str) -> Concordance:
    """Return where ``word`` stands in the texts of ``collection``, by the token vectors it keeps; nothing is encoded."""
    found: list[Occurrence] = []
    vectors = [np.zeros((0, collection.token_dim), np.float32)]
    for item, tokens, where in collection.tokens_of(_finder(word)):
        for start, end in where:
            inside = (tokens.spans[:, 0] < end) & (tokens.spans[:, 1] > start)
            if inside.any():
                found.append(Occurrence(item.id, item.text or "", start, end, item.metadata))
                vectors.append(normalize(tokens.vectors[inside].mean(axis=0, keepdims=True)))
    return Concordance(tuple(found), np.concatenate(vectors))


def used_like(collection: TokenCollection, vector: NDArray[np.float32], k: int = 10, *, without: Sequence[str] = ()) -> list[Use]:
    """Return the ``k`` words of ``collection`` one of whose occurrences comes nearest to ``vector`` (dim,), each once.

    Every token there is is compared. Words in ``without`` are left out, whatever their case.
    """
    left_out = {word.lower() for word in without}
    best: dict[str, Use] = {}
    counts: dict[str, int] = defaultdict(int)
    for item, (start, _), score in collection.nearest_tokens(vector):
        text = item.text or ""
        word = next(((low, high) for low, high in split_words(text) if low <= start < high), None)
        if word is None or (name := text[word[0] : word[1]].lower()) in left_out:
            continue
        counts[name] += 1
        if name not in best:
            if len(best) == k:
                break
            best[name] = Use(name, score, 1, Occurrence(item.id, text, *word, item.metadata, score))
    return [replace(use, count=counts[name]) for name, use in best.items()]


def _finder(word: str) -> Callable[[str], list[Span]]:
    """Return what finds ``word`` in a text: whole, in any case; several words may have any white space between them.

    Where it begins or ends with a character of a script without spaces, anything may stand beside it.
    """
    parts = word.split()
    if not parts:
        raise InputError("the word to look for is empty")
    body = r"\s+".join(map(re.escape, parts))
    before, after = (r"(?<!\w)" if _joins(parts[0][0]) else ""), (r"(?!\w)" if _joins(parts[-1][-1]) else "")
    pattern = re.compile(before + body + after, re.IGNORECASE)
    return lambda text: [match.span() for match in pattern.finditer(text)]


def _joins(character: str) -> bool:
    """Whether a word goes on where this character stands beside another letter."""
    spans = split_words(f"a{character}a")
    return len(spans) == 1


def _span_vectors(tokens: Embeddings, spans: Sequence[Sequence[Span]]) -> NDArray[np.float32]:
    """Return for each of the ``spans`` of each text the mean direction (spans, dim) of its tokens; zeros where there are none."""
    found = [np.zeros((0, tokens.dim), np.float32)]
    for its, where in zip(tokens, spans, strict=True):
        vectors = normalize(its.floats())
        for start, end in where:
            inside = (its.start < end) & (its.end > start)
            found.append(normalize(vectors[inside].sum(axis=0, keepdims=True)))
    return np.concatenate(found)


def _groups(vectors: NDArray[np.float32], count: int | None) -> NDArray[np.int64]:
    """Return the number of the group of each of ``vectors`` (see `Concordance.senses`)."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    if len(vectors) < 3 or count == 1:
        return np.zeros(len(vectors), dtype=np.int64)

    def grouped(into: int) -> NDArray[np.int64]:
        made = AgglomerativeClustering(into, metric="cosine", linkage="average").fit_predict(vectors)
        return np.asarray(made, dtype=np.int64)

    if count is not None:
        return grouped(min(count, len(vectors)))
    tried = [grouped(into) for into in range(2, min(MOST_SENSES, len(vectors) - 1) + 1)]
    clear = [float(silhouette_score(vectors, its, metric="cosine")) for its in tried]
    best = int(np.argmax(clear))
    return tried[best] if clear[best] >= CLEAR else np.zeros(len(vectors), dtype=np.int64)
