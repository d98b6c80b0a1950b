"""``semvec visualise`` (``project``): a map of texts, words or tokens, as a page or a picture."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semvec.types import Level
from semvec_cli.bar import Bar
from semvec_cli.points import LEVELS, point_options, read_points
from semvec_cli.sections import Sections
from semvec_cli.splitters import splitter_option

if TYPE_CHECKING:
    from semvec.explore.maps import MapPlan
    from semvec.explore.points import Points
    from semvec.visualise.map import Map
    from semvec.visualise.projection import Projection

PICTURES = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
PAGES, TABLES = (".html", ".htm"), (".csv",)
METHODS = ("pca", "umap", "tsne", "pacmap")
OF_METHODS = {"neighbours": ("umap", "pacmap"), "min_dist": ("umap",), "perplexity": ("tsne",)}


SECTIONS = {
    "Output": ("outputs", "title", "theme", "fade", "tensorboard", "overwrite", "quiet"),
    "Points": ("level", "word", "words", "sample", "text_field", "id_field", "splitter"),
    "Model": ("model", "device", "overflow"),
    "Layout": ("method", "neighbours", "min_dist", "perplexity", "seed", "kept", "onto", "beside", "beside_model"),
    "Colours and groups": ("colour", "groups", "grouping"),
}


@click.command(cls=Sections, sections=SECTIONS, context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="OUT",
    help="map.html, .png, .svg, .pdf, or .csv of the places; may be given more than once.",
)
@click.option("--method", type=click.Choice(METHODS), default="umap", help="How many dimensions become two.")
@click.option("--neighbours", type=click.IntRange(2), default=15, help="Neighbours of a point that umap and pacmap keep near it.")
@click.option("--min-dist", type=float, default=0.1, help="Least distance of points on umap's map.")
@click.option("--perplexity", type=float, default=30.0, help="How many neighbours of a point tsne looks at.")
@click.option("--seed", type=int, default=0, help="The same seed gives the same map.")
@click.option("--colour", "--color", metavar="COLUMN", help="What points are coloured by.  [default: the groups]")
@click.option(
    "--groups", type=click.IntRange(0), help="Make so many groups and name them; 0: none.  [default: by the number of points]"
)
@click.option("--grouping", type=click.Choice(["kmeans", "hdbscan"]), default="kmeans", help="How groups are made.")
@click.option(
    "--level", type=click.Choice(LEVELS), default="text", help="What is a point: a text, each of its words, or each token."
)
@click.option("--word", help="Every place where this word stands is a point; 'sense' is a column.")
@click.option("--words", type=click.IntRange(4), help="The so many most frequent words of the word model INPUT are the points.")
@click.option("--sample", type=click.IntRange(4), help="Draw so many points by chance and leave the others out.")
@click.option("--beside", metavar="INPUT2", help="A second view of the points, by their ids: other vectors, another time.")
@click.option("--beside-model", metavar="MODEL", help="A second view of the same texts, by another model.")
@click.option("--save", "kept", metavar="FILE", help="Keep the projection (.safetensors), so that others can be put on it.")
@click.option("--onto", metavar="FILE", help="Put the points on a projection that was kept; its own stay where they are.")
@click.option("--fade", is_flag=True, help="Fade points most of whose neighbours on the map are false.")
@click.option(
    "--theme",
    type=click.Choice(["auto", "light", "dark"]),
    default="auto",
    help="Light or dark ground; auto: what a reader's browser prefers, light for pictures.",
)
@click.option("--title", help="Written above.  [default: the names of the inputs]")
@click.option("--tensorboard", metavar="FOLDER", help="Write vectors and columns for TensorBoard's projector, too.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@splitter_option  # type: ignore[untyped-decorator]
@point_options  # type: ignore[untyped-decorator]
def visualise(inputs: tuple[str, ...], outputs: tuple[str, ...], **options: Any) -> None:
    """Draw a map of INPUT... and say how true it is.

    INPUT is a vectors file by 'semvec encode', a collection, files of texts (whose other columns can colour the map), or with
    --words a word model. A page (.html) is complete in itself: pan, zoom, search, click for the true neighbours, lasso.

    \b
    Examples:
      semvec visualise reviews.csv -o map.html --colour stars
      semvec visualise vectors.parquet -o map.png -o map.html --method tsne --fade
      semvec visualise glove-50d --words 5000 -o words.html
      semvec visualise news.jsonl --word bank -o bank.html
      semvec visualise old.csv -o old.html --save map.safetensors
      semvec visualise old.csv new.csv -o all.html --onto map.safetensors
      semvec project notes.csv --beside-model glove-50d -o both.html       # the same command
    """
    from semvec.explore.maps import draft, make_map, own_column
    from semvec.explore.points import From

    overwrite, quiet = options["overwrite"], options["quiet"]
    _check(inputs, outputs, options)
    how = From(
        model=options["model"],
        device=options["device"],
        level=Level(options["level"]),
        splitter=options["splitter"],
        id_field=options["id_field"],
        text_field=options["text_field"],
        word=options["word"],
        words=options["words"],
        overflow=options["overflow"],
        column=options["colour"],
    )
    title = options["title"] or _title(inputs, options)
    plan = _plan(options)
    with Bar(quiet) as bar:
        points = _drawn(read_points(inputs, how, quiet, bar.to), options)
        beside = _beside(inputs, how, points, options, bar)
        early = [out for out in outputs if _suffix(out) in PAGES and not Path(out).exists()]
        first = draft(points, plan, title) if early else None
        if first is None:
            early = []
        else:
            _write(first, early, points, options)
            bar.note(f"a first picture is in {', '.join(early)}; the whole map replaces it")
        try:
            made = make_map(points, plan, title=title, name=_name(points, inputs), beside=beside, progress=bar.to)
        except BaseException:
            for out in early:
                Path(out).unlink(missing_ok=True)
            raise
    if beside is not None and not quiet:
        click.echo(_shared(points, beside[1]))
    if plan.projection is not None and not quiet:
        click.echo(_kept_places(plan.projection, made.map))
    for view in made.map.views:
        name = f"{view.name}: " if len(made.map.views) > 1 else ""
        click.echo(f"{name}{len(made.map):,} points, {view.about}: {view.honesty}")
    if options["kept"]:
        made.projection.save(options["kept"])
    _write(made.map, outputs, points, options)
    if options["tensorboard"]:
        from semvec.visualise.tensorboard import write_tensorboard

        its = made.points
        columns = {**its.columns, **({} if made.clusters is None else {own_column(its): made.clusters.names()})}
        write_tensorboard(Path(options["tensorboard"]), its.vectors, its.ids, its.texts, columns, overwrite=overwrite)
    if not quiet:
        for out in (*outputs, *filter(None, (options["kept"], options["tensorboard"]))):
            click.echo(f"written: {out}")


def _check(inputs: tuple[str, ...], outputs: tuple[str, ...], options: dict[str, Any]) -> None:
    from semvec.visualise.draw import check_able
    from semvec.visualise.options import Method
    from semvec.visualise.projection import check_method
    from semvec_cli.pages import check_outputs

    targets = [*outputs, *filter(None, (options["kept"], options["tensorboard"]))]
    if not targets:
        raise click.UsageError("where to? Name a page or a picture with -o map.html (or .png, .svg, .pdf, .csv)")
    for out in outputs:
        if _suffix(out) not in (*PICTURES, *PAGES, *TABLES):
            raise click.UsageError(f"{out}: a map is written as {', '.join((*PAGES[:1], *PICTURES, *TABLES))}")
    files = [out for out in targets if out != options["tensorboard"]]
    if len({os.path.realpath(out) for out in targets}) < len(targets):
        raise click.UsageError("one name for two outputs: each needs its own")
    check_outputs(files, (*inputs, *filter(None, (options["beside"], options["onto"]))), overwrite=options["overwrite"])
    if options["tensorboard"]:
        from semvec.visualise.tensorboard import check_folder

        check_folder(Path(options["tensorboard"]), overwrite=options["overwrite"])
    if options["onto"] and (given := [name for name in ("method", "neighbours", "min_dist", "perplexity") if _given(name)]):
        raise click.UsageError(f"--onto brings its own {', '.join(given)}: leave --{given[0].replace('_', '-')} out")
    _refuse_idle(outputs, options)
    if any(_suffix(out) in PICTURES for out in outputs):
        check_able()
    check_method(Method(options["method"]))
    if options["beside"] and options["beside_model"]:
        raise click.UsageError("--beside or --beside-model, not both: there are two views at most")


def _refuse_idle(outputs: tuple[str, ...], options: dict[str, Any]) -> None:
    """Refuse options that would do nothing beside the others."""
    for name, methods in OF_METHODS.items():
        if _given(name) and not options["onto"] and options["method"] not in methods:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --method {' or '.join(methods)}")
    drawn = [out for out in outputs if _suffix(out) not in TABLES]
    if not drawn and (idle := [name for name in ("theme", "fade", "title") if _given(name)]):
        raise click.UsageError(f"--{idle[0]} is for a page or a picture")
    if options["grouping"] == "hdbscan" and options["groups"]:
        raise click.UsageError("--grouping hdbscan finds out how many groups there are: leave --groups out")
    if options["word"] and options["words"]:
        raise click.UsageError("--word or --words, not both: the places of one word, or the words of a model")
    if _given("grouping") and options["groups"] == 0:
        raise click.UsageError("--groups 0 makes no groups: leave --grouping out")


def _kept_places(projection: Projection, drawn: Map) -> str:
    import numpy as np

    there = {tuple(place) for place in projection.points.tolist()}
    kept = int(np.sum([tuple(place) in there for place in drawn.views[0].points.tolist()]))
    new = len(drawn) - kept
    return f"{kept:,} keep their places, {new:,} {'is' if new == 1 else 'are'} new on the map"


def _shared(points: Points, others: Points) -> str:
    """Say how many points two views share, and how many of them have another text in the second."""
    texts = dict(zip(others.ids, others.texts, strict=True))
    both = [name for name in points.ids if name in texts]
    other = sum(texts[name] != text for name, text in zip(points.ids, points.texts, strict=True) if name in texts)
    return f"{len(both):,} of {len(points):,} points are in both views" + (
        f", {other:,} of them with another text" if other else ""
    )


def _given(name: str) -> bool:
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source(name) != ParameterSource.DEFAULT


def _plan(options: dict[str, Any]) -> MapPlan:
    from semvec.explore.clusters import Grouping
    from semvec.explore.maps import MapPlan
    from semvec.visualise.options import MapOptions, Method
    from semvec.visualise.projection import Projection

    made = MapOptions(
        Method(options["method"]), options["neighbours"], options["min_dist"], options["perplexity"], options["seed"]
    )
    onto = Projection.load(options["onto"]) if options["onto"] else None
    return MapPlan(made, options["colour"], Grouping(options["grouping"]), options["groups"], onto, options["splitter"])


def _drawn(points: Points, options: dict[str, Any]) -> Points:
    count = options["sample"]
    return points if count is None or count >= len(points) else points.drawn(count, options["seed"])


def _beside(inputs: tuple[str, ...], how: Any, points: Points, options: dict[str, Any], bar: Bar) -> tuple[str, Points] | None:
    from dataclasses import replace

    from semvec.embeddings.storage import holds_vectors
    from semvec.store.collection import is_collection

    how = replace(how, column=None)  # a second view needs no columns
    if options["beside"]:
        holds = holds_vectors(options["beside"]) or is_collection(options["beside"])
        own = replace(how, model=None, level=Level.TEXT, id_field=None, text_field=None) if holds else how
        other = read_points((options["beside"],), own, options["quiet"], bar.to)
        return _name(other, (options["beside"],)), other
    if options["beside_model"]:
        other = read_points(inputs, replace(how, model=options["beside_model"]), options["quiet"], bar.to)
        return _name(other, inputs), other
    return None


def _name(points: Points, inputs: tuple[str, ...]) -> str:
    model = "" if points.fingerprint is None else Path(points.fingerprint.model).name
    return ", ".join(filter(None, (model, Path(inputs[0]).name)))


def _title(inputs: tuple[str, ...], options: dict[str, Any]) -> str:
    names = ", ".join(Path(name).name for name in inputs[:3]) + (f" and {len(inputs) - 3} more" if len(inputs) > 3 else "")
    return f"“{options['word']}” in {names}" if options["word"] else names


def _suffix(out: str) -> str:
    return Path(out).suffix.lower()


def _write(its: Map, outputs: Any, points: Points, options: dict[str, Any]) -> None:
    from semvec.embeddings.files import written_whole
    from semvec.visualise.draw import draw
    from semvec.visualise.page import page

    theme, fade = options["theme"], options["fade"]
    for out in outputs:
        if (suffix := _suffix(out)) in PAGES:
            whole = page(its, theme=theme, fade=fade).encode("utf-8", "replace")
        elif suffix in PICTURES:
            whole = draw(its, PICTURES[suffix], theme="light" if theme == "auto" else theme, fade=fade)
        else:
            whole = _table(its, points)
        with written_whole(Path(out)) as (stream,):
            stream.write(whole)


def _table(its: Map, points: Points) -> bytes:
    """Return the places of all points as CSV: id, x and y of each view and the share of true neighbours there, columns, text."""
    made = io.StringIO()
    table = csv.writer(made, lineterminator="\n")
    several = len(its.views) > 1
    names = [f"{part}{at + 1 if several else ''}" for at in range(len(its.views)) for part in ("x", "y", "true")]
    made_here = {name: column for name, column in its.columns.items() if name not in points.columns}
    taken = {"id", "text", *names, *made_here}
    given_names = [f"{name}_" if name in taken else name for name in points.columns]
    table.writerow(["id", *names, *made_here, *given_names, "text"])
    place = {name: row for row, name in enumerate(points.ids)}
    for row, name in enumerate(its.ids):
        numbers = [number for view in its.views for number in (*view.points[row].tolist(), view.honesty.true[row])]
        own = [its_.values[its_.codes[row]][0] if its_.codes[row] >= 0 else "" for its_ in made_here.values()]
        given = [values[place[name]] for values in points.columns.values()]
        table.writerow([name, *(f"{number:.6g}" for number in numbers), *own, *given, its.texts[row]])
    return made.getvalue().encode("utf-8", "replace")


project = visualise
"""The same command by its other name."""
