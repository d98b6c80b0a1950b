"""``--column``: what the columns of a table are called, for the commands that read examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
HELP = "text=review: how a column of the data is called; may be repeated."


def column(command: Command) -> Command:
    """Give ``command`` the option ``--column``."""
    return click.option("--column", multiple=True, metavar="NAME=COLUMN", help=HELP)(command)


def columns_named(named: Sequence[str]) -> dict[str, str]:
    """Return which column each of ``NAME=COLUMN`` names."""
    found = {}
    for one in named:
        name, sign, its = one.partition("=")
        if not (name and sign and its):
            raise click.UsageError(f"--column {one!r}: say which column is which, as text=review")
        found[name.strip()] = its
    return found


def text_column(given: Sequence[str]) -> str | None:
    """Return what the column text is called in a file of texts, None where nobody says; the only one that is wanted."""
    named = columns_named(given)
    if other := next((name for name in named if name != "text"), None):
        raise click.BadParameter(f"no column is wanted as {other!r} but text", param_hint="'--column'")
    return named.get("text")
