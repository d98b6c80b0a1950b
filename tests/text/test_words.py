"""Words, sentences and brackets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semvec.text.brackets import read_brackets
from semvec.text.sentences import split_sentences
from semvec.text.words import _pattern, find_words, join_words, split_words
from tests.sample import AWKWARD


def words(text: str) -> list[str]:
    return [text[a:b] for a, b in split_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't panic!", ["Don't", "panic"]),
        ("a well-known fact - really", ["a", "well-known", "fact", "really"]),
        ("1,000.5 and 3.14.", ["1,000.5", "and", "3.14"]),
        ("中文字abc", ["中", "文", "字", "abc"]),
        ("ひらがなカ", ["ひ", "ら", "が", "な", "カ"]),
        ("👨‍👩‍👧 👋🏽🇩🇪🇫🇷", ["👨‍👩‍👧", "👋🏽", "🇩🇪", "🇫🇷"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("كتاب שלום नमस्ते", ["كتاب", "שלום", "नमस्ते"]),
        ("zero\u200bwidth tab\tspace\u00a0x", ["zero", "width", "tab", "space", "x"]),
        ("snake_case x2", ["snake_case", "x2"]),
        ("?!... —", []),
        ("", []),
    ],
)
def test_split_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(alphabet=AWKWARD, max_size=60))
def test_words_lose_no_letter(text: str) -> None:
    spans = split_words(text)
    assert all(a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))
    covered = {i for a, b in spans for i in range(a, b)}
    assert all(i in covered for i, char in enumerate(text) if char.isalnum())
    assert not any(text[i].isspace() for i in covered)


@given(st.text(alphabet="aB9_'-., \t!", max_size=40))
def test_the_quick_way_for_ascii_finds_the_same(text: str) -> None:
    assert split_words(text) == [match.span() for match in _pattern().finditer(text)]


def test_splitters() -> None:
    assert find_words("a b a", str.split) == [(0, 1), (2, 3), (4, 5)]
    assert find_words("ab", lambda text: [(0, 1)]) == [(0, 1)]
    assert find_words("今天天气", lambda text: ["今天", " ", "天气"]) == [(0, 2), (2, 4)]
    assert join_words(["a", "", "bc"]) == ("a  bc", [(0, 1), (2, 2), (3, 5)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met Mr. Jones at 3.30 p.m. in town. He left.", ["Dr. Smith met Mr. Jones at 3.30 p.m. in town.", "He left."]),
        ('"Stop!" he said. (It was late.) Fine.', ['"Stop!" he said.', "(It was late.)", "Fine."]),
        ("你好。他说：“好！”再见？", ["你好。", "他说：“好！”", "再见？"]),
        ("First paragraph\n\nsecond one", ["First paragraph", "second one"]),
        ("Wait... what? J. R. Tolkien", ["Wait... what?", "J. R. Tolkien"]),
        ("  ", []),
    ],
)
def test_split_sentences(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in split_sentences(text)] == expected


@given(st.text(alphabet=AWKWARD + "。！\n", max_size=60))
def test_sentences_cover_all_that_is_no_space(text: str) -> None:
    covered = {i for a, b in split_sentences(text) for i in range(a, b)}
    assert all(i in covered or text[i].isspace() for i in range(len(text)))


def test_brackets() -> None:
    assert read_brackets("the [bank] of [x y]!") == ("the bank of x y!", [(4, 8), (12, 15)], [(5, 9), (15, 18)])
