"""``semvec cluster``: groups of texts, their names, and the texts that stand for them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semvec_cli.bar import Bar
from semvec_cli.colours import harmless, one_line
from semvec_cli.points import point_options, read_points
from semvec_cli.splitters import splitter_option

if TYPE_CHECKING:
    from semvec.explore.clusters import Clusters
    from semvec.explore.points import Points
    from semvec.text.words import Splitter


@click.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--method",
    type=click.Choice(["kmeans", "hdbscan"]),
    default="kmeans",
    help="kmeans: every text is in a group; hdbscan: dense groups, others in none.",
)
@click.option("-n", "--groups", type=click.IntRange(1), help="How many groups kmeans makes.  [default: by the number of texts]")
@click.option(
    "--least", type=click.IntRange(2), help="How many texts a group of hdbscan has at least.  [default: 5, or half a percent]"
)
@click.option("-k", type=click.IntRange(0), default=3, help="Typical texts printed of each group.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="The same seed gives the same groups.")
@click.option("-o", "--output", metavar="OUT", help="Write the group of each text to a file: .jsonl or .csv.")
@click.option("--overwrite", is_flag=True, help="Replace what is at OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print the groups as JSON.")
@splitter_option  # type: ignore[untyped-decorator]
@point_options  # type: ignore[untyped-decorator]
def cluster(
    inputs: tuple[str, ...],
    method: str,
    groups: int | None,
    least: int | None,
    k: int,
    seed: int,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    model: str | None,
    text_field: str | None,
    id_field: str | None,
    device: str | None,
    overflow: str,
    splitter: Splitter | None,
    quiet: bool,
) -> None:
    """Print groups of the texts, vectors or items in INPUT..., the largest first, by name, with typical texts.

    \b
    Examples:
      semvec cluster reviews.csv -n 12 -o groups.csv
      semvec cluster vectors.parquet --method hdbscan --least 20
      semvec cluster 笔记.txt --model e5-small --splitter jieba:cut
      semvec cluster notes.index --json
    """
    from semvec.explore.clusters import Grouping, clusters
    from semvec.explore.points import From
    from semvec_cli.pages import check_outputs, write_page

    if groups is not None and method == "hdbscan":
        raise click.UsageError("hdbscan finds out how many groups there are: --least says how large they are")
    if least is not None and method == "kmeans":
        raise click.UsageError("kmeans makes groups of any size: -n says how many (--least is for --method hdbscan)")
    if output is not None and Path(output).suffix.lower() not in (".jsonl", ".csv"):
        raise click.UsageError(f"{output}: groups are written as .jsonl or .csv")
    check_outputs([output] if output else [], inputs, overwrite=overwrite)
    with Bar(quiet) as bar:
        points = read_points(
            inputs,
            From(model, device, id_field=id_field, text_field=text_field, overflow=overflow, splitter=splitter),
            quiet,
            bar.to,
        )
        found = clusters(points, Grouping(method), count=groups, least=least, seed=seed, splitter=splitter, progress=bar.to)
    if output is not None:
        write_page(output, _table(points, found, Path(output).suffix.lower()))
    if as_json:
        click.echo(json.dumps([_record(points, its, k) for its in found.clusters], ensure_ascii=False, indent=1))
        return
    for its in found.clusters:
        click.echo(f"{its.size:7,}  {harmless(its.name)}")
        for row in its.typical[:k]:
            click.echo(f"         {found.scores[row]:.3f}  {one_line(points.texts[row])}")
    if alone := int((found.numbers < 0).sum()):
        click.echo(f"{alone:7,}  in no group")
    if output is not None and not quiet:
        click.echo(f"written: {output}")


def _record(points: Points, its: object, k: int) -> dict[str, object]:
    from semvec.explore.clusters import Cluster

    assert isinstance(its, Cluster)
    typical = [{"id": points.ids[row], "text": points.texts[row]} for row in its.typical[:k]]
    return {"number": its.number, "name": its.name, "size": its.size, "typical": typical}


def _table(points: Points, found: Clusters, suffix: str) -> str:
    rows = [
        {"id": name, "cluster": number, "name": group, "score": round(score, 6), "text": text}
        for name, number, group, score, text in zip(
            points.ids, found.numbers.tolist(), found.names(), found.scores.tolist(), points.texts, strict=True
        )
    ]
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    made = io.StringIO()
    table = csv.DictWriter(made, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return made.getvalue()
