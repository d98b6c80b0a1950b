"""A corpus by its name → where a word stands in it: a collection with token vectors, or files of texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.catalog import load_encoder
from semvec.errors import OptionError
from semvec.search.kwic import Concordance, in_collection, in_texts, use_of
from semvec.store.collection import Collection, is_collection
from semvec.store.token_collection import TokenCollection
from semvec.text.documents import sound_documents
from semvec.text.readers import ReadOptions

Found = tuple[Concordance, NDArray[np.float32], TokenCollection | None]


@contextmanager
def concordance(
    corpus: str,
    word: str,
    like: str | None = None,
    *,
    model: str | None = None,
    device: str | None = None,
    text_field: str | None = None,
) -> Iterator[Found]:
    """Give where ``word`` is in ``corpus``, the vector of the use ``like`` (empty for none), and the collection if it is one.

    Raises `InputError` for files without texts, `OptionError` for a collection without token vectors, or with options that
    would do nothing there.
    """
    if not is_collection(corpus):
        encoder = load_encoder(model or "minilm", device=device)
        use = np.zeros(0, np.float32) if like is None else use_of(encoder, like)
        yield in_texts(sound_documents(corpus, ReadOptions(text_field=text_field, keep_blank=True)), word, encoder), use, None
        return
    with Collection.open(corpus) as collection:
        if not isinstance(collection, TokenCollection):
            raise OptionError(f"{corpus}: keeps no token vectors; 'semvec index build … --level token' makes one that does")
        if text_field is not None:
            raise OptionError(f"{corpus}: a collection has its texts already; text_field is for files")
        if model is not None and like is None:
            raise OptionError(f"{corpus}: holds its vectors already; a model encodes like, which is not given")
        use = np.zeros(0, np.float32)
        if like is not None:
            made = collection.settings.fingerprint
            encoder = load_encoder(model or (made.model if made else "minilm"), device=device)
            collection.check_fingerprint(encoder.fingerprint)
            use = use_of(encoder, like)
        yield in_collection(collection, word), use, collection
