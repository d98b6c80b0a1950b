"""``semvec``: the commands, each loaded when it is called for."""

from __future__ import annotations

import io
import os
import sys
import warnings
from importlib import import_module
from typing import Any, NoReturn

import click

COMMANDS = {
    "encode": ("semvec_cli.encode", "Write the vectors of texts in files to a file."),
    "index": ("semvec_cli.index", "Make, fill and keep collections of texts that can be searched."),
    "search": ("semvec_cli.search", "Print the items of a collection nearest to a query."),
    "collections": ("semvec_cli.collections", "List the collections in a folder."),
    "copy": ("semvec_cli.copy", "Copy a collection to another store, without encoding again."),
    "explain": ("semvec_cli.explain", "Print which words of two texts their similarity comes from."),
    "kwic": ("semvec_cli.kwic", "Print where a word stands in a corpus, by sense, and what is used like it."),
    "keyphrases": ("semvec_cli.keyphrases", "Print the phrases of texts that say best what they are about."),
    "visualise": (
        "semvec_cli.visualise",
        "Draw a map of texts, words or vectors, as a page or a picture, and say how true it is.",
    ),
    "project": ("semvec_cli.visualise", "The same as visualise."),
    "cluster": ("semvec_cli.cluster", "Put texts or vectors into groups, and name them."),
    "dedup": ("semvec_cli.dedup", "Leave out texts that say what another one says, and say why."),
    "similar": ("semvec_cli.similar", "Print, for every row of a file, the nearest ones of another."),
    "evaluate": ("semvec_cli.evaluate", "Examine models on data of yours: scores with intervals, differences tested."),
    "compare": ("semvec_cli.compare", "Say how alike two models see the same texts, without labels."),
    "datasets": ("semvec_cli.datasets", "List public data sets: where they are to be had, under what licence."),
    "mteb": ("semvec_cli.mteb", "Print the scores of models on local files, as MTEB computes them."),
    "words": ("semvec_cli.words", "Ask word vectors: neighbours, analogies, the odd one out, distances."),
    "convert": ("semvec_cli.convert", "Write word vectors of any format as a folder that opens at once."),
    "train": ("semvec_cli.train", "Train word2vec, fastText or Doc2Vec on your texts."),
    "finetune": ("semvec_cli.finetune", "Train an encoder and a head for a task, on labelled examples."),
    "few-shot": ("semvec_cli.few_shot", "Make a classifier of a few labelled texts, or examine how good that is."),
    "classify": ("semvec_cli.classify", "Say labels of texts by what these are called, without an example."),
    "continual": ("semvec_cli.continual", "Teach a classifier one task after the other, and say what it forgets."),
    "predict": ("semvec_cli.predict", "Print what a fine-tuned model says of texts."),
    "augment": ("semvec_cli.augment", "Train, ask and teach classifiers that look things up."),
    "ask": ("semvec_cli.ask", "Answer questions from a collection, with the passages that the answers stand in."),
    "report": ("semvec_cli.report", "Examine a fine-tuned model on test data."),
    "serve": ("semvec_cli.serve", "Serve a model and a collection over HTTP, as OpenAI's clients ask."),
    "distill": ("semvec_cli.distill", "Make a static model of a sentence encoder, which is far faster on a CPU."),
    "trim": ("semvec_cli.trim", "Leave out the pieces of words that your texts never have: a smaller model."),
    "models": ("semvec_cli.models", "List the models that are installed, cached and known."),
    "inspect": ("semvec_cli.inspect", "Show what a vectors file or a model holds, and what made it."),
}


SECTIONS = {
    "Vectors": ("encode", "inspect", "models", "words", "convert", "train", "distill", "trim"),
    "Find": ("index", "search", "ask", "similar", "explain", "kwic", "keyphrases", "dedup", "collections", "copy", "serve"),
    "Teach (no labels: classify; a few: few-shot; many: finetune; new ones later: continual)": (
        "classify", "few-shot", "finetune", "continual", "augment", "predict", "report",
    ),
    "See and judge": ("visualise", "project", "cluster", "evaluate", "compare", "mteb", "datasets"),
}  # fmt: skip

ENVIRONMENT = [
    ("HF_HUB_OFFLINE=1", "look for models on this machine alone"),
    ("OMP_NUM_THREADS", "how many cores are computed on"),
    ("RAY_ADDRESS", "the cluster of encode --engine ray"),
    ("SEMVEC_API_KEYS", "the keys of serve, with commas between them"),
    ("SEMVEC_TRACEBACK=1", "show where an unforeseen error comes from"),
]
CODES = [("0", "done"), ("2", "refused: one line says what, where and what to do"), ("1", "unforeseen"), ("130", "interrupted")]

INTERRUPTED = "interrupted"


class LazyGroup(click.Group):
    """A group that imports a command only when it is run, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[name][0]), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Environment"):
            formatter.write_dl(ENVIRONMENT)
        with formatter.section("Exit codes"):
            formatter.write_dl(CODES)

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
        except KeyboardInterrupt as error:
            hint = "; it goes on with --resume" if ctx.invoked_subcommand in ("encode", "continual") else ""
            hint = f"; {error}" if error.args else hint
            _fail(INTERRUPTED + hint, 130)
        except OSError as error:
            _fail_of_the_system(error)


def _fail_of_the_system(error: OSError) -> NoReturn:
    """End with one line for what the system refused; silently where nobody reads the output any more."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    where = f"{error.filename}: " if error.filename else ""
    _fail(f"{where}{error.strerror or error}")


def _fail(message: str, code: int = 2) -> NoReturn:
    line = " ".join(message.split()).encode("utf-8", "replace").decode("utf-8")
    click.echo(f"Error: {line}", err=True)
    sys.exit(code)


def _plain_warnings() -> None:
    """Print semvec's own warnings as one line on stderr; leave those of other libraries as they are."""
    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if category.__module__.startswith("semvec."):
            click.echo(f"Warning: {_told_here(str(message))}", err=True)
        else:
            others(message, category, *rest, **named)

    warnings.showwarning = show


def _told_here(message: str) -> str:
    """Return ``message`` without what only Python can do, and with the option that does it here, where the command has one."""
    from semvec.errors import WHOLE

    context = click.get_current_context(silent=True)
    has = context is not None and "overflow" in context.params
    return message.replace(WHOLE, "; --overflow windows reads them whole" if has else "")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="semvec")
def main() -> None:
    """Semantic vectors of texts: encode, look at, and use them.

    \b
    Examples:
      semvec encode notes.txt -o notes.npy
      semvec encode reviews.csv -o reviews.parquet --text-field review --model minilm
      semvec index build notes.txt -o notes.index
      semvec search notes.index "how long must I work?"
    """


def run() -> None:
    """Run the command line; where click would print its usage and an error, print the error alone."""
    _plain_warnings()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is not UTF-8 is refused where it is read
    try:
        code = main.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "semvec"
        _fail(f"{error.format_message()} ({path} --help shows what there is)")
    except click.ClickException as error:
        _fail(error.format_message())
    except click.Abort:
        _fail(INTERRUPTED, 130)
    except OSError as error:  # of what is printed outside of any command: --help, --version
        _fail_of_the_system(error)
    except Exception as error:
        if os.environ.get("SEMVEC_TRACEBACK"):
            raise
        _fail(f"{type(error).__name__}: {error} (unforeseen, please report it; SEMVEC_TRACEBACK=1 shows where)", 1)
    sys.exit(code if isinstance(code, int) else 0)
