"""``semvec serve``: embeddings, search and reranking over HTTP."""

from __future__ import annotations

from typing import Any

import click

from semvec.types import Overflow
from semvec_cli.choices import one_of
from semvec_cli.sections import Sections

SECTIONS = {
    "What is served": ("model", "collection", "rerank", "names", "device", "trust_pickle", "overflow"),
    "Where, and to whom": ("host", "port", "keys_file"),
    "Limits": ("batch_tokens", "queue_tokens", "max_texts", "max_tokens", "max_body"),
}


@click.command(cls=Sections, sections=SECTIONS, context_settings={"show_default": True})
@click.option("-m", "--model", help="The encoder: a name, a folder or a hub id.  [default: that of --collection, else minilm]")
@click.option(
    "--collection", metavar="DIR", help="A collection that is searched: a folder, or an address: postgresql://host/db#notes."
)
@click.option("--rerank", metavar="MODEL", help="What reranks: maxsim, or a cross-encoder.  [default: maxsim]")
@click.option("--name", "names", multiple=True, help="Another name by which clients may ask for the model.")
@click.option("--host", default="127.0.0.1", help="Where it listens; 0.0.0.0 is everywhere: give it keys then.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0: any that is free.")
@click.option(
    "--keys-file", metavar="FILE", help="API keys, one a line.  [default: those in SEMVEC_API_KEYS; none: all are let in]"
)
@click.option("--overflow", type=one_of(Overflow), default="error", help="What becomes of a text longer than the model reads.")
@click.option(
    "--batch-tokens",
    type=click.IntRange(1),
    default=4096,
    help="Most tokens that are computed at once, of several requests together.",
)
@click.option(
    "--queue-tokens",
    type=click.IntRange(1),
    default=500_000,
    help="Most tokens that may wait; to what comes beyond 429 is answered.",
)
@click.option("--max-texts", type=click.IntRange(1), default=2048, help="Most texts of a request.")
@click.option("--max-tokens", type=click.IntRange(1), default=300_000, help="Most tokens of a request.")
@click.option("--max-body", type=click.IntRange(1), default=32 << 20, help="Most bytes of a request.")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--trust-pickle", is_flag=True, help="Read an encoder that is a pickle, which can run any code.")
def serve(**options: Any) -> None:
    """Serve a model, and a collection, over HTTP, as OpenAI's clients ask for embeddings.

    POST /v1/embeddings (floats or base64, dimensions), /v1/search, /rerank; GET /v1/models, /health, /metrics, /docs.
    Requests that wait are computed together. A text that is longer than the model reads is refused (--overflow truncate cuts it,
    and says by usage.cut_tokens how much). It listens on this machine alone unless --host says otherwise, and ends what it began
    when it is stopped.

    \b
    Examples:
      semvec serve --model minilm
      semvec serve --collection notes.index --port 9000
      SEMVEC_API_KEYS=secret semvec serve --host 0.0.0.0 --name text-embedding-3-small
    """
    from semvec.serve.keys import read_keys
    from semvec.serve.options import ServeOptions
    from semvec.serve.run import Place
    from semvec.serve.run import serve as run

    limits = {name: options[name] for name in ("batch_tokens", "queue_tokens", "max_body", "max_texts", "max_tokens", "overflow")}
    its = ServeOptions(keys=read_keys(options["keys_file"]), **limits)
    model = options["model"] or (None if options["collection"] else "minilm")
    if options["host"] not in ("127.0.0.1", "::1", "localhost") and not its.keys:
        click.echo("Warning: everybody who reaches this machine is let in: give keys by SEMVEC_API_KEYS or --keys-file", err=True)
    run(
        model,
        collection=options["collection"],
        rerank=options["rerank"],
        names=options["names"],
        place=Place(options["host"], options["port"]),
        options=its,
        device=options["device"],
        trust_pickle=options["trust_pickle"],
        told=lambda where: click.echo(f"listening at {where}; Ctrl-C stops it", err=True),
    )
