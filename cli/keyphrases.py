"""``semvec keyphrases``: the phrases of texts that say best what they are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from semvec.types import Step
from semvec_cli.bar import Bar
from semvec_cli.colours import harmless
from semvec_cli.splitters import splitter_option

BLOCK = 256


@click.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-k", type=click.IntRange(1), default=10, help="How many phrases a text.")
@click.option("--ngrams", default="1-3", metavar="LEAST-MOST", help="Words a phrase may have.")
@click.option("--diversity", type=click.FloatRange(0, 1), default=0.3, help="Prefer phrases unlike each other (MMR): 0 to 1.")
@click.option("--stop-words", metavar="FILE", help="Words no phrase begins or ends with, one a line.  [default: English ones]")
@splitter_option  # type: ignore[untyped-decorator]
@click.option("-m", "--model", default="minilm", help="A name that 'semvec models' lists, a path, or a hub id.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--id-field", help="Column with the ids.  [default: id or _id, else the line]")
@click.option("--text-field", help="Column with the texts.  [default: text, or the only one]")
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", help="How phrases are printed.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def keyphrases(
    inputs: tuple[str, ...],
    k: int,
    ngrams: str,
    diversity: float,
    stop_words: str | None,
    splitter: Callable[[str], Any] | None,
    model: str,
    device: str | None,
    id_field: str | None,
    text_field: str | None,
    form: str,
    quiet: bool,
) -> None:
    """Print the phrases of each text in INPUT... that are most like it.

    \b
    Examples:
      semvec keyphrases abstracts.jsonl --text-field abstract -k 5
      semvec keyphrases notes.txt --ngrams 2-4 --diversity 0.5 --format jsonl
      semvec keyphrases news_zh.txt --splitter jieba:cut --stop-words stop_zh.txt -m e5-small
    """
    from semvec.encoders.catalog import load_encoder
    from semvec.search.keyphrases import keyphrases as found_in
    from semvec.text.documents import sound_documents
    from semvec.text.readers import ReadOptions

    options: dict[str, Any] = {
        "ngrams": _range(ngrams),
        "diversity": diversity,
        "stop_words": None if stop_words is None else Path(stop_words).read_text(encoding="utf-8").split(),
        "splitter": splitter,
    }
    rows = sound_documents(inputs, ReadOptions(id_field=id_field, text_field=text_field, keep_blank=True))
    encoder, done = load_encoder(model, device=device), 0
    with Bar(quiet) as bar:
        while block := list(islice(rows, BLOCK)):
            for row, its in zip(block, found_in([row.text for row in block], encoder, k, **options), strict=True):
                _print(row.id, its, form)
            done += len(block)
            bar.to(Step("", done, None, "texts"))
    if not done:
        raise click.UsageError(f"{', '.join(inputs)}: no text there")


def _print(name: str, found: list[Any], form: str) -> None:
    if form == "jsonl":
        phrases = [{"text": its.text, "score": its.score, "spans": its.spans} for its in found]
        click.echo(json.dumps({"id": name, "keyphrases": phrases}, ensure_ascii=False))
        return
    click.echo(name)
    for its in found:
        click.echo(f"{its.score:7.4f}  {harmless(its.text)}" + (f"  (×{len(its.spans)})" if len(its.spans) > 1 else ""))


def _range(ngrams: str) -> tuple[int, int]:
    least, _, most = ngrams.partition("-")
    if not least.isdecimal() or not (most or least).isdecimal() or not 1 <= int(least) <= int(most or least):
        raise click.UsageError(f"--ngrams is the least and the most words of a phrase, as 1-3, not {ngrams!r}")
    return int(least), int(most or least)
