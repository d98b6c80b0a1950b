"""``semvec copy``: a collection from one store to another."""

from __future__ import annotations

import click

from semvec.types import Step
from semvec_cli.bar import Bar


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--add", is_flag=True, help="Add to what TO holds already; items of the same id are replaced.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def copy(source: str, target: str, add: bool, quiet: bool) -> None:
    """Copy the collection FROM to TO, each a folder or the address of a store, without encoding anything again.

    \b
    Examples:
      semvec copy notes.index backup.index
      semvec copy notes.index postgresql://localhost/search#notes
      semvec copy chroma:old#docs docs.index
    """
    from semvec.store.address import shown
    from semvec.store.transfer import copy_collection

    done = 0
    with Bar(quiet) as bar:
        for written, count in copy_collection(source, target, add=add):
            done += written.new + written.replaced
            bar.to(Step("", done, count, "items"))
    if not quiet:
        click.echo(f"{done:,} items copied to {shown(target)}")
