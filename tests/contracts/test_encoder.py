"""What every encoder promises, over every family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semvec.encoders.protocol import Encoder
from semvec.errors import FingerprintMismatch, InputError, OptionError
from semvec.types import Oov
from tests.sample import TEXTS

FAMILIES = ["word", "static", "sentence", "bert", "gpt2", "llama"]


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest) -> Any:
    if request.param in ("word", "static", "sentence"):
        return request.getfixturevalue(request.param)
    return request.getfixturevalue("contextual")[request.param]


def test_is_an_encoder(encoder: Any) -> None:
    assert isinstance(encoder, Encoder)


def test_every_level_it_names(encoder: Any) -> None:
    texts = ["The [bank] of the river", "[Everyone] has [the right]"]
    for level in encoder.levels:
        found = encoder.encode(texts, level=level)
        assert found.level == level == found.fingerprint.level
        assert found.vectors.dtype == np.float32
        assert found.vectors.flags["C_CONTIGUOUS"]
        assert found.dim == found.vectors.shape[1] == encoder.with_options(level=level).dim
        assert len(found) == 2
        assert np.isfinite(found.vectors).all()
        assert (np.diff(found.text_index) >= 0).all()


def test_rows_are_in_input_order_whatever_the_lengths(encoder: Any) -> None:
    texts = sorted(TEXTS, key=lambda text: hash(text) % 1000) + TEXTS
    together = encoder.encode(texts)
    for i, text in enumerate(texts):
        np.testing.assert_allclose(together.vectors[i], encoder.encode([text]).vectors[0], atol=1e-4)


def test_one_text_is_a_view_of_the_whole(encoder: Any) -> None:
    found = encoder.encode(TEXTS, level="word")
    assert sum(one.rows for one in found) == found.rows
    assert found[-1] == found[len(TEXTS) - 1]
    assert found[3].surface.tolist() == encoder.encode([TEXTS[3]], level="word").surface.tolist()
    with pytest.raises(IndexError):
        found[len(TEXTS)]
    whole = type(found).concatenate([found.slice(0, 5), found.slice(5, 5), found.slice(5, len(TEXTS))])
    assert whole == found


def test_empty_input_and_empty_texts(encoder: Any) -> None:
    for level in ("text", "word", "token"):
        assert encoder.encode([], level=level).vectors.shape == (0, encoder.with_options(level=level).dim)
        found = encoder.encode(["", "  \t"], level=level)
        assert found.rows == (2 if level == "text" else 0)
        assert len(found) == 2
        assert not found.vectors.any()
        assert (found.oov == Oov.ZERO).all()


def test_words_given_split(encoder: Any) -> None:
    words = [["The", "bank", ",", "of the", "river"], [], ["中文", "x"]]
    found = encoder.encode(words, level="word")
    assert [one.surface.tolist() for one in found] == words
    text = " ".join(words[0])
    assert [text[a:b] for a, b in zip(found[0].start, found[0].end, strict=True)] == words[0]


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["fine", None], "text 1: the text is null"),
        (["fine", 3.5], "text 1: the text is not a string but float"),
        (["a\0b"], "text 0: NUL character at position 1"),
        (["a\ud800"], "text 0: not Unicode text: lone surrogate U\\+D800 at position 1"),
        ([["a", 3]], "text 0: a word is not a string but int"),
        ([b"bytes"], "text 0: the text is not a string but bytes"),
        ("one string", "not one string"),
    ],
)
def test_what_is_no_text(encoder: Any, texts: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        encoder.encode(texts)


def test_spans_that_cannot_be(encoder: Any) -> None:
    for spans, complaint in (
        ([[(0, 99)]], "outside"),
        ([[(2, 2)]], "empty"),
        ([[(1,)]], "not a character range"),
        ([], "one list"),
    ):
        with pytest.raises(InputError, match=complaint):
            encoder.encode(["some text"], spans=spans, level="span")
    for text in ("no brackets", "an [open one", "a [nested [one]]", "an empty []", "closed] only"):
        with pytest.raises(InputError, match="brackets"):
            encoder.encode([text], level="span")
    with pytest.raises(InputError, match='spans go with level="span"'):
        encoder.encode(["a"], spans=[[(0, 1)]])


def test_a_splitter_that_invents_words(encoder: Any) -> None:
    with pytest.raises(InputError, match="does not stand in"):
        encoder.encode(["the bank"], level="word", splitter=lambda text: ["nowhere"])


def test_queries_and_documents_without_prompts_are_texts(encoder: Any) -> None:
    if getattr(encoder, "prompts", {}):
        pytest.skip("has prompts")
    assert encoder.encode_query(TEXTS) == encoder.encode(TEXTS) == encoder.encode_document(TEXTS)


def test_options_stay_with_the_call(encoder: Any) -> None:
    before = encoder.options
    encoder.encode(["a"], level="token", normalize=True)
    assert encoder.options == before
    other = encoder.with_options(normalize=True)
    assert other is not encoder
    assert other.fingerprint.normalized
    assert other.with_options() is other
    with pytest.raises(OptionError, match="no option 'batchsize'"):
        encoder.encode(["a"], batchsize=3)
    with pytest.raises(OptionError, match="truncate_dim must be a whole number of at least 1, not 0"):
        encoder.encode(["a"], truncate_dim=0)


def test_other_fingerprints_do_not_mix(encoder: Any) -> None:
    texts, words = encoder.encode(["a bank"]), encoder.encode(["a bank"], level="word")
    with pytest.raises(FingerprintMismatch, match=r"differ in level.*\[text,.*\[word,"):
        type(texts).concatenate([texts, words])
