"""``semvec search``: a collection asked by texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from semvec.types import Level
from semvec_cli.asked import asked, converse, require_asked
from semvec_cli.colours import coloured, one_line
from semvec_cli.pages import check_page, write_page

if TYPE_CHECKING:
    from semvec.results import Hit, Hits


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
@click.option(
    "--level",
    type=click.Choice(["text", "token"]),
    help="token: late interaction (MaxSim) of all tokens.  [default: token where the collection has them]",
)
@click.option("--exhaustive", is_flag=True, help="With --level token: score every text, not only the likely ones.")
@click.option("--highlight", is_flag=True, help="With --level token: print the whole text, the words that met in colours.")
@click.option("--html", "page", type=click.Path(dir_okay=False), help="With --level token: write a page of the matches there.")
@click.option("--overwrite", is_flag=True, help="Replace the page that --html names.")
@click.option("-m", "--model", help="The encoder, if it is not found by the name the collection has for it.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", help="How hits are printed.")
def search(
    collection: str,
    queries: tuple[str, ...],
    words_weight: float | None,
    hybrid: bool,
    rerank: str | None,
    diversity: float,
    group_by: str | None,
    level: str | None,
    exhaustive: bool,
    highlight: bool,
    page: str | None,
    overwrite: bool,
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
      semvec search notes.index "rest and leisure" --level token --highlight
      semvec search notes.index                                  # asks, until an empty line
      cat questions.txt | semvec search notes.index - --format jsonl
    """
    from semvec.search.evidence import evidence_page
    from semvec.search.fusion import Fusion
    from semvec.search.index_files import open_searcher
    from semvec.search.rerank import reranker
    from semvec.search.token_searcher import TokenSearcher
    from semvec.store.collection import CANDIDATES
    from semvec.store.filter_text import parse_filter

    if options["where"] is not None:
        options["where"] = parse_filter(options["where"])
    if words_weight is not None and not hybrid:
        raise click.UsageError("--words-weight does nothing without --hybrid")
    require_asked(queries, "QUERY")
    if page is not None and not queries:
        raise click.UsageError("--html wants a QUERY whose hits it shows")
    check_page(page, overwrite=overwrite)
    texts = asked(queries)
    of_texts = {"--hybrid": hybrid, "--rerank": rerank, "--diversity": diversity, "--group-by": group_by}
    of_tokens = {"--exhaustive": exhaustive, "--highlight": highlight, "--html": page}
    with open_searcher(collection, model, device=device, level=_level(level, of_texts, of_tokens)) as searcher:
        if isinstance(searcher, TokenSearcher):
            _refuse(of_texts, "token")
            options |= {"candidates": None if exhaustive else CANDIDATES, "evidence": bool(highlight or page or form != "table")}
        else:
            _refuse(of_tokens, "text")
            by = reranker(rerank, searcher.encoder, device=device) if rerank else None
            fusion = Fusion(words_weight) if hybrid else False
            options |= {"hybrid": fusion, "rerank": by, "diversity": diversity, "group_by": group_by}
        if not queries:
            converse(
                lambda query: _print(searcher.search([query], **options), form, highlight), searcher.collection.count(), "search"
            )
            return
        found = searcher.search(texts, **options)
        if page is not None:
            write_page(page, evidence_page(found))
        _print(found, form, highlight)


def _level(asked: str | None, of_texts: dict[str, Any], of_tokens: dict[str, Any]) -> Level | None:
    """Return the level that is asked for, or that the options are for; None leaves it to the collection."""
    if asked is not None:
        return Level(asked)
    return Level.TEXT if any(of_texts.values()) else Level.TOKEN if any(of_tokens.values()) else None


def _refuse(options: dict[str, Any], level: str) -> None:
    if given := [name for name, value in options.items() if value]:
        raise click.UsageError(f"{given[0]} does nothing at level {level}")


def _print(found: Sequence[Hits], form: str, highlight: bool = False) -> None:
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
            line = f"{hit.score:7.4f}  {hit.id}  {one_line(hit.text)}"
            click.echo(line + (f"  [{fields[:80]}]" if fields else "") + (f"  ({parts})" if parts else ""))
            if highlight:
                _print_match(hits.query or "", hit)


def _print_match(query: str, hit: Hit) -> None:
    """Print the text of ``hit`` with the words that met the query in colours, and the nearest pairs."""
    from semvec.search.evidence import heat, pairs

    text = hit.text or ""
    click.echo(f"    {coloured(text, heat(text, hit.evidence))}")
    near = (f"{one} – {other} {score:.2f}" for one, other, score in pairs(query, text, hit.evidence))
    click.echo(f"    {', '.join(near)}\n")


def _record(hit: Hit) -> dict[str, Any]:
    record = {"id": hit.id, "score": hit.score, "text": hit.text, "metadata": hit.metadata}
    if hit.evidence:
        record["evidence"] = [asdict(its) for its in hit.evidence]
    return record | ({"parts": hit.parts} if hit.parts else {})


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
