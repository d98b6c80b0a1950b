"""The option ``--splitter``: what finds the words of scripts that are written without spaces."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

import click


class Named:
    """A function by its name ``module:function``: that is what goes to another process."""

    def __init__(self, name: str) -> None:
        module, _, attribute = name.partition(":")
        logging.getLogger("jieba").setLevel(logging.WARNING)  # which tells of every dictionary that it opens
        self.name, self.function = name, getattr(import_module(module), attribute)
        for one in ("__module__", "__qualname__", "__code__"):  # what tells splitters apart
            if hasattr(self.function, one):
                setattr(self, one, getattr(self.function, one))

    def __call__(self, text: str) -> Any:
        """Return what the function gives."""
        return self.function(text)

    def __reduce__(self) -> tuple[type[Named], tuple[str]]:
        return Named, (self.name,)


def _named(context: click.Context, parameter: click.Parameter, name: str | None) -> Named | None:
    """Return the function that ``module:function`` names; a usage error where there is none."""
    if name is None:
        return None
    wrong = f"--splitter {name!r} is no function (module:function): "
    try:
        found = Named(name)
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{wrong}{error}; is its package installed? pip install {name.partition(':')[0]}") from None
    except (Exception, SystemExit) as error:  # whatever a module does when it is read
        raise click.UsageError(f"{wrong}{type(error).__name__}: {error}") from None
    if not callable(found.function):
        raise click.UsageError(f"{wrong}it is {type(found.function).__name__}")
    return found


splitter_option = click.option(
    "--splitter",
    metavar="MODULE:FUNCTION",
    callback=_named,
    help="What finds words: jieba:cut for Chinese.  [default: Unicode's rules]",
)
