"""Points to look at, wherever they come from: vectors, their metric, what each stands for, and its columns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.storage import holds_vectors, read_embeddings
from semvec.embeddings.transforms import normalize
from semvec.encoders.catalog import KNOWN, load_encoder
from semvec.encoders.protocol import Encoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError, TextsCut
from semvec.search.kwic_files import concordance
from semvec.store.collection import Collection, is_collection
from semvec.text.document import Document
from semvec.text.documents import sound_documents
from semvec.text.readers import ALL_FIELDS, ReadOptions
from semvec.text.words import Splitter
from semvec.types import JSON, Dtype, Level, Metric, Overflow, Progress, Step, did_you_mean

Vectors = NDArray[np.float32]
MADE = ("piece", "cluster", "cluster_")
"""Columns that come about while points are made."""

BLOCK = 1024
AROUND = 40
"""Characters shown on either side of a word that is a point of its own."""

LINE = 80
"""Characters on either side of a word whose occurrences are points."""


@dataclass(frozen=True, eq=False)
class Points:
    """``vectors`` (n, dim) with an id and a text each, other cells by column, and what made them.

    ``left_out`` more (or of them, where they were to be kept) had no vector: the model knew nothing of them.
    """

    vectors: Vectors
    metric: Metric
    ids: Sequence[str]
    texts: Sequence[str]
    columns: Mapping[str, Sequence[JSON]] = field(default_factory=dict)
    fingerprint: Fingerprint | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: Sequence[int] | NDArray[np.int64]) -> Points:
        """Return some of the points alone."""
        rows = np.asarray(rows, dtype=np.int64).tolist()
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        ids, texts = [self.ids[row] for row in rows], [self.texts[row] for row in rows]
        return replace(self, vectors=self.vectors[rows], ids=ids, texts=texts, columns=columns)

    def drawn(self, count: int, seed: int) -> Points:
        """Return ``count`` of the points, drawn by chance, in their order."""
        return self.at(np.sort(np.random.default_rng(seed).choice(len(self), count, replace=False)))


@dataclass(frozen=True)
class From:
    """Where points come from: how files are read, and what encodes them.

    ``word`` makes every occurrence of a word a point; ``words`` the so many most frequent words of a word model. ``unknown``
    keeps what the model knows nothing of, with vectors of zeros. ``column`` is one that has to be there, asked before anything is
    encoded; ``overflow`` says what happens to long texts, ``splitter`` what finds words.
    """

    model: str | None = None
    device: str | None = None
    level: Level = Level.TEXT
    id_field: str | None = None
    text_field: str | None = None
    word: str | None = None
    words: int | None = None
    unknown: bool = False
    overflow: str = Overflow.TRUNCATE
    column: str | None = None
    splitter: Splitter | None = None


def points_of(inputs: Sequence[str], how: From | None = None, progress: Progress | None = None) -> Points:
    """Return the points of a vectors file, of a collection, of files of texts, or of a word model by its name (``how.words``).

    Raises `InputError` where there are none, `OptionError` for options that would do nothing there.
    """
    how = how or From()
    if how.word is not None:
        found = _occurrences(inputs, how)
    elif how.words is not None:
        found = _frequent_words(inputs, how)
    elif len(inputs) == 1 and is_collection(inputs[0]):
        found = _collection(inputs[0], how)
    elif len(inputs) == 1 and inputs[0] in KNOWN and not os.path.exists(inputs[0]):
        raise OptionError(f"{inputs[0]} is a model: the words of a word model are mapped with --words 5000")
    elif all(map(holds_vectors, inputs)):
        found = _vectors_files(inputs, how)
    else:
        found = _texts(inputs, how, progress)
    known = np.flatnonzero(found.vectors.any(axis=1))
    if how.unknown:
        return replace(found, left_out=len(found) - len(known))
    if not len(known):
        raise InputError(f"{', '.join(inputs)}: nothing there that has a vector")
    return found if len(known) == len(found) else replace(found.at(known), left_out=found.left_out + len(found) - len(known))


def _texts(inputs: Sequence[str], how: From, progress: Progress | None) -> Points:
    reading = ReadOptions(id_field=how.id_field, text_field=how.text_field, fields=(ALL_FIELDS,), keep_blank=True)
    documents, parts = list(sound_documents(list(inputs), reading)), []
    if not documents:
        raise InputError(f"{', '.join(inputs)}: no text there")
    check_column(how.column, [name for document in documents for name in document.metadata])
    encoder = load_encoder(how.model or "minilm", device=how.device)
    encoder = encoder.with_options(level=how.level, dtype=Dtype.FLOAT32, splitter=how.splitter)
    if how.overflow != Overflow.TRUNCATE:
        encoder = encoder.with_options(overflow=Overflow(how.overflow))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextsCut)
        for at in range(0, len(documents), BLOCK):
            parts.append(encoder.encode_document([document.text for document in documents[at : at + BLOCK]]))
            if progress is not None:
                progress(Step("encoding", min(at + BLOCK, len(documents)), len(documents), "texts"))
    made = Embeddings.concatenate(parts)
    if cut := int((made.n_truncated > 0).sum()):
        lost = float(made.n_truncated.sum()) / max(int(made.n_tokens.sum()), 1)
        warnings.warn(TextsCut.counted(cut, len(made), lost), stacklevel=2)
    return _of_rows(made, documents, encoder)


def check_column(name: str | None, there: Sequence[str], made: Sequence[str] = MADE) -> None:
    """Raise `OptionError` where ``name`` is none of the columns that are ``there`` or will be ``made``."""
    known = [*dict.fromkeys(there), *made]
    if name is not None and name not in known:
        shown = ", ".join(f"{its:.40}" for its in known[:30])
        raise OptionError(f"no column {name!r:.60}{did_you_mean(name, known)}: there are {shown}")


def _of_rows(made: Embeddings, documents: Sequence[Document], encoder: Encoder) -> Points:
    whole = made.level == Level.TEXT
    rows = list(zip(made.text_index.tolist(), made.start.tolist(), made.end.tolist(), strict=True))
    names = list(dict.fromkeys(name for document in documents for name in document.metadata))
    columns: dict[str, Sequence[JSON]] = {name: [documents[at].metadata.get(name) for at, _, _ in rows] for name in names}
    if not whole:
        columns = {**columns, "piece": [str(its).lower() for its in made.surface]}
    return Points(
        made.floats(),
        encoder.metric,
        [documents[at].id if whole else f"{documents[at].id}:{start}-{end}" for at, start, end in rows],
        [documents[at].text if whole else in_line(documents[at].text, start, end, AROUND) for at, start, end in rows],
        columns,
        made.fingerprint,
    )


def _refuse_reading(name: str, how: From) -> None:
    """Raise `OptionError` where ``how`` says how texts become vectors, and ``name`` holds vectors."""
    if how.model is not None or how.level != Level.TEXT or how.text_field or how.id_field:
        raise OptionError(f"{name}: holds its vectors already; model, level and the names of columns are for files of texts")


def _vectors_files(inputs: Sequence[str], how: From) -> Points:
    _refuse_reading(inputs[0], how)
    if len({os.path.realpath(path) for path in inputs}) < len(inputs):
        raise InputError(f"{', '.join(inputs)}: a file is named twice")
    parts = [read_embeddings(path) for path in inputs]
    for part in parts[1:]:
        parts[0].fingerprint.require(part.fingerprint)
    several = len(parts) > 1
    ids = [f"{path}:{name}" if several else name for path, part in zip(inputs, parts, strict=True) for name in _ids(part)]
    texts = [str(its) for part in parts for its in part.surface]
    made = parts[0].fingerprint
    columns = {"file": [path for path, part in zip(inputs, parts, strict=True) for _ in range(part.rows)]} if several else {}
    return Points(np.concatenate([part.floats() for part in parts]), made.metric, ids, texts, columns, made)


def _ids(part: Embeddings) -> list[str]:
    names = [str(at) for at in range(len(part))] if part.ids is None else [str(name) for name in part.ids]
    if part.level == Level.TEXT:
        return names
    return [
        f"{names[at]}:{start}-{end}"
        for at, start, end in zip(part.text_index.tolist(), part.start.tolist(), part.end.tolist(), strict=True)
    ]


def _collection(place: str, how: From) -> Points:
    _refuse_reading(place, how)
    with Collection.open(place) as collection:
        items = list(collection.scan())
        settings = collection.settings
    if not items:
        raise InputError(f"{place}: nothing in it")
    names = list(dict.fromkeys(name for item in items for name in item.metadata))
    return Points(
        np.stack([item.vector for item in items]).astype(np.float32),
        settings.metric,
        [item.id for item in items],
        [item.text or item.id for item in items],
        {name: [item.metadata.get(name) for item in items] for name in names},
        settings.fingerprint,
    )


def _frequent_words(inputs: Sequence[str], how: From) -> Points:
    if len(inputs) != 1 or how.model is not None or how.level != Level.TEXT:
        raise OptionError("words of a word model: name the model, and nothing else: semvec visualise glove-50d --words 5000")
    encoder = load_encoder(inputs[0], device=how.device)
    if not isinstance(encoder, WordEncoder):
        raise OptionError(f"{inputs[0]}: is no word model, so it has no list of words")
    words = list(islice(encoder.table.words, how.words))
    vectors = np.asarray(encoder.table.vectors[: len(words)], dtype=np.float32)
    return Points(vectors, encoder.metric, words, words, {"rank": list(range(1, len(words) + 1))}, encoder.fingerprint)


def _occurrences(inputs: Sequence[str], how: From) -> Points:
    word = how.word or ""
    if len(inputs) != 1 or how.level != Level.TEXT or how.id_field:
        raise OptionError("occurrences of a word: name one file, folder or collection; each occurrence is a point")
    with concordance(inputs[0], word, model=how.model, device=how.device, text_field=how.text_field) as (found, _, _):
        if not len(found):
            raise InputError(f"{inputs[0]}: {word!r} is not there")
        senses = found.senses()
    each = senses.occurrences
    return Points(
        normalize(senses.vectors),
        Metric.COSINE,
        [f"{its.id}:{its.start}-{its.end}" for its in each],
        [in_line(its.text, its.start, its.end, LINE) for its in each],
        {"sense": [f"sense {its.sense}" for its in each], "form": [its.word for its in each]},
        found.fingerprint,
        found.left_out,
    )


def in_line(text: str, start: int, end: int, around: int) -> str:
    """Return the characters ``start`` to ``end`` of ``text`` in brackets, with what stands around them, on one line."""
    before, after = text[max(0, start - around) : start], text[end : end + around]
    left, right = "…" * (start > around), "…" * (len(text) > end + around)
    return " ".join(f"{left}{before}[{text[start:end]}]{after}{right}".split())
