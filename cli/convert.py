"""``semvec convert``: word vectors of any format → a folder that opens at once."""

from __future__ import annotations

from typing import Any

import click


@click.command(context_settings={"show_default": True})
@click.argument("model", metavar="IN")
@click.argument("output", metavar="OUT", type=click.Path())
@click.option("--sif", "sif", multiple=True, metavar="TEXTS", help="Fit SIF pooling on the texts of this file (repeatable).")
@click.option("--text-field", help="Column with the texts of --sif.  [default: text, or the only one]")
@click.option("--trust-pickle", is_flag=True, help="Read gensim's own files, pickles, which can run any code.")
@click.option("--overwrite", is_flag=True, help="Replace the word vectors at OUT.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def convert(model: str, output: str, sif: tuple[str, ...], text_field: str | None, **options: Any) -> None:
    """Write the word vectors IN as a folder OUT that opens at once and is shared by all who read it.

    IN is GloVe or word2vec text (also .gz, .zst), word2vec binary, fastText .vec or .bin, a file of gensim's own,
    or a name such as glove-50d; what it holds decides, not its name. OUT takes any place that wants a model.

    \b
    Examples:
      semvec convert glove.6B.300d.txt glove-300d
      semvec convert crawl-300d-2M.vec.gz crawl
      semvec convert cc.de.300.bin german
      semvec convert glove-50d glove-sif --sif corpus.txt
      semvec encode notes.txt -o notes.npy --model glove-sif --pooling sif
    """
    from semvec.encoders.word_convert import convert as to_folder
    from semvec.text.documents import texts_of
    from semvec.text.readers import ReadOptions

    if model == "-":
        raise click.UsageError("IN cannot be standard input (-): a table of words is no stream, name a file or a folder")
    if output == "-":
        raise click.UsageError("OUT cannot be standard output (-): it becomes a folder, name one")
    if text_field and not sif:
        raise click.UsageError("--text-field does nothing without --sif")
    texts = texts_of(list(sif), ReadOptions(text_field=text_field, ids=False)) if sif else None
    made = to_folder(model, output, sif=texts, trust_pickle=options["trust_pickle"], overwrite=options["overwrite"])
    if options["quiet"]:
        return
    click.echo(f"{made.words:,} words of {made.dim} numbers in {made.output}")
    if made.sif_texts:
        click.echo(
            f"SIF fitted on {made.sif_texts:,} texts; --pooling sif uses it, without that texts are the mean of their words"
        )
    if made.flaws:
        click.echo(made.flaws)
