"""`TokenSearcher`: an encoder and a collection of token vectors, asked by texts and answering with the words that met."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.means import mean_by_text
from semvec.embeddings.transforms import normalize
from semvec.encoders.multi_vector import MultiVectorEncoder
from semvec.encoders.protocol import Encoder
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import InputError, LevelError
from semvec.index.kinds import code_width
from semvec.results import Hits
from semvec.search.searcher import check_min_score, cut
from semvec.selection.keep import Selection
from semvec.store.codec import Codec
from semvec.store.collection import CANDIDATES, Collection, Settings, TokenSettings, Written
from semvec.store.filters import Filter
from semvec.store.tokens import bits_for
from semvec.text.document import Document
from semvec.types import TOKEN_LEVELS, Dtype, Level, Metric, Oov, Overflow

BLOCK, CHARACTERS = 512, 1 << 20
"""Texts, and characters in them, that are encoded and written together."""

PER_TOKEN = 6
"""Bytes a token takes beside its codes: four of its marks, and about two for where it stands."""

PROBED = 16
CLOSE = 1e-4
"""How far a number of a text's vector of length 1 may be from the mean of its tokens' to be taken for it."""


class TokenSearcher:
    """Searches a collection of token vectors by texts, and writes texts into it, by one encoder of any family.

    The encoder must be the one that made the collection's vectors, else `FingerprintMismatch`. Raises `LevelError` for an
    encoder that has no vectors of tokens or words. With a ``selection`` only some tokens of what is added are kept.
    """

    def __init__(self, encoder: Encoder, collection: Collection, selection: Selection | None = None) -> None:
        self.encoder = token_encoder(encoder)
        self.selection = selection
        if collection.settings.tokens is None:
            raise LevelError("the collection keeps no token vectors: 'semvec index build … --level token' makes one that does")
        self.collection = collection
        if collection.settings.tokens.fingerprint is not None:
            collection.settings.tokens.fingerprint.require_comparable(self.encoder.fingerprint)
        self._texts = _TextVectors(encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32))

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: Filter | str | None = None,
        candidates: int | None = CANDIDATES,
        evidence: bool = False,
        min_score: float | None = None,
    ) -> list[Hits]:
        """Return the ``k`` best items for each of ``queries`` by late interaction, best first (see `Collection.search_tokens`).

        A score is a sum over the tokens of the query, so it grows with them; ``min_score`` leaves out what scores less. Raises
        `InputError` for a query with nothing in it that the model knows.
        """
        if isinstance(queries, str):
            raise InputError("queries must be a list of texts, not one string: search([query])")
        check_min_score(min_score)
        asked = self.encoder.encode_query(queries)
        for query, its in zip(queries, asked, strict=True):
            if (its.oov == Oov.ZERO).all():
                raise InputError(f"query {query!r:.80} holds nothing that the model knows")
        hits = self.collection.search_tokens(asked, k, where=where, candidates=candidates, evidence=evidence)
        return [cut(replace(its, query=query), min_score) for its, query in zip(hits, queries, strict=True)]

    def learn(self, texts: Sequence[str], tokens: int, *, seed: int = 0) -> None:
        """Learn from a sample of ``texts`` how about so many ``tokens`` of their kind are kept; before anything is written."""
        self.collection.learn_tokens(self.encoder.encode_document(texts), tokens, seed=seed)

    def add(self, documents: Iterable[Document]) -> Iterator[Written]:
        """Encode ``documents`` and write them with their metadata, some hundreds at a time; give what each write did.

        What was given is kept, whatever happens after. Texts with nothing in them that the model knows are left out
        (``Written.left_out``); an item of that id goes.
        """
        for block in in_blocks(documents):
            texts = [document.text for document in block]
            tokens = self._texts.tokens(self.encoder, texts)
            vectors = self._texts.of(texts, tokens)
            able = np.bincount(tokens.text_index[tokens.oov != Oov.ZERO], minlength=len(texts)) > 0
            able &= vectors.any(axis=1) | (self.collection.settings.metric != Metric.COSINE)
            kept = np.flatnonzero(able).tolist()
            tokens = tokens if self.selection is None else self.selection.kept(tokens, texts)
            if not kept:
                self.collection.delete([document.id for document in block])
                yield Written(0, 0, len(block))
                continue
            written = self.collection.upsert_tokens(
                [block[at].id for at in kept],
                vectors[kept],
                texts_at(tokens, kept),
                [block[at].text for at in kept],
                [block[at].metadata for at in kept],
            )
            if len(kept) < len(block):  # what stood under their ids is no longer what the source says
                self.collection.delete([block[at].id for at in np.flatnonzero(~able).tolist()])
            yield replace(written, left_out=len(block) - len(kept))


def in_blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Give ``documents`` some at a time: memory holds the vectors of all their tokens."""
    block: list[Document] = []
    size = 0
    for document in documents:
        if block and (len(block) == BLOCK or size + len(document.text) > CHARACTERS):
            yield block
            block, size = [], 0
        block.append(document)
        size += len(document.text)
    if block:
        yield block


