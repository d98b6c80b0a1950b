"""``semvec``: the commands, each loaded when it is called for."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

COMMANDS = {
    "encode": ("semvec_cli.encode", "Write the vectors of texts in files to a file."),
    "models": ("semvec_cli.models", "List the models that are installed, cached and known."),
    "inspect": ("semvec_cli.inspect", "Show what a vectors file holds and what made it."),
}


class LazyGroup(click.Group):
    """A group that imports a command only when it is run, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[name][0]), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from semvec.types import did_you_mean

            ctx.fail(f"no command {args[0]!r}{did_you_mean(args[0], list(COMMANDS))}: there are {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        from semvec.errors import SemvecError

        try:
            return super().invoke(ctx)
        except SemvecError as error:
            _fail(str(error) if not isinstance(error, OSError) else str(error.args[-1]))
        except KeyboardInterrupt:
            _fail("interrupted; a run that writes a file goes on with --resume", 130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _fail(f"{where}{error.strerror or error}")


def _fail(message: str, code: int = 2) -> None:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="semvec")
def main() -> None:
    """Semantic vectors of texts: encode, look at, and use them.

    \b
    Examples:
      semvec encode notes.txt -o notes.npy
      semvec encode reviews.csv -o reviews.parquet --text-field review --model minilm
      semvec inspect notes.npy
    """
