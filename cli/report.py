"""``semvec report``: what a fine-tuned model is worth on test data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from semvec_cli.bar import Bar
from semvec_cli.columns import columns
from semvec_cli.evaluate import plain


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option("--data", required=True, metavar="DATA", help="A labelled file, or a folder with test (or dev).")
@click.option("--split", help="Which part of a folder is asked about.  [default: test, else dev]")
@click.option("--baselines/--no-baselines", default=True, help="The encoder before, and the commonest label, beside the model.")
@click.option("-o", "--output", metavar="FOLDER", help="Keep the report there, with all answers and a picture of confusions.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Decides the draws of the intervals.")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--trust-pickle", is_flag=True, help="Read an encoder that is a pickle, which can run any code.")
@click.option("--trust-remote-code", is_flag=True, help="Run the Python code that the encoder brings along.")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), default="table", help="How to print.")
def report(model: str, data: str, **options: Any) -> None:
    """Examine MODEL, which 'semvec finetune' made, on labelled DATA that it has not seen.

    Every measure has its 95 % interval; the encoder as it was before, frozen and with a linear head, stands beside it, and the
    difference is tested on the same examples. Classes are listed with precision, recall, F1 and how many there are.

    \b
    Examples:
      semvec report intents --data banking77
      semvec report names --data wnut17/test.conll -o names-report
      semvec report intents --data test.tsv --format markdown
    """
    from semvec.embeddings.files import folder_written_whole
    from semvec.finetune.report import report as examine
    from semvec.finetune.report import write_report

    output = Path(options["output"]) if options["output"] else None
    if options["overwrite"] and output is None:
        raise click.UsageError("--overwrite does nothing without --output")
    if output is not None:
        _check(output, overwrite=options["overwrite"])
    with Bar() as bar:
        its = examine(
            model,
            data,
            split=options["split"],
            baselines=options["baselines"],
            device=options["device"],
            trust_pickle=options["trust_pickle"],
            trust_remote_code=options["trust_remote_code"],
            seed=options["seed"],
            progress=bar.to,
        )
    if output is not None:
        with folder_written_whole(output, lambda: _check(output, overwrite=options["overwrite"])) as folder:
            write_report(its, folder)
    if options["form"] == "json":
        click.echo(json.dumps(its.to_json(), ensure_ascii=False, indent=1))
    elif options["form"] == "markdown":
        click.echo(its.to_markdown())
    else:
        _print(its)


def _check(output: Path, *, overwrite: bool) -> None:
    """Raise where something is at ``output`` that may not be replaced: only a report ever is."""
    from semvec.embeddings.files import check_replaceable

    check_replaceable(output, "report", (output / "report.json").is_file, overwrite=overwrite)


def _print(its: Any) -> None:
    from semvec.finetune.card import shown
    from semvec.finetune.report import TUNED

    click.echo(f"{its.task}: {its.model} on {its.data} ({its.size:,} examples)")
    names = list(its.lines[TUNED])
    rows = [["", *names], *([name, *(shown(line.get(one)) for one in names)] for name, line in its.lines.items())]
    click.echo(columns(rows))
    for line in (*its.differences, *its.notes):
        click.echo(f"  {line}")
    if its.found.rows:
        cells = [
            [plain(row.name, False), *(f"{x:.3f}" for x in (row.precision, row.recall, row.f1)), f"{row.support:,}"]
            for row in its.found.rows
        ]
        click.echo()
        click.echo(columns([["", "precision", "recall", "F1", "support"], *cells]))
    if its.routings:
        click.echo()
        for line in its.routings.lines():
            click.echo(plain(line, False))
