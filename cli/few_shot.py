"""``semvec few-shot``: a classifier of a few labelled texts."""

from __future__ import annotations

import json
from typing import Any

import click

from semvec.types import FewShot, Strategy
from semvec_cli.bar import Bar
from semvec_cli.choices import one_of
from semvec_cli.column_names import column, columns_named

REPEATS = 10
ABLE = (Strategy.FULL, Strategy.LAST_N, Strategy.LORA, Strategy.DORA, Strategy.IA3, Strategy.BITFIT)
"""What can be stored whole."""


@click.command("few-shot", context_settings={"show_default": True})
@click.option("-m", "--model", default="minilm", help="The encoder: a name, a folder or a hub id.")
@click.option("--data", required=True, metavar="DATA", help="A table of label and text, or a folder with train (and test).")
@click.option("-o", "--output", metavar="MODEL", help="The folder to write.")
@click.option("--shots", type=click.IntRange(2), help="Do not write a model, but draw so many examples a label, and examine.")
@click.option("--repeats", type=click.IntRange(1), default=REPEATS, help="Draws, of --shots.")
@click.option("--by", type=one_of(FewShot), default="auto", help="pairs of texts, or labels.  [auto: labels from 257 texts on]")
@click.option("--pairs", type=click.IntRange(2), default=4000, help="Pairs of texts that the encoder learns by, at most.")
@click.option("--labels", multiple=True, metavar="LABEL=WORD|WORD", help="By cloze: the words that stand for each label.")
@click.option("--pattern", help="By cloze: what is read, {} being the text, [MASK] the word.  [default: {} It was [MASK].]")
@click.option("-s", "--strategy", type=one_of(ABLE), default="full", help="How much learns.")
@click.option(
    "--epochs", type=click.FloatRange(0.001), help="Times pairs or texts are read.  [default: 1; by labels 5, by cloze 20]"
)
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Pairs a step.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 10, min_open=True),
    help="Of the encoder.  [default: 0.0001 under full, by labels 0.00005]",
)
@column  # type: ignore[untyped-decorator]
@click.option("--seed", type=click.IntRange(0), default=0, help="Decides the draws, the pairs, the order, the dropout.")
@click.option("--overwrite", is_flag=True, help="Replace a fine-tuned model that is at MODEL.")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--json", "as_json", is_flag=True, help="--shots: print all draws as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors, and what --shots found.")
def few_shot(**options: Any) -> None:
    """Make a classifier of a few labelled texts: eight a label may do.

    By pairs the encoder learns which of the texts belong together, then a linear head is fitted on its vectors (SetFit); by
    labels the head is fitted first, then both learn on together (LP-FT). All examples are learnt from; what comes of it is a
    model for 'semvec predict' and 'semvec report'.
    With --labels, words for the labels, MODEL is a checkpoint with a masked-LM head, and learns which word fits into the gap of
    --pattern behind a text (PET), under the strategies full, last-n and bitfit.
    With --shots nothing is written: so many examples a label are drawn from train, --repeats times, and the classifiers are
    examined on test, beside a linear head on the encoder as it is.

    \b
    Examples:
      semvec few-shot --data few.tsv -o intents
      semvec few-shot --data banking77 --shots 8 --repeats 10
      semvec few-shot --data few.tsv --strategy lora --pairs 1000 -o intents
      semvec few-shot --data few.tsv -m bert-base-uncased --labels pos=great --labels neg=terrible -o moods
    """
    from semvec.finetune.options import FinetuneOptions

    shots, output, quiet = options["shots"], options["output"], options["quiet"]
    if (shots is None) == (output is None):
        raise click.UsageError("name --output, where the model is to be written, or --shots, to examine on draws")
    if shots is None and (options["as_json"] or options["repeats"] != REPEATS):
        raise click.UsageError("--json and --repeats go with --shots")
    if shots is not None and options["overwrite"]:
        raise click.UsageError("--overwrite goes with --output")
    if options["pattern"] is not None and not options["labels"]:
        raise click.UsageError("--pattern goes with --labels, the words that stand for labels")
    own = {name: options[name] for name in ("strategy", "epochs", "batch_size", "learning_rate", "seed")}
    chosen = FinetuneOptions(**own, columns=columns_named(options["column"]))
    call = {"by": options["by"], "pairs": options["pairs"], "options": chosen, "device": options["device"]}
    if options["labels"]:
        from semvec.finetune.cloze import PATTERN
        from semvec.finetune.zero_shot import labels_named

        parts = [part for given in options["labels"] for part in given.split(",") if part.strip()]
        call |= {"words": labels_named(parts), "pattern": options["pattern"] or PATTERN}
    if shots is None:
        _make(options, call, quiet=quiet)
    else:
        _examine(options, call, quiet=quiet)


def _make(options: dict[str, Any], call: dict[str, Any], *, quiet: bool) -> None:
    from semvec.finetune.few_shot import few_shot as make

    with Bar(quiet) as bar:
        made = make(options["model"], options["data"], options["output"], overwrite=options["overwrite"], progress=bar.to, **call)
    if not quiet:
        its = made.record
        pairs = f", {its['few shot']['pairs']:,} pairs of them" if its["few shot"]["by"] == "pairs" else ""
        click.echo(f"{its['examples']['train']:,} examples{pairs}, {its['seconds']:,.0f} s")
        click.echo(f"{made.path}: semvec predict {made.path} FILE, semvec report {made.path} --data TEST")


def _examine(options: dict[str, Any], call: dict[str, Any], *, quiet: bool) -> None:
    from semvec.finetune.shots import FEW_SHOT, HEAD, drawn_shots

    with Bar(quiet) as bar:
        its = drawn_shots(
            options["model"], options["data"], shots=options["shots"], repeats=options["repeats"], progress=bar.to, **call
        )
    if options["as_json"]:
        click.echo(json.dumps(its.to_json(), ensure_ascii=False))
        return
    click.echo(
        f"{its.shots} examples of each of {its.labels:,} labels, {options['repeats']} draws, {its.test:,} test examples: accuracy"
    )
    if its.fewer:
        click.echo(f"  {its.fewer:,} labels have fewer examples")
    for method in (HEAD, FEW_SHOT):
        mean, deviation = its.spread(method)
        click.echo(f"  {method}: {mean:.3f} ± {deviation:.3f}")
    gain, deviation = its.gain
    click.echo(f"  more on the same draws: {gain:+.3f} ± {deviation:.3f} (standard deviations over the draws)")
    if between := its.gain_interval:
        click.echo(f"  the mean of that lies between {between[0]:+.3f} and {between[1]:+.3f} (95 %)")
