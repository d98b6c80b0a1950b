"""Static token vectors: the models of model2vec, and those of sentence-transformers without a transformer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, Unpack

from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.transforms import normalize
from semvec.encoders.base import BaseEncoder, TextInput
from semvec.encoders.layout import Frame, lay_out
from semvec.encoders.options import EncodeOptions, OptionChanges, shared_settings
from semvec.encoders.pooling import Groups, pool_table
from semvec.encoders.rows import RowBatch
from semvec.encoders.static_table import StaticTable, read_static_folder
from semvec.encoders.tokens import Tokens, tokens_of
from semvec.encoders.word_memo import WordMemo
from semvec.errors import OptionError
from semvec.types import JSON, Level, Metric, Oov, Pooling

ONLY_TRANSFORMERS = ("layers", "layer_mix", "max_tokens", "window_overlap", "late", "special", "batch_tokens", "backend", "oov")
WINDOW_TEXTS = 4096
"""So many texts are tokenised together: enough to keep every core busy, and it bounds memory."""

NO_END = 1 << 60
"""More tokens than any text has: all of a text is read."""


class StaticEncoder(BaseEncoder):
    """One vector a token, whatever stands around it; texts, chunks, spans and words are the mean of their tokens.

    A text's vector is what ``model2vec.StaticModel.encode`` and ``SentenceTransformer.encode`` make of it,
    each with the models it saved, but that no text is ever cut. What the tokenizer does not know is left out
    of the means of a model2vec model, and flagged where a row is made of nothing else.
    """

    def __init__(self, table: StaticTable, *, model: str, options: EncodeOptions | None = None) -> None:
        super().__init__(options)
        self.table = table
        self.model = model
        self.prompts = table.prompts
        self._memo = WordMemo.of(table.tokenizer)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], *, name: str | None = None, **changes: Unpack[OptionChanges]) -> Self:
        """Return the vectors in the folder ``path``; see `read_static_folder` for what it may hold and errors."""
        folder = Path(path)
        return cls(read_static_folder(folder), model=name or folder.name, options=EncodeOptions().changed(changes))

    @property
    def levels(self) -> tuple[Level, ...]:
        return tuple(Level)

    @property
    def metric(self) -> Metric:
        return self.table.metric

    def _check_options(self) -> None:
        self._refuse_unused(ONLY_TRANSFORMERS, "of no use to static vectors, which have no layers or limit of length")
        if self.options.pooling == Pooling.SIF:
            raise OptionError("pooling 'sif' is of use to tables of words only: a static model carries its token weights itself")
        self._check_truncation(self.table.dim)

    @property
    def _prompt(self) -> str:
        return self.table.default_prompt if self.options.prompt is None else self.options.prompt

    @property
    def _how(self) -> str:
        """How tokens become a row."""
        if self.options.level == Level.WORD:
            return str(self.options.subword)
        return str(self.options.pooling or Pooling.MEAN)

    def _fingerprint(self) -> Fingerprint:
        options = self.options
        settings: dict[str, JSON] = {"config": self.table.config, "prompt": self._prompt, **shared_settings(options)}
        if options.level == Level.WORD:
            settings["subword"] = self._how
        if self._pooled:
            settings["pooling"] = self._how + ("+normalize" if self.table.normalized else "")
        return Fingerprint(
            family="static",
            model=self.model,
            weights=self.table.weights,
            level=options.level,
            dim=min(options.truncate_dim or self.table.dim, self.table.dim),
            dtype=options.dtype,
            metric=self.metric,
            normalized=options.normalize or (self._pooled and self.table.normalized),
            settings=settings,
        )

    def _encode_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        self._check_options()
        rows = self._text_rows if self.options.level == Level.TEXT else self._placed_rows
        found: list[RowBatch] = []
        for at in range(0, len(inputs), WINDOW_TEXTS):
            found.append(rows(inputs[at : at + WINDOW_TEXTS]))
            if self.options.progress:
                self.options.progress(min(at + WINDOW_TEXTS, len(inputs)), len(inputs))
        return RowBatch.concatenate(found, self.table.dim)

    def _count_tokens(self, inputs: Sequence[TextInput]) -> list[tuple[int, int]]:
        _, lengths, n_prompt = self._ids(inputs)
        return [(n, 0) for n in (lengths - n_prompt).tolist()]

    def _text_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        """Return a row for each text, for which no offsets are needed."""
        ids, lengths, n_prompt = self._ids(inputs)
        vectors, oov = self._pool(ids, lengths)
        edges = np.zeros((len(inputs), 2), dtype=np.int32)
        edges[:, 1] = [len(one.text) for one in inputs]
        counts = np.ones(len(inputs), dtype=np.int64)
        return RowBatch.solid(counts, vectors, edges, oov=oov, n_tokens=(lengths - n_prompt).astype(np.int32))

    def _ids(self, inputs: Sequence[TextInput]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens of all ``inputs``, text after text, how many each has, and how many are its prompt's."""
        if self._prompt:
            tokens = self._tokens(inputs)
            lengths = np.array([len(its.ids) for its in tokens], dtype=np.int64)
            return _joined([its.ids for its in tokens]), lengths, np.array([its.n_prompt for its in tokens], dtype=np.int64)
        texts = [one.text if one.text.strip() else "" for one in inputs]
        if self._memo is not None:
            lists = self._memo(texts)
        else:
            lists = [its.ids for its in self.table.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
        ids = np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=int(lengths.sum()))
        return ids, lengths, np.zeros(len(lists), dtype=np.int64)

    def _tokens(self, inputs: Sequence[TextInput]) -> list[Tokens]:
        """Return the tokens of each of ``inputs`` with their offsets, behind the prompt's; none of a blank text."""
        prompt = self._prompt
        found = self.table.tokenizer.encode_batch([prompt + one.text for one in inputs], add_special_tokens=False)
        return [
            tokens_of(one.text, its.ids, its.offsets, len(prompt)) if one.text.strip() else tokens_of("", [], [], 0)
            for one, its in zip(inputs, found, strict=True)
        ]

    def _placed_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        """Return the rows of a level at which a text may have several, each with its place."""
        frame = Frame([], [], NO_END)
        layouts = [lay_out(one, its, frame, self.options) for one, its in zip(inputs, self._tokens(inputs), strict=True)]
        readings = [reading for layout in layouts for reading in layout.readings]
        ids = _joined([np.array([*one.front, *one.ids], dtype=np.int64) for one in readings])
        sizes = np.array([len(one.front) + len(one.ids) for one in readings], dtype=np.int64)
        places = (np.cumsum(sizes) - sizes).tolist()
        groups = Groups.concatenate([one.groups.shifted(at) for one, at in zip(readings, places, strict=True)])
        lengths = np.zeros(sum(len(layout.start) for layout in layouts), dtype=np.int64)
        lengths[np.concatenate([np.zeros(0, dtype=bool), *(layout.solid for layout in layouts)])] = groups.lengths
        vectors, oov = self._pool(ids[groups.tokens], lengths)
        edges = [edge for layout in layouts for edge in zip(layout.start, layout.end, strict=True)]
        return RowBatch.solid(
            np.array([len(layout.start) for layout in layouts], dtype=np.int64),
            vectors,
            np.array(edges, dtype=np.int32).reshape(-1, 2),
            oov=oov,
            n_tokens=np.array([layout.n_tokens for layout in layouts], dtype=np.int32),
        )

    def _pool(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return a vector and a rung for each of ``lengths`` (rows,) of the tokens ``ids``, unknown ones left out."""
        if self.table.unknown is not None and (ids == self.table.unknown).any():
            known = ids != self.table.unknown
            owner = np.repeat(np.arange(len(lengths)), lengths)
            ids, lengths = ids[known], np.bincount(owner[known], minlength=len(lengths))
        vectors = pool_table(self.table.vectors, ids, lengths, self._how)
        if self._pooled and self.table.normalized:
            vectors = normalize(vectors)
        return vectors, np.where(vectors.any(axis=1), Oov.EXACT, Oov.ZERO).astype(np.uint8)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
