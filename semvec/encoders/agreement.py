"""How far two encoders agree on texts: an encoder and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semvec.embeddings.transforms import normalize
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import InputError
from semvec.types import Oov


@dataclass(frozen=True)
class Agreement:
    """Of ``texts``, how many come in the same tokens (``alike``), and the mean and the lowest cosine of their vectors."""

    texts: int
    alike: int
    mean: float
    lowest: float


def agreement(one: TransformerEncoder, other: TransformerEncoder, texts: Sequence[str]) -> Agreement:
    """Return how ``one`` and ``other`` agree on ``texts``, by their vectors of whole texts.

    Raises `InputError` where none of these has a token.
    """
    pieces = zip(_pieces(one, texts), _pieces(other, texts), strict=True)
    ours, theirs = one.encode(texts), other.encode(texts)
    there = (ours.oov != Oov.ZERO) & (theirs.oov != Oov.ZERO)
    if not there.any():
        raise InputError("none of these texts has a token")
    cosines = np.einsum("ij,ij->i", normalize(ours.floats())[there], normalize(theirs.floats())[there])
    return Agreement(len(texts), sum(left == right for left, right in pieces), float(cosines.mean()), float(cosines.min()))


def _pieces(encoder: TransformerEncoder, texts: Sequence[str]) -> list[list[str]]:
    """Return the pieces of words that ``texts`` are read in."""
    name = encoder.transformer.tokenizer.inner.convert_ids_to_tokens
    return [name(its.ids.tolist()) for its in encoder.transformer.tokenizer(texts, offsets=False)]
