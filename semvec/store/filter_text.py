"""The text of a filter → a `Filter`: ``lang = 'de' and (year >= 2020 or tags contains 'new')``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from semvec.errors import FilterError
from semvec.store.filters import All, Any, Compare, Filter, In, IsNull, Not, Scalar, StartsWith
from semvec.text.document import flaw

TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
      | (?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
      | (?P<operator><=|>=|!=|<>|==|=|<|>|\(|\)|,)
      | (?P<name>[^\W\d][\w.\-]*|`[^`]+`)
    )""",
    re.VERBOSE,
)
WORDS = {"and", "or", "not", "in", "is", "null", "true", "false", "contains", "startswith"}
DEEPEST = 100
LONGEST = 300
"""Digits of a whole number; Python reads no more than some thousands, and SQLite 19."""

SHOWN = 200
"""Characters of a filter shown on either side of what is wrong."""

SAME = {"==": "=", "<>": "!="}
HELP = "fields are compared by = != < <= > >=, 'in (…)', 'contains', 'startswith', 'is null', joined by and, or, not and brackets"


@dataclass(frozen=True)
class Token:
    """A piece of the text: its kind (name, string, number, operator, word, end), what it says, and where it begins."""

    kind: str
    text: str
    at: int


def parse_filter(text: str) -> Filter:
    """Return the filter that ``text`` describes.

    Fields are names (in backquotes if they hold spaces), strings stand in single or double quotes. Raises
    `FilterError` that points at the character.
    """
    if reason := flaw(text):
        raise FilterError(f"filter: {reason}")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent: or → and → not → one comparison."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._next = 0
        self._deep = 0

    def _split(self, text: str) -> list[Token]:
        tokens, at, end = [], 0, len(text.rstrip())
        while at < end:
            match = TOKEN.match(text, at)
            if match is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                quote = text[at] in "'\""
                raise self._error(at, "this string has no end" if quote else f"{text[at]!r} means nothing here")
            kind = str(match.lastgroup)
            content = match[kind]
            if kind == "name" and content.lower() in WORDS:
                kind, content = "word", content.lower()
            tokens.append(Token(kind, content, match.start(str(match.lastgroup))))
            at = match.end()
        return [*tokens, Token("end", "the end", len(text))]

    def _error(self, at: int, what: str) -> FilterError:
        before, after = self._text[max(0, at - SHOWN) : at], self._text[at : at + SHOWN]
        whole = f"{'…' if at > SHOWN else ''}{before}⟨here⟩{after}{'…' if at + SHOWN < len(self._text) else ''}"
        return FilterError(f"filter, character {at + 1}: {what}, in {whole} ({HELP})")

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _took(self, *texts: str) -> bool:
        if self._token.kind in ("word", "operator") and self._token.text in texts:
            self._next += 1
            return True
        return False

    def _want(self, text: str) -> None:
        if not self._took(text):
            raise self._error(self._token.at, f"{text!r} is missing before {self._token.text}")

    def whole(self) -> Filter:
        if self._token.kind == "end":
            raise self._error(0, "there is nothing in it")
        found = self._any()
        if self._token.kind != "end":
            raise self._error(self._token.at, f"'and' or 'or' is missing before {self._token.text}")
        return found

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._took("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Filter:
        parts = [self._not()]
        while self._took("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _not(self) -> Filter:
        self._deep += 1
        if self._deep > DEEPEST:
            raise self._error(self._token.at, f"more than {DEEPEST} brackets and 'not' inside each other")
        try:
            return self._one()
        finally:
            self._deep -= 1

    def _one(self) -> Filter:
        if self._took("not"):
            return Not(self._not())
        if self._took("("):
            inside = self._any()
            self._want(")")
            return inside
        return self._comparison()

    def _comparison(self) -> Filter:
        name = self._token
        if name.kind != "name":
            raise self._error(name.at, f"a field is wanted, not {name.text}")
        self._next += 1
        field, asked = name.text.strip("`"), self._token
        self._next += 1
        if asked.kind == "operator" and asked.text not in "(),":
            return Compare(field, SAME.get(asked.text, asked.text), self._value())
        if asked.text == "in" and asked.kind == "word":
            return In(field, self._list())
        if asked.text == "not" and self._took("in"):
            return Not(In(field, self._list()))
        if asked.text == "contains" and asked.kind == "word":
            return Compare(field, "=", self._value())
        if asked.text == "startswith" and asked.kind == "word":
            return self._prefix(field)
        if asked.text == "is" and asked.kind == "word":
            turned = self._took("not")
            self._want("null")
            return Not(IsNull(field)) if turned else IsNull(field)
        raise self._error(asked.at, f"a comparison is wanted after {field}, not {asked.text}")

    def _prefix(self, field: str) -> Filter:
        at, value = self._token.at, self._value()
        if not isinstance(value, str):
            raise self._error(at, "startswith wants a string")
        return StartsWith(field, value)

    def _list(self) -> tuple[Scalar, ...]:
        self._want("(")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        self._want(")")
        return tuple(values)

    def _value(self) -> Scalar:
        token = self._token
        self._next += token.kind != "end"
        if token.kind == "string":
            inside = token.text[1:-1]
            return re.sub(r"\\(.)", r"\1", inside.replace("''", "'") if token.text[0] == "'" else inside)
        if token.kind == "number":
            return float(token.text) if set(token.text) & set(".eE") or len(token.text) > LONGEST else int(token.text)
        if token.kind == "word" and token.text in ("true", "false"):
            return token.text == "true"
        if token.text == "null":
            raise self._error(token.at, "null is asked for by 'is null'")
        advice = f": strings stand in quotes, '{token.text}'" if token.kind == "name" else ""
        raise self._error(token.at, f"a value is wanted, not {token.text}{advice}")
