"""``semvec train``: texts → word vectors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from semvec_cli.bar import Bar
from semvec_cli.splitters import splitter_option

if TYPE_CHECKING:
    from semvec.encoders.word import WordEncoder
    from semvec.encoders.word_corpus import FileTexts
    from semvec.encoders.word_train_options import TrainOptions

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FASTTEXT = (
    click.option("--min-n", type=click.IntRange(1), help="Characters of the shortest n-grams.  [default: 3]"),
    click.option("--max-n", type=click.IntRange(1), help="Characters of the longest n-grams.  [default: 6]"),
    click.option("--buckets", type=click.IntRange(1), help="Vectors that the n-grams share by hash.  [default: 200,000]"),
)


def _options(algorithms: tuple[str, str], epochs: int, own: tuple[Decorator, ...] = ()) -> Decorator:
    """Return the arguments and options of one kind of model."""
    least = click.IntRange(1)
    every: tuple[Decorator, ...] = (
        click.argument("inputs", nargs=-1, required=True, metavar="CORPUS..."),
        click.option("-o", "--output", required=True, metavar="MODEL", help="Folder to write the model to."),
        click.option("--algorithm", type=click.Choice(algorithms), help=f"What is learned.  [default: {algorithms[0]}]"),
        click.option("--dim", type=least, help="How many numbers a vector has.  [default: 100]"),
        click.option("--window", type=least, help="How many words to each side are neighbours, at most.  [default: 5]"),
        click.option("--min-count", type=least, help="Leave out rarer words.  [default: 5]"),
        click.option("--epochs", type=least, help=f"How often to go through the corpus.  [default: {epochs}]"),
        click.option("--negative", type=least, help="Noise words for each true one.  [default: 5]"),
        click.option("--sample", type=float, help="Skip words at times that are more of the text.  [default: 0.001]"),
        click.option("--alpha", type=float, help="Learning rate at the start.  [default: 0.025]"),
        *own,
        click.option("--lower/--keep-case", default=None, help="Put words in small letters, or not.  [default: --lower]"),
        click.option("--phrases", is_flag=True, default=None, help="Join words that belong together: new_york."),
        click.option("--phrase-threshold", type=float, help="How much more than by chance they must.  [default: 10]"),
        click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Repeat the run: same seed, same bytes, one thread."),
        click.option("--workers", type=least, help="Threads.  [default: one a core, at most 16; with --seed 1]"),
        click.option("--continue", "continued", metavar="OLD", help="Go on from a model trained before; its options are kept."),
        click.option("--text-field", help="Column with the texts.  [default: text, or the only one]"),
        click.option(
            "--format",
            "input_format",
            type=click.Choice(["lines", "csv", "tsv", "jsonl", "parquet", "file"]),
            help="Read inputs as this, whatever their names say.",
        ),
        click.option("--delimiter", help="What separates the cells of a table.  [default: a comma in .csv, a tab in .tsv]"),
        click.option("--max-chars", type=least, default=4_000_000, show_default=True, help="Longest text accepted."),
        click.option(
            "--on-error",
            type=click.Choice(["stop", "skip"]),
            default="stop",
            show_default=True,
            help="Stop at a bad row, or leave it out.",
        ),
        splitter_option,
        click.option("--overwrite", is_flag=True, help="Replace the model at MODEL."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(every):
            command = decorator(command)
        return command

    return decorate


@click.group()
def train() -> None:
    """Train word vectors on your own texts.

    CORPUS is whatever 'semvec encode' reads: files, folders, quoted globs, - for standard input. MODEL
    becomes a folder that --model takes everywhere.

    \b
    Examples:
      semvec train word2vec notes.txt -o notes-w2v
      semvec train fasttext reviews.csv --text-field review -o reviews-ft
      semvec train doc2vec 'docs/**/*.md' -o docs-d2v
      semvec encode notes.txt -o notes.npy --model notes-w2v
    """


@train.command()
@_options(("cbow", "skip-gram"), 5)
def word2vec(**options: Any) -> None:
    """Train word2vec: a vector for every word that is frequent enough.

    cbow is fast, skip-gram several times slower and better for small corpora and rare words.

    \b
    Examples:
      semvec train word2vec notes.txt -o notes-w2v
      semvec train word2vec corpus.jsonl.gz -o w2v --algorithm skip-gram --dim 200 --phrases
      semvec train word2vec corpus.txt -o w2v --seed 7
      zcat big.txt.gz | semvec train word2vec - -o big-w2v --min-count 20
      semvec train word2vec 笔记.txt -o 词向量 --splitter jieba:cut
      semvec train word2vec more.txt -o w2v-2 --continue w2v
    """
    _run("word2vec", **options)


@train.command()
@_options(("cbow", "skip-gram"), 5, FASTTEXT)
def fasttext(**options: Any) -> None:
    """Train fastText: vectors for words, and of their n-grams of characters, so that unknown words have some too.

    \b
    Examples:
      semvec train fasttext notes.txt -o notes-ft
      semvec train fasttext corpus.parquet -o ft --algorithm skip-gram --buckets 2000000
      semvec train fasttext corpus.txt -o ft --min-n 2 --max-n 4 --seed 7
      semvec train fasttext more.txt -o ft-2 --continue ft
    """
    _run("fasttext", **options)


@train.command()
@_options(("pv-dm", "pv-dbow"), 20)
def doc2vec(**options: Any) -> None:
    """Train Doc2Vec: vectors for words, and a model that infers a vector for any text, the same every time.

    pv-dbow learns the vectors of words beside those of texts, as skip-gram does.

    \b
    Examples:
      semvec train doc2vec notes.txt -o notes-d2v
      semvec train doc2vec 'docs/**/*.md' -o d2v --algorithm pv-dbow --epochs 40
      semvec train doc2vec more.txt -o d2v-2 --continue d2v
      semvec encode notes.txt -o notes.npy --model notes-d2v
    """
    _run("doc2vec", **options)


OWN = (
    "inputs",
    "output",
    "continued",
    "text_field",
    "input_format",
    "delimiter",
    "max_chars",
    "on_error",
    "overwrite",
    "quiet",
    "splitter",
)
"""What is no field of `TrainOptions`."""


def _run(kind: str, **given: Any) -> None:
    from pathlib import Path

    from semvec.encoders.word_corpus import FileTexts
    from semvec.encoders.word_folder import check_word_output
    from semvec.encoders.word_train import train_words
    from semvec.encoders.word_train_options import TrainOptions
    from semvec.text.readers import ReadOptions

    began, output, quiet = perf_counter(), Path(given["output"]), given["quiet"]
    check_word_output(output, overwrite=given["overwrite"])
    options = TrainOptions(**{name: value for name, value in given.items() if name not in OWN})
    read = ReadOptions(given["text_field"], max_chars=given["max_chars"], delimiter=given["delimiter"])
    texts = FileTexts(
        list(given["inputs"]), read=read, input_format=given["input_format"], on_error=given["on_error"], output=output
    )
    if not quiet:
        _say_what_a_seed_costs(options)
    try:
        with Bar(quiet) as bar:
            encoder = train_words(
                kind,
                texts,
                output,
                options,
                continued=given["continued"],
                splitter=given["splitter"],
                overwrite=given["overwrite"],
                progress=bar.to,
            )
    except KeyboardInterrupt:
        click.echo("Error: interrupted; nothing was written", err=True)
        sys.exit(130)
    if not quiet:
        _print(encoder, output, texts, perf_counter() - began)


def _say_what_a_seed_costs(options: TrainOptions) -> None:
    from semvec.encoders.word_train_options import threads

    if options.seed is not None and threads() > 1:
        click.echo(
            f"one thread, so that seed {options.seed} repeats the run; without --seed it takes {threads()} threads", err=True
        )


def _print(encoder: WordEncoder, output: object, texts: FileTexts, seconds: float) -> None:
    record = encoder.table.training or {}
    read, left_out, settings = record["corpus"], record["left_out"], record["settings"]
    click.echo(
        f"{read['texts']:,} texts, {read['words']:,} words → {len(encoder.table.words):,} words of {encoder.table.dim} "
        f"({record['kind']} {settings['algorithm']}) in {output}, {seconds:.1f} s"
    )
    if left_out["words"]:
        share = 100 * left_out["occurrences"] / read["words"]
        click.echo(
            f"{left_out['words']:,} words left out that come less than {settings['min_count']:,} times, {share:.1f} % of the text"
        )
    if record["phrases"]:
        click.echo(f"{record['phrases']:,} phrases joined")
    if read["without_words"]:
        click.echo(f"{read['without_words']:,} texts have no words")
    if texts.first_bad:
        click.echo(f"{texts.skipped:,} bad rows left out, the first at {texts.first_bad.where}: {texts.first_bad.reason}")
    if record["losses"]:
        click.echo(f"loss a word, epoch by epoch: {' '.join(f'{loss:.3f}' for loss in record['losses'])}")
    telling = [encoder.table.words[row] for row in encoder.table.telling_rows(3)]
    for word, near in zip(telling, encoder.nearest(telling, 5), strict=True):
        click.echo(f"near {word!r}: {', '.join(one.word for one in near)}")
