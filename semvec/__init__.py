"""Semantic vectors: one interface to word, sentence and contextual encoders, and what stands on it.

    >>> import semvec
    >>> encoder = semvec.load_encoder("minilm")                     # doctest: +SKIP
    >>> encoder.encode(["a text", "another"]).vectors.shape         # doctest: +SKIP
    (2, 384)

The names below are loaded on first use, so importing semvec costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Calibration": "semvec.embeddings.quantise",
    "Embeddings": "semvec.embeddings.embeddings",
    "Fingerprint": "semvec.embeddings.fingerprint",
    "read_embeddings": "semvec.embeddings.storage",
    "write_embeddings": "semvec.embeddings.storage",
    "nearest": "semvec.embeddings.similarity",
    "similarity": "semvec.embeddings.similarity",
    "Encoder": "semvec.encoders.protocol",
    "EncodeOptions": "semvec.encoders.options",
    "ContextualEncoder": "semvec.encoders.contextual",
    "SentenceEncoder": "semvec.encoders.sentence",
    "StaticEncoder": "semvec.encoders.static",
    "WordEncoder": "semvec.encoders.word",
    "load_encoder": "semvec.encoders.catalog",
    "distill": "semvec.encoders.distill",
    "trim": "semvec.encoders.trim",
    "train_words": "semvec.encoders.word_train",
    "TrainOptions": "semvec.encoders.word_train_options",
    "encode_files": "semvec.encoders.files",
    "ReadOptions": "semvec.text.readers",
    "SemvecError": "semvec.errors",
    "TextsCut": "semvec.errors",
    "Level": "semvec.types",
    "Oov": "semvec.types",
}

__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from semvec.embeddings.embeddings import Embeddings as Embeddings
    from semvec.embeddings.fingerprint import Fingerprint as Fingerprint
    from semvec.embeddings.quantise import Calibration as Calibration
    from semvec.embeddings.similarity import nearest as nearest
    from semvec.embeddings.similarity import similarity as similarity
    from semvec.embeddings.storage import read_embeddings as read_embeddings
    from semvec.embeddings.storage import write_embeddings as write_embeddings
    from semvec.encoders.catalog import load_encoder as load_encoder
    from semvec.encoders.contextual import ContextualEncoder as ContextualEncoder
    from semvec.encoders.distill import distill as distill
    from semvec.encoders.files import encode_files as encode_files
    from semvec.encoders.options import EncodeOptions as EncodeOptions
    from semvec.encoders.protocol import Encoder as Encoder
    from semvec.encoders.sentence import SentenceEncoder as SentenceEncoder
    from semvec.encoders.static import StaticEncoder as StaticEncoder
    from semvec.encoders.trim import trim as trim
    from semvec.encoders.word import WordEncoder as WordEncoder
    from semvec.encoders.word_train import train_words as train_words
    from semvec.encoders.word_train_options import TrainOptions as TrainOptions
    from semvec.errors import SemvecError as SemvecError
    from semvec.errors import TextsCut as TextsCut
    from semvec.text.readers import ReadOptions as ReadOptions
    from semvec.types import Level as Level
    from semvec.types import Oov as Oov


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'semvec' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
