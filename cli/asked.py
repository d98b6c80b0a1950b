"""What is asked of a collection: as arguments, from standard input, or one after the other at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

ENDS = ("", "exit", "quit")


def require_asked(queries: Sequence[str], name: str) -> None:
    """Refuse to wait at no terminal for queries that were not given; ``name`` is what the argument is called."""
    if not queries and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError(f"what for? Give a {name}, or - to read them from standard input, one a line")


def asked(queries: Sequence[str]) -> list[str]:
    """Return the queries, those of standard input (-) one a line; refuse empty ones."""
    if list(queries).count("-") > 1:
        raise click.UsageError("standard input (-) can be read only once")
    if "-" in queries and sys.stdin is None:
        raise click.UsageError("standard input is closed")
    if len(queries) > 1 and not all(query.strip() for query in queries):
        raise click.UsageError("one of the queries is empty")
    lines = [line.strip() for query in queries for line in (sys.stdin if query == "-" else [query])]
    found = [line for line in lines if line]
    if queries and not found:
        raise click.UsageError("no query: what was given is empty")
    return found


def converse(answer: Callable[[str], None], count: int, prompt: str) -> None:
    """Ask for queries until an empty line; what cannot be answered is said, and the next one asked for."""
    from semvec.errors import SemvecError

    click.echo(f"{count:,} items; an empty line ends", err=True)
    while (query := _next_query(prompt)) not in ENDS:
        try:
            answer(query)
        except SemvecError as error:
            click.echo(f"Error: {error}", err=True)


def _next_query(prompt: str) -> str:
    """Return what is typed next, nothing at the end of the input."""
    try:
        return input(f"{prompt}: ").strip()
    except EOFError:
        click.echo()
        return ""
