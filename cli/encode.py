"""``semvec encode``: files of texts → a file of vectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from semvec.types import Backend, ChunkBy, Dtype, LayerMix, Level, Overflow, Pooling, Subword
from semvec_cli.bar import Bar
from semvec_cli.sections import Sections
from semvec_cli.splitters import splitter_option

if TYPE_CHECKING:
    from semvec.encoders.engine import Engine
    from semvec.encoders.files import Report
    from semvec.encoders.protocol import Encoder
    from semvec.text.readers import ReadOptions

CHOICES = {
    name: [str(choice.value) for choice in kind if choice != Level.SPAN]
    for name, kind in {
        "level": Level,
        "layer_mix": LayerMix,
        "subword": Subword,
        "pooling": Pooling,
        "overflow": Overflow,
        "chunk_by": ChunkBy,
        "dtype": Dtype,
        "backend": Backend,
    }.items()
}
"""The closed choices (a span needs ranges, which files do not hold)."""

RUNG_NAMES = ("in the vocabulary", "by case", "by folding", "by sub-words", "by spelling", "unknown")

NEEDS = {
    "chunk_by": ("level", ("chunk",)),
    "chunk_tokens": ("level", ("chunk",)),
    "chunk_overlap": ("level", ("chunk",)),
    "late": ("level", ("chunk",)),
    "special": ("level", ("token",)),
    "subword": ("level", ("word",)),
    "pooling": ("level", ("text", "chunk")),
    "window_overlap": ("overflow", ("windows",)),
    "actors": ("engine", ("ray",)),
}
"""Options that do something only beside another."""


SECTIONS = {
    "Input and output": ("output", "id_field", "text_field", "input_format", "delimiter", "max_chars", "keep_blank"),
    "Model": ("model", "family", "device", "backend", "trust_pickle", "trust_remote_code"),
    "What gets a vector": ("level", "layers", "layer_mix", "subword", "pooling", "special", "splitter", "prompt", "kind", "oov"),
    "Long texts": ("overflow", "max_tokens", "window_overlap", "chunk_by", "chunk_tokens", "chunk_overlap", "late"),
    "Numbers": ("normalize", "truncate_dim", "dtype", "deterministic"),
    "Running": ("on_error", "resume", "overwrite", "dry_run", "engine", "actors", "batch_tokens", "quiet"),
}


@click.command(cls=Sections, sections=SECTIONS, context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", metavar="OUT", help="Vectors file: .npy .npz .parquet .safetensors .jsonl .vec .bin")
@click.option("-m", "--model", default="minilm", help="A name that 'semvec models' lists, a path, or a hub id.")
@click.option(
    "--family",
    type=click.Choice(["word", "static", "sentence", "contextual"]),
    help="Insist on a family (contextual: the transformer inside).",
)
@click.option("--level", type=click.Choice(CHOICES["level"]), default="text", help="What gets a vector.")
@click.option("--layers", default="-1", help="Layers of a transformer: -1, '-1,-2', '-4:' or all.")
@click.option("--layer-mix", type=click.Choice(CHOICES["layer_mix"]), default="mean", help="How several layers become one.")
@click.option("--subword", type=click.Choice(CHOICES["subword"]), default="mean", help="How sub-words become a word.")
@click.option(
    "--pooling",
    type=click.Choice(CHOICES["pooling"]),
    help="How tokens become a text.  [default: the model's own, of word vectors the mean]",
)
@click.option(
    "--overflow",
    type=click.Choice(CHOICES["overflow"]),
    default="truncate",
    help="What happens to texts longer than the model reads.",
)
@click.option("--max-tokens", type=click.IntRange(1), help="Read at most so many tokens at once.  [default: the model's limit]")
@click.option("--window-overlap", type=click.IntRange(0), help="Tokens that windows share.  [default: a quarter of a window]")
@click.option("--chunk-by", type=click.Choice(CHOICES["chunk_by"]), default="tokens", help="Where chunks end.")
@click.option("--chunk-tokens", type=click.IntRange(1), help="Size of a chunk.  [default: 128, or what the model reads]")
@click.option("--chunk-overlap", type=click.IntRange(0), default=0, help="Tokens a chunk shares with the one before.")
@click.option(
    "--late", is_flag=True, help="Read the whole text, then pool each chunk (late chunking); long texts need --overflow windows."
)
@splitter_option  # type: ignore[untyped-decorator]
@click.option("--special", is_flag=True, help="Give rows for CLS, SEP, … too (--level token).")
@click.option("--prompt", help="Put before every text.  [default: the model's own]")
@click.option("--as", "kind", type=click.Choice(["query", "document"]), help="Use the model's prompt for queries or documents.")
@click.option(
    "--oov",
    default="all",
    help="How a word that a word model lacks is looked for: all, none, or some of case,fold,subword,spelling.",
)
@click.option("--normalize", is_flag=True, help="Scale each vector to length 1.")
@click.option("--truncate-dim", type=click.IntRange(1), help="Keep the first dimensions only (Matryoshka).")
@click.option("--dtype", type=click.Choice(CHOICES["dtype"]), default="float32", help="How numbers are kept.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option(
    "--backend",
    type=click.Choice(CHOICES["backend"]),
    default="auto",
    help="What runs a transformer; 'semvec models bench' compares.",
)
@click.option("--batch-tokens", type=click.IntRange(1), help="Most tokens in one forward pass.  [default: by device]")
@click.option("--deterministic", is_flag=True, help="The same bits for a text whatever stands beside it; slower.")
@click.option(
    "--id-field", help="Column with the ids.  [default: id or _id, else line numbers, with the file's name if there are several]"
)
@click.option("--text-field", help="Column with the texts.  [default: text, or the only one]")
@click.option(
    "--format",
    "input_format",
    type=click.Choice(["lines", "csv", "tsv", "jsonl", "parquet", "file"]),
    help="Read inputs as this, whatever their names say.",
)
@click.option("--delimiter", help="What separates the cells of a table.  [default: a comma in .csv, a tab in .tsv]")
@click.option("--max-chars", type=click.IntRange(1), default=4_000_000, help="Longest text accepted.")
@click.option("--keep-blank", is_flag=True, help="Encode blank rows as flagged zero vectors instead of refusing them.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="Stop at a bad row, or list it in OUT.errors.jsonl and go on.",
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", help="Encode in this process, or on a Ray cluster's actors."
)
@click.option("--actors", type=click.IntRange(1), help="Ray actors that hold the model.  [default: one a GPU, or else a CPU]")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option("--overwrite", is_flag=True, help="Replace what is at OUT.")
@click.option("--dry-run", is_flag=True, help="Only count tokens and say what would be cut.")
@click.option("--trust-pickle", is_flag=True, help="Read models that are pickles, which can run any code.")
@click.option("--trust-remote-code", is_flag=True, help="Run the Python code that a model brings along.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.pass_context
def encode(context: click.Context, /, **options: Any) -> None:
    """Write the vectors of the texts in INPUT... to a file.

    INPUT is a file (.txt: a line is a text; .csv .tsv .jsonl .parquet: a row is a text; .gz and .zst of
    these), a folder or a quoted glob (a file is a text, tables in them by rows), or - for standard input
    (lines, unless --format says otherwise). INPUT and OUT may be URLs that fsspec knows (s3://, gs://, https://, …), OUT is
    made in the present folder first.

    \b
    Examples:
      semvec encode notes.txt -o notes.npy
      semvec encode reviews.csv -o reviews.parquet --text-field review --id-field sku
      semvec encode 'docs/**/*.md' -o docs.safetensors --overflow windows
      semvec encode books/ -o chunks.parquet --level chunk --chunk-by sentences --late --overflow windows
      zcat big.txt.gz | semvec encode - -o big.npy --model glove-50d
      semvec encode big.jsonl -o big.npy --resume --on-error skip
      semvec encode big.jsonl -o big.npy --engine ray --actors 4 --resume
      semvec encode 's3://bucket/texts/*.parquet' -o s3://bucket/vectors.parquet
      semvec encode 笔记.txt -o 词.parquet --level word --splitter jieba:cut --model e5-small
      semvec encode notes.txt --dry-run
    """
    from semvec.encoders.catalog import load_encoder
    from semvec.encoders.files import check_run, encode_files
    from semvec.text.readers import ReadOptions

    if not options["output"] and not options["dry_run"]:
        raise click.UsageError("where to? Name the vectors file with -o OUT (or ask for --dry-run)")
    _refuse_idle(context)
    inputs = list(options["inputs"])
    read = ReadOptions(
        options["text_field"], options["id_field"], options["max_chars"], options["keep_blank"], options["delimiter"]
    )
    check_run(
        inputs,
        None if options["dry_run"] else options["output"],
        read=read,
        input_format=options["input_format"],
        resume=options["resume"],
        overwrite=options["overwrite"],
    )
    load = partial(
        load_encoder,
        options["model"],
        family=options["family"],
        trust_pickle=options["trust_pickle"],
        trust_remote_code=options["trust_remote_code"],
        **_changes(options),
    )
    on_ray = options["engine"] == "ray"
    encoder = load(device="cpu" if on_ray else options["device"])
    if options["splitter"] and options["level"] != "word" and encoder.fingerprint.family != "word":
        raise click.UsageError("--splitter does nothing without --level word, but for word models")
    if options["kind"]:
        bare, encoder = encoder, encoder.prompted(options["kind"])
        if encoder is bare and not options["quiet"]:
            click.echo(f"{options['model']} has no prompt for a {options['kind']}: texts are read as they are", err=True)
    if options["dry_run"]:
        _dry_run(inputs, encoder, read, options["input_format"], options["quiet"])
        return
    with (
        _ray(partial(load, device=options["device"]), options) if on_ray else nullcontext() as engine,
        Bar(options["quiet"]) as bar,
    ):
        report = encode_files(
            inputs,
            options["output"],
            encoder,
            engine=engine,
            read=read,
            input_format=options["input_format"],
            on_error=options["on_error"],
            resume=options["resume"],
            overwrite=options["overwrite"],
            progress=bar.texts,
        )
    if not options["quiet"]:
        _print(report, encoder)


@contextmanager
def _ray(load: Callable[[], Encoder], options: dict[str, Any]) -> Iterator[Engine]:
    """Give the actors of Ray, after a line that says how many there are and where they compute."""
    from semvec.encoders.ray_engine import RayActors

    with RayActors(load, actors=options["actors"]) as actors:
        if not options["quiet"]:
            click.echo(f"{len(actors)} Ray actors, on {actors.device}", err=True)
        yield actors


def _refuse_idle(context: click.Context) -> None:
    """Refuse an option that was given but does nothing beside the others."""
    for name, (other, wanted) in NEEDS.items():
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE and context.params[other] not in wanted:
            flags = f"--{name.replace('_', '-')} does nothing without --{other.replace('_', '-')}"
            raise click.UsageError(f"{flags} {' or '.join(wanted)}")


def _changes(options: dict[str, Any]) -> Any:
    """Return what was asked for that is a field of `EncodeOptions`."""
    names = (*CHOICES, "max_tokens", "window_overlap", "chunk_tokens", "chunk_overlap", "late", "special", "prompt", "normalize")
    names = (*names, "truncate_dim", "batch_tokens", "deterministic", "splitter")
    changes = {name: options[name] for name in names if options[name] is not None}
    changes["oov"] = options["oov"]
    layers = options["layers"]
    changes["layers"] = int(layers) if re.fullmatch(r"-?[0-9]+", layers) else layers
    return changes


def _print(report: Report, encoder: Encoder) -> None:
    if report.resumed == report.texts and not report.seconds:
        click.echo(f"{report.url or report.output} is complete already: {report.texts:,} texts, {report.rows:,} vectors")
        return
    fresh = report.texts - report.resumed
    resumed = f", {report.resumed:,} of them were done before" if report.resumed else ""
    rate = f"{fresh / report.seconds:,.0f} texts/s" if report.seconds else ""
    click.echo(
        f"{report.texts:,} texts → {report.rows:,} vectors of {encoder.dim} ({encoder.fingerprint.dtype}) "
        f"in {report.url or report.output}, {report.seconds:.1f} s, {rate}{resumed}"
    )
    click.echo(cut_line(report.texts_cut, report.texts, report.tokens_cut, report.tokens))
    if report.rungs:
        click.echo(rungs_line(report.rungs))
    if report.zero_rows:
        click.echo(f"{report.zero_rows:,} rows are zeros: there was nothing in them the model knows")
    if report.skipped:
        click.echo(f"{report.skipped:,} bad rows left out, listed in {report.errors_file}")


def rungs_line(rungs: list[int]) -> str:
    """Return the line that says how many words stood on which rung of the out-of-vocabulary ladder."""
    words = sum(rungs)
    parts = [f"{count:,} {name}" for name, count in zip(RUNG_NAMES, rungs, strict=True) if count]
    unknown = 100 * rungs[-1] / words if words else 0
    return f"{words:,} words: {', '.join(parts) or 'none'} ({unknown:.1f} % unknown)"


def cut_line(texts_cut: int, texts: int, tokens_cut: int, tokens: int) -> str:
    """Return the line that says how much was not read."""
    if not texts_cut:
        return f"no text cut, {tokens:,} tokens read"
    share = 100 * tokens_cut / tokens
    return f"{texts_cut:,} of {texts:,} texts cut, {share:.1f} % of tokens (--overflow windows reads them whole)"


def _dry_run(inputs: list[str], encoder: Encoder, read: ReadOptions, input_format: str | None, quiet: bool) -> None:
    from semvec.embeddings.embeddings import STORED_AS
    from semvec.embeddings.quantise import stored_width
    from semvec.encoders.token_counts import count_files

    with Bar(quiet) as bar:
        count = count_files(inputs, encoder, read=read, input_format=input_format, progress=bar.texts)
    lengths = f"least {count.least:,}, median {count.median:,}, 95 % within {count.p95:,}, most {count.most:,}"
    click.echo(f"{count.texts:,} texts, {count.tokens:,} tokens: {lengths}")
    click.echo(cut_line(count.texts_cut, count.texts, count.tokens_cut, count.tokens))
    if count.bad_rows:
        click.echo(f"{count.bad_rows:,} bad rows, the first at {count.first_bad}")
    rows = {Level.TEXT: count.texts, Level.TOKEN: count.tokens - count.tokens_cut}.get(encoder.options.level)
    if rows is not None:
        size = rows * stored_width(encoder.dim, encoder.fingerprint.dtype) * STORED_AS[encoder.fingerprint.dtype].itemsize
        click.echo(f"{rows:,} vectors of {encoder.dim} ({encoder.fingerprint.dtype}) to make, {size / 1e6:,.1f} MB")
    click.echo(f"would be made by {encoder.fingerprint}; nothing was written")
