"""The options of commands that look at points: what is read, and what encodes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from semvec.types import Level

if TYPE_CHECKING:
    from semvec.explore.points import From, Points
    from semvec.types import Progress

LEVELS = [str(level.value) for level in Level if level not in (Level.SPAN, Level.CHUNK)]


def point_options(command: Any) -> Any:
    """Add the options that say what points are read, and how texts among them are encoded."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Print results alone: no progress, no notes."),
        click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]"),
        click.option("--id-field", help="Column with the ids.  [default: id or _id, else line numbers]"),
        click.option("--text-field", help="Column with the texts.  [default: text, or the only one]"),
        click.option(
            "--overflow",
            type=click.Choice(["truncate", "windows", "error"]),
            default="truncate",
            help="What happens to texts longer than the model reads: cut, read whole in windows, or refused.",
        ),
        click.option(
            "-m", "--model", help="Encodes texts: a name that 'semvec models' lists, a path, or a hub id.  [default: minilm]"
        ),
    ):
        command = option(command)
    return command


def read_points(inputs: tuple[str, ...], how: From, quiet: bool, progress: Progress) -> Points:
    """Return the points of ``inputs``, and say how many had no vector."""
    from semvec.explore.points import points_of

    if "-" in inputs:
        raise click.UsageError("standard input cannot be looked at twice: name a file")
    found = points_of(inputs, how, progress)
    if found.left_out and not quiet:
        what = "compared by their texts alone" if how.unknown else "left out"
        click.echo(f"{found.left_out:,} {what}: the model knows nothing of them", err=True)
    return found
