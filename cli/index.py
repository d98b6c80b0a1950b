"""``semvec index``: make, fill and keep collections."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semvec.types import Step
from semvec_cli.bar import Bar

if TYPE_CHECKING:
    from semvec.search.index_files import IndexOptions, Size
    from semvec.selection.soft import LearnedScorer
    from semvec.store.local import LocalCollection
    from semvec.text.document import BadRow


@click.group()
def index() -> None:
    """Make and keep collections: ids, vectors and texts that can be searched.

    \b
    Examples:
      semvec index build notes.txt -o notes.index
      semvec index build vectors.parquet -o notes.index
      semvec index add notes.index more.jsonl --text-field body
      semvec index optimise notes.index --kind ivf-sq8
      semvec index info notes.index
      semvec index delete notes.index --where "source = 'x.pdf'"
      semvec index drop notes.index
    """


def reading_options(command: Any) -> Any:
    """Add the options that say how texts are read and encoded."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
        click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]"),
        click.option("--id-field", help="Column with the ids.  [default: id or _id, else file and line, as notes.txt:7]"),
        click.option("--text-field", help="Column with the texts.  [default: text, or the only one]"),
        click.option(
            "--fields",
            metavar="COLUMNS",
            help="Columns kept as metadata, to filter by: lang,year; all (every other one) or none.  [default: all]",
        ),
        click.option("--keep-blank", is_flag=True, help="Blank rows are texts, not bad rows."),
        click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", help="What a bad row does."),
        click.option(
            "--overflow",
            type=click.Choice(["truncate", "windows", "error"]),
            default="truncate",
            help="What happens to texts longer than the model reads: cut, read whole in windows, or refused.",
        ),
    ):
        command = option(command)
    return command


