"""``semvec augment``: models that look things up in examples that can be added to and taken from."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from semvec.finetune.options import Precision
from semvec.types import Dtype, Strategy, Way
from semvec_cli.bar import Bar
from semvec_cli.choices import one_of
from semvec_cli.colours import one_line
from semvec_cli.column_names import column, columns_named, text_column

encoder_option: Callable[..., Any] = click.option("--retriever", help="The encoder that finds, if not found by its name.")
device_option: Callable[..., Any] = click.option("--device", help="cpu, cuda, …  [default: the best there is]")


@click.group()
def augment() -> None:
    """Train, ask and teach models that look things up.

    Such a model says the label of a text with what it finds near it: labelled examples that are kept with it, or a collection
    of yours. What is added there, or removed, counts at once, without training.

    \b
    Examples:
      semvec augment train --data banking77 -o intents
      semvec augment predict intents questions.txt
      semvec augment add intents new-examples.tsv
      semvec augment explain intents "where is my card?"
    """


@augment.command(context_settings={"show_default": True})
@click.option("-m", "--model", default="minilm", help="The encoder: a name, a folder or a hub id.")
@click.option("--data", required=True, metavar="DATA", help="A table of label and text (tag: CoNLL columns), or a folder.")
@click.option("-o", "--output", required=True, metavar="MODEL", help="The folder to write.")
@click.option("--task", type=click.Choice(["classify", "tag"]), default="classify", help="Labels of texts, or tags of words.")
@click.option("--way", type=one_of(Way), help="How what is found is used.  [default: gate; tag: concat, which is its only one]")
@click.option("--as-is", is_flag=True, help="knn, gate: --model is one of 'semvec finetune classify', and is not trained on.")
@click.option("--collection", help="Look things up there, not in the training examples; labels are in the field label.")
@click.option("--retriever", help="The encoder that finds.  [default: --model, which does not learn for that]")
@click.option("-k", type=click.IntRange(1), default=8, help="Neighbours; under knn and gate validation chooses of 4 to 64.")
@click.option(
    "--weight", type=click.FloatRange(0, 1, min_open=True), help="What the k nearest count for, whatever validation shows."
)
@click.option("--hybrid", is_flag=True, help="Look for words too (BM25).")
@click.option("--level", type=click.Choice(["text", "token"]), default="text", help="token: late interaction (MaxSim).")
@click.option(
    "--dtype",
    type=one_of((Dtype.FLOAT32, Dtype.FLOAT16, Dtype.INT8)),
    default="float32",
    help="How the memory keeps vectors.",
)
@click.option("--validation", metavar="FILE", help="What to validate on.  [default: dev in DATA, else a share of it]")
@column  # type: ignore[untyped-decorator]
@click.option("-s", "--strategy", type=one_of(Strategy), default="full", help="How much of the encoder learns.")
@click.option("--epochs", type=click.FloatRange(0.001), help="Times the examples are read.  [default: by strategy]")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Examples a step.")
@click.option("--learning-rate", type=click.FloatRange(0, 10, min_open=True), help="Of the encoder.  [default: by strategy]")
@click.option("--precision", type=one_of(Precision), default="auto", help="auto: bf16 on a GPU.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Decides the head, the order, the split, the dropout.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace a model of this kind that is at MODEL.")
@device_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def train(**options: Any) -> None:
    """Train a classifier, or a tagger, that looks things up.

    knn and gate weigh the labels of what is found beside what the model says, with one weight, or one for every text; both may
    come to nothing where validation shows no gain. concat has them read together with the text, cross-attention attends to
    their tokens; joint reads each apart and learns what to look for, too (RAG). In training no example finds itself, or its like.

    \b
    Examples:
      semvec augment train --data banking77 -o intents
      semvec augment train --data banking77 --way concat -k 4 --strategy lora -o intents
      semvec augment train --data reviews.csv --collection products.index --way cross-attention -o sentiment
      semvec augment train --data banking77 --way knn --model my-classifier --as-is -o intents
      semvec augment train --task tag --data wnut17 -k 3 -o names
    """
    from semvec.augment.memory import Retrieval
    from semvec.augment.train import train as make
    from semvec.finetune.options import FinetuneOptions

    options["way"] = options["way"] or (Way.CONCAT if options["task"] == "tag" else Way.GATE)
    quiet, own = options.pop("quiet"), ("strategy", "epochs", "batch_size", "learning_rate", "precision", "seed")
    chosen = FinetuneOptions(**{name: options.pop(name) for name in own}, columns=columns_named(options.pop("column")))
    how = Retrieval(options.pop("k"), options.pop("hybrid"), options.pop("level"), options.pop("dtype"))
    with Bar(quiet) as bar:
        made = make(retrieval=how, options=chosen, progress=bar.to, **options)
    if quiet:
        return
    from semvec.augment.card import facts
    from semvec.augment.described import Described
    from semvec.finetune.card import shown

    its, counts = Described.read(made.path), made.record["examples"]
    split = " (split off)" if counts["split off"] else ""
    click.echo(f"{counts['train']:,} examples to learn from, {counts['validation']:,} to validate on{split}")
    for name, value in made.record["validation"].items():
        click.echo(f"{name} {shown(value)} on the validation data, {shown(made.record['alone'][name])} where nothing is found")
    for line in facts(its):
        click.echo(line)
    if options["way"] in (Way.KNN, Way.GATE) and its.weighing.silent:
        click.echo("a model trained with --weight can be taught all the same")
    click.echo(f"{made.path}: semvec augment predict {made.path} FILE, semvec augment report {made.path} --data TEST")


@augment.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("input", metavar="INPUT")
@click.option("--evidence", is_flag=True, help="With what was found, and how much each of it counts.")
@column  # type: ignore[untyped-decorator]
@encoder_option
@device_option
def predict(model: str, input: str, evidence: bool, column: tuple[str, ...], retriever: str | None, device: str | None) -> None:
    """Print what MODEL says of every text in INPUT (lines, or a table with the column text; - is standard input) as JSON lines.

    \b
    Examples:
      semvec augment predict intents questions.txt
      semvec augment predict intents questions.csv --column text=body --evidence
      echo "where is my card?" | semvec augment predict intents -
    """
    from semvec.augment.kinds import open_model
    from semvec.finetune.classify import read_texts

    texts = read_texts(input, text_column(column))
    with open_model(model, encoder=retriever, device=device) as its:
        for start in range(0, len(texts), 512):
            some = texts[start : start + 512]
            for text, answer in zip(some, its.predict(_asked(its, some), return_evidence=evidence), strict=True):
                kept = {name: value for name, value in answer.items() if name != "scores"}
                click.echo(json.dumps({"text": text, **kept}, ensure_ascii=False))


def _asked(model: Any, texts: list[str]) -> Any:
    """Return ``texts`` as ``model`` is asked about them: a tagger about their words."""
    from semvec.augment.tagger import RetrievalAugmentedTagger
    from semvec.text.tagged import split_tokens

    return [split_tokens(text) for text in texts] if isinstance(model, RetrievalAugmentedTagger) else texts


def _said(answer: Any) -> str:
    """Return an answer in a few words."""
    if "label" in answer:
        return f"{one_line(answer['label'])} ({answer['score']:.3f})"
    entities = answer.get(
        "entities", [{"kind": tag, "text": word} for word, tag in zip(answer["words"], answer["tags"], strict=True)]
    )
    return "; ".join(f"{its['kind']}: {one_line(its['text'])}" for its in entities) or "nothing"


@augment.command()
@click.argument("model")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@encoder_option
@device_option
def explain(model: str, texts: tuple[str, ...], retriever: str | None, device: str | None) -> None:
    """Print what MODEL says of each TEXT, what it found, and how much less likely the answer is without each of it.

    \b
    Examples:
      semvec augment explain intents "where is my card?"
      semvec augment explain intents "why was I charged?" "top up by cheque"
    """
    from semvec.augment.kinds import open_model

    with open_model(model, encoder=retriever, device=device) as its:
        asked = _asked(its, list(texts))
        for text, answer, alone in zip(texts, its.predict(asked, return_evidence=True), its.alone(asked), strict=True):
            click.echo(f"{one_line(text)}: {_said(answer)}; where nothing is found {_said(alone)}")
            click.echo("  influence (how much less likely without it), label, id, text")
            for one in sorted(answer["neighbours"], key=lambda one: -one["influence"]):
                click.echo(
                    f"  {one['influence']:+.3f}  {one_line(one['label']) or '-'}  {one_line(one['id'])}  {one_line(one['text'])}"
                )


@augment.command(context_settings={"show_default": True})
@click.argument("model")
@click.option("--data", required=True, metavar="DATA", help="A labelled file, or a folder with test (or dev).")
@column  # type: ignore[untyped-decorator]
@click.option("--seed", type=click.IntRange(0), default=0, help="Decides the draws of the intervals.")
@encoder_option
@device_option
def report(model: str, data: str, column: tuple[str, ...], seed: int, retriever: str | None, device: str | None) -> None:
    """Examine MODEL on labelled DATA: what it says with what it finds, and where nothing is found, with 95 % intervals.

    \b
    Examples:
      semvec augment report intents --data banking77
      semvec augment report intents --data test.csv --column label=intent
    """
    from semvec.augment.described import cost_in_words
    from semvec.augment.kinds import open_model
    from semvec.augment.report import compared
    from semvec.finetune.card import shown
    from semvec_cli.columns import columns

    with open_model(model, encoder=retriever, device=device) as its:
        found = compared(its, data, columns=columns_named(column), seed=seed)
    names = list(next(iter(found.lines.values())))
    click.echo(f"{found.size:,} examples")
    click.echo(columns([["", *names], *([name, *(shown(line[one]) for one in names)] for name, line in found.lines.items())]))
    for line in (*found.differences, *found.notes, cost_in_words(found.examined.to_json())):
        click.echo(f"  {line}")


@augment.command()
@click.argument("model")
@click.argument("input", metavar="INPUT")
@column  # type: ignore[untyped-decorator]
@encoder_option
@device_option
def add(model: str, input: str, column: tuple[str, ...], retriever: str | None, device: str | None) -> None:
    """Teach MODEL the labelled texts of INPUT (as it was trained on) without training; print their ids.

    Under knn and gate labels that were never trained may be among them.

    \b
    Examples:
      semvec augment add intents new-examples.tsv
      semvec augment add intents more.csv --column text=body --column label=intent
    """
    from semvec.augment.kinds import open_model
    from semvec.augment.tagger import RetrievalAugmentedTagger
    from semvec.finetune.options import FinetuneOptions
    from semvec.finetune.tag import Tag
    from semvec.text.examples import read_labelled

    columns = columns_named(column)
    with open_model(model, encoder=retriever, device=device) as its:
        if isinstance(its, RetrievalAugmentedTagger):
            examples: Any = Tag().read(input, FinetuneOptions(columns=columns))
            ids = its.add(examples)
        else:
            examples = read_labelled(input, columns)
            ids = its.add(examples.texts, examples.labels)
        count, place = its.memory.collection.count(), its.described.collection or f"{model}/memory"
    for name in ids:
        click.echo(name)
    left = f", {len(examples) - len(ids):,} left out, in which nothing is known" if len(ids) < len(examples) else ""
    click.echo(f"{len(set(ids)):,} written{left}, {count:,} in {place}", err=True)


@augment.command()
@click.argument("model")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def remove(model: str, ids: tuple[str, ...]) -> None:
    """Unteach MODEL what it remembers under each ID ('semvec augment add' and 'explain' print them).

    \b
    Examples:
      semvec augment remove intents train-17
      semvec augment remove intents 5f0c2a91d3e47b68 train-3
    """
    from semvec.augment.looks_up import forget

    removed, count, absent = forget(model, ids)
    if not removed:
        raise click.UsageError(f"nothing is remembered under {ids[0]!r}")
    if absent:
        click.echo(f"nothing was remembered under {', '.join(map(repr, absent))}", err=True)
    click.echo(f"{removed:,} removed, {count:,} left", err=True)
