"""Files of texts, or of vectors → a collection, and a collection → what searches it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from semvec.embeddings.storage import read_embeddings, read_header
from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, StoreError
from semvec.search.searcher import Searcher, settings_for
from semvec.store.collection import Collection, Settings, Written
from semvec.text.document import BadRow, Document
from semvec.text.documents import read_documents
from semvec.text.readers import ReadOptions
from semvec.text.sources import find_sources
from semvec.types import Dtype, Level

BLOCK = 4096


def write_texts(
    inputs: Sequence[str | Path],
    place: str | os.PathLike[str],
    model: str | None = None,
    *,
    read: ReadOptions | None = None,
    device: str | None = None,
    new: bool = False,
    dtype: Dtype | str = Dtype.FLOAT32,
) -> Iterator[Written]:
    """Encode the texts in ``inputs`` and write them into the collection at ``place``, a thousand at a time.

    ``new`` makes the collection, with numbers kept as ``dtype``. What `ReadOptions.fields` names becomes metadata.
    Raises `InputError` at the first bad row, and where there is no text; what was written before is kept.
    """
    sources = find_sources(list(inputs))
    # a missing column shows before the model is loaded, and nothing is made of nothing
    if not any(source.once for source in sources) and next(_documents(read_documents(sources, read)), None) is None:
        raise InputError(f"{', '.join(source.name for source in sources[:3])}: no text there")
    if new:
        encoder = load_encoder(model or "minilm", device=device)
        collection = Collection.open(place, settings_for(encoder, Dtype(dtype)))
    else:
        collection = Collection.open(place)
        encoder = _encoder(collection, model, device)
    with collection:
        yield from Searcher(encoder, collection).add(_documents(read_documents(sources, read)))


def write_vectors(
    inputs: Sequence[str | Path], place: str | os.PathLike[str], *, new: bool = False, dtype: Dtype | str = Dtype.FLOAT32
) -> Iterator[Written]:
    """Write vectors files that ``semvec encode`` made, at level text, into the collection at ``place``."""
    for name in inputs:
        header = read_header(name)
        if header.fingerprint.level != Level.TEXT or not header.has_ids:
            raise InputError(f"{name}: a collection takes vectors of whole texts with ids (--level text)")
    made = read_header(inputs[0]).fingerprint
    settings = Settings(made.dim, made.metric, Dtype(dtype), made) if new else None
    with Collection.open(place, settings) as collection:
        for name in inputs:
            embeddings = read_embeddings(name)
            for at in range(0, len(embeddings), BLOCK):
                yield collection.add(embeddings[at : at + BLOCK])


@contextmanager
def open_searcher(place: str | os.PathLike[str], model: str | None = None, *, device: str | None = None) -> Iterator[Searcher]:
    """Give a `Searcher` of the collection at ``place``, with the encoder called ``model``, or the one it names itself."""
    with Collection.open(place) as collection:
        yield Searcher(_encoder(collection, model, device), collection)


def _encoder(collection: Collection, model: str | None, device: str | None) -> Encoder:
    made = collection.settings.fingerprint
    if model is None and made is None:
        raise StoreError("the collection does not know its encoder: name it with --model")
    return load_encoder(model or made.model, device=device)  # type: ignore[union-attr]


def _documents(items: Iterator[Document | BadRow]) -> Iterator[Document]:
    for item in items:
        if isinstance(item, BadRow):
            raise InputError(f"{item.where}: {item.reason}")
        yield item
