"""The cells of tables → the JSON values that metadata are made of, and what metadata cannot hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from semvec.text.document import flaw
from semvec.types import JSON

NUL = r"\u0000"
"""How JSON spells the character that servers and C strings cannot keep."""

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
TRUTH = {"true": True, "false": False}


def typed_cell(cell: str) -> JSON:
    """Return what a cell of a text table says: a number, true or false, else the string; None for an empty one.

    A number is what JSON would write as one, so ``007`` and ``1,5`` stay strings.
    """
    if not cell:
        return None
    if cell in TRUTH:
        return TRUTH[cell]
    if NUMBER.fullmatch(cell):
        number = float(cell) if set(cell) & set(".eE") else int(cell)
        if abs(number) < 2**63 and math.isfinite(number):
            return number
    return cell


def json_value(value: object) -> JSON:
    """Return a value of Arrow as JSON has it: dates as ISO 8601, decimals as numbers, what JSON lacks as its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, dict):
        return {str(name): json_value(one) for name, one in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return float(value) if hasattr(value, "as_tuple") else str(value)  # type: ignore[arg-type]


def plain_metadata(metadata: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return ``metadata`` as they come back from JSON, where a tuple is a list.

    Raises `ValueError`, which goes on after "the metadata": what is wrong with them, and in which field.
    """
    try:
        return _plain(metadata)
    except ValueError:
        for name, value in metadata.items():
            try:
                _plain({name: value})
            except ValueError as error:
                raise ValueError(f"{error} (field {name!r:.60})") from None
        raise


def _plain(metadata: Mapping[str, JSON]) -> dict[str, JSON]:
    try:
        spelled = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False)
        found: dict[str, JSON] = json.loads(spelled)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"are not JSON: {error}") from None
    if reason := "NUL character" if NUL in spelled.replace(r"\\", "") else flaw(spelled):
        raise ValueError(f"are not JSON: {reason.partition(' at position')[0]}")
    for value in found.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int) and not -(2**63) <= one < 2**63:
                raise ValueError("hold a whole number that does not fit 64 bits with a sign; a string would do")
    return found
