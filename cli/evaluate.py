"""``semvec evaluate``: is a model any good, on whose data, and is the difference real?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from semvec.text.markdown import escaped, table
from semvec.types import Backend, Overflow
from semvec_cli.bar import Bar
from semvec_cli.choices import one_of
from semvec_cli.columns import columns

if TYPE_CHECKING:
    from semvec.evaluate.report import Report

OPTIONS = {
    "mode": click.option(
        "--mode", type=click.Choice(["dense", "late", "hybrid"]), default="dense", help="How documents are ranked."
    ),
    "measures": click.option(
        "--measure", "measures", multiple=True, help="nDCG@10, RR@10, AP, R@100, P@5, of any depth; the first is compared."
    ),
    "train": click.option("--train", type=click.Path(), help="Where to learn from.  [default: train beside the data]"),
    "shots": click.option("--shots", type=click.IntRange(0), default=0, help="Labelled texts a class; 0 for all there are."),
    "runs": click.option("--runs", type=click.IntRange(3), default=10, help="Times that what depends on chance is done."),
}
SPLIT = click.option("--split", help="Which part is asked about.  [default: test, else dev]")
COMMON = (
    click.option("--data", "places", type=click.Path(), multiple=True, required=True, help="A file or folder; may be repeated."),
    SPLIT,
    click.option("--seed", type=click.IntRange(0), default=0, help="Decides every draw."),
    click.option("--resamples", type=click.IntRange(100), default=1000, help="Draws of the bootstrap."),
    click.option("--baselines/--no-baselines", default=True, help="The simple baselines beside the models."),
    click.option(
        "-o", "--output", metavar="FOLDER", help="Keep the report there as JSON, with what every model said of every example."
    ),
    click.option("--overwrite", is_flag=True, help="Replace a report that is there."),
    click.option(
        "--overflow",
        type=one_of(Overflow),
        help="Texts longer than the model.  [default: truncate, and say so]",
    ),
    click.option("--prompt", help="Put before every text.  [default: the model's own]"),
    click.option("--backend", type=one_of(Backend), help="What runs a transformer.  [default: auto]"),
    click.option("--device", help="cpu, cuda, …  [default: the best there is]"),
    click.option("--trust-pickle", is_flag=True, help="Read a MODEL that is a pickle, which can run any code."),
    click.option("--trust-remote-code", is_flag=True, help="Run the Python code that MODEL brings along."),
    click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), default="table", help="How to print."),
)
LOADING = ("overflow", "prompt", "backend", "device", "trust_pickle", "trust_remote_code")
WIDEST = 40


class Tasks(click.Group):
    """A command a task, with the options that the task heeds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from semvec.evaluate.tasks import TASKS

        return list(TASKS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _command(name) if name in self.list_commands(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from semvec.evaluate.tasks import TASKS

        with formatter.section("Tasks"):
            formatter.write_dl([(name, known.about) for name, known in TASKS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from semvec.errors import OptionError
        from semvec.evaluate.tasks import check_task

        if args and not args[0].startswith("-"):
            try:
                check_task(args[0])
            except OptionError as error:
                ctx.fail(str(error))
        return super().resolve_command(ctx, args)


@click.group(cls=Tasks)
def evaluate() -> None:
    """Examine models on data of yours: every number with its 95 % interval, every difference tested.

    A model is a name, a folder or a hub id ('semvec models' lists names). Nothing is downloaded: data are files.
    'semvec datasets' says where public ones are to be had.

    \b
    Examples:
      semvec evaluate sts minilm glove-50d --data stsb/dev.tsv
      semvec evaluate retrieval minilm --data scifact --mode hybrid
      semvec evaluate classify minilm ./my-model --data banking77 --format markdown
      semvec evaluate words glove-50d --data wordsim353.tsv
    """


def _command(name: str) -> click.Command:
    """Return the command of a task."""
    from semvec.evaluate.tasks import TASKS, task_named

    task = task_named(name)

    def run(models: tuple[str, ...], **options: Any) -> None:
        _run(name, models, **options)

    run.__doc__ = "\n\n".join(
        (
            TASKS[name].about,
            f"Measured: {task.measured}.",
            f"Data: {task.layout}.",
            "Every number has its 95 % interval. All models are compared with each other, and with the best baseline, "
            f"on the same {task.unit}: 'no difference shown' where it may be chance.",
            f"\b\nExample:\n  semvec evaluate {task.example}",
        )
    )
    command = click.argument("models", nargs=-1, required=True, metavar="MODEL...")(run)
    common = COMMON if task.suffixes or name == "retrieval" else [option for option in COMMON if option is not SPLIT]
    for option in reversed([*(OPTIONS[one] for one in task.options), *common]):
        command = option(command)
    return click.command(name, context_settings={"show_default": True})(command)


def _run(task: str, models: Sequence[str], *, places: Sequence[str], form: str, **options: Any) -> None:
    from semvec.encoders.catalog import load_encoder
    from semvec.evaluate.run import evaluate_each
    from semvec.evaluate.task import EvaluateOptions

    if "" in places:
        raise click.UsageError("--data '' names no file")
    load = partial(load_encoder, **{name: value for name in LOADING if (value := options.pop(name)) is not None})
    output, overwrite = options.pop("output"), options.pop("overwrite")
    if overwrite and not output:
        raise click.UsageError("--overwrite does nothing without --output")
    with Bar() as bar:
        reports = evaluate_each(
            task, models, places, EvaluateOptions(**options), load=load, output=output, overwrite=overwrite, progress=bar.to
        )
    if form == "json":
        click.echo(json.dumps([report.to_json() for report in reports], ensure_ascii=False, indent=1))
        return
    for at, report in enumerate(reports):
        if at:
            click.echo()
        _print(report, markdown=form == "markdown")


def _print(report: Report, *, markdown: bool) -> None:
    data, mark = plain(report.data, markdown), "- " if markdown else "  "
    click.echo(f"**{report.task}**, {data} ({report.size})\n" if markdown else f"{report.task}, {data} ({report.size})")
    names = list(dict.fromkeys(name for line in report.lines for name in line.measures))
    rows = [["", *names]]
    for line in report.lines:
        shown = plain(_short(line.model), markdown) + (" (baseline)" if line.baseline else "")
        rows.append([shown, *(str(line.measures.get(name, "-")) for name in names)])
    click.echo(table(rows) if markdown else columns(rows))
    if report.differences:
        click.echo(f"\n{report.measure}, paired:" + ("\n" if markdown else ""))
        click.echo("\n".join(f"{mark}{plain(str(its), markdown)}" for its in report.differences))
    if notes := [f"{mark}{plain(f'{line.model}: {note}', markdown)}" for line in report.lines for note in line.notes]:
        click.echo("\n" + "\n".join(notes))


def plain(text: str, markdown: bool) -> str:
    """Return ``text`` on one line, with nothing in it that a terminal, or Markdown, would take for more than text."""
    shown = "".join(one if one.isprintable() else "�" for one in " ".join(text.split()))
    return escaped(shown) if markdown else shown


def _short(name: str) -> str:
    return name if len(name) <= WIDEST else f"…{name[-WIDEST:]}"
