"""``semvec models``: what can be named with --model."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def models(as_json: bool) -> None:
    """List the models that are installed, cached and known.

    \b
    Examples:
      semvec models
      semvec models --json
    """
    from dataclasses import asdict

    from semvec.encoders.catalog import list_models

    listed = list_models()
    if as_json:
        click.echo(json.dumps([asdict(model) for model in listed], indent=1))
        return
    width = max(len(model.name) for model in listed)
    for model in listed:
        dim = f"{model.dim:>5}" if model.dim else "    ?"
        click.echo(f"{model.name:<{width}}  {model.family:<10} {dim}  {model.place or 'not here':<8}  {model.about}")
    click.echo("\nAlso: the path of a model folder or word vectors file, or any hub id.")
