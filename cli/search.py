"""``semvec search``: a collection asked by texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from semvec.results import Hit, Hits
    from semvec.search.fusion import Fusion
    from semvec.search.searcher import Searcher

ENDS = ("", "exit", "quit")


@click.command(context_settings={"show_default": True})
@click.argument("collection")
@click.argument("queries", nargs=-1, metavar="QUERY...")
@click.option("-k", type=click.IntRange(1), default=10, help="How many hits a query.")
@click.option("--where", help="Search only items this is true of: \"lang = 'de' and year >= 2020\".")
@click.option("--hybrid", is_flag=True, help="Look for the words of the query too (BM25), and join both by ranks.")
@click.option(
    "--words-weight", type=click.FloatRange(0, 1), help="With --hybrid: join by scores, words so much, vectors the rest."
)
@click.option("--rerank", metavar="MODEL", help="Score candidates anew: maxsim, or a cross-encoder (a path or a hub id).")
@click.option("--diversity", type=click.FloatRange(0, 1), default=0.0, help="Prefer hits unlike each other (MMR): 0 to 1.")
@click.option("--group-by", metavar="FIELD", help="Give only the best hit of every value of FIELD.")
@click.option("--min-score", type=float, help="Leave out what scores less.")
@click.option("-m", "--model", help="The encoder, if it is not found by the name the collection has for it.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", help="How hits are printed.")
def search(
    collection: str,
    queries: tuple[str, ...],
    words_weight: float | None,
    hybrid: bool,
    rerank: str | None,
    model: str | None,
    device: str | None,
    form: str,
    **options: Any,
) -> None:
    """Print the items of COLLECTION (a folder, or the address of a store) nearest to each QUERY.

    Without a QUERY, asks for queries at the terminal; ends at an empty line.

    \b
    Examples:
      semvec search notes.index "how long must I work?" -k 3
      semvec search notes.index "refund" --where "lang = 'de' and year >= 2020" --format jsonl
      semvec search notes.index "error E1234" --hybrid --rerank maxsim
      semvec search notes.index                                  # asks, until an empty line
      cat questions.txt | semvec search notes.index - --format jsonl
    """
    from semvec.search.fusion import Fusion
    from semvec.search.index_files import open_searcher
    from semvec.search.rerank import reranker
    from semvec.store.filter_text import parse_filter

    if options["where"] is not None:
        options["where"] = parse_filter(options["where"])
    if words_weight is not None and not hybrid:
        raise click.UsageError("--words-weight does nothing without --hybrid")
    if not queries and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError("what for? Give a QUERY, or - to read queries from standard input, one a line")
    asked = _asked(queries)
    fusion: Fusion | bool = Fusion(words_weight) if hybrid else False
    with open_searcher(collection, model, device=device) as searcher:
        by = reranker(rerank, searcher.encoder, device=device) if rerank else None
        if queries:
            _print(searcher.search(asked, hybrid=fusion, rerank=by, **options), form)
        else:
            _converse(searcher, form, hybrid=fusion, rerank=by, **options)


def _asked(queries: Sequence[str]) -> list[str]:
    if list(queries).count("-") > 1:
        raise click.UsageError("standard input (-) can be read only once")
    if "-" in queries and sys.stdin is None:
        raise click.UsageError("standard input is closed")
    lines = [line.strip() for query in queries for line in (sys.stdin if query == "-" else [query])]
    asked = [line for line in lines if line]
    if queries and not asked:
        raise click.UsageError("no query: what was given is empty")
    return asked


def _converse(searcher: Searcher, form: str, **options: Any) -> None:
    """Ask for queries until an empty line; what cannot be answered is said, and the next one asked for."""
    from semvec.errors import SemvecError

    click.echo(f"{searcher.collection.count():,} items; an empty line ends", err=True)
    while (query := _next_query()) not in ENDS:
        try:
            _print(searcher.search([query], **options), form)
        except SemvecError as error:
            click.echo(f"Error: {error}", err=True)


def _next_query() -> str:
    """Return what is typed next, nothing at the end of the input."""
    try:
        return input("search: ").strip()
    except EOFError:
        click.echo()
        return ""


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
        if not len(hits):
            click.echo("nothing found", err=True)
        for hit in hits:
            fields = " ".join(f"{name}={value}" for name, value in hit.metadata.items() if not isinstance(value, dict | list))
            parts = " ".join(f"{name} {value:.4g}" for name, value in hit.parts.items())
            line = f"{hit.score:7.4f}  {hit.id}  {' '.join((hit.text or '').split())[:100]}"
            click.echo(line + (f"  [{fields[:80]}]" if fields else "") + (f"  ({parts})" if parts else ""))


def _record(hit: Hit) -> dict[str, Any]:
    record = {"id": hit.id, "score": hit.score, "text": hit.text, "metadata": hit.metadata}
    return record | ({"parts": hit.parts} if hit.parts else {})


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
