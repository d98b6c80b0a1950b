"""A memo of words gives what the tokenizer gives, or is not made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semvec.encoders import word_memo
from semvec.encoders.word_memo import WordMemo
from tests import tiny
from tests.sample import TEXTS

AWKWARD = [
    "[UNK] a[SEP]b [PAD]",
    "a  b   ",
    " \t a\x1cb\u2028c",
    "e\u0301 \u0301e Ã\u0300",
    "ΟΔΟΣ ΣΑΣ. Σ",
    "中文 x中y",
    "a\u00a0b",
    "\ufeffthe bank",
    "x" * 300,
]
TOKENIZER = tiny.wordpiece().backend_tokenizer


def plain(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return [its.ids for its in tokenizer.encode_batch(texts, add_special_tokens=False)]


def test_the_ids_are_the_tokenizers() -> None:
    memo = WordMemo.of(TOKENIZER)
    assert memo is not None
    for texts in ([*TEXTS, *AWKWARD], AWKWARD[::-1], [], [""]):
        assert memo(texts) == plain(TOKENIZER, texts)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), max_size=5))
@settings(max_examples=300, deadline=None)
def test_whatever_the_text(texts: list[str]) -> None:
    memo = WordMemo.of(TOKENIZER)
    assert memo is not None
    assert memo(texts) == plain(TOKENIZER, texts)


def test_it_starts_anew_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_memo, "KEPT", 30)
    memo = WordMemo.of(TOKENIZER)
    assert memo is not None
    for text in TEXTS:
        assert memo([text]) == plain(TOKENIZER, [text])
    assert memo._characters < 400


@pytest.mark.parametrize("kind", ["roberta", "llama"])
def test_tokenizers_that_read_across_spaces_get_none(kind: str) -> None:
    assert WordMemo.of(tiny.KINDS[kind][0]().backend_tokenizer) is None


def test_a_token_with_a_space_in_it_forbids_it() -> None:
    tokenizer = tiny.wordpiece().backend_tokenizer
    tokenizer.add_tokens(["New York"])
    assert WordMemo.of(tokenizer) is None
