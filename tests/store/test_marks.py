"""What other stores are asked instead of a filter says the same as the filter."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semvec.store import filters
from semvec.store.filters import Compare, Filter, In, IsNull, Not, StartsWith, field
from semvec.store.marks import Both, Bound, Condition, Marked, bounds_of, marks_of, split

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
FIELDS = ["a", "A", "b c", "ä", "x" * 200, "['", ""]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, 1.5, 1e300, 2**53, 2**53 + 1, float(2**53), -(2**63) + 1]),
    st.sampled_from(["", "a", "1", "true", "ä", "null", "it's", "x" * 300, '"', "\\"]),
)
VALUES = st.recursive(
    SCALARS | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner), max_leaves=4
)
METADATA = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4)
LEAVES = st.one_of(
    st.builds(Compare, st.sampled_from(FIELDS), st.sampled_from(filters.OPERATORS), SCALARS),
    st.builds(lambda name, values: In(name, tuple(values)), st.sampled_from(FIELDS), st.lists(SCALARS, max_size=3)),
    st.builds(StartsWith, st.sampled_from(FIELDS), st.sampled_from(["", "a", "1", "x"])),
    st.builds(IsNull, st.sampled_from(FIELDS)),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda parts: filters.All(tuple(parts)), st.lists(inner, max_size=3)),
        st.builds(lambda parts: filters.Any(tuple(parts)), st.lists(inner, max_size=3)),
    ),
    max_leaves=6,
)


def holds(condition: Condition | None, metadata: dict[str, Any]) -> bool:
    """What a store would say."""
    if condition is None:
        return True
    if isinstance(condition, Marked):
        return (condition.mark in marks_of(metadata)) == condition.there
    if isinstance(condition, Bound):
        bounds = bounds_of(metadata)
        return condition.name in bounds and OPERATORS[condition.operator](bounds[condition.name], condition.value)
    return (all if isinstance(condition, Both) else any)(holds(part, metadata) for part in condition.parts)


@given(FILTERS, METADATA)
def test_condition_and_rest_are_the_filter(wanted: Filter, metadata: dict[str, Any]) -> None:
    told, rest = split(wanted)
    assert (holds(told, metadata) and (rest is None or rest.matches(metadata))) == wanted.matches(metadata)


@pytest.mark.parametrize(
    "wanted",
    [field("a") == 1, field("a") != "x", field("a") >= 2.5, ~(field("a") < 3), field("a").is_in("x", True), field("a").is_null(),
     (field("a") == 1) | ~(field("b") == 2), field("a").startswith("")],
)  # fmt: skip
def test_what_a_store_is_asked_whole(wanted: Filter) -> None:
    assert split(wanted)[1] is None


def test_what_a_store_cannot_say_is_left_over_and_the_rest_is_asked() -> None:
    told, rest = split((field("lang") == "de") & (field("name") > "m") & (field("year") > 2**60))
    assert told == Marked('["lang","de"]')
    assert rest == filters.All((field("name") > "m", field("year") > 2**60))
    assert split(field("name").startswith("a") | (field("lang") == "de"))[0] is None
