"""The option ``--splitter``: what finds the words of scripts that are written without spaces."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click


def _function(context: click.Context, parameter: click.Parameter, name: str | None) -> Callable[[str], Any] | None:
    """Return the function that ``module:function`` names; a usage error where there is none."""
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.UsageError(f"--splitter {name!r} is no function (module:function): {error}") from None
    if not callable(found):
        raise click.UsageError(f"--splitter {name!r} is no function (module:function), but {type(found).__name__}")
    return found  # type: ignore[no-any-return]


splitter_option = click.option(
    "--splitter",
    metavar="MODULE:FUNCTION",
    callback=_function,
    help="What finds words: jieba:cut for Chinese.  [default: Unicode's rules]",
)
