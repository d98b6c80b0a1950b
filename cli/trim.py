"""``semvec trim``: a model without the pieces of words that your texts never have."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semvec_cli.bar import Bar
from semvec_cli.corpus import Corpus

if TYPE_CHECKING:
    from semvec.encoders.trim import Trimmed

MOST_CHECKED = 10_000


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="OUT", help="The folder to write.")
@click.option("--corpus", multiple=True, required=True, metavar="FILE", help="Texts of yours; may be given several times.")
@click.option("--text-field", help="Column of --corpus and --check with the texts.  [default: text, or the only one]")
@click.option(
    "--min-count", type=click.IntRange(1), default=1, help="Leave out pieces that come fewer times; more than 1 changes texts."
)
@click.option("--check", metavar="FILE", help="Say how well other texts (the first 10,000), not in --corpus, are read.")
@click.option("--device", help="Where MODEL computes: cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--overwrite", is_flag=True, help="Replace a trimmed model that is at OUT.")
@click.option("--trust-remote-code", is_flag=True, help="Run the Python code that MODEL brings along.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def trim(model: str, **options: Any) -> None:
    """Make of MODEL one that knows only the pieces of words which your texts have, in the folder OUT.

    The embedding table is a good part of a small model: half of minilm. Texts of --corpus (files as 'semvec encode' reads
    them) have the same vectors as before, which is verified; others are read in smaller pieces where they have unknown words,
    which --check measures. Special tokens and single characters stay. A model that 'semvec finetune' made stays one.

    \b
    Examples:
      semvec trim minilm --corpus sentences.txt -o minilm-trimmed
      semvec trim minilm --corpus tickets.csv --text-field body --check new-tickets.csv -o small
      semvec trim intents --corpus questions.txt --min-count 2 -o intents-small
    """
    from semvec.encoders.trim import trim as make

    if options["check"] and options["quiet"]:
        raise click.UsageError("--check does nothing with --quiet: what it finds is printed")
    if "-" in options["corpus"] or options["check"] == "-":
        raise click.UsageError("the texts are read twice, so they cannot be standard input (-): name a file")
    files = [*options["corpus"], *([options["check"]] if options["check"] else [])]
    if inside := next((name for name in files if Path(options["output"]).resolve() in Path(name).resolve().parents), None):
        raise click.UsageError(f"{inside} is inside of {options['output']}, which is written anew")
    corpus = Corpus(options["corpus"], options["text_field"])
    others = list(islice(Corpus((options["check"],), options["text_field"]), MOST_CHECKED)) if options["check"] else []
    if options["check"] and not any(text.strip() for text in others):
        raise click.UsageError(f"--check {options['check']}: holds no text")
    with Bar(options["quiet"]) as bar:
        made = make(
            model,
            corpus,
            options["output"],
            min_count=options["min_count"],
            overwrite=options["overwrite"],
            device=options["device"],
            trust_remote_code=options["trust_remote_code"],
            progress=bar.to,
        )
    if not options["quiet"]:
        _print(made, corpus)
    if others:
        _print_check(model, made, others, options["device"], options["trust_remote_code"])


def _print(made: Trimmed, corpus: Corpus) -> None:
    (pieces, left), (size, now) = made.pieces, made.bytes
    click.echo(f"{pieces:,} → {left:,} pieces of words, {size / 1e6:,.1f} → {now / 1e6:,.1f} MB in {made.path}")
    left_out = f"; {corpus.left_out:,} rows were no texts" if corpus.left_out else ""
    same = "all" if made.alike == made.texts else f"{made.alike:,}"
    click.echo(f"{same} of {made.texts:,} texts come in the same tokens as before{left_out}")


def _print_check(model: str, made: Trimmed, others: list[str], device: str | None, trust: bool) -> None:
    from semvec.encoders.agreement import agreement
    from semvec.encoders.catalog import load_encoder

    whole, trimmed = (load_encoder(its, device=device, trust_remote_code=trust) for its in (model, made.path))
    found = agreement(whole, trimmed, others)  # type: ignore[arg-type]
    click.echo(
        f"{found.alike:,} of {found.texts:,} other texts come in the same tokens ({found.alike / found.texts:.0%}); "
        f"cosine of all with their vectors before: mean {found.mean:.3f}, lowest {found.lowest:.3f}"
    )
    if found.alike < found.texts / 2:
        click.echo("most other texts are read otherwise: give more texts of their kind to --corpus")
