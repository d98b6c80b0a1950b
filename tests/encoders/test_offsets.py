"""texts[i][start:end] == surface, for every row of every family at every level, over any Unicode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.word import WordEncoder
from tests.sample import AWKWARD, TEXTS

PIECES = [
    "👨‍👩‍👧‍👦",
    "❤️‍🔥",
    "🇩🇪",
    "e\u0301",
    "שלום",
    "﷽",
    "中文",
    "ﬁ",
    "İ",
    "\u200b",
    "\t",
    "\u00a0",
    "don't",
    "well-known",
    "3.14",
    " ",
    "the",
    "bank",
]
anything = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    st.text(alphabet=AWKWARD, max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = ["bert", "roberta", "gpt2", "llama", "t5"]


def check(encoder: Any, texts: list[str], level: str) -> None:
    found = encoder.encode(texts, level=level)
    assert (found.vectors == found.vectors).all()
    for i, start, end, surface in zip(found.text_index, found.start, found.end, found.surface, strict=True):
        assert texts[i][start:end] == surface
    if level == "text":
        assert found.surface.tolist() == texts
    if level == "word":
        for one in found:
            assert (one.start[1:] >= one.end[:-1]).all()
            assert all(surface.strip() == surface and surface for surface in one.surface)
    if level == "token":
        for one, text in zip(found, texts, strict=True):
            if one.n_truncated[0] == 0 and one.rows:
                covered = {c for a, b in zip(one.start, one.end, strict=True) for c in range(a, b)}
                missing = {text[c] for c in range(len(text)) if c not in covered and text[c].isalnum() and text[c].isascii()}
                assert not missing


@pytest.mark.parametrize("level", ["text", "word", "token", "chunk"])
@relaxed
@given(texts=st.lists(anything, min_size=1, max_size=4))
def test_static_words(word: WordEncoder, level: str, texts: list[str]) -> None:
    check(word, texts, level)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["text", "word", "token"])
@relaxed
@given(texts=st.lists(anything, min_size=1, max_size=3))
def test_transformers(contextual: dict[str, ContextualEncoder], kind: str, level: str, texts: list[str]) -> None:
    check(contextual[kind], texts, level)


@relaxed
@given(texts=st.lists(anything, min_size=1, max_size=3), late=st.booleans(), by=st.sampled_from(["tokens", "sentences"]))
def test_chunks(sentence: SentenceEncoder, texts: list[str], late: bool, by: str) -> None:
    check(sentence.with_options(chunk_tokens=8, late=late, chunk_by=by, overflow="windows"), texts, "chunk")


@pytest.mark.parametrize("kind", KINDS)
def test_the_sample(contextual: dict[str, ContextualEncoder], kind: str) -> None:
    for level in ("text", "word", "token"):
        check(contextual[kind], TEXTS, level)


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_has_a_vector_of_its_own_tokens(contextual: dict[str, ContextualEncoder], kind: str) -> None:
    text = TEXTS[4]
    tokens = contextual[kind].encode([text], level="token")
    words = contextual[kind].encode([text], level="word")
    assert words.surface.tolist() == text.rstrip(".").split()
    for row in range(words.rows):
        mine = [i for i in range(tokens.rows) if tokens.start[i] < words.end[row] and tokens.end[i] > words.start[row]]
        assert abs(words.vectors[row] - tokens.vectors[mine].mean(0)).max() < 1e-5


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_brackets_point_into_the_text_as_given(contextual: dict[str, ContextualEncoder], kind: str) -> None:
    texts = ["The [bank] of the river", "[Alle Menschen] sind [frei]", "中文[人人]生"]
    found = contextual[kind].encode(texts, level="span")
    assert found.surface.tolist() == ["bank", "Alle Menschen", "frei", "人人"]
    assert [texts[i][a:b] for i, a, b in zip(found.text_index, found.start, found.end, strict=True)] == found.surface.tolist()
    bare = contextual[kind].encode(["The bank of the river"], spans=[[(4, 8)]], level="span")
    assert abs(bare.vectors - found.vectors[:1]).max() < 1e-6


def test_spans_come_in_the_order_given(sentence: SentenceEncoder) -> None:
    found = sentence.encode(["one two three"], spans=[[(8, 13), (0, 3), (0, 7)]], level="span")
    assert found.surface.tolist() == ["three", "one", "one two"]
