"""``semvec classify``: labels of texts of which there is no example."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from semvec.types import ZeroShot
from semvec_cli.bar import Bar
from semvec_cli.choices import one_of
from semvec_cli.column_names import column, columns_named, text_column


@click.command(context_settings={"show_default": True})
@click.argument("input", metavar="INPUT")
@click.option(
    "--labels", multiple=True, metavar="LABELS", help="Names, comma between; or name=description|another, each for itself."
)
@click.option("--labels-file", metavar="FILE", help="A file of labels, each on a line of its own.")
@click.option("-m", "--model", default="minilm", help="An encoder, or a checkpoint with a masked-LM head.")
@click.option("--by", type=one_of(ZeroShot), help="similarity to the descriptions, or cloze.  [default: cloze where MODEL can]")
@click.option("--template", multiple=True, help="similarity: what a description is put into, {} being its place.  [default: two]")
@click.option("--prompt", help="similarity: what MODEL wants before texts, e.g. 'query: ' of E5.  [default: nothing]")
@click.option("--pattern", default="{} It was [MASK].", help="cloze: what is read, {} being the text and [MASK] the word.")
@click.option("--calibrate/--no-calibrate", default=True, help="Make all labels equally likely over the whole of INPUT.")
@column  # type: ignore[untyped-decorator]
@click.option(
    "--report", is_flag=True, help="INPUT has labels: print how many are said rightly, with 95 % intervals, not the labels."
)
@click.option("-o", "--output", metavar="OUT", help="The file to write (JSON lines).  [default: print]")
@click.option("--scores", is_flag=True, help="How likely every label is.")
@click.option("--overwrite", is_flag=True, help="Replace what is at OUT.")
@click.option("--device", help="cpu, cuda, …  [default: the best there is]")
@click.option("--trust-pickle", is_flag=True, help="Read an encoder that is a pickle, which can run any code.")
def classify(input: str, labels: tuple[str, ...], **options: Any) -> None:
    """Say a label of every text in INPUT (lines, or a table with the column text) by what the labels are called: zero-shot.

    By similarity the label whose descriptions are nearest to the text; by cloze the one whose word fits best into the gap behind
    it. --calibrate supposes that all labels are about equally frequent. With examples, 'semvec finetune classify' is better.

    \b
    Examples:
      semvec classify news.txt --labels "sports, business, world news, science and technology"
      semvec classify mails.txt --labels "complaint=the customer complains|something is broken" --labels praise
      semvec classify test.tsv --labels "0=a bad film, 1=a good film" --report
      semvec classify reviews.txt -m bert-base-uncased --labels "pos=great|good, neg=terrible|bad" --pattern "{} It was [MASK]."
    """
    from semvec.finetune.card import shown
    from semvec.finetune.classify import read_texts
    from semvec.finetune.train import measures_of
    from semvec.finetune.zero_shot import TEMPLATES, labels_named, zero_shot
    from semvec.text.examples import read_labelled
    from semvec_cli.pages import check_outputs

    output = options["output"]
    if options["report"] and (output or options["scores"]):
        raise click.UsageError("--report prints measures, and goes with neither --output nor --scores")
    if options["overwrite"] and output is None:
        raise click.UsageError("--overwrite does nothing without --output")
    if output is not None:
        check_outputs([output], [input, *filter(None, [options["labels_file"]])], overwrite=options["overwrite"])
    known = labels_named(_listed(labels, options["labels_file"]))
    examples = read_labelled(input, columns_named(options["column"])) if options["report"] else None
    texts = examples.texts if examples else read_texts(input, text_column(options["column"]))
    model = zero_shot(
        options["model"],
        known,
        by=options["by"],
        templates=options["template"] or TEMPLATES,
        pattern=options["pattern"],
        prompt=options["prompt"],
        calibrate=options["calibrate"],
        device=options["device"],
        trust_pickle=options["trust_pickle"],
    )
    if examples:
        for name, its in measures_of(model.measured(examples), 0).items():
            click.echo(f"{name} {shown(its)}")
        return
    with Bar(output is None) as bar:
        answers = model.answers(texts, bar.to)
    _write(texts, answers, output, scores=options["scores"])


def _listed(labels: tuple[str, ...], file: str | None) -> list[str]:
    """Return the labels that are named, each for itself: a comma parts names alone, since descriptions may have one."""
    from semvec.finetune.classify import read_texts

    if bool(labels) == bool(file):
        raise click.UsageError("name the labels by --labels, or a file of them by --labels-file")
    if file:
        return [line for line in read_texts(file) if line.strip()]
    found = []
    for given in labels:
        parts = [part for part in given.split(",") if part.strip()]
        described = ["=" in part for part in parts]
        if any(described) and not all(described):
            raise click.UsageError(
                f"--labels {given!r:.80}: which comma parts labels? Give each label a --labels of its own, or --labels-file"
            )
        found += parts
    return found


def _write(texts: list[str], answers: Iterable[Any], output: str | None, *, scores: bool) -> None:
    from semvec_cli.pages import written_or_printed

    with written_or_printed(output) as stream:
        for text, answer in zip(texts, answers, strict=True):
            kept = {name: value for name, value in answer.items() if name != "scores" or scores}
            stream.write(json.dumps({"text": text, **kept}, ensure_ascii=False) + "\n")
    if output is not None:
        click.echo(f"{len(texts):,} answers in {output}", err=True)
