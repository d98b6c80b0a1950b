"""``semvec models``: what can be named with --model, and how fast a model runs here."""

from __future__ import annotations

import json

import click

from semvec_cli.bar import Bar


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models that are installed, cached and known.

    \b
    Examples:
      semvec models
      semvec models --json
      semvec models bench minilm
    """
    if ctx.invoked_subcommand is not None:
        return
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


@models.command()
@click.argument("model")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def bench(model: str, device: str | None, as_json: bool) -> None:
    """Measure what runs MODEL fastest on this machine: texts a second by every backend, and how near the vectors are.

    The cosine is that with the vectors of transformers in float32. --backend of 'semvec encode' takes one.

    \b
    Example:
      semvec models bench minilm
    """
    from dataclasses import asdict

    from semvec.encoders.backends.bench import measure_backends
    from semvec.encoders.catalog import load_encoder
    from semvec.encoders.transformer_encoder import TransformerEncoder
    from semvec.errors import OptionError

    encoder = load_encoder(model, device=device)
    if not isinstance(encoder, TransformerEncoder):
        raise OptionError(f"{model}: a {encoder.fingerprint.family} model has no transformer, and so no backends")
    with Bar() as bar:
        found = measure_backends(encoder, progress=bar.to)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
        return
    click.echo(f"{'':10}  {'backend':8}  {'texts/s':>9}  {'× torch':>7}  cosine")
    base = {row.kind: row.texts_per_second for row in found.rows if row.backend == "torch"}
    for row in found.rows:
        times = row.texts_per_second / base[row.kind]
        click.echo(f"{row.kind:10}  {row.backend:8}  {row.texts_per_second:9,.1f}  {times:7.2f}  {row.cosine:.5f}")
    for name, why in found.missing.items():
        click.echo(f"no {name}: {why}")