def token_encoder(encoder: Encoder) -> Encoder:
    """Return ``encoder`` giving vectors of tokens, or of words where it has none of tokens."""
    level = next((its for its in TOKEN_LEVELS if its in encoder.levels), None)
    if level is None:
        given = ", ".join(encoder.levels)
        raise LevelError(f"late interaction wants vectors of tokens, and {encoder.fingerprint.model} gives {given}")
    return encoder.with_options(level=level, dtype=Dtype.FLOAT32, calibration=None, special=False)


def whole_texts(encoder: Encoder) -> Encoder:
    """Return ``encoder`` reading long texts whole, in windows, where it can."""
    return encoder.with_options(overflow=Overflow.WINDOWS) if not isinstance(encoder, MultiVectorEncoder) else encoder


def token_settings(
    encoder: Encoder, bits: int = 2, dtype: Dtype = Dtype.FLOAT32, *, keep_tokens: float = 1.0, keep_by: str = ""
) -> Settings:
    """Return the settings of a collection for the token vectors of ``encoder``, kept in ``bits`` a number.

    The vectors of whole texts are kept as ``dtype``; ``keep_tokens`` and ``keep_by`` are those of `TokenSettings`.
    """
    tokens, texts = token_encoder(encoder), encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32)
    made = tokens.prompted("document").fingerprint
    how = TokenSettings(tokens.dim, bits, made, keep_tokens, keep_by)
    return Settings(texts.dim, texts.metric, dtype, texts.prompted("document").fingerprint, how)


def bytes_of(settings: Settings, texts: int, tokens: int) -> int:
    """Return about how many bytes the vectors of so many ``texts`` and ``tokens`` take on the disk, snapshot included."""
    assert settings.tokens is not None
    each = Codec(settings.dtype, settings.dim).size
    return tokens * (code_width(settings.tokens.dim, bits_for(settings.tokens, tokens)) + PER_TOKEN) + texts * 2 * each


@dataclass
class _TextVectors:
    """The vectors of whole texts that stand beside those of their tokens; read from these where they are their mean."""

    encoder: Encoder
    means: bool | None = None

    def tokens(self, encoder: Encoder, texts: Sequence[str]) -> Embeddings:
        """Return the token vectors of ``texts``, with special ones where those are part of the mean."""
        special = isinstance(encoder, TransformerEncoder)
        return encoder.encode_document(texts, special=special)

    def of(self, texts: Sequence[str], tokens: Embeddings) -> NDArray[np.float32]:
        """Return the vectors (texts, dim) of ``texts``, whose ``tokens`` are known."""
        if self.means is False:
            return self.encoder.encode_document(texts).floats()
        means = mean_by_text(tokens, special=True)
        if self.means is None:
            able = np.flatnonzero((np.bincount(tokens.text_index[tokens.oov != Oov.ZERO], minlength=len(texts)) > 1)
                                  & (tokens.n_truncated == 0))  # fmt: skip
            probed = sorted(able.tolist(), key=lambda at: -len(texts[at]))[:PROBED]
            if not probed:
                return self.encoder.encode_document(texts).floats()
            true = self.encoder.encode_document([texts[at] for at in probed]).floats()
            fits = self.encoder.metric == Metric.COSINE and true.shape[1] == means.shape[1]
            self.means = fits and bool(np.abs(normalize(true) - normalize(means[probed])).max() <= CLOSE)
            return self.of(texts, tokens)
        return means


def texts_at(tokens: Embeddings, texts: list[int]) -> Embeddings:
    """Return the tokens of the texts at some places."""
    return tokens if len(texts) == len(tokens) else Embeddings.concatenate([tokens[at] for at in texts]) if texts else tokens[:0]
