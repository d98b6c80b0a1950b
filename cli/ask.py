"""``semvec ask``: questions answered from a collection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from semvec_cli.asked import asked, converse, require_asked
from semvec_cli.colours import harmless

if TYPE_CHECKING:
    from semvec.augment.reader import Asked, Support

AROUND = 120
"""Characters of a passage that are shown on both sides of an answer."""


@click.command(context_settings={"show_default": True})
@click.argument("collection")
@click.argument("questions", nargs=-1, metavar="QUESTION...")
@click.option("-r", "--reader", required=True, metavar="READER", help="A model that 'semvec finetune qa' made.")
@click.option("-k", type=click.IntRange(1), default=10, help="Passages that are read for each question.")
@click.option("--answers", type=click.IntRange(1), default=1, help="Answers a question.")
@click.option("--where", help="Read only items this is true of: \"lang = 'de' and year >= 2020\".")
@click.option("--hybrid", is_flag=True, help="Look for the words of the question too (BM25).")
@click.option(
    "--level",
    type=click.Choice(["text", "token"]),
    help="token: late interaction (MaxSim) of all tokens.  [default: token where the collection has them]",
)
@click.option("-m", "--model", help="The collection's encoder, if it is not found by the name it has for it.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", help="How answers are printed.")
def ask(collection: str, questions: tuple[str, ...], **options: Any) -> None:
    """Answer each QUESTION from the texts of COLLECTION, and print where the answer stands.

    Passages are retrieved, READER reads them, and an answer counts for as much as the passages it stands in. Without a
    QUESTION, asks for questions at the terminal; ends at an empty line.

    \b
    Examples:
      semvec ask wiki.index "when was the tower built?" --reader reader
      semvec ask wiki.index "who wrote it?" --reader reader --hybrid -k 20 --answers 3
      semvec ask wiki.index --reader reader                      # asks, until an empty line
      cat questions.txt | semvec ask wiki.index - --reader reader --format jsonl
    """
    from semvec.augment.reader import RetrievalReader
    from semvec.finetune.loading import load_model
    from semvec.search.index_files import open_searcher
    from semvec.store.filter_text import parse_filter
    from semvec.types import Level

    require_asked(questions, "QUESTION")
    texts = asked(questions)
    if options["hybrid"] and options["level"] == "token":
        raise click.UsageError("--hybrid does nothing at level token")
    level = Level.TEXT if options["hybrid"] else Level(options["level"]) if options["level"] else None
    how: dict[str, Any] = {} if options["where"] is None else {"where": parse_filter(options["where"])}
    if options["hybrid"]:
        how["hybrid"] = True
    reader = load_model(options["reader"], device=options["device"])
    with open_searcher(collection, options["model"], device=options["device"], level=level) as searcher:
        its = RetrievalReader(searcher, reader, k=options["k"])  # type: ignore[arg-type]
        most, form = options["answers"], options["form"]
        if not questions:
            converse(lambda one: _print(its.ask([one], most=most, **how), form), searcher.collection.count(), "ask")
            return
        _print(its.ask(texts, most=most, **how), form)


def _print(found: Sequence[Asked], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([its.to_json() for its in found], ensure_ascii=False, indent=1))
        return
    for its in found:
        if form == "jsonl":
            click.echo(json.dumps(its.to_json(), ensure_ascii=False))
            continue
        if len(found) > 1:
            click.echo(f"{harmless(its.question)}")
        if not its.answers:
            click.echo("no answer found", err=True)
        for answer in its.answers:
            click.echo(f"{answer.score:7.4f}  {click.style(_one_line(answer.answer), bold=True)}")
            for support in answer.support[:3]:
                click.echo(f"         {support.share:4.0%}  {_one_line(support.id)}  {_shown(support)}")


def _shown(its: Support) -> str:
    """Return the passage around an answer, on one line, with the answer in bold."""
    before, after = its.text[max(0, its.start - AROUND) : its.start], its.text[its.end : its.end + AROUND]
    left, right = "…" if its.start > AROUND else "", "…" if len(its.text) - its.end > AROUND else ""
    return "".join(
        [left, _one_line(before), click.style(_one_line(its.text[its.start : its.end]), bold=True), _one_line(after), right]
    )


def _one_line(text: str) -> str:
    return str(harmless(" ".join(text.split("\n"))))
