"""``semvec similar``: for every row of a file the nearest ones of another."""

from __future__ import annotations

import json
import sys

import click

from semvec_cli.colours import one_line


@click.command(context_settings={"show_default": True})
@click.argument("one", metavar="FILE_A")
@click.argument("other", metavar="FILE_B")
@click.option("-k", type=click.IntRange(1), default=1, help="How many rows of FILE_B for each of FILE_A.")
@click.option("-m", "--model", default="minilm", help="Encodes texts: a name that 'semvec models' lists, a path, or a hub id.")
@click.option("--min-score", type=float, help="Leave out what scores less.")
@click.option("--text-field", help="Column with the texts.  [default: text, or the only one]")
@click.option("--id-field", help="Column with the ids.  [default: id or _id, else line numbers]")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option(
    "--format", "form", type=click.Choice(["table", "tsv", "jsonl"]), default="table", help="How the pairs are printed."
)
def similar(
    one: str,
    other: str,
    k: int,
    model: str,
    min_score: float | None,
    text_field: str | None,
    id_field: str | None,
    device: str | None,
    form: str,
) -> None:
    """Print, for every row of FILE_A, the nearest rows of FILE_B: files of texts, or of vectors by 'semvec encode'.

    \b
    Examples:
      semvec similar questions.txt answers.txt -k 3
      semvec similar new.csv known.csv --text-field title --min-score 0.9    # likely doubles
      semvec similar a.parquet b.parquet --format tsv > pairs.tsv
    """
    from semvec.search.similar import similar as pairs
    from semvec.text.readers import ReadOptions

    if [one, other].count("-") > 1:
        raise click.UsageError("standard input (-) can be read only once")
    read = ReadOptions(text_field=text_field, id_field=id_field)
    for name, hits in pairs(one, other, k, model=model, read=read, device=device, min_score=min_score):
        if form == "jsonl":
            record = {"id": name, "text": hits.query, "hits": [{"id": h.id, "score": h.score, "text": h.text} for h in hits]}
            click.echo(json.dumps(record, ensure_ascii=False))
        elif form == "tsv":
            for hit in hits:
                click.echo(f"{name}\t{hit.id}\t{hit.score:.6f}")
        else:
            click.echo(f"{name}  {one_line(hits.query)}")
            for hit in hits:
                click.echo(f"  {hit.score:7.4f}  {hit.id}  {one_line(hit.text)}")
    sys.stdout.flush()