@index.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True, metavar="COLLECTION", help="The folder of the new collection.")
@click.option("-m", "--model", default="minilm", help="A name that 'semvec models' lists, a path, or a hub id.")
@click.option("--kind", default="auto", help="Kind of index: auto, flat, ivf, sq8, ivf-sq8, ivf-pq, rabitq, hnsw.")
@click.option("--dtype", type=click.Choice(["float32", "float16", "int8"]), default="float32", help="How numbers are kept.")
@click.option(
    "--level",
    type=click.Choice(["text", "token"]),
    default="text",
    help="token: keep the vectors of all tokens too, for late interaction and for finding words in context.",
)
@click.option("--bits", type=click.Choice(["1", "2", "4", "16"]), help="With --level token: bits a number.  [default: 2]")
@click.option(
    "--keep-tokens", type=click.FloatRange(0, 1, min_open=True), help="Keep this share of each text's tokens.  [default: 1]"
)
@click.option(
    "--keep-by",
    metavar="HOW",
    help="Which: tf_idf, idf, centroid, frequency, lead, random, or a scorer's file.  [default: tf_idf]",
)
@reading_options
def build(
    inputs: tuple[str, ...],
    output: str,
    model: str,
    kind: str,
    dtype: str,
    level: str,
    bits: str | None,
    keep_tokens: float | None,
    keep_by: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Make a collection of the texts, or of the vectors files made by 'semvec encode', in INPUT... .

    \b
    Examples:
      semvec index build notes.txt -o notes.index
      semvec index build reviews.csv -o reviews.index --text-field review --id-field sku --fields lang,year
      semvec index build notes.txt -o notes.index --level token --bits 4
      semvec encode notes.txt -o notes.parquet && semvec index build notes.parquet -o notes.index
    """
    from semvec.errors import CollectionNotFound, OutputExists
    from semvec.index.kinds import choose_kind
    from semvec.store.address import shown
    from semvec.store.collection import Collection

    choose_kind(kind, 0, 0)
    of_tokens = {"--bits": bits, "--keep-tokens": keep_tokens, "--keep-by": keep_by}
    if level == "text" and (given := [name for name, value in of_tokens.items() if value is not None]):
        raise click.UsageError(f"{given[0]} does nothing without --level token")
    if keep_by is not None and keep_tokens is None:
        raise click.UsageError("--keep-by does nothing without --keep-tokens")
    try:
        Collection.open(output).close()
        raise OutputExists(
            f"{shown(output)}: is a collection already; 'semvec index add' adds to it, 'semvec index drop' removes it"
        )
    except CollectionNotFound:
        pass
    _write(inputs, output, model, quiet, options, new=True, dtype=dtype, **_of_tokens(level, bits, keep_tokens, keep_by))
    with Collection.open(output) as collection:
        made = collection.optimise(kind)
        if not quiet:
            click.echo(f"index: {_made(made)}")


@index.command(context_settings={"show_default": True})
@click.argument("collection")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-m", "--model", help="The encoder, if it is not found by the name the collection has for it.")
@click.option("--keep-by", metavar="FILE", help="The scorer that chooses tokens, for a collection that was built with one.")
@reading_options
def add(collection: str, inputs: tuple[str, ...], model: str | None, keep_by: str | None, quiet: bool, **options: Any) -> None:
    """Add the texts or vectors files INPUT... to COLLECTION; an id that is there already is replaced."""
    of_tokens: dict[str, Any] = {} if keep_by is None else {"keep_by": _scorer(keep_by)}
    _write(inputs, collection, model, quiet, options, new=False, **of_tokens)


def _write(
    inputs: tuple[str, ...],
    output: str,
    model: str | None,
    quiet: bool,
    options: dict[str, Any],
    *,
    new: bool,
    dtype: str = "float32",
    **of_tokens: Any,
) -> None:
    from semvec.embeddings.storage import holds_vectors
    from semvec.search.index_files import write_texts, write_vectors
    from semvec.store.address import shown

    new_items = replaced = left_out = 0
    bad = _BadRows()
    vectors = [name for name in inputs if holds_vectors(name)]
    if vectors and len(vectors) < len(inputs):
        raise click.UsageError(f"{vectors[0]} holds vectors and others hold texts: one kind at a time")
    if vectors and of_tokens:
        raise click.UsageError("--level token takes texts, not vectors files")
    if vectors and options["fields"] is not None:
        raise click.UsageError("--fields does nothing for vectors files, which hold no other columns")
    with Bar(quiet) as bar:
        if vectors:
            written = write_vectors(inputs, output, new=new, dtype=dtype)
        else:
            chosen = replace(_index_options(model, options, bad, dtype), sizes=None if quiet else _say_size, **of_tokens)
            written = write_texts(inputs, output, chosen, new=new)
        for one in written:
            new_items, replaced, left_out = new_items + one.new, replaced + one.replaced, left_out + one.left_out
            bar.to(Step("", new_items + replaced, None, "items"))
    if bad.count:
        click.echo(f"{bad.count:,} bad rows left out, the first: {bad.first}", err=True)
    if left_out:
        click.echo(f"{left_out:,} texts left out: nothing in them that the model knows", err=True)
    if not quiet:
        click.echo(f"{new_items:,} items new, {replaced:,} replaced, in {shown(output)}")


def _of_tokens(level: str, bits: str | None, keep_tokens: float | None, keep_by: str | None) -> dict[str, Any]:
    """Return what `IndexOptions` are told of token vectors, nothing where only whole texts are indexed."""
    from semvec.search.index_files import BY_TEXTS
    from semvec.selection.hard import Strategy

    if level == "text":
        return {}
    chosen = {"bits": int(bits or 2)}
    if keep_tokens is None:
        return chosen
    by = Strategy.TF_IDF if keep_by is None else keep_by
    return {**chosen, "keep_tokens": keep_tokens, "keep_by": Strategy(by) if by in BY_TEXTS else _scorer(by)}


def _scorer(name: str) -> LearnedScorer:
    from semvec.search.index_files import BY_TEXTS
    from semvec.selection.hard import Strategy
    from semvec.selection.soft import LearnedScorer

    if name in (Strategy.CHI2, Strategy.CLASS):
        raise click.UsageError(
            f"--keep-by {name} needs labels, which there are none of: {', '.join(BY_TEXTS)}, or a scorer's file"
        )
    if not Path(name).is_file():
        raise click.UsageError(f"--keep-by {name!r} is neither a scorer's file nor one of {', '.join(BY_TEXTS)}")
    return LearnedScorer.load(Path(name))


def _say_size(size: Size) -> None:
    click.echo(f"{size.texts:,} texts of {size.tokens:,} tokens: about {size.bytes / 1e6:,.1f} MB of vectors", err=True)


class _BadRows:
    """Counts the rows that are left out."""

    def __init__(self) -> None:
        self.count, self.first = 0, ""

    def __call__(self, row: BadRow) -> None:
        self.first = self.first or f"{row.where}: {row.reason}"
        self.count += 1


def _index_options(model: str | None, options: dict[str, Any], bad: _BadRows, dtype: str) -> IndexOptions:
    from semvec.search.index_files import IndexOptions
    from semvec.text.readers import ReadOptions
    from semvec.types import Dtype, Overflow

    named = "all" if options["fields"] is None else options["fields"]
    fields = () if named == "none" else tuple(name.strip() for name in named.split(",") if name.strip())
    return IndexOptions(
        model=model,
        device=options["device"],
        read=ReadOptions(
            text_field=options["text_field"],
            id_field=options["id_field"],
            fields=fields,
            keep_blank=options["keep_blank"],
        ),
        overflow=Overflow(options["overflow"]),
        dtype=Dtype(dtype),
        bad=bad if options["on_error"] == "skip" else None,
    )


@index.command()
@click.argument("collection")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--where", help="Delete the items this is true of: \"source = 'x.pdf'\".")
def delete(collection: str, ids: tuple[str, ...], where: str | None) -> None:
    """Delete the items of COLLECTION with these IDs, or those a filter is true of.

    As an ID, - reads ids from standard input, one a line.

    \b
    Examples:
      semvec index delete notes.index notes.txt:7 notes.txt:8
      semvec index delete reviews.index --where "source = 'x.pdf' and year < 2020"
    """
    from semvec.store.collection import Collection

    if bool(ids) == (where is not None):
        raise click.UsageError("which items? Give each ID, or --where, one of the two")
    if "-" in ids and sys.stdin is None:
        raise click.UsageError("standard input is closed")
    wanted = {line.rstrip("\r\n") for name in ids for line in (sys.stdin if name == "-" else [name])} - {""}
    with Collection.open(collection) as opened:
        gone = opened.delete(list(wanted)) if where is None else opened.delete(where=where)
        unknown = f", {len(wanted) - gone:,} ids were not there" if where is None and gone < len(wanted) else ""
        click.echo(f"{gone:,} items deleted, {opened.count():,} left{unknown}")


@index.command()
@click.argument("collection")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def drop(collection: str, yes: bool) -> None:
    """Remove COLLECTION (a folder, or the address of a store) with all it holds, after asking.

    What else is in the folder or the store stays.

    \b
    Examples:
      semvec index drop notes.index
      semvec index drop "postgresql://localhost/search#notes" --yes
    """
    from semvec.store.address import shown
    from semvec.store.collection import Collection

    with Collection.open(collection) as opened:
        held = f"{shown(collection)} with its {opened.count():,} items"
        if not yes and not _agreed(f"Remove {held}?"):
            click.echo("nothing was removed", err=True)
            sys.exit(1)
        opened.drop()
    click.echo(f"removed {held}")


def _agreed(question: str) -> bool:
    """Ask on stderr; raise `UsageError` where nobody answers."""
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin is None or not (answer := sys.stdin.readline()):
        click.echo(err=True)
        raise click.UsageError("nobody answered, so nothing was removed; --yes removes without asking")
    return answer.strip().lower() in ("y", "yes")


@index.command()
@click.argument("collection")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def info(collection: str, as_json: bool) -> None:
    """Show what COLLECTION holds, what made its vectors, and how it is searched."""
    from semvec.store.collection import Collection

    with Collection.open(collection) as opened:
        found = opened.info()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    made = found["fingerprint"] or {}
    click.echo(f"{found['place']}: {found['items']:,} items of {found['dim']} numbers ({found['dtype']}), {found['metric']}")
    size = f", {found['bytes'] / 1e6:,.1f} MB on disk" if "bytes" in found else ""
    click.echo(f"made by {made.get('model', 'an encoder it was not told')}{size}")
    if (tokens := found.get("tokens")) is not None:
        each = f", {tokens['bytes'] / tokens['tokens']:.1f} bytes each" if tokens["tokens"] else ""
        share = f", {tokens['keep_tokens']:.0%} of each text's, by {tokens['keep_by']}" if tokens["keep_tokens"] < 1 else ""
        click.echo(f"tokens: {tokens['tokens']:,} vectors of {tokens['dim']} numbers in {tokens['bits']} bits{each}{share}")
    click.echo(f"fields: {', '.join(found['fields']) or 'none'}")
    snapshot = found.get("snapshot")
    if snapshot is not None:
        beside = f"; {found['rows_beside_it']:,} newer items searched beside it" if "rows_beside_it" in found else ""
        click.echo(f"index: {_made(snapshot)}{beside}")
    elif "snapshot" in found:
        click.echo("no index: searched exactly")
    if "server" in found:
        click.echo(f"kept by {found['server']}")


@index.command(context_settings={"show_default": True})
@click.argument("collection")
@click.option("--kind", default="auto", help="Kind of index: auto, flat, ivf, sq8, ivf-sq8, ivf-pq, rabitq, hnsw.")
@click.option("--recall", type=float, default=0.98, help="Recall at 10 to reach on a sample.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Repeats the training of the index.")
def optimise(collection: str, kind: str, recall: float, seed: int) -> None:
    """Make the index of COLLECTION anew over all it holds."""
    from semvec.store.collection import Collection

    with Collection.open(collection) as opened:
        made = opened.optimise(kind, recall=recall, seed=seed)
    click.echo(_made(made))


@index.command()
@click.argument("collection")
@click.argument("output", metavar="OUT")
@click.option("--where", help="Write only items this is true of: \"lang = 'de' and year >= 2020\".")
@click.option("--overwrite", is_flag=True, help="Replace what is at OUT.")
def export(collection: str, output: str, where: str | None, overwrite: bool) -> None:
    """Write the items of COLLECTION to a .jsonl file: id, text, metadata, vector.

    \b
    Examples:
      semvec index export notes.index notes.jsonl
      semvec index export reviews.index german.jsonl --where "lang = 'de'"
    """
    from semvec.embeddings.files import written_whole
    from semvec.errors import OutputExists
    from semvec.store.collection import Collection

    if not output.endswith(".jsonl"):
        raise click.UsageError(f"{output}: an export is JSON lines; name a file.jsonl")
    if Path(output).exists() and not overwrite:
        raise OutputExists(f"{output}: exists already; --overwrite replaces it")
    with Collection.open(collection) as opened, written_whole(Path(output)) as (stream,):
        count = 0
        for item in opened.scan(where):
            count += 1
            record = {"id": item.id, "text": item.text, "metadata": item.metadata, "vector": item.vector.tolist()}
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    click.echo(f"{count:,} items in {output}")


@index.command()
@click.argument("collection")
@click.option(
    "--repair", is_flag=True, help="Mend what can be made again from ids, vectors, texts and metadata; nothing is lost."
)
def check(collection: str, repair: bool) -> None:
    """Say what is wrong with COLLECTION, and mend it.

    What filters ask is made anew from the metadata; a damaged index is put away, 'semvec index optimise' makes it again.
    """
    from semvec.errors import CollectionDamaged

    with _opened(collection) as opened:
        wrong = opened.check()
        if wrong and repair:
            for done in opened.repair():
                click.echo(done)
            wrong = opened.check()
    if wrong:
        raise CollectionDamaged(f"{collection}: {'; '.join(wrong)}")
    click.echo("sound")


def _made(index: dict[str, Any]) -> str:
    """Return what an index is, in words."""
    said = f"{index['kind']} over {index['rows']:,} items"
    if index.get("effort", 1) > 1:
        said += f", effort {index['effort']}"
    return said + (f", recall at 10 {index['recall']:.3f} on a sample" if "recall" in index else "")


def _opened(place: str) -> LocalCollection:
    from semvec.errors import StoreError
    from semvec.store.address import shown
    from semvec.store.collection import Collection
    from semvec.store.local import LocalCollection

    opened = Collection.open(place)
    if not isinstance(opened, LocalCollection):
        opened.close()
        raise StoreError(f"{shown(place)}: only local collections have an index to keep")
    return opened
