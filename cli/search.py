"""``semvec search``: a collection asked by texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from semvec.results import Hit, Hits


@click.command(context_settings={"show_default": True})
@click.argument("collection")
@click.argument("queries", nargs=-1, metavar="QUERY...")
@click.option("-k", type=click.IntRange(1), default=10, help="How many hits a query.")
@click.option("--where", help="Search only items this is true of: \"lang = 'de' and year >= 2020\".")
@click.option("-m", "--model", help="The encoder, if it is not found by the name the collection has for it.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", help="How hits are printed.")
def search(
    collection: str, queries: tuple[str, ...], k: int, where: str | None, model: str | None, device: str | None, form: str
) -> None:
    """Print the items of COLLECTION nearest to each QUERY; without one, ask for queries at the terminal.

    \b
    Examples:
      semvec search notes.index "how long must I work?" -k 3
      semvec search notes.index "refund" --where "lang = 'de' and year >= 2020" --format jsonl
      semvec search notes.index                                  # asks, until an empty line
      cat questions.txt | semvec search notes.index - --format jsonl
    """
    from semvec.search.index_files import open_searcher
    from semvec.store.filter_text import parse_filter

    if where is not None:
        parse_filter(where)
    if not queries and not sys.stdin.isatty():
        raise click.UsageError("what for? Give a QUERY, or - to read queries from standard input, one a line")
    with open_searcher(collection, model, device=device) as searcher:
        if not queries:
            for query in iter(lambda: click.prompt("search", default="", show_default=False), ""):
                _print(searcher.search([query], k, where=where), form)
            return
        asked = [line.strip() for query in queries for line in (sys.stdin if query == "-" else [query])]
        _print(searcher.search([query for query in asked if query], k, where=where), form)


def _print(found: Iterable[Hits], form: str) -> None:
    found = list(found)
    if form != "table":
        records = [{"query": hits.query, "hits": [_record(hit) for hit in hits]} for hits in found]
        lines = [json.dumps(records, ensure_ascii=False, indent=1)] if form == "json" else map(_line, records)
        for line in lines:
            click.echo(line)
        return
    for hits in found:
        if len(found) > 1:
            click.echo(f"{hits.query}:")
        for hit in hits:
            click.echo(f"{hit.score:7.4f}  {hit.id}  {' '.join((hit.text or '').split())[:100]}")


def _record(hit: Hit) -> dict[str, Any]:
    return {"id": hit.id, "score": hit.score, "text": hit.text, "metadata": hit.metadata}


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
