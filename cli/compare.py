"""``semvec compare``: two models on the same texts, without labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from semvec_cli.bar import Bar

if TYPE_CHECKING:
    from semvec.evaluate.compare import Comparison


@click.command(context_settings={"show_default": True})
@click.argument("one", metavar="MODEL_A")
@click.argument("other", metavar="MODEL_B")
@click.option("--texts", "inputs", type=click.Path(), multiple=True, required=True, help="Files of texts; may be repeated.")
@click.option("-k", type=click.IntRange(1), default=10, help="How many neighbours of each text.")
@click.option("--sample", type=click.IntRange(2), default=2000, help="Texts whose neighbours are looked up, among all.")
@click.option("--most", type=click.IntRange(0), default=5, help="How many of the texts that moved most are shown.")
@click.option("--text-field", help="Column with the texts.  [default: text, or the only one]")
@click.option("--seed", type=click.IntRange(0), default=0, help="Decides which texts are looked at.")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to print.")
def compare(
    one: str,
    other: str,
    inputs: tuple[str, ...],
    k: int,
    sample: int,
    most: int,
    text_field: str | None,
    seed: int,
    device: str | None,
    form: str,
) -> None:
    """Say how alike two models see the same texts: shared neighbours, agreement of ranks, what moved most, speed and size.

    No labels are needed; which of the two is better only 'semvec evaluate' can tell.

    \b
    Examples:
      semvec compare minilm glove-50d --texts reviews.csv --text-field review
      semvec compare minilm ./my-finetuned --texts notes.txt -k 5 --format json
    """
    from semvec.encoders.catalog import load_encoder
    from semvec.evaluate.compare import compare as compared
    from semvec.search.index_files import check_no_collection
    from semvec.text.documents import texts_of
    from semvec.text.readers import ReadOptions

    for name in inputs:
        check_no_collection(name)
    texts = list(texts_of(inputs, ReadOptions(text_field=text_field)))
    models = [(name, load_encoder(name, device=device)) for name in (one, other)]
    with Bar() as bar:
        found = compared(models, texts, k=k, sample=sample, most=most, seed=seed, progress=bar.to)
    if form == "json":
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=1))
    else:
        _print(found)


def _print(found: Comparison) -> None:
    from semvec_cli.colours import one_line

    left_out = f", {found.unknown:,} left out of which one of the models knows nothing" if found.unknown else ""
    click.echo(f"{found.texts:,} different texts{left_out}")
    click.echo(f"shared among the {found.k} nearest  {found.overlap}  (by chance {found.chance:.3f})")
    click.echo(f"rank correlation of nearness  {found.agreement}\n")
    width = max(len(side.model) for side in found.sides)
    for side in found.sides:
        cut = f", {side.share_of_tokens_cut:.1%} of tokens not read" if side.share_of_tokens_cut else ""
        size = f"{side.dim} numbers, {side.bytes_a_vector:,} bytes a text; {side.texts_per_second:,.0f} texts/s"
        click.echo(f"{side.model:{width}}  {size}{cut}")
    for its in found.moved:
        click.echo(f"\n{its.overlap:.0%} shared: {one_line(its.text)}")
        for side, near in zip(found.sides, (its.first, its.second), strict=True):
            for text in near:
                click.echo(f"  {side.model:{width}}  {one_line(text)}")
