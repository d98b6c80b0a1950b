"""Files of texts, or of vectors → a collection, and a collection → what searches it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from semvec.embeddings.storage import read_embeddings, read_header
from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError, SemvecError, StoreError
from semvec.search.searcher import Searcher, settings_for
from semvec.search.token_searcher import BLOCK as TOGETHER
from semvec.search.token_searcher import CHARACTERS, TokenSearcher, bytes_of, token_settings
from semvec.selection.hard import Known, Strategy
from semvec.selection.keep import Selection
from semvec.selection.soft import LearnedScorer
from semvec.selection.terms import Corpus
from semvec.store.address import shown
from semvec.store.collection import SCORER, Collection, Settings, Written, is_collection
from semvec.store.tokens import ENOUGH
from semvec.text.document import BadRow, Document
from semvec.text.documents import read_documents
from semvec.text.readers import ReadOptions
from semvec.text.sources import find_sources
from semvec.types import Dtype, Level, Overflow

BLOCK = 4096
SAMPLE = 1 << 17
LEARNED = 0.2
"""Tokens, and the share of all, that are enough to learn from how token vectors are kept."""

BY_CORPUS = (Strategy.IDF, Strategy.TF_IDF)
BY_TEXTS = (Strategy.LEAD, Strategy.RANDOM, Strategy.FREQUENCY, Strategy.CENTROID, *BY_CORPUS)
"""What needs to know all texts, and what needs no labels."""

SAMPLED, LONGEST = 1 << 15, 1 << 13
"""Texts that such a sample is drawn from, and characters of each, at most."""


@dataclass(frozen=True)
class IndexOptions:
    """How texts become items of a collection.

    ``model`` is the encoder (None: the collection's own, or minilm for a new one); ``overflow`` what happens to texts longer
    than it reads. `ReadOptions.fields` become metadata. ``dtype`` is how a new collection keeps its numbers. ``bad`` is told
    of every bad row, which is then left out; without it the first one raises.

    With ``bits`` (1, 2, 4 or 16) a new collection keeps the vectors of tokens too, in so many bits a number; ``sizes`` is told
    how large it will be before anything is encoded. Of each text the ``keep_tokens`` (a share) are kept that are the most telling
    ``keep_by`` (`Strategy`, by the words of all texts); of what is added later too, where a scorer has to be given again.
    """

    model: str | None = None
    device: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    overflow: Overflow = Overflow.TRUNCATE
    dtype: Dtype = Dtype.FLOAT32
    bad: Callable[[BadRow], None] | None = None
    bits: int | None = None
    sizes: Callable[[Size], None] | None = None
    keep_tokens: float = 1.0
    keep_by: Strategy | LearnedScorer = Strategy.TF_IDF


@dataclass(frozen=True)
class Size:
    """How many ``texts`` and ``tokens`` there are to index, and about how many ``bytes`` their vectors take."""

    texts: int
    tokens: int
    bytes: int


def write_texts(
    inputs: Sequence[str | Path], place: str | os.PathLike[str], options: IndexOptions, *, new: bool = False
) -> Iterator[Written]:
    """Encode the texts in ``inputs`` and write them into the collection at ``place``, a thousand at a time.

    Ids are those of the id column, else file and line (``notes.txt:7``). ``new`` makes the collection; where nothing could
    be written, nothing is left of it. Raises `InputError` at a bad row, and where there is no text; what was written before
    is kept.
    """
    for name in inputs:
        check_no_collection(name)
    read = replace(options.read, qualified=True)
    sources = find_sources(list(inputs))

    def documents(bad: Callable[[BadRow], None] | None) -> Iterator[Document]:
        for item in read_documents(sources, read):
            if isinstance(item, Document):
                yield item
            elif bad is None:
                raise InputError(f"{item.where}: {item.reason}")
            else:
                bad(item)

    # a missing column shows before the model is loaded, and nothing is made of nothing
    skip = None if options.bad is None else _pass_over
    if not any(source.once for source in sources) and next(documents(skip), None) is None:
        raise InputError(f"{', '.join(source.name for source in sources[:3])}: no text there")
    if new:
        encoder = _able(load_encoder(options.model or "minilm", device=options.device), options)
        made = settings_for(encoder, options.dtype) if options.bits is None else _token_settings(encoder, options.bits, options)
        collection = Collection.open(place, made)
    else:
        collection = Collection.open(place)
        encoder = _able(_encoder(collection, options.model, options.device), options)
    with collection, _nothing_left(collection, place, new=new):
        if collection.settings.tokens is None:
            yield from Searcher(encoder, collection).add(documents(options.bad))
            return
        searcher, how, corpus = TokenSearcher(encoder, collection), collection.settings.tokens, Corpus()
        by_corpus = how.keep_tokens < 1 and how.keep_by in BY_CORPUS
        if by_corpus:
            for block in _blocks(item.text or "" for item in collection.scan()):
                corpus.see(block)
        if not any(source.once for source in sources):
            if new or by_corpus:
                _survey(searcher, documents(skip or options.bad), options, corpus, new=new)
        elif by_corpus and new:
            raise InputError(f"{how.keep_by} goes by the words of all texts, and this is read only once: name a file")
        if how.keep_tokens < 1:
            searcher.selection = Selection(_chosen_by(how.keep_by, options), how.keep_tokens, known=Known(corpus))
        yield from searcher.add(documents(options.bad))


def _token_settings(encoder: Encoder, bits: int, options: IndexOptions) -> Settings:
    by = SCORER if isinstance(options.keep_by, LearnedScorer) else options.keep_by
    how: dict[str, Any] = {} if options.keep_tokens == 1 else {"keep_tokens": options.keep_tokens, "keep_by": str(by)}
    return token_settings(encoder, bits, options.dtype, **how)


def _chosen_by(name: str, options: IndexOptions) -> Strategy | LearnedScorer:
    """Return what tokens are chosen by in a collection that calls it ``name``."""
    if name != SCORER:
        return Strategy(name)
    if not isinstance(options.keep_by, LearnedScorer):
        raise OptionError("the collection keeps the tokens that a scorer chose: --keep-by FILE names the scorer")
    return options.keep_by


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    texts = iter(texts)
    while block := list(islice(texts, BLOCK)):
        yield block


def _survey(searcher: TokenSearcher, documents: Iterator[Document], options: IndexOptions, corpus: Corpus, *, new: bool) -> None:
    """Go through the texts once: count their tokens, and the words of those that are not in the collection yet.

    For a new collection learn from a sample how token vectors are kept.
    """
    drawn, rng = _Sample(SAMPLED), np.random.default_rng(0)
    texts = tokens = size = 0
    while some := list(islice(documents, BLOCK)):
        block = [document.text for document in some]
        there = searcher.collection.get([document.id for document in some])
        corpus.see([text for text, held in zip(block, there, strict=True) if held is None])
        counts, over = searcher.encoder.count_tokens(block)
        texts, tokens = texts + len(block), tokens + int((counts - over).sum())
        size += sum(map(len, block))
        drawn.see([text[:LONGEST] for text in block], rng)
    if options.sizes is not None:
        how = searcher.collection.settings.tokens
        kept = ceil(tokens * (1 if how is None else how.keep_tokens))
        options.sizes(Size(texts, kept, bytes_of(searcher.collection.settings, texts, kept)))
    if new and tokens >= ENOUGH and (texts > TOGETHER or size > CHARACTERS):  # else the first write is all there is to learn from
        share = max(min(SAMPLE / tokens, LEARNED), 2 * ENOUGH / tokens)
        searcher.learn([drawn.texts[at] for at in rng.permutation(len(drawn.texts))[: ceil(share * texts)]], tokens)


class _Sample:
    """Some of many texts, each as likely as any other (Vitter's algorithm R)."""

    def __init__(self, size: int) -> None:
        self._size, self._seen = size, 0
        self.texts: list[str] = []

    def see(self, texts: Sequence[str], rng: np.random.Generator) -> None:
        for text in texts:
            self._seen += 1
            if len(self.texts) < self._size:
                self.texts.append(text)
            elif (at := int(rng.integers(self._seen))) < self._size:
                self.texts[at] = text


def write_vectors(
    inputs: Sequence[str | Path], place: str | os.PathLike[str], *, new: bool = False, dtype: Dtype | str = Dtype.FLOAT32
) -> Iterator[Written]:
    """Write vectors files that ``semvec encode`` made, at level text, into the collection at ``place``.

    They have no metadata. A new collection takes no id twice. Where nothing could be written, nothing is left of it.
    """
    for name in inputs:
        header = read_header(name)
        if header.fingerprint.level != Level.TEXT or not header.has_ids:
            raise InputError(f"{name}: a collection takes vectors of whole texts with ids (--level text)")
    made = read_header(inputs[0]).fingerprint
    settings = Settings(made.dim, made.metric, Dtype(dtype), made) if new else None
    with Collection.open(place, settings) as collection, _nothing_left(collection, place, new=new):
        for name in inputs:
            embeddings = read_embeddings(name)
            for at in range(0, len(embeddings), BLOCK):
                part = embeddings[at : at + BLOCK]
                if new and part.ids is not None and (twice := [item for item in collection.get(part.ids.tolist()) if item]):
                    raise InputError(f"{name}: id {twice[0].id!r} comes twice, here and before")
                yield collection.add(part)


@contextmanager
def open_searcher(
    place: str | os.PathLike[str], model: str | None = None, *, device: str | None = None, level: Level | None = None
) -> Iterator[Searcher | TokenSearcher]:
    """Give what searches the collection at ``place``, with the encoder called ``model``, or the one it names itself.

    By late interaction at ``level`` token, the default where the collection has token vectors, else by one vector a text.
    """
    with Collection.open(place) as collection:
        level = level or (Level.TEXT if collection.settings.tokens is None else Level.TOKEN)
        searcher = TokenSearcher if level == Level.TOKEN else Searcher
        yield searcher(_encoder(collection, model, device), collection)


def _encoder(collection: Collection, model: str | None, device: str | None) -> Encoder:
    made = collection.settings.fingerprint
    if model is None and made is None:
        raise StoreError("the collection does not know its encoder: name it with --model")
    return load_encoder(model or made.model, device=device)  # type: ignore[union-attr]


@contextmanager
def _nothing_left(collection: Collection, place: str | os.PathLike[str], *, new: bool) -> Iterator[None]:
    """Remove a new collection in which nothing was written, and say so; where the block fails, say what was kept."""
    try:
        yield
        if new and not collection.count():
            raise InputError("there was no text to index")
    except BaseException as error:
        kept = collection.count() if new else 0
        if new and not kept:
            with suppress(SemvecError):
                collection.drop()
        if kept and isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"{kept:,} items are kept in {shown(place)}: 'semvec index add' adds the others") from error
        if kept and isinstance(error, InputError):
            raise InputError(f"{error}; {kept:,} items are kept in {shown(place)}: 'semvec index add' goes on with it") from error
        raise


def _able(encoder: Encoder, options: IndexOptions) -> Encoder:
    """Return the encoder that reads long texts as it is told to."""
    return encoder if options.overflow == Overflow.TRUNCATE else encoder.with_options(overflow=options.overflow)


def check_no_collection(name: str | os.PathLike[str]) -> None:
    """Raise `InputError` where a collection is named instead of a file of texts."""
    if is_collection(name):
        raise InputError(f"{os.fspath(name)}: is a collection, not a file of texts; 'semvec copy' copies it")


def _pass_over(row: BadRow) -> None:
    """Take no notice of a bad row: it is told of when it is met the second time."""
