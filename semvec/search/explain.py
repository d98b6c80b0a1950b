"""Why two texts have the similarity they have: what each word adds to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.transforms import normalize
from semvec.encoders.protocol import Encoder
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import InputError, OptionError
from semvec.text.words import Span, find_words
from semvec.types import TOKEN_LEVELS, Choice, Dtype, Level, Metric

EXACT = 1e-5
"""How far a text's vector may be, in any dimension of unit vectors, from the mean of its tokens' to be taken for it."""


class Method(Choice):
    """How the shares were found."""

    EXACT = "exact"
    OCCLUSION = "occlusion"


@dataclass(frozen=True)
class Part:
    """A word of a text (or punctuation), the characters it stands at, and its ``share`` of the score.

    What the model puts around a text has neither text nor characters.
    """

    text: str
    start: int
    end: int
    share: float


@dataclass(frozen=True)
class Explanation:
    """The similarity ``score`` of two texts, and what the parts of each add to it.

    By the exact method the shares of ``one`` add up to the score, those of ``other`` too, and so does ``pairs`` (parts of one,
    parts of other): what two words bring together. By occlusion a share is what the score loses when the word is left out;
    these do not add up, and ``pairs`` is None.
    """

    score: float
    method: Method
    one: tuple[Part, ...]
    other: tuple[Part, ...]
    pairs: NDArray[np.float64] | None

    def strongest(self, count: int) -> list[tuple[Part, Part, float]]:
        """Return the ``count`` pairs of words that bring most together, the greatest first."""
        if self.pairs is None:
            return []
        named = [(at, to) for at, one in enumerate(self.one) for to, other in enumerate(self.other) if one.text and other.text]
        best = sorted(named, key=lambda its: -float(self.pairs[its]))[:count]  # type: ignore[index]
        return [(self.one[at], self.other[to], float(self.pairs[at, to])) for at, to in best]


def explain(encoder: Encoder, one: str, other: str) -> Explanation:
    """Return what the words of ``one`` and ``other`` add to the similarity that ``encoder`` gives the two texts.

    Where a text's vector is the mean of its tokens', scaled or not, the similarity is a sum over pairs of tokens, and so is known
    exactly for each word without running the model again: cos(a, b) = Σᵢⱼ aᵢ·bⱼ / (n m ‖ā‖ ‖b̄‖). What a token's vector says is
    taken from its surroundings too: shares tell where the score comes from, not what it would be without the word. Where it is
    not the mean (CLS, layers behind the pooling, prompts), every word is left out once (occlusion).

    Raises `OptionError` for an encoder whose metric is a distance, `InputError` for a text with nothing to read.
    """
    if encoder.fingerprint.metric not in (Metric.COSINE, Metric.DOT):
        raise OptionError(
            f"similarities are explained, and {encoder.fingerprint.model} has {encoder.fingerprint.metric} distances"
        )
    encoder = encoder.with_options(level=Level.TEXT, dtype=Dtype.FLOAT32, calibration=None)
    whole = encoder.encode([one, other]).floats()
    for text, vector in zip((one, other), whole, strict=True):
        if not vector.any():
            raise InputError(f"{text!r:.60}: nothing in it has a vector")
    cosine = encoder.fingerprint.metric == Metric.COSINE
    tops = normalize(whole) if cosine else whole
    score = float(tops[0].astype(np.float64) @ tops[1])
    sides = _sides(encoder, (one, other), tops)
    if sides is None:
        return _left_out(encoder, (one, other), score, cosine=cosine)
    parts, sums = zip(*sides, strict=True)
    pairs = sums[0] @ sums[1].T
    shares = pairs.sum(axis=1), pairs.sum(axis=0)
    named = [tuple(_part(text, span, float(share)) for span, share in zip(spans, its, strict=True))
             for text, spans, its in zip((one, other), parts, shares, strict=True)]  # fmt: skip
    return Explanation(score, Method.EXACT, named[0], named[1], pairs)


def _sides(
    encoder: Encoder, texts: tuple[str, str], tops: NDArray[np.float32]
) -> list[tuple[list[Span | None], NDArray[np.float64]]] | None:
    """Return the parts of each text and what each adds to its vector (parts, dim); None where that is not the sum of any."""
    level = next((its for its in TOKEN_LEVELS if its in encoder.levels), None)
    if level is None:
        return None
    special = isinstance(encoder, TransformerEncoder)
    plain = encoder.with_options(level=level, special=special, pooling=None, normalize=False, truncate_dim=None)
    found = plain.encode(list(texts))
    sides = []
    for at, text in enumerate(texts):
        its = found[at]
        tokens = its.floats().astype(np.float64)
        known = tokens[tokens.any(axis=1)]
        if not len(known) or known.shape[1] != tops.shape[1]:
            return None
        mean = known.mean(axis=0)
        length = float(np.linalg.norm(mean))
        scale = float(np.linalg.norm(tops[at])) / length if length else 0.0
        if not np.abs(mean * scale - tops[at]).max() <= EXACT * max(float(np.linalg.norm(tops[at])), 1e-12):
            return None
        spans, owner = _owners(text, its)
        sums = np.zeros((len(spans), tokens.shape[1]))
        np.add.at(sums, owner, tokens * (scale / len(known)))
        sides.append((spans, sums))
    return sides


def _owners(text: str, tokens: Embeddings) -> tuple[list[Span | None], NDArray[np.int64]]:
    """Return the parts of ``text`` in their order, None for what the model put around it, and which each token belongs to."""
    words = find_words(text, None)
    inside = {at: word for word in words for at in range(*word)}
    keys: list[Span | None] = []
    for start, end, special in zip(tokens.start.tolist(), tokens.end.tolist(), tokens.special.tolist(), strict=True):
        keys.append(None if special or start == end else inside.get(start, (start, end)))
    spans = sorted({key for key in keys if key is not None}) + [None] * (None in keys)
    places = {span: at for at, span in enumerate(spans)}
    return spans, np.array([places[key] for key in keys], dtype=np.int64)


def _left_out(encoder: Encoder, texts: tuple[str, str], score: float, *, cosine: bool) -> Explanation:
    """Return what the score loses by each word that is left out."""
    spans = [find_words(text, None) for text in texts]
    cut = [text[:start] + text[end:] for text, its in zip(texts, spans, strict=True) for start, end in its]
    vectors = encoder.encode([*texts, *cut]).floats().astype(np.float64)
    vectors = normalize(vectors) if cosine else vectors
    without: Iterator[NDArray[np.float64]] = iter(vectors[2:])
    sides = []
    for text, its, beside in zip(texts, spans, (vectors[1], vectors[0]), strict=True):
        sides.append(tuple(_part(text, span, score - float(next(without) @ beside)) for span in its))
    return Explanation(score, Method.OCCLUSION, sides[0], sides[1], None)


def _part(text: str, span: Span | None, share: float) -> Part:
    return Part("", 0, 0, share) if span is None else Part(text[span[0] : span[1]], *span, share)
