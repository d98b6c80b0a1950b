"""``semvec dedup``: texts without those that say what another one says, and why each of those was left out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from semvec_cli.bar import Bar
from semvec_cli.colours import one_line
from semvec_cli.points import point_options, read_points


@click.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--above", type=float, default=0.95, help="The cosine from which on two texts are one.")
@click.option("-o", "--output", metavar="OUT", help="Write what is kept: .jsonl (ids, texts and columns) or .txt (texts).")
@click.option("--dropped", metavar="FILE", help="Write what is left out, for which text and why: .jsonl.")
@click.option("-k", type=click.IntRange(0), default=10, help="Pairs printed, the least alike first.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@point_options  # type: ignore[untyped-decorator]
def dedup(
    inputs: tuple[str, ...],
    above: float,
    output: str | None,
    dropped: str | None,
    k: int,
    overwrite: bool,
    model: str | None,
    text_field: str | None,
    id_field: str | None,
    device: str | None,
    overflow: str,
    quiet: bool,
) -> None:
    """Find near duplicates in the texts, vectors or items of INPUT..., within a file and across files; the first one stays.

    A text goes when it is the same as one that stays, the same but for case, spaces or the mark at its end, or when their cosine
    is at least --above. Look at what is printed before you trust a number: which cosine means "the same" depends on the model.

    \b
    Examples:
      semvec dedup a.jsonl b.jsonl                       # what would go, and why
      semvec dedup questions.csv --above 0.9 -o kept.jsonl --dropped gone.jsonl
      semvec dedup vectors.parquet --above 0.98 --dropped gone.jsonl
    """
    from semvec.explore.duplicates import check_above, near_duplicates
    from semvec.explore.points import From
    from semvec_cli.pages import check_outputs, write_page

    for path, suffixes in ((output, (".jsonl", ".txt")), (dropped, (".jsonl",))):
        if path is not None and Path(path).suffix.lower() not in suffixes:
            raise click.UsageError(f"{path}: is written as {' or '.join(suffixes)}")
    check_outputs(filter(None, (output, dropped)), inputs, overwrite=overwrite)
    check_above(above)
    with Bar(quiet) as bar:
        points = read_points(
            inputs, From(model, device, id_field=id_field, text_field=text_field, unknown=True, overflow=overflow), quiet, bar.to
        )
        found = list(near_duplicates(points, above, bar.to))
    gone = {its.row for its in found}
    if output is not None:
        plain, names = Path(output).suffix.lower() == ".txt", (id_field or "id", text_field or "text")
        rows = (row for row in range(len(points)) if row not in gone)
        write_page(output, "".join(_line(points.texts[row]) if plain else _kept(points, row, *names) for row in rows))
    if dropped is not None:
        records = (
            {"id": points.ids[its.row], "text": points.texts[its.row], "kept_id": points.ids[its.kept],
             "kept_text": points.texts[its.kept], "score": round(its.score, 6), "reason": str(its.reason),
             "columns": {name: values[its.row] for name, values in points.columns.items()}}
            for its in found
        )  # fmt: skip
        write_page(dropped, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    for its in sorted(found, key=lambda its: its.score)[:k]:
        click.echo(f"{its.score:.3f}  {its.reason}")
        click.echo(f"  stays  {points.ids[its.kept]}  {one_line(points.texts[its.kept])}")
        click.echo(f"  goes   {points.ids[its.row]}  {one_line(points.texts[its.row])}")
    counts = Counter(str(its.reason) for its in found)
    reasons = f" ({', '.join(f'{count:,} {reason}' for reason, count in counts.most_common())})" if found else ""
    click.echo(f"{len(found):,} of {len(points):,} are near duplicates of another{reasons}")


def _line(text: str) -> str:
    return " ".join(text.splitlines()) + "\n"


def _kept(points: object, row: int, id_field: str, text_field: str) -> str:
    from semvec.explore.points import Points

    assert isinstance(points, Points)
    columns = {name: values[row] for name, values in points.columns.items() if values[row] is not None}
    return json.dumps({id_field: points.ids[row], text_field: points.texts[row], **columns}, ensure_ascii=False) + "\n"
