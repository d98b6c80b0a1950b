"""The cells of tables → the JSON values that metadata are made of."""

from __future__ import annotations

import math
import re

from semvec.types import JSON

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
