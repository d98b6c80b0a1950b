"""A command whose options are listed in sections, as a manual page has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class Sections(click.Command):
    """A command with ``sections``: a title, and the names of the parameters under it; those of none come last."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **named: Any) -> None:
        super().__init__(*args, **named)
        known = {parameter.name for parameter in self.params}
        if wrong := [name for names in sections.values() for name in names if name not in known]:
            raise ValueError(f"no such parameters: {', '.join(wrong)}")
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        parameters = {parameter.name: parameter for parameter in self.get_params(ctx)}
        for title, names in self.sections.items():
            self._write(ctx, formatter, title, [parameters.pop(name) for name in names])
        self._write(ctx, formatter, "Others", list(parameters.values()))

    def _write(
        self, ctx: click.Context, formatter: click.HelpFormatter, title: str, parameters: Sequence[click.Parameter]
    ) -> None:
        if rows := [row for parameter in parameters if (row := parameter.get_help_record(ctx)) is not None]:
            with formatter.section(title):
                formatter.write_dl(rows)
