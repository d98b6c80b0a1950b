"""API keys: read from the environment or a file, compared in constant time, and never written anywhere."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from semvec.errors import InputError, OptionError

VARIABLE = "SEMVEC_API_KEYS"
"""The variable of the environment that holds keys, with commas between them."""


def read_keys(file: str | os.PathLike[str] | None, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the keys in ``file``, one a line, or in the environment; none where neither is there.

    Raises `InputError` for a file that cannot be read or holds none, `OptionError` for a variable that is there and empty.
    """
    if file is not None:
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{os.fspath(file)}: cannot be read as a file of keys ({type(error).__name__})") from error
        found = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
        if not found:
            raise InputError(f"{os.fspath(file)}: holds no key; write one a line")
        return found
    if VARIABLE not in environment:
        return ()
    found = tuple(key.strip() for key in environment[VARIABLE].split(",") if key.strip())
    if not found:
        raise OptionError(f"{VARIABLE} is there but holds no key; remove it to let everybody in")
    return found


def admits(keys: tuple[str, ...], header: str | None) -> bool:
    """Whether ``header``, that of authorization, has one of ``keys``; the time taken says nothing of how nearly it has."""
    if not keys:
        return True
    kind, _, given = (header or "").partition(" ")
    said = given.strip().encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(said, key.encode()) for key in keys]
    return kind.lower() == "bearer" and any(matches)
