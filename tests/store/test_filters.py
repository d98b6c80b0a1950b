"""Filters: what their text means, where it is wrong, and that the store agrees with the plain definition."""

from __future__ import annotations

import pytest

from semvec.errors import FilterError
from semvec.store.filter_text import parse_filter
from semvec.store.filters import All, Any, Compare, In, IsNull, Not, StartsWith, field

MEANINGS = [
    ("lang = 'de'", Compare("lang", "=", "de")),
    ('lang == "de"', Compare("lang", "=", "de")),
    ("year >= 2020", Compare("year", ">=", 2020)),
    ("year<>-1.5e3", Compare("year", "!=", -1500.0)),
    ("open = true", Compare("open", "=", True)),
    ("lang = 'de' and year >= 2020", All((Compare("lang", "=", "de"), Compare("year", ">=", 2020)))),
    ("a=1 or b=2 and c=3", Any((Compare("a", "=", 1), All((Compare("b", "=", 2), Compare("c", "=", 3)))))),
    ("(a=1 or b=2) and not c=3", All((Any((Compare("a", "=", 1), Compare("b", "=", 2))), Not(Compare("c", "=", 3))))),
    ("lang in ('de', 'fr')", In("lang", ("de", "fr"))),
    ("lang NOT IN ('de')", Not(In("lang", ("de",)))),
    ("title startswith 'The '", StartsWith("title", "The ")),
    ("tags contains 'new'", Compare("tags", "=", "new")),
    ("x is null", IsNull("x")),
    ("x is not null", Not(IsNull("x"))),
    ("`my field` = 'it''s'", Compare("my field", "=", "it's")),
    (r"a = 'tab\'s'", Compare("a", "=", "tab's")),
    ("größe.cm > 3", Compare("größe.cm", ">", 3)),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_what_the_text_means(text: str, meaning: object) -> None:
    assert parse_filter(text) == meaning


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("", 1, "nothing in it"),
        ("lang = = 'de'", 8, "a value is wanted, not ="),
        ("lang = de", 8, "strings stand in quotes, 'de'"),
        ("lang 'de'", 6, "a comparison is wanted"),
        ("lang = 'de' year = 3", 13, "'and' or 'or' is missing before year"),
        ("lang = 'de", 8, "this string has no end"),
        ("(a = 1", 7, "')' is missing before the end"),
        ("a in (1, )", 10, "a value is wanted"),
        ("a = null", 5, "asked for by 'is null'"),
        ("a = 1 and", 10, "a field is wanted"),
        ("a ; b", 3, "';' means nothing here"),
        ("a startswith 3", 14, "startswith wants a string"),
        ("3 = a", 1, "a field is wanted, not 3"),
    ],
)
def test_errors_point_at_the_character(text: str, at: int, what: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert f"character {at}:" in str(caught.value)
    assert what in str(caught.value)


def test_as_python_it_is_the_same() -> None:
    wanted = (field("lang") == "de") & ((field("year") >= 2020) | ~field("tags").contains("old")) & field("t").startswith("x")
    assert wanted == All((All((Compare("lang", "=", "de"), Any((Compare("year", ">=", 2020), Not(Compare("tags", "=", "old")))))), StartsWith("t", "x")))  # fmt: skip
    assert (field("x") == None) == IsNull("x")  # noqa: E711
    assert (field("x") != None) == Not(IsNull("x"))  # noqa: E711
    with pytest.raises(FilterError, match="joined by & | ~"):
        _ = (field("a") == 1) and (field("b") == 2)
    with pytest.raises(FilterError, match="compares with a string, a number"):
        assert field("a") == [1]


@pytest.mark.parametrize(
    ("text", "metadata", "true"),
    [
        ("a = 1", {"a": 1.0}, True),
        ("a = 1", {"a": "1"}, False),
        ("a = 1", {"a": True}, False),
        ("a < 'b'", {"a": 1}, False),
        ("a != 1", {}, False),
        ("not a = 1", {}, True),
        ("a = 2", {"a": [1, 2]}, True),
        ("a contains 3", {"a": [1, 2]}, False),
        ("a is null", {"a": None}, True),
        ("a is null", {"a": [1]}, False),
        ("a >= 'b' and a < 'c'", {"a": "bz"}, True),
    ],
)
def test_what_is_true(text: str, metadata: dict[str, object], true: bool) -> None:
    assert parse_filter(text).matches(metadata) is true


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("(" * 5000 + "a = 1" + ")" * 5000, "more than 100 brackets"),
        ("not " * 3000 + "a = 1", "more than 100 brackets"),
        ("a = '\ud800'", "lone surrogate"),
        ("a = 'x' " + "and b = 'y' " * 10_000 + "or", "…"),
    ],
)
def test_filters_that_are_too_much(text: str, complaint: str) -> None:
    with pytest.raises(FilterError, match=complaint) as found:
        parse_filter(text)
    assert len(str(found.value)) < 1000


def test_a_number_of_many_digits() -> None:
    assert parse_filter("a < " + "9" * 5000).matches({"a": 1})
