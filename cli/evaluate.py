"""``semvec evaluate``: is a model any good, on whose data, and is the difference real?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

if TYPE_CHECKING:
    from semvec.evaluate.run import Report

TASKS = {
    "sts": "Sentence similarity: how well cosines agree with people.",
    "words": "Word similarity: how well cosines of words agree with people.",
    "analogy": "Analogies: a is to b as c is to what? Word vectors only.",
    "wic": "Word in context: does a word mean the same in two sentences?",
    "retrieval": "Retrieval over a BEIR folder: dense, late interaction, hybrid; BM25 beside it.",
    "classify": "Classification on frozen vectors; --shots for few labels, as MTEB has it.",
    "cluster": "Clustering: do texts of one label fall together?",
    "pairs": "Duplicates, paraphrases, answers: which pairs belong together?",
    "tagging": "Tagging, such as names, on frozen word vectors.",
}
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
    click.option("--device", help="cpu, cuda, …  [default: the best there is]"),
    click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), default="table", help="How to print."),
)
WIDEST = 40


class Tasks(click.Group):
    """A command a task, with the options that the task heeds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TASKS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _command(name) if name in TASKS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Tasks"):
            formatter.write_dl(list(TASKS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from semvec.types import did_you_mean

        if args and args[0] not in TASKS and not args[0].startswith("-"):
            ctx.fail(f"no task {args[0]!r}{did_you_mean(args[0], list(TASKS))}: there are {', '.join(TASKS)}")
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
    from semvec.evaluate.run import task_named

    task = task_named(name)

    def run(models: tuple[str, ...], **options: Any) -> None:
        _run(name, models, **options)

    run.__doc__ = (
        f"{task.about}\n\nData: {task.layout}.\n\nEvery number has its 95 % interval. All models are compared with "
        f"each other, and with the best baseline, on the same {task.unit}: 'no difference shown' where it may be chance.\n\n\b\n"
        f"Example:\n  semvec evaluate {task.example}"
    )
    command = click.argument("models", nargs=-1, required=True, metavar="MODEL...")(run)
    common = COMMON if task.suffixes or name == "retrieval" else [option for option in COMMON if option is not SPLIT]
    for option in reversed([*(OPTIONS[one] for one in task.options), *common]):
        command = option(command)
    return click.command(name, context_settings={"show_default": True})(command)


def _run(task: str, models: Sequence[str], *, places: Sequence[str], form: str, device: str | None, **options: Any) -> None:
    from semvec.evaluate.run import evaluate as examined
    from semvec.evaluate.task import EvaluateOptions

    chosen = EvaluateOptions(**options)
    with tqdm(desc=task, unit="step", disable=None, leave=False) as bar:
        watch = partial(_show, bar)
        reports = [examined(task, models, place, chosen, device=device, watch=watch) for place in places]
    if form == "json":
        click.echo(json.dumps([report.to_json() for report in reports], ensure_ascii=False, indent=1))
        return
    for at, report in enumerate(reports):
        if at:
            click.echo()
        _print(report, markdown=form == "markdown")


def _show(bar: Any, what: str) -> None:
    bar.set_description_str(what)
    bar.update()


def _print(report: Report, *, markdown: bool) -> None:
    size = report.size if report.unit in report.size else f"{report.size} {report.unit}"
    click.echo(f"**{report.task}**, {report.data} ({size})\n" if markdown else f"{report.task}, {report.data} ({size})")
    names = list(dict.fromkeys(name for line in report.lines for name in line.measures))
    rows = [["", *names]]
    for line in report.lines:
        shown = f"{line.model} (baseline)" if line.baseline else line.model
        rows.append([_short(shown), *(str(line.measures.get(name, "-")) for name in names)])
    if markdown:
        rows.insert(1, ["---"] * len(rows[0]))
        click.echo("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        click.echo(
            "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
        )
    mark = "- " if markdown else "  "
    if report.differences:
        click.echo(f"\n{report.measure}, paired:" + ("\n" if markdown else ""))
        click.echo("\n".join(f"{mark}{its}" for its in report.differences))
    if notes := [f"{mark}{line.model}: {note}" for line in report.lines for note in line.notes]:
        click.echo("\n" + "\n".join(notes))


def _short(name: str) -> str:
    return name if len(name) <= WIDEST else f"…{name[-WIDEST:]}"
