"""``semvec kwic``: where a word stands in a corpus, in which sense, and what is used like it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from semvec_cli.colours import harmless

if TYPE_CHECKING:
    from semvec.search.kwic import Concordance, Occurrence


LINES, SAME = 20, 0.9999
WHY = "the model does not know the word, or the text was cut before it, or the collection does not keep its tokens"


@click.command(context_settings={"show_default": True})
@click.argument("corpus")
@click.argument("word")
@click.option("--like", metavar="TEXT", help="Order by this use: the word in brackets, 'the [bank] of the river'.")
@click.option("--senses", metavar="NUMBER", help="Tell senses apart: so many, or auto.")
@click.option("--words", type=click.IntRange(1), help="Print so many other words that are used like it (collections only).")
@click.option("-k", type=click.IntRange(1), help="How many lines, of each sense.  [default: 20; jsonl: all]")
@click.option("--width", type=click.IntRange(1), default=40, help="Characters before and behind the word.")
@click.option("-m", "--model", help="The encoder.  [default: minilm, or the collection's own]")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--text-field", help="Column with the texts.  [default: text, or the only one]")
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", help="How lines are printed.")
def kwic(
    corpus: str,
    word: str,
    like: str | None,
    senses: str | None,
    words: int | None,
    k: int | None,
    width: int,
    form: str,
    **options: Any,
) -> None:
    """Print where WORD stands in CORPUS, in its context: a file or a folder of texts, or a collection with token vectors.

    Of a file, the texts that have the word are encoded now; in a collection ('semvec index build … --level token') nothing is.

    \b
    Examples:
      semvec kwic notes.txt bank --like "the [bank] of the river"
      semvec kwic notes.txt bank --senses auto
      semvec kwic notes.index bank --like "money in the [bank]" --words 10
    """
    from semvec.search.kwic import used_like
    from semvec.search.kwic_files import concordance

    groups = _groups(senses)
    if like is not None and senses is not None:
        raise click.UsageError("--like orders by one use, --senses tells all apart: one of the two")
    if words is not None and like is None:
        raise click.UsageError("--words wants to know which use: --like 'the [bank] of the river'")
    with concordance(corpus, word, like, **options) as (found, use, collection):
        if words is not None and collection is None:
            raise click.UsageError("--words wants a collection with token vectors: semvec index build … --level token")
        if found.left_out:
            click.echo(f"{found.left_out:,} more are not shown, as they have no vector: {WHY}", err=True)
        if not len(found):
            click.echo("nothing found", err=True)
            return
        others = [] if words is None or collection is None else used_like(collection, use, words, without=[word])
    found = found.like(use) if like is not None else found.senses(groups) if senses is not None else found
    if like is not None and len(found) > 1 and min(one.score or 0.0 for one in found.occurrences) > SAME:
        click.echo("Warning: the model gives the word one vector wherever it stands, so no use comes before another", err=True)
    shown = _first(found, k or (len(found) if form == "jsonl" else LINES))
    if form == "jsonl":
        for record in (*map(_record, shown), *({"used_like_it": its.word, **_record(its.nearest)} for its in others)):
            click.echo(json.dumps(record, ensure_ascii=False))
        return
    _print(found, shown, width)
    if len(shown) < len(found):
        click.echo(f"{len(shown):,} of {len(found):,} lines; -k prints more", err=True)
    if others:
        click.echo("\nused like it")
        for other in others:
            click.echo(f"{other.score:7.4f}  {other.word}  {_line(other.nearest, width).strip()}")


def _groups(senses: str | None) -> int | None:
    if senses is None or senses == "auto":
        return None
    if not senses.isdecimal() or int(senses) < 1:
        raise click.UsageError(f"--senses is a number or auto, not {senses!r}")
    return int(senses)


def _first(found: Concordance, k: int) -> list[Occurrence]:
    """Return the first ``k`` occurrences of each sense."""
    shown: list[Occurrence] = []
    counts: Counter[int | None] = Counter()
    for one in found.occurrences:
        counts[one.sense] += 1
        if counts[one.sense] <= k:
            shown.append(one)
    return shown


def _print(found: Concordance, shown: list[Occurrence], width: int) -> None:
    sizes = Counter(one.sense for one in found.occurrences)
    told: int | None = None
    for one in shown:
        if one.sense != told:
            told = one.sense
            click.echo(f"{chr(10) if told != 1 else ''}sense {told}: {sizes[told]:,} of {len(found):,}")
        score = "" if one.score is None else f"{one.score:7.4f}  "
        click.echo(f"{score}{_line(one, width)}  {one.id}")


def _line(one: Occurrence, width: int) -> str:
    before, word, after = map(harmless, one.line(width))
    return f"{before:>{width}}{click.style(word, bold=True)}{after:<{width}}"


def _record(one: Occurrence) -> dict[str, Any]:
    record: dict[str, Any] = {"id": one.id, "start": one.start, "end": one.end, "text": one.text, "metadata": one.metadata}
    return record | {name: value for name, value in (("score", one.score), ("sense", one.sense)) if value is not None}
