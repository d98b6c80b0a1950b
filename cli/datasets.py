"""``semvec datasets``: public data that models are examined on."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from semvec_cli.columns import columns


@click.command()
@click.argument("task", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def datasets(task: str | None, as_json: bool) -> None:
    """List public data sets, where they are to be had and under what licence. Nothing is downloaded.

    TASK leaves only those for one of the tasks of 'semvec evaluate'.

    \b
    Examples:
      semvec datasets
      semvec datasets retrieval --json
    """
    from semvec.evaluate.datasets import DATASETS
    from semvec.evaluate.tasks import check_task

    if task is not None:
        check_task(task)
    found = [one for one in DATASETS if task is None or task in one.task.split(", ")]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=1))
        return
    rows = [(one.name, one.task, one.language, one.address, one.licence, one.note) for one in found]
    click.echo(columns(rows))
