"""A `Filter` as a condition of SQL over the column ``attributes``.

``attributes`` is made for this: by field the list of all that can be compared, ``{"lang": ["de"], "tags": ["new", 7]}``,
without what is null. So one value and a list need no two cases, and a field is there exactly where it is not null.
PostgreSQL's jsonpath then compares as `Filter.matches` does: kinds never mix, strings go by code points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from semvec.errors import FilterError
from semvec.store.filters import All, Any, Compare, Filter, In, IsNull, Not, Scalar, StartsWith, kind_of, members
from semvec.text.document import flaw
from semvec.types import JSON

SIGNS = {"!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
FEW = 16
"""Values up to which each is looked up in the index by itself."""

BEYOND = 10**400
"""Greater than every number there is in metadata."""


def attributes(metadata: Mapping[str, JSON]) -> dict[str, list[JSON]]:
    """Return what ``metadata`` can be filtered by: for every field that is not null the list of its values."""
    return {
        name: [_plain(one) for one in members(list(value) if isinstance(value, tuple) else value) if _comparable(one)]
        for name, value in metadata.items()
        if value is not None
    }


def condition(wanted: Filter) -> tuple[str, list[str]]:
    """Return the SQL that is true of the rows ``wanted`` is true of, and the values it binds.

    Nothing of a filter stands in the SQL itself. Raises `FilterError` for a string that is not Unicode text.
    """
    match wanted:
        case All(parts):
            return _joined(parts, " AND ", "TRUE")
        case Any(parts):
            return _joined(parts, " OR ", "FALSE")
        case Not(part):
            sql, values = condition(part)
            return f"(NOT {sql})", values
        case IsNull(name):
            return "(NOT jsonb_exists(attributes, %s))", [name]
        case In(name, values) if len(values) <= FEW:
            return _joined(tuple(Compare(name, "=", value) for value in values), " OR ", "FALSE")
        case In(name, values):
            return _some(name, "@ == $v[*]", [_value(value) for value in values])
        case StartsWith(name, prefix):
            return _some(name, "@ starts with $v", _value(prefix))
        case Compare(name, "=", value):
            return "(attributes @> %s::jsonb)", [json.dumps({name: [_value(value)]}, ensure_ascii=False)]
        case Compare(name, operator, value) if operator in SIGNS:
            return _some(name, f"@ {SIGNS[operator]} $v", _value(value))
    raise FilterError(f"a collection in PostgreSQL cannot answer {wanted!r:.200}")


def _joined(parts: tuple[Filter, ...], word: str, empty: str) -> tuple[str, list[str]]:
    found = [condition(part) for part in parts]
    return f"({word.join(sql for sql, _ in found) or empty})", [value for _, values in found for value in values]


def _some(name: str, test: str, value: JSON) -> tuple[str, list[str]]:
    """Some value of the field passes the ``test`` of jsonpath against ``$v``."""
    path = f"$.{json.dumps(name, ensure_ascii=False)}[*] ? ({test})"
    return "jsonb_path_exists(attributes, %s::jsonpath, %s::jsonb)", [path, json.dumps({"v": value}, ensure_ascii=False)]


def _value(value: Scalar) -> JSON:
    if isinstance(value, str) and (reason := flaw(value)):
        raise FilterError(f"a filter compares with text, not with {value!r:.60}: {reason}")
    return _plain(value)


def _plain(value: JSON) -> JSON:
    """Return the value so that equal numbers are written alike: a float that is whole as an int, with all its digits."""
    if isinstance(value, bool | str):
        return value
    if abs(value) > BEYOND:
        return BEYOND if value > 0 else -BEYOND
    return int(value) if value == int(value) else value


def _comparable(value: JSON) -> bool:
    return kind_of(value) in ("bool", "number", "text")
