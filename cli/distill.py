"""``semvec distill``: a sentence encoder → a static model, which needs no transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from semvec_cli.bar import Bar
from semvec_cli.corpus import Corpus

if TYPE_CHECKING:
    from semvec.encoders.distill import Distilled
    from semvec.encoders.protocol import Encoder
    from semvec.evaluate.sts import PairQuality
    from semvec.text.examples import ScoredPairs


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="OUT", help="The folder to write.")
@click.option("--dims", type=click.IntRange(1), help="Dimensions of the static vectors.  [default: 256, or as many as MODEL has]")
@click.option("--corpus", multiple=True, metavar="FILE", help="Texts to learn from, without labels; may be given several times.")
@click.option("--text-field", help="Column of --corpus with the texts.  [default: text, or the only one]")
@click.option(
    "--eval", "pairs", metavar="FILE", help="Say how much quality was kept on this .tsv or .csv of score, sentence1, sentence2."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Decides the order in which texts are learnt, and the intervals.")
@click.option("--device", help="Where MODEL computes: cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--overwrite", is_flag=True, help="Replace a static model that is at OUT.")
@click.option("--trust-pickle", is_flag=True, help="Read a MODEL that is a pickle, which can run any code.")
@click.option("--trust-remote-code", is_flag=True, help="Run the Python code that MODEL brings along.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def distill(model: str, **options: Any) -> None:
    """Make a static model of MODEL, a sentence or contextual encoder, in the folder OUT.

    A static model has one vector a token and no transformer; of minilm it encoded 80 to 100 times as many
    texts a second on 2 CPU cores (docs/benchmarks.md), and --eval measures it for yours. With --corpus (files
    as 'semvec encode' reads them, of the kind you will encode; some 10,000 texts do much) it learns to agree
    with MODEL on whole texts, which keeps a good deal more of its quality.

    \b
    Examples:
      semvec distill minilm -o minilm-static
      semvec distill minilm -o minilm-static --corpus sentences.txt --eval stsb/dev.tsv
      semvec distill ./my-model -o small --dims 128 --corpus a.txt --corpus b.csv --overwrite
    """
    from semvec.encoders.catalog import load_encoder
    from semvec.encoders.distill import check_output
    from semvec.encoders.distill import distill as make
    from semvec.text.examples import read_scored_pairs

    if options["text_field"] and not options["corpus"]:
        raise click.UsageError("--text-field does nothing without --corpus")
    if options["pairs"] and options["quiet"]:
        raise click.UsageError("--eval does nothing with --quiet: what it finds is printed")
    check_output(options["output"], overwrite=options["overwrite"])
    pairs = read_scored_pairs(options["pairs"]) if options["pairs"] else None
    corpus = Corpus(options["corpus"], options["text_field"]) if options["corpus"] else None
    teacher = load_encoder(
        model, device=options["device"], trust_pickle=options["trust_pickle"], trust_remote_code=options["trust_remote_code"]
    )
    with Bar(options["quiet"]) as bar:
        made = make(
            teacher,
            options["output"],
            dims=options["dims"],
            corpus=corpus,
            seed=options["seed"],
            overwrite=options["overwrite"],
            progress=bar.to,
        )
    if options["quiet"]:
        return
    _print(made, corpus)
    if pairs is not None:
        _print_kept(teacher, load_encoder(made.path), pairs, options["seed"])


def _print(made: Distilled, corpus: Corpus | None) -> None:
    click.echo(f"{made.tokens:,} tokens → {made.tokens:,} vectors of {made.dim} in {made.path}, {made.seconds:.1f} s")
    if corpus is None:
        return
    cut = f", {made.texts_cut:,} of them longer than the model reads" if made.texts_cut else ""
    left_out = f"; {corpus.left_out:,} rows were no texts" if corpus.left_out else ""
    click.echo(f"learnt from {made.texts:,} texts{cut}{left_out}")


def _print_kept(teacher: Encoder, student: Encoder, pairs: ScoredPairs, seed: int) -> None:
    from semvec.evaluate.sts import pair_quality

    theirs, own = pair_quality(teacher, pairs, seed=seed), pair_quality(student, pairs, seed=seed)
    click.echo(kept_line(own, theirs, len(pairs)))


def kept_line(student: PairQuality, teacher: PairQuality, pairs: int) -> str:
    """Return the line that says how much of the teacher's quality is left, and how much faster it is had."""
    share = student.spearman.value / teacher.spearman.value if teacher.spearman.value > 0 else None
    kept = f"kept {100 * share:.0f} % of the teacher's Spearman" if share is not None else "Spearman"
    ratio = student.texts_per_second / teacher.texts_per_second
    return (
        f"{kept} on {pairs:,} pairs: {student.spearman} against {teacher.spearman}; "
        f"{student.texts_per_second:,.0f} texts/s against {teacher.texts_per_second:,.0f} ({ratio:,.0f} times)"
    )
