"""Word in context (a semantic concordance): where a word stands in a corpus, in which sense, and which words are used like it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from unicodedata import normalize as normalised

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.transforms import normalize, span_directions
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.search.token_searcher import in_blocks, token_encoder, whole_texts
from semvec.store.token_collection import TokenCollection
from semvec.text.brackets import read_brackets
from semvec.text.document import Document
from semvec.text.words import Span, split_words
from semvec.types import JSON

MOST_SENSES = 6
NEAREST = 1024
"""Tokens looked at first for words of like use."""

MOST_GROUPED = 3000
"""Occurrences that groups are made of; all others join the nearest group."""

LONGEST = 200
"""Characters of a word to look for: more are no word, and take quadratic time."""

FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")

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
    """Another ``word``, used like the one asked for: the cosine of its ``nearest`` occurrence (of the nearest of its tokens)."""

    word: str
    score: float
    nearest: Occurrence


@dataclass(frozen=True)
class Concordance:
    """Occurrences of a word, and their vectors (occurrences, dim) of length 1.

    ``fingerprint`` says what made the vectors, where that is known. ``left_out`` more stand in the texts and have no vector: the
    model does not know them, or none of their tokens was kept.
    """

    occurrences: tuple[Occurrence, ...]
    vectors: NDArray[np.float32]
    left_out: int = 0
    fingerprint: Fingerprint | None = None

    @classmethod
    def of(
        cls, occurrences: Sequence[Occurrence], vectors: NDArray[np.float32], fingerprint: Fingerprint | None = None
    ) -> Concordance:
        """Return those of ``occurrences`` whose vectors are not zero."""
        known = np.flatnonzero(vectors.any(axis=1))
        return cls(tuple(occurrences[at] for at in known.tolist()), vectors[known], len(occurrences) - len(known), fingerprint)

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
        return replace(self, occurrences=tuple(named[at] for at in order), vectors=self.vectors[order])

    def _at(self, order: NDArray[np.int64], scores: NDArray[np.float32]) -> Concordance:
        found = tuple(replace(self.occurrences[at], score=float(scores[at])) for at in order.tolist())
        return replace(self, occurrences=found, vectors=self.vectors[order])


def use_of(encoder: Encoder, text: str) -> NDArray[np.float32]:
    """Return the vector (dim,), of length 1, of the word in brackets in ``text``: ``"the [bank] of the river"``.

    Raises `InputError` where there is not exactly one, or nothing in it that the model knows.
    """
    bare, spans, _ = read_brackets(text) if "[" in text else (text, [], [])
    if len(spans) != 1:
        raise InputError(
            f"{text!r:.60}: one word in brackets says which use is meant ('the [bank] of the river'), not {len(spans)}"
        )
    vector: NDArray[np.float32] = _span_vectors(token_encoder(encoder).encode_document([bare]), [spans])[0]
    if not vector.any():
        raise InputError(f"{text!r:.60}: the model knows nothing of what is in the brackets")
    return vector


def in_texts(documents: Iterable[Document], word: str, encoder: Encoder) -> Concordance:
    """Return where ``word`` stands in ``documents``; only texts that have it are encoded, whole ones in windows."""
    able, find = whole_texts(token_encoder(encoder)), _finder(word)
    found: list[Occurrence] = []
    vectors = [np.zeros((0, able.dim), np.float32)]
    for block in in_blocks(document for document in documents if find(document.text)):
        where = [find(document.text) for document in block]
        vectors.append(_span_vectors(able.encode_document([document.text for document in block]), where))
        found += [
            Occurrence(document.id, document.text, start, end, document.metadata)
            for document, spans in zip(block, where, strict=True)
            for start, end in spans
        ]
    return Concordance.of(found, np.concatenate(vectors), able.fingerprint)


def in_collection(collection: TokenCollection, word: str) -> Concordance:
    """Return where ``word`` stands in the texts of ``collection``, by the token vectors it keeps; nothing is encoded.

    Where none of its tokens was kept (``keep_tokens``, or the text was cut before it) it is left out, and counted.
    """
    found = collection.occurrences(_finder(word))
    vectors = [np.zeros((0, collection.token_dim), np.float32), *(vector[None] for _, _, vector in found)]
    each = [Occurrence(item.id, item.text or "", start, end, item.metadata) for item, (start, end), _ in found]
    how = collection.settings.tokens
    return Concordance.of(each, np.concatenate(vectors), None if how is None else how.fingerprint)


def used_like(collection: TokenCollection, vector: NDArray[np.float32], k: int = 10, *, without: Sequence[str] = ()) -> list[Use]:
    """Return the ``k`` words of ``collection`` one of whose occurrences comes nearest to ``vector`` (dim,), each once.

    Every token there is is compared. The words of ``without`` are left out, whatever their case.
    """
    left_out = {part.lower() for word in without for part in word.split()}
    among = NEAREST
    while True:
        best: dict[str, Use] = {}
        tokens = collection.nearest_tokens(vector, among)
        for item, (start, end), score in tokens:
            text = item.text or ""
            word = next(((low, high) for low, high in split_words(text) if low < end and high > start), None)
            if word is not None and (name := text[word[0] : word[1]].lower()) not in left_out and name not in best:
                best[name] = Use(name, score, Occurrence(item.id, text, *word, item.metadata, score))
        if len(best) >= k or len(tokens) < among:
            return list(best.values())[:k]
        among *= 8


def _finder(word: str) -> Callable[[str], list[Span]]:
    """Return what finds ``word`` in a text: whole, in any case; several words may have any white space between them.

    Accents are found as characters of their own and as part of a letter (Unicode's forms C and D).

    Where it begins or ends with a character of a script without spaces, anything may stand beside it.
    """
    parts = word.split()
    if not parts:
        raise InputError("the word to look for is empty")
    import regex

    if len(word) > LONGEST:
        raise InputError(f"the word to look for has {len(word):,} characters, {LONGEST} are the most")
    body = "|".join(r"\s+".join(map(regex.escape, form)) for form in {tuple(normalised(form, word).split()) for form in FORMS})
    letter = r"[\p{L}\p{N}\p{M}_]"
    before, after = (f"(?<!{letter})" if _joins(parts[0][0]) else ""), (f"(?!{letter})" if _joins(parts[-1][-1]) else "")
    pattern = regex.compile(f"{before}(?:{body}){after}", regex.IGNORECASE)
    return lambda text: [match.span() for match in pattern.finditer(text)]


def _joins(character: str) -> bool:
    """Whether a word goes on where this character stands beside another letter."""
    spans = split_words(f"a{character}a")
    return len(spans) == 1


def _span_vectors(tokens: Embeddings, spans: Sequence[Sequence[Span]]) -> NDArray[np.float32]:
    """Return for each of the ``spans`` of each text the mean direction (spans, dim) of its tokens; zeros where there are none."""
    return np.concatenate(
        [
            span_directions(its.floats(), np.stack([its.start, its.end], axis=1), where)
            for its, where in zip(tokens, spans, strict=True)
        ]
    )


def _groups(vectors: NDArray[np.float32], count: int | None) -> NDArray[np.int64]:
    """Return the number of the group of each of ``vectors`` (see `Concordance.senses`)."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    if count is not None and count < 1:
        raise OptionError(f"the number of senses must be at least 1, not {count!r}")
    if len(vectors) < (3 if count is None else 2) or count == 1:
        return np.zeros(len(vectors), dtype=np.int64)
    if len(vectors) > MOST_GROUPED:
        drawn = np.sort(np.random.default_rng(0).choice(len(vectors), MOST_GROUPED, replace=False))
        known = _groups(vectors[drawn], count)
        centres = np.stack([vectors[drawn][known == group].mean(axis=0) for group in range(int(known.max()) + 1)])
        return np.asarray((vectors @ normalize(centres).T).argmax(axis=1), dtype=np.int64)

    def grouped(into: int) -> NDArray[np.int64]:
        made = AgglomerativeClustering(into, metric="cosine", linkage="average").fit_predict(vectors)
        return np.asarray(made, dtype=np.int64)

    if count is not None:
        return grouped(min(count, len(vectors)))
    tried = [grouped(into) for into in range(2, min(MOST_SENSES, len(vectors) - 1) + 1)]
    clear = [float(silhouette_score(vectors, its, metric="cosine")) for its in tried]
    best = int(np.argmax(clear))
    return tried[best] if clear[best] >= CLEAR else np.zeros(len(vectors), dtype=np.int64)
