"""``semvec copy``: a collection from one store to another."""

from __future__ import annotations

import click

from semvec.types import Step
from semvec_cli.bar import Bar


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--resume", is_flag=True, help="Go on with a copy that was broken off: what is there is not written again.")
@click.option("--add", is_flag=True, help="Add to what TO holds already; items of the same id are replaced.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def copy(source: str, target: str, resume: bool, add: bool, quiet: bool) -> None:
    """Copy the collection FROM to TO, each a folder or the address of a store, without encoding anything again.

    \b
    Examples:
      semvec copy notes.index backup.index
      semvec copy notes.index postgresql://localhost/search#notes
      semvec copy notes.index postgresql://localhost/search#notes --resume
      semvec copy chroma:old#docs docs.index
    """
    from semvec.store.address import shown
    from semvec.store.transfer import copy_collection

    written = there = 0
    with Bar(quiet) as bar:
        for block in copy_collection(source, target, add=add, resume=resume):
            written, there = written + block.written, there + block.there
            bar.to(Step("", written + there, block.total, "items"))
    if not quiet:
        before = f", {there:,} were there" if there else ""
        click.echo(f"{written:,} items copied to {shown(target)}{before}")
